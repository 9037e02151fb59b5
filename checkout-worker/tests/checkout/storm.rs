//! Hundreds of orders at once (`DOORLINE_STORM_ORDERS` for more) through declines, 3-D Secure, timeouts, duplicates and a
//! storm of webhooks, and a provider that goes away for a while. Everything runs as it does in a sale: the real client
//! over HTTP to the sandbox, its signed events over HTTP back, workers and recovery jobs on their own. In the end the
//! provider's log and the ledger agree order by order, to the cent.

mod crowd;
mod outage;
mod shop;

use std::collections::BTreeMap;

use checkout_worker::{OrderView, PublicState};
use sandbox::provider::{Fault, FaultPlan, FaultRule, OrderTally, WebhookFaults};

use crowd::Crowd;
use shop::StormShop;

/// Orders of the storm where nobody asks for another number.
const ORDERS: u32 = 500;

fn orders_wanted() -> u32 {
    let wanted = std::env::var("DOORLINE_STORM_ORDERS").ok();
    wanted.map_or(ORDERS, |text| text.parse().expect("a number of orders"))
}

/// Every kind of fault that one request can meet, and events that are lost, held back and sent twice.
fn weather() -> FaultPlan {
    let rule = |fault, chance| FaultRule::chance(fault, chance);
    FaultPlan {
        seed: 7,
        latency_ms_max: 20,
        requests_per_second: 0,
        slow_ms: 400,
        hang_ms: 300,
        rules: vec![
            rule(Fault::LostAnswer, 0.02),
            rule(Fault::LostRequest, 0.01),
            rule(Fault::Saved500, 0.01),
            rule(Fault::Saved500AfterEffect, 0.01),
            rule(Fault::Unsaved500, 0.02),
            rule(Fault::RateLimited, 0.002),
            rule(Fault::Slow, 0.02),
        ],
        webhooks: WebhookFaults {
            duplicate: 0.5,
            reorder: 0.3,
            drop: 0.2,
        },
        ..FaultPlan::default()
    }
}

/// What the provider's own log must say of an order that ended so.
fn assert_told_alike(view: &OrderView, log: &OrderTally) {
    let amount = view.total.amount;
    let expected = match view.state {
        PublicState::Paid => (1, amount, 0),
        PublicState::Refunded => (1, amount, amount),
        PublicState::Declined | PublicState::Released => (0, 0, 0),
        PublicState::Reserved | PublicState::Accepted | PublicState::Paying | PublicState::ActionRequired => {
            panic!("never ended: {view:?}")
        }
    };
    let order = view.order;
    assert_eq!((log.captures, log.captured, log.refunded), expected, "{order}");
    assert_eq!(
        log.held(),
        0,
        "{order} is {}, and money is still held",
        view.ledger_state
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_orders_ends_with_provider_and_ledger_agreeing_to_the_cent() {
    let wanted = orders_wanted();
    let shop = StormShop::open(wanted, 1_000, weather()).await;
    let crowd = Crowd::new(&shop);
    let orders = crowd.buy(wanted).await;
    shop.calm_down(&orders).await;
    let orders = shop.views(&orders).await;
    assert_eq!(orders.len(), usize::try_from(wanted).unwrap());
    let tally = shop.provider.tally();
    let nothing = OrderTally::default();
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for view in &orders {
        let log = tally.orders.get(&view.order.to_string()).unwrap_or(&nothing);
        assert_told_alike(view, log);
        *ends.entry(view.state.as_str()).or_default() += 1;
    }
    println!("{ends:?}, {} events taken", shop.provider.events_delivered());
    for end in ["paid", "declined", "released", "refunded"] {
        assert!(ends.contains_key(end), "nobody came to {end}: {ends:?}");
    }
    let report = shop.one().audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    let captured: u64 = tally.orders.values().map(|log| log.captured).sum();
    assert_eq!(captured, report.sums.captured_total);
    assert_eq!(tally.orders.keys().filter(|order| order.is_empty()).count(), 0);
    shop.close().await;
}
