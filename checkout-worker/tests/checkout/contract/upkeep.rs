//! The ledger's contract, continued: configured stock, operators, events, switches, lists.

use super::*;

pub(super) async fn stock_follows_configuration_but_never_below_what_is_taken(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 3)])).await;
    let plan = |stock| DropPlan {
        drop: drop_id(),
        items: vec![item("AUR-42", stock)],
    };
    assert_eq!(ledger.open_drop(plan(9)).await.unwrap(), Opened::Done);
    assert_eq!(level(&*ledger).await.total, 9);
    assert_eq!(ledger.open_drop(plan(3)).await.unwrap(), Opened::Done);
    let refused = Opened::TooFew {
        sku: sku("AUR-42"),
        configured: 2,
        taken: 3,
    };
    assert_eq!(ledger.open_drop(plan(2)).await.unwrap(), refused);
    let mut dollars = plan(9);
    dollars.items[0].price = domain::Money::new(1, domain::Currency::new("usd").unwrap());
    assert_eq!(
        ledger.open_drop(dollars).await.unwrap(),
        Opened::OtherCurrency { sku: sku("AUR-42") }
    );
}

pub(super) async fn operators_add_and_withdraw_free_units_only(house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 3)])).await;
    let change = |change| ledger.change_stock(drop_id(), sku("AUR-42"), change);
    assert_eq!(
        change(StockChange::Withdraw(3)).await.unwrap(),
        StockChanged::NotFree { free: 2 }
    );
    let after = Level {
        total: 3,
        held: 3,
        sold: 0,
    };
    assert_eq!(
        change(StockChange::Withdraw(2)).await.unwrap(),
        StockChanged::Done(after)
    );
    let after = Level {
        total: 7,
        held: 3,
        sold: 0,
    };
    assert_eq!(
        change(StockChange::Add(4)).await.unwrap(),
        StockChanged::Done(after)
    );
    let unknown = ledger
        .change_stock(drop_id(), sku("AUR-99"), StockChange::Add(1))
        .await
        .unwrap();
    assert_eq!(unknown, StockChanged::UnknownSku);
}

pub(super) async fn an_event_is_recorded_once_and_a_switch_holds(mut house: House) {
    let (ledger, _clock) = opened(&house, 1).await;
    assert!(!ledger.event_known("evt_1".to_owned()).await.unwrap());
    assert!(
        ledger
            .record_event("evt_1".to_owned(), "kind".to_owned())
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .record_event("evt_1".to_owned(), "kind".to_owned())
            .await
            .unwrap()
    );
    assert!(ledger.event_known("evt_1".to_owned()).await.unwrap());
    let entry = checkout_worker::ledger::AuditEntry {
        action: "test",
        subject: String::new(),
        by: "test".to_owned(),
    };
    ledger
        .set_switch("a".to_owned(), true, entry.clone())
        .await
        .unwrap();
    ledger
        .set_switch("b".to_owned(), true, entry.clone())
        .await
        .unwrap();
    ledger.set_switch("b".to_owned(), false, entry).await.unwrap();
    drop(ledger);
    let again = house.reopened().await;
    assert_eq!(again.switches().await.unwrap(), ["a"]);
}

pub(super) async fn lists_filter_and_page(house: House) {
    let (ledger, clock) = opened(&house, 9).await;
    for shopper in 1..=5 {
        placed(
            &*ledger,
            new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]),
        )
        .await;
    }
    stepped(
        &*ledger,
        OrderId(2),
        Event::Cancel(domain::saga::By::Shopper),
        &*clock,
    )
    .await;
    let ids = async |filter: OrderFilter| -> Vec<u128> {
        ledger
            .list(filter)
            .await
            .unwrap()
            .into_iter()
            .map(|record| record.order.id.0)
            .collect()
    };
    let all = OrderFilter {
        limit: 2,
        ..OrderFilter::default()
    };
    assert_eq!(ids(all.clone()).await, [1, 2]);
    assert_eq!(
        ids(OrderFilter {
            after: Some(OrderId(2)),
            ..all.clone()
        })
        .await,
        [3, 4]
    );
    let states = vec![StateName::Released];
    assert_eq!(
        ids(OrderFilter {
            states,
            ..all.clone()
        })
        .await,
        [2]
    );
    assert_eq!(
        ids(OrderFilter {
            flagged: true,
            ..all.clone()
        })
        .await,
        []
    );
    assert_eq!(
        ids(OrderFilter {
            changed_before: Some(clock.now()),
            ..all
        })
        .await,
        []
    );
}

pub(super) async fn news_are_orders_above_the_version_that_is_known(house: House) {
    let (ledger, clock) = opened(&house, 9).await;
    for shopper in 1..=3 {
        placed(
            &*ledger,
            new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]),
        )
        .await;
    }
    let version = async |id| ledger.load(OrderId(id)).await.unwrap().unwrap().order.version;
    let known = vec![
        (OrderId(1), version(1).await),
        (OrderId(2), version(2).await),
        (OrderId(404), 0),
    ];
    assert_eq!(ledger.newer(known.clone()).await.unwrap(), []);
    assert_eq!(ledger.newer(Vec::new()).await.unwrap(), []);
    for order in [OrderId(2), OrderId(3)] {
        stepped(&*ledger, order, Event::Cancel(domain::saga::By::Shopper), &*clock).await;
    }
    let now = version(2).await;
    assert!(now > known[1].1);
    assert_eq!(
        ledger.newer(known).await.unwrap(),
        [(OrderId(2), now)],
        "nobody asked about the third"
    );
}

pub(super) async fn changed_settings_are_kept_over_a_restart_each_on_its_own(mut house: House) {
    let (ledger, _clock) = opened(&house, 9).await;
    let change = |setting: &str, value: &str, over: &str| Change {
        drop: drop_id(),
        setting: setting.to_owned(),
        value: value.to_owned(),
        over: over.to_owned(),
    };
    let entry = || AuditEntry {
        action: "drop.change",
        subject: "aurora".to_owned(),
        by: "operator".to_owned(),
    };
    assert_eq!(ledger.changes().await.unwrap(), []);
    let first = vec![change("a", "1", "20"), change("b", "Soon. \u{1f45f}", "")];
    ledger.change(first, entry()).await.unwrap();
    ledger
        .change(vec![change("a", "2", "30")], entry())
        .await
        .unwrap();
    let kept = [change("a", "2", "30"), change("b", "Soon. \u{1f45f}", "")];
    assert_eq!(ledger.changes().await.unwrap(), kept);
    drop(ledger);
    assert_eq!(house.reopened().await.changes().await.unwrap(), kept);
}
