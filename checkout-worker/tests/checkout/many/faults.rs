//! A server that dies in the middle of batches, or stops answering.

use checkout_worker::ledger::LedgerError;
use checkout_worker::postgres::PostgresConfig;
use domain::saga::StateName;

use super::*;

/// An order that is accepted in the same step.
fn bought(id: u128) -> NewOrder {
    NewOrder {
        method: Some(method(VISA)),
        ..one_unit(id, id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_mid_batch_loses_nothing_and_leaves_nothing_half_done() {
    let server = postgres().await;
    let ledgers = processes(&server, "killed", 100_000).await;
    let mut buying = JoinSet::new();
    for lane in 0..30_u128 {
        let ledger = ledgers[usize::try_from(lane % 3).unwrap()].clone();
        buying.spawn(async move {
            let mut confirmed = Vec::new();
            for at in 1..=400 {
                let id = lane * 1_000 + at;
                match ledger.reserve(bought(id)).await {
                    Ok(Reservation::Placed(record)) => confirmed.push(record.order.id),
                    Ok(other) => panic!("{other:?}"),
                    // The first failure ends the lane: what was under way then is what the repetition below is about.
                    Err(_) => return (confirmed, Some(id)),
                }
            }
            (confirmed, None)
        });
    }
    // Not a set time but a set amount of work: some hundred orders are in when the server dies.
    while ledgers[0].gauges().await.unwrap().outbox_pending < 300 {
        tokio::task::yield_now().await;
    }
    server.kill();
    let lanes = buying.join_all().await;
    assert!(
        lanes.iter().any(|(_, broken)| broken.is_some()),
        "nothing was under way"
    );
    server.restart().await.unwrap();
    for (confirmed, broken) in lanes {
        for order in confirmed {
            let record = ledgers[0]
                .load(order)
                .await
                .unwrap()
                .expect("a confirmed order is there");
            assert_eq!(record.order.state.name(), StateName::Accepted);
        }
        let Some(id) = broken else { continue };
        // Whether it had been stored was unknown. Asking again gives one order, wherever the first one ended.
        let answer = ledgers[1].reserve(bought(id)).await.unwrap();
        assert!(
            matches!(answer, Reservation::Placed(_) | Reservation::Repeated(_)),
            "{answer:?}"
        );
    }
    let audit = AuditReport::of(ledgers[0].audit().await.unwrap(), Timestamp::EPOCH);
    assert!(audit.differences.is_empty(), "{:?}", audit.differences);
    let orders: u64 = ledgers[0]
        .gauges()
        .await
        .unwrap()
        .orders
        .iter()
        .map(|one| one.2)
        .sum();
    let pending = ledgers[0].gauges().await.unwrap().outbox_pending;
    assert_eq!(
        (orders, pending),
        (u64::from(units_held(&*ledgers[0]).await), orders)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_fails_calls_in_time_and_a_thawed_one_serves_again() {
    let server = postgres().await;
    drop(processes(&server, "frozen", 10).await);
    let config = PostgresConfig {
        call_within: std::time::Duration::from_millis(500),
        ..PostgresConfig::new(&address(&server, "frozen"))
    };
    let ledger = PostgresLedger::open(config).await.unwrap();
    ledger.reserve(one_unit(1, 1)).await.unwrap();
    server.freeze();
    assert!(ledger.load(OrderId(1)).await.is_err());
    let refused = ledger.reserve(one_unit(2, 2)).await.unwrap_err();
    let certain = matches!(refused, LedgerError::Failed { .. });
    assert!(certain, "its commit was never sent: {refused:?}");
    server.thaw();
    let mut answer = ledger.reserve(one_unit(2, 2)).await;
    while answer.is_err() {
        // The thawed server first ends what was left behind; each try has a deadline of its own.
        answer = ledger.reserve(one_unit(2, 2)).await;
    }
    assert!(matches!(answer.unwrap(), Reservation::Placed(_)));
    assert_eq!(units_held(&ledger).await, 2);
    assert_audit_is_clean(&ledger).await;
}
