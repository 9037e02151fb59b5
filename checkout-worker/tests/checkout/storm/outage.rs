//! The provider goes away in the middle of a sale: for half a minute here, for as long as `DOORLINE_OUTAGE_SECONDS` says
//! where somebody has the time.

use std::time::Duration;

use checkout_worker::PublicState;
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

async fn orders(shop: &StormShop, numbers: std::ops::Range<u32>, spread_over: Duration) {
    let count = numbers.len();
    for shopper in numbers {
        place(
            &shop.processes[shopper as usize % 2],
            order_of(shopper, Some(VISA)),
        )
        .await;
        tokio::time::sleep(spread_over / u32::try_from(count).unwrap()).await;
    }
}

async fn all_paid(shop: &StormShop, count: u32) {
    loop {
        let views = shop.all_orders(count).await;
        assert!(
            views
                .iter()
                .all(|view| view.state == PublicState::Paid || !view.state.is_final())
        );
        if views.len() == count as usize && views.iter().all(|view| view.state == PublicState::Paid) {
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
    orders(&shop, 0..BEFORE, Duration::from_secs(1)).await;
    all_paid(&shop, BEFORE).await;
    shop.provider.set_faults(plan(Outage::Refuse)).unwrap();
    let (began, before) = (Instant::now(), shop.provider.requests());
    orders(&shop, BEFORE..BEFORE + MEANWHILE, away / 2).await;
    let mut told = 0;
    while began.elapsed() < away {
        for view in shop.all_orders(BEFORE + MEANWHILE).await {
            if view.state == PublicState::Paid {
                continue;
            }
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
    let calls = shop.provider.requests() - before;
    // Far fewer than orders: who waits does not ask.
    let bound = HANDS + 2 * PROBES_MAX;
    println!("{calls} calls in {away:?} for {MEANWHILE} orders");
    assert!(calls <= bound, "{calls} calls, {bound} allowed");
    let back = shop.provider.clock().now_ms();
    shop.provider.set_faults(plan(Outage::None)).unwrap();
    all_paid(&shop, BEFORE + MEANWHILE).await;
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
