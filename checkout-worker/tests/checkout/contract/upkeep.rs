//! The ledger's contract, continued: configured stock, operators, events, switches, lists.

use checkout_worker::ledger::Sort;

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
    let entry = || AuditEntry::new("stock.change", "aurora", "operator");
    let change = |change| ledger.change_stock(drop_id(), sku("AUR-42"), change, entry());
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
        .change_stock(drop_id(), sku("AUR-99"), StockChange::Add(1), entry())
        .await
        .unwrap();
    assert_eq!(unknown, StockChanged::UnknownSku);
    assert_eq!(
        change(StockChange::Add(UNITS_MAX)).await.unwrap(),
        StockChanged::TooMany
    );
    let lines = ledger.noted(None, 9).await.unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.before.as_deref().unwrap(), line.after.as_deref().unwrap()))
        .collect();
    let stock = |total| format!("{{\"held\":3,\"sold\":0,\"total\":{total}}}");
    let [five, three, seven] = [5, 3, 7].map(stock);
    assert_eq!(
        told,
        [(three.as_str(), seven.as_str()), (&five, &three)],
        "what was refused changed nothing and is not told"
    );
}

pub(super) async fn what_operators_changed_of_the_stock_stands_until_another_is_configured(mut house: House) {
    let (ledger, _clock) = opened(&house, 5).await;
    placed(&*ledger, new_order(1, 1, vec![line("AUR-42", 3)])).await;
    let plan = |stock| DropPlan {
        drop: drop_id(),
        items: vec![item("AUR-42", stock), item("AUR-43", 5)],
    };
    let change = async |ledger: &dyn Ledger, change| {
        let entry = AuditEntry::new("stock.change", "aurora", "operator");
        let done = ledger.change_stock(drop_id(), sku("AUR-42"), change, entry).await;
        assert!(matches!(done.unwrap(), StockChanged::Done(_)));
    };
    change(&*ledger, StockChange::Add(10)).await;
    drop(ledger);
    let ledger = house.reopened().await;
    assert_eq!(ledger.open_drop(plan(5)).await.unwrap(), Opened::Done);
    assert_eq!(level(&*ledger).await.total, 15, "a restart does not take it back");
    placed(&*ledger, new_order(2, 2, vec![line("AUR-42", 3)])).await;
    assert_eq!(ledger.open_drop(plan(5)).await.unwrap(), Opened::Done);
    let refused = Opened::TooFew {
        sku: sku("AUR-42"),
        configured: 4,
        taken: 6,
    };
    assert_eq!(ledger.open_drop(plan(4)).await.unwrap(), refused);
    assert_eq!(level(&*ledger).await.total, 15);
    assert_eq!(ledger.open_drop(plan(8)).await.unwrap(), Opened::Done);
    assert_eq!(level(&*ledger).await.total, 8, "who configures has the last word");
    change(&*ledger, StockChange::Withdraw(2)).await;
    assert_eq!(ledger.open_drop(plan(8)).await.unwrap(), Opened::Done);
    assert_eq!(level(&*ledger).await.total, 6);
}

pub(super) async fn the_operators_log_tells_before_and_after_the_newest_first(mut house: House) {
    let (ledger, clock) = opened(&house, 1).await;
    let entry = |action, by| AuditEntry::new(action, "aurora", by);
    let change = |value: &str| {
        vec![Change {
            drop: drop_id(),
            setting: "rate".to_owned(),
            value: value.to_owned(),
            over: "20".to_owned(),
        }]
    };
    ledger.change(change("7"), entry("first", "ann")).await.unwrap();
    ledger.change(change("9"), entry("second", "ben")).await.unwrap();
    for (on, action) in [(true, "third"), (true, "fourth"), (false, "fifth")] {
        ledger
            .set_switch("a".to_owned(), on, entry(action, "ann"))
            .await
            .unwrap();
    }
    ledger.note(entry("sixth", "ben")).await.unwrap();
    drop(ledger);
    let lines = house.reopened().await.noted(None, 9).await.unwrap();
    let told: Vec<[&str; 4]> = lines
        .iter()
        .map(|line| {
            let told = |text: &Option<String>| text.is_some();
            assert_eq!(told(&line.before), told(&line.after));
            let before = line.before.as_deref().unwrap_or("-");
            [
                line.action.as_str(),
                &line.by,
                before,
                line.after.as_deref().unwrap_or("-"),
            ]
        })
        .collect();
    assert_eq!(
        told,
        [
            ["sixth", "ben", "-", "-"],
            ["fifth", "ann", "\"paused\"", "\"running\""],
            ["fourth", "ann", "\"paused\"", "\"paused\""],
            ["third", "ann", "\"running\"", "\"paused\""],
            ["second", "ben", "{\"rate\":\"7\"}", "{\"rate\":\"9\"}"],
            ["first", "ann", "{\"rate\":\"20\"}", "{\"rate\":\"7\"}"],
        ]
    );
    assert!(lines.is_sorted_by(|newer, older| newer.id > older.id && newer.at >= older.at));
    let ledger = house.reopened().await;
    let newest = ledger.noted(None, 2).await.unwrap();
    assert_eq!(newest, lines[..2]);
    let none = ledger
        .noted(Some(clock.now() + Span::from_mins(60_000_000)), 9)
        .await;
    assert_eq!(none.unwrap(), []);
    assert_eq!(ledger.noted(Some(lines[5].at), 9).await.unwrap().len(), 6);
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
    let entry = AuditEntry::new("test", "", "test");
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

pub(super) async fn sales_are_counted_by_drop_with_reasons(house: House) {
    let (ledger, clock) = opened(&house, 9).await;
    assert_eq!(ledger.sales(drop_id()).await.unwrap(), Sales::default());
    for shopper in 1..=4 {
        let order = new_order(shopper.into(), shopper, vec![line("AUR-42", 1)]);
        placed(&*ledger, order).await;
    }
    for (order, by) in [(1, By::Shopper), (2, By::Operator), (3, By::Shopper)] {
        stepped(&*ledger, OrderId(order), Event::Cancel(by), &*clock).await;
    }
    let mut sales = ledger.sales(drop_id()).await.unwrap();
    sales.orders.sort_unstable();
    sales.reasons.sort_unstable();
    let (held, released) = (StateName::Reserved, StateName::Released);
    let mut orders = [(held, 1), (released, 3)];
    orders.sort_unstable();
    assert_eq!(sales.orders, orders);
    let reasons = [("cancelled", 2), ("cancelled_by_shop", 1)];
    let reasons = reasons.map(|(why, count)| (released, why.to_owned(), count));
    assert_eq!(sales.reasons, reasons);
    assert_eq!((sales.revenue, sales.sold_between), (Vec::new(), None));
    let other = DropId::new("borealis").unwrap();
    assert_eq!(ledger.sales(other).await.unwrap(), Sales::default());
}

/// Pages of two, from the newest of five orders.
async fn newest_first(ledger: &dyn Ledger, all: &OrderFilter) {
    let mut page = OrderFilter {
        sort: Sort::NewestFirst,
        ..all.clone()
    };
    for expected in [&[5, 4][..], &[3, 2], &[1]] {
        let found = ledger.list(page.clone()).await.unwrap();
        let ids: Vec<u128> = found.iter().map(|record| record.order.id.0).collect();
        assert_eq!(ids, expected);
        page.after = ids.last().copied().map(OrderId);
    }
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
    newest_first(&*ledger, &all).await;
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
    let entry = || AuditEntry::new("drop.change", "aurora", "operator");
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
