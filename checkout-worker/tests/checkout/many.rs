//! Several processes' worth of Postgres ledgers on one database, and a server that is killed, frozen, or set up wrongly.

mod faults;
mod refusals;

use std::sync::Arc;

use checkout_worker::audit::AuditReport;
use checkout_worker::ledger::{
    Applied, Channel, ClientKey, DropPlan, Item, ItemPlan, Ledger, NewOrder, Opened, Reservation, Transition,
};
use checkout_worker::postgres::{PostgresLedger, migrate};
use domain::saga::{By, Event, Moment};
use domain::{AdmissionId, OrderId, ShopperKey, Span, Timestamp};
use sandbox::engine::postgres::Postgres;
use tokio::task::JoinSet;

use super::house::{open_postgres, postgres, set_clock};
use super::support::{VISA, drop_id, euros, item, line, method, sku};

/// The clock of these databases, where it stands.
const NOON: u64 = 1_700_000_000_000;

/// Three processes on one database, with `stock` units of one SKU in four buckets.
async fn processes(server: &Postgres, database: &str, stock: u32) -> Vec<Arc<PostgresLedger>> {
    let url = server.fresh_database(database).unwrap();
    migrate(&url).await.unwrap();
    let mut ledgers = Vec::new();
    for _ in 0..3 {
        ledgers.push(open_postgres(&url).await);
    }
    let items = vec![ItemPlan {
        buckets: 4,
        ..item("AUR-42", stock)
    }];
    // All of them open the drop at once, as processes do that start together.
    let mut opening = JoinSet::new();
    for ledger in ledgers.clone() {
        let plan = DropPlan {
            drop: drop_id(),
            items: items.clone(),
        };
        opening.spawn(async move { ledger.open_drop(plan).await.unwrap() });
    }
    for opened in opening.join_all().await {
        assert_eq!(opened, Opened::Done);
    }
    ledgers
}

/// Where another process finds a database.
fn address(server: &Postgres, database: &str) -> String {
    format!("postgres://doorline@127.0.0.1:{}/{database}", server.port())
}

/// One unit for a shopper who has as many admissions as orders.
fn one_unit(id: u128, shopper: u128) -> NewOrder {
    NewOrder {
        id: OrderId(id),
        drop: drop_id(),
        shopper: ShopperKey(shopper.to_be_bytes()),
        admission: AdmissionId(id.to_be_bytes()),
        client_key: ClientKey::new(&format!("key-{id}")).unwrap(),
        request_hash: [7; 32],
        items: vec![Item {
            line: line("AUR-42", 1),
            price: euros(12_900),
        }],
        total: euros(12_900),
        method: None,
        email: None,
        reserve_for: Span::from_mins(5),
        per_shopper: 3,
    }
}

/// Hands orders to the processes in turn, all at once.
async fn reserved_at_once(ledgers: &[Arc<PostgresLedger>], orders: Vec<NewOrder>) -> Vec<Reservation> {
    let mut asked = JoinSet::new();
    for (order, ledger) in orders.into_iter().zip(ledgers.iter().cycle().cloned()) {
        asked.spawn(async move { ledger.reserve(order).await.unwrap() });
    }
    asked.join_all().await
}

fn placed(answers: &[Reservation]) -> usize {
    answers
        .iter()
        .filter(|answer| matches!(answer, Reservation::Placed(_)))
        .count()
}

/// Every book kept two ways agrees.
async fn assert_audit_is_clean(ledger: &dyn Ledger) {
    let report = AuditReport::of(ledger.audit().await.unwrap(), Timestamp::from_millis(NOON));
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}

async fn units_held(ledger: &dyn Ledger) -> u32 {
    ledger.stock(drop_id()).await.unwrap()[0].1.held
}

#[tokio::test]
async fn two_hundred_shoppers_at_three_processes_get_the_last_fifty_units() {
    let server = postgres().await;
    let ledgers = processes(&server, "fifty", 50).await;
    let orders = (1..=200).map(|id| one_unit(id, id)).collect();
    let answers = reserved_at_once(&ledgers, orders).await;
    assert_eq!(placed(&answers), 50);
    let sold_out = Reservation::SoldOut {
        left: vec![line("AUR-42", 0)],
    };
    assert_eq!(answers.iter().filter(|answer| **answer == sold_out).count(), 150);
    assert_eq!(units_held(&*ledgers[0]).await, 50);
    assert_audit_is_clean(&*ledgers[0]).await;
}

#[tokio::test]
async fn limits_keys_and_admissions_hold_across_processes() {
    let server = postgres().await;
    let ledgers = processes(&server, "limits", 500).await;
    let of_one = (1..=60).map(|id| one_unit(id, 1)).collect();
    let answers = reserved_at_once(&ledgers, of_one).await;
    assert_eq!(placed(&answers), 3, "one shopper, at most three units");
    let same_admission = (101..=160).map(|id| NewOrder {
        admission: AdmissionId([9; 16]),
        ..one_unit(id, id)
    });
    let answers = reserved_at_once(&ledgers, same_admission.collect()).await;
    assert_eq!(placed(&answers), 1, "one admission, one order");
    let same_request = (201..=260).map(|id| NewOrder {
        client_key: ClientKey::new("again").unwrap(),
        admission: AdmissionId([8; 16]),
        ..one_unit(id, 2)
    });
    let answers = reserved_at_once(&ledgers, same_request.collect()).await;
    assert_eq!(placed(&answers), 1, "one request, one order");
    let repeated = answers.iter().filter(|a| matches!(a, Reservation::Repeated(_)));
    assert_eq!(repeated.count(), 59);
    assert_eq!(units_held(&*ledgers[0]).await, 5);
    assert_audit_is_clean(&*ledgers[0]).await;
}

#[tokio::test]
async fn a_step_applied_by_every_process_is_stored_once() {
    let server = postgres().await;
    let ledgers = processes(&server, "steps", 50).await;
    set_clock(&server, "steps", NOON);
    let now = Moment::at(Timestamp::from_millis(NOON));
    for id in 1..=10 {
        ledgers[0].reserve(one_unit(id, id)).await.unwrap();
        let order = ledgers[0].load(OrderId(id)).await.unwrap().unwrap().order;
        let step = order.step(Event::Cancel(By::Shopper), now).unwrap();
        let mut race = JoinSet::new();
        for ledger in ledgers.clone() {
            let transition = Transition {
                step: step.clone(),
                attempt: None,
                outcome: None,
            };
            race.spawn(async move { ledger.apply(transition).await.unwrap() });
        }
        let said = race.join_all().await;
        assert_eq!(said.iter().filter(|one| **one == Applied::Done).count(), 1);
        assert_eq!(said.iter().filter(|one| **one == Applied::Conflict).count(), 2);
    }
    assert_eq!(units_held(&*ledgers[0]).await, 0, "no unit went back twice");
    assert_audit_is_clean(&*ledgers[0]).await;
}

#[tokio::test]
async fn relays_and_sweepers_share_the_work_and_none_of_it_is_done_twice() {
    let server = postgres().await;
    let ledgers = processes(&server, "jobs", 500).await;
    set_clock(&server, "jobs", NOON);
    for id in 1..=40 {
        ledgers[0].reserve(one_unit(id, id)).await.unwrap();
        if id > 20 {
            ledgers[0].accept(OrderId(id), method(VISA)).await.unwrap();
        }
    }
    let first = ledgers[0].pending(Channel::Workers, 15).await.unwrap();
    let second = ledgers[1].pending(Channel::Workers, 100).await.unwrap();
    assert_eq!(
        (first.len(), second.len()),
        (15, 5),
        "a message is in one hand at a time"
    );
    let again = ledgers[0].pending(Channel::Workers, 100).await.unwrap();
    assert_eq!(again, first, "whoever has it still sees it");
    set_clock(&server, "jobs", NOON + 11_000);
    let taken_over = ledgers[2].pending(Channel::Workers, 100).await.unwrap();
    assert_eq!(taken_over.len(), 20, "a relay that died keeps nothing for long");
    set_clock(&server, "jobs", NOON + 300_000);
    let mut sweeping = JoinSet::new();
    for ledger in ledgers.clone() {
        sweeping.spawn(async move {
            let mut released = Vec::new();
            loop {
                let some = ledger.expire(3).await.unwrap();
                if some.is_empty() {
                    return released;
                }
                released.extend(some.into_iter().map(|record| record.order.id));
            }
        });
    }
    let mut released: Vec<OrderId> = sweeping.join_all().await.into_iter().flatten().collect();
    // A sweeper may find every order in another's hands and rest; the next round takes what is left.
    released.extend(
        ledgers[0]
            .expire(100)
            .await
            .unwrap()
            .into_iter()
            .map(|record| record.order.id),
    );
    released.sort_unstable();
    assert_eq!(released, (1..=20).map(OrderId).collect::<Vec<_>>());
    assert_eq!(units_held(&*ledgers[0]).await, 20);
    assert_audit_is_clean(&*ledgers[0]).await;
}

#[tokio::test]
async fn a_command_that_fails_takes_no_neighbour_with_it() {
    let server = postgres().await;
    let ledgers = processes(&server, "neighbours", 500).await;
    set_clock(&server, "neighbours", NOON);
    for id in 1..=8 {
        ledgers[0].reserve(one_unit(id, id)).await.unwrap();
    }
    let spoil = "UPDATE checkout.orders SET data = 'nonsense' WHERE client_key = 'key-4'";
    server.sql("neighbours", spoil).unwrap();
    let mut asked = JoinSet::new();
    for id in 1..=8 {
        let ledger = ledgers[0].clone();
        asked.spawn(async move { (id, ledger.accept(OrderId(id), method(VISA)).await.is_ok()) });
    }
    let mut refused: Vec<u128> = asked
        .join_all()
        .await
        .into_iter()
        .filter(|(_, ok)| !ok)
        .map(|(id, _)| id)
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, [4]);
    assert_eq!(ledgers[0].pending(Channel::Workers, 100).await.unwrap().len(), 7);
    assert_eq!(ledgers[0].stock(drop_id()).await.unwrap()[0].0, sku("AUR-42"));
}
