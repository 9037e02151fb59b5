//! The provider goes away in the middle of a sale: for half a minute here, for as long as `DOORLINE_OUTAGE_SECONDS` says
//! where somebody has the time.

use std::time::Duration;

use checkout_worker::{OrderView, PublicState};
use domain::OrderId;
use sandbox::provider::{FaultPlan, Movement, Outage};
use tokio::time::Instant;

use super::crowd::order_of;
use super::shop::StormShop;
use crate::support::{VISA, place};

const AWAY: Duration = Duration::from_secs(30);
const BEFORE: u32 = 40;
const MEANWHILE: u32 = 200;
const DRAIN_PER_SECOND: u32 = 20;
/// The breaker asks again after one second, then two, and so on up to thirty, each with one call; before it opens, every
/// order in a worker's hands may find out for itself.
const PROBES_MAX: u64 = 12;
const HANDS: u64 = 2 * 16;

fn plan(outage: Outage) -> FaultPlan {
    FaultPlan {
        requests_per_second: 0,
        hang_ms: 300,
        outage,
        ..FaultPlan::default()
    }
}

fn away_for() -> Duration {
    let wanted = std::env::var("DOORLINE_OUTAGE_SECONDS").ok();
    wanted.map_or(AWAY, |text| {
        Duration::from_secs(text.parse().expect("a number of seconds"))
    })
}

async fn orders(shop: &StormShop, numbers: std::ops::Range<u32>, spread_over: Duration) -> Vec<OrderId> {
    let count = numbers.len();
    let mut orders = Vec::with_capacity(count);
    for shopper in numbers {
        let process = &shop.processes[shopper as usize % 2];
        orders.push(place(process, order_of(shopper, Some(VISA))).await);
        tokio::time::sleep(spread_over / u32::try_from(count).unwrap()).await;
    }
    orders
}

async fn all_paid(shop: &StormShop, orders: &[OrderId]) {
    loop {
        let views = shop.views(orders).await;
        let paid = |view: &OrderView| view.state == PublicState::Paid;
        assert!(views.iter().all(|view| paid(view) || !view.state.is_final()));
        if views.iter().all(paid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The most authorisations within any second of the provider's own log after `since_ms`.
fn busiest_second(shop: &StormShop, since_ms: u64) -> usize {
    let at: Vec<u64> = shop
        .provider
        .log_after(0)
        .iter()
        .filter(|entry| entry.movement == Movement::Authorised && entry.at_ms >= since_ms)
        .map(|entry| entry.at_ms)
        .collect();
    let within = |from: &u64| {
        at.iter()
            .filter(|to| (*from..*from + 1_000).contains(*to))
            .count()
    };
    at.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_without_its_provider_loses_no_order_and_tells_no_lie() {
    let away = away_for();
    let shop = StormShop::open(1_000, DRAIN_PER_SECOND, plan(Outage::None)).await;
    let before = orders(&shop, 0..BEFORE, Duration::from_secs(1)).await;
    all_paid(&shop, &before).await;
    shop.provider.set_faults(plan(Outage::Refuse)).unwrap();
    let (began, asked_before) = (Instant::now(), shop.provider.requests());
    let meanwhile = orders(&shop, BEFORE..BEFORE + MEANWHILE, away / 2).await;
    let mut told = 0;
    while began.elapsed() < away {
        for view in shop.views(&meanwhile).await {
            // Taken, and not a word of money that moved or did not.
            assert!(
                matches!(view.state, PublicState::Accepted | PublicState::Paying),
                "{} is {}",
                view.order,
                view.ledger_state
            );
            if let Some(reason) = &view.reason {
                assert_eq!(reason, "provider_unavailable");
                told += 1;
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(told > 0, "nobody was told what they wait for");
    let calls = shop.provider.requests() - asked_before;
    // Far fewer than orders: who waits does not ask.
    let bound = HANDS + 2 * PROBES_MAX;
    println!("{calls} calls in {away:?} for {MEANWHILE} orders");
    assert!(calls <= bound, "{calls} calls, {bound} allowed");
    let back = shop.provider.clock().now_ms();
    shop.provider.set_faults(plan(Outage::None)).unwrap();
    all_paid(&shop, &meanwhile).await;
    let busiest = busiest_second(&shop, back);
    let allowed = usize::try_from(DRAIN_PER_SECOND + DRAIN_PER_SECOND / 10 + 1).unwrap();
    assert!(
        busiest <= allowed,
        "{busiest} authorised within a second, {allowed} allowed"
    );
    let report = shop.one().audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    let tally = shop.provider.tally();
    assert!(
        tally
            .orders
            .values()
            .all(|log| log.captures == 1 && log.held() == 0)
    );
    shop.close().await;
}
