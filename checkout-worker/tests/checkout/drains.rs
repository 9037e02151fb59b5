//! The pace of payments: the drain rate, the valve, the breaker, and what a rate limit does to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::breaker::{Breaker, Health};
use checkout_worker::driver::{DRAIN_PER_SECOND, Drain, Fed, Shut, Valve};
use checkout_worker::ledger::{Change, OrderFilter};
use checkout_worker::pace::Pace;
use checkout_worker::provider::memory::Fault;
use checkout_worker::{Checkout, CheckoutConfig, DropTerms};
use domain::saga::{By, LEASE, StateName};
use domain::{DropId, Span};
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{PAYMENTS, VISA, config, drop_id, place, ports, purchase, terms, turns};
use super::witness::Watched;

/// Most turns that any stretch of one second saw.
fn most_in_a_second(turns: &[Instant]) -> usize {
    let within = |from: &Instant| {
        let end = *from + Duration::from_secs(1);
        turns.iter().filter(|turn| (*from..end).contains(*turn)).count()
    };
    turns.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn no_second_sees_more_turns_than_the_drain_rate_and_its_tenth() {
    for rate in [1, 3, 10, 20, 47] {
        let drain = Arc::new(Drain::new(turns()));
        drain.configure(&drop_id(), rate, Span::from_mins(10));
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let drain = drain.clone();
            workers.spawn(async move {
                let mut turns = Vec::new();
                for _ in 0..rate {
                    drain.turn(&drop_id()).await.unwrap();
                    turns.push(Instant::now());
                }
                turns
            });
        }
        let taken = workers.join_all().await.concat();
        let (most, burst) = (most_in_a_second(&taken), rate as usize / 10);
        assert!(
            most <= rate as usize + burst.max(1),
            "{most} turns within a second at {rate}/s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_drops_pace_is_not_anothers() {
    let (drain, other) = (Drain::new(turns()), DropId::new("borealis").unwrap());
    drain.configure(&drop_id(), 1, Span::from_mins(10));
    drain.configure(&other, 100, Span::from_mins(3));
    drain.turn(&drop_id()).await.unwrap();
    let start = Instant::now();
    for _ in 0..50 {
        drain.turn(&other).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    drain.slow_down(&other, None).await;
    assert_eq!(drain.rates(), [(drop_id(), 1), (other.clone(), 50)]);
    assert_eq!(
        (drain.action_time(&drop_id()), drain.action_time(&other)),
        (Span::from_mins(10), Span::from_mins(3))
    );
    let change = |over: &str| Change {
        drop: other.clone(),
        setting: DRAIN_PER_SECOND.to_owned(),
        value: "7".to_owned(),
        over: over.to_owned(),
    };
    drain.follow(&[change("100")]);
    assert_eq!(drain.rates(), [(drop_id(), 1), (other.clone(), 7)]);
    drain.configure(&other, 30, Span::from_mins(3));
    drain.follow(&[change("100")]);
    assert_eq!(
        drain.rates()[1],
        (other.clone(), 30),
        "something else is configured now"
    );
    drain.follow(&[change("30")]);
    drain.follow(&[]);
    assert_eq!(drain.rates()[1].1, 30, "no change, as configured");
    assert!(drain.knows(&other));
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_nobody_configured_goes_at_one_per_second() {
    let (drain, unknown) = (Drain::new(turns()), DropId::new("gone").unwrap());
    assert!(!drain.knows(&unknown));
    let start = Instant::now();
    for _ in 0..5 {
        drain.turn(&unknown).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_secs(4) && drain.rates().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_keep_away_holds_everybody_and_then_lets_go() {
    let pace = Pace::per_second(100);
    pace.slow_down(Some(Duration::from_secs(7))).await;
    pace.slow_down(Some(Duration::from_secs(2))).await;
    let start = Instant::now();
    pace.turn().await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_secs(7),
        "a shorter keep-away does not cut a longer one"
    );
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn turns_are_given_in_the_order_they_were_asked_for() {
    let pace = Arc::new(Pace::per_second(10));
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = JoinSet::new();
    for number in 0..20 {
        let (pace, served) = (pace.clone(), served.clone());
        waiting.spawn(async move {
            pace.turn().await.unwrap();
            served.lock().unwrap().push(number);
        });
        // Lets the one before take its place in the line.
        tokio::task::yield_now().await;
    }
    waiting.join_all().await;
    assert_eq!(*served.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Set(u32),
    SlowDown(u64),
    Wait(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        (0_u32..40).prop_map(Turn::Set),
        (0_u64..3).prop_map(Turn::SlowDown),
        (1_u64..4_000).prop_map(Turn::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However rates change, the rate in force stays within what is configured, above nothing, and no waiter is lost.
    #[test]
    fn a_pace_is_never_above_its_rate_nor_stuck(turns in prop::collection::vec(turn(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (pace, mut configured) = (Pace::per_second(20), 20);
            for turn in turns {
                match turn {
                    Turn::Set(rate) => {
                        pace.set(rate);
                        configured = rate.max(1);
                    }
                    Turn::SlowDown(hold) => pace.slow_down(Some(Duration::from_secs(hold))).await,
                    Turn::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                }
                prop_assert!((1..=configured).contains(&pace.rate()));
            }
            let served = tokio::time::timeout(Duration::from_secs(10), pace.turn()).await;
            prop_assert!(served.is_ok(), "nobody is served any more");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn an_operators_pause_stays_an_operators_and_resuming_opens_both() {
    let valve = Valve::default();
    assert_eq!(valve.shut_everywhere(), None);
    valve.halt();
    assert_eq!(valve.shut_everywhere(), Some(Shut::Halted));
    valve.set(PAYMENTS, true);
    valve.halt();
    assert_eq!(
        valve.shut_everywhere(),
        Some(Shut::Paused),
        "a stop for credentials does not cover a pause"
    );
    let waiter = valve.clone();
    let ((), ()) = tokio::join!(waiter.opened(), async {
        tokio::task::yield_now().await;
        valve.set(PAYMENTS, false);
        tokio::task::yield_now().await;
        assert_eq!(valve.shut_everywhere(), Some(Shut::Halted));
        valve.end_halt();
    });
    assert_eq!(waiter.shut_everywhere(), None, "clones are one valve");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_never_reports_is_given_up_and_another_goes() {
    let breaker = Breaker::default();
    for _ in 0..5 {
        breaker.report(Health::Silent);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(breaker.admits() && !breaker.admits());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(breaker.admits(), "the first prober died");
    assert_eq!(breaker.report(Health::Silent), None);
    assert!(breaker.is_open() && !breaker.admits());
}

#[tokio::test(start_paused = true)]
async fn the_house_hears_the_breaker_open_and_close_once_each() {
    let shop = Watched::usual().await;
    shop.provider.inner.plan([Fault::RequestLost; 5]);
    for shopper in 1..=6 {
        let order = place(&shop.checkout, purchase(shopper, Some(VISA))).await;
        shop.checkout.drive(order).await.unwrap();
    }
    assert_eq!(*shop.ear.breaker.lock().unwrap(), [true]);
    assert!(shop.checkout.figures().await.unwrap().breaker_open);
    assert_eq!(shop.provider.keys().len(), 5, "the sixth order was not sent");
    tokio::time::sleep(Duration::from_secs(1)).await;
    super::support::recover(&shop.checkout, &shop.clock).await;
    assert_eq!(*shop.ear.breaker.lock().unwrap(), [true, false]);
    for view in shop.checkout.orders(all()).await.unwrap() {
        assert_eq!(view.ledger_state, StateName::Paid);
    }
}

pub(crate) fn all() -> OrderFilter {
    OrderFilter {
        limit: 100,
        ..OrderFilter::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_lowers_the_drops_rate_and_costs_the_order_no_try() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    shop.provider.inner.plan([Fault::RateLimited; 6]);
    for _ in 0..6 {
        shop.checkout.drive(order).await.unwrap();
        shop.clock.advance(Span::from_secs(2));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!((view.ledger_state, view.flag), (StateName::Authorising, None));
    assert!(shop.checkout.figures().await.unwrap().drain[0].1 < 100);
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Paid);
    assert_eq!(shop.provider.inner.books().payments.len(), 1);
}

#[tokio::test]
async fn while_payments_are_paused_orders_are_taken_and_can_be_given_up_and_nothing_is_charged() {
    let shop = Watched::usual().await;
    let begun = place(&shop.checkout, purchase(1, Some(super::support::SECURE))).await;
    shop.checkout.drive(begun).await.unwrap();
    shop.checkout.stop(PAYMENTS, "operator").await.unwrap();
    shop.provider.keys();
    let waiting = place(&shop.checkout, purchase(2, Some(VISA))).await;
    assert!(matches!(
        shop.checkout.drive(waiting).await.unwrap(),
        Fed::Deferred(StateName::Authorising)
    ));
    assert_eq!(shop.provider.keys(), Vec::<String>::new());
    shop.checkout.cancel(begun, By::Shopper).await.unwrap();
    shop.checkout.jobs().cancel().await.unwrap();
    assert_eq!(shop.state(begun).await, StateName::Released, "giving up goes on");
    shop.checkout.resume(PAYMENTS, "operator").await.unwrap();
    shop.clock.advance(LEASE);
    shop.checkout.drive(waiting).await.unwrap();
    assert_eq!(shop.state(waiting).await, StateName::Paid);
}

#[tokio::test]
async fn a_changed_rate_reaches_every_process_and_survives_its_restart() {
    let shop = super::support::Shop::open(9).await;
    let process = async |rate| {
        let ports = ports(
            shop.ledger.clone(),
            Arc::new(shop.provider.clone()),
            shop.clock.clone(),
        );
        let terms = DropTerms {
            drain_per_second: rate,
            ..terms(9)
        };
        let config = CheckoutConfig {
            drops: vec![terms],
            ..config(9)
        };
        Checkout::open(config, ports).await.unwrap()
    };
    let rate = async |checkout: &Checkout| checkout.figures().await.unwrap().drain[0].1;
    let (asked, other) = (process(20).await, process(20).await);
    let change = Change {
        drop: drop_id(),
        setting: DRAIN_PER_SECOND.to_owned(),
        value: "3".to_owned(),
        over: "20".to_owned(),
    };
    asked.change(vec![change], "aurora 3", "operator").await.unwrap();
    assert_eq!((rate(&asked).await, rate(&other).await), (3, 20));
    other.jobs().follow_switches().await.unwrap();
    assert_eq!(rate(&other).await, 3);
    assert_eq!(rate(&process(20).await).await, 3, "after a restart");
    assert_eq!(
        rate(&process(25).await).await,
        25,
        "something else is configured now"
    );
}

#[tokio::test]
async fn how_long_a_checkout_took_counts_from_its_acceptance_and_not_from_the_reservation() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, None)).await;
    shop.clock.advance(Span::from_mins(4));
    shop.checkout
        .accept(order, super::support::method(VISA))
        .await
        .unwrap();
    shop.clock.advance(Span::from_secs(3));
    shop.checkout.drive(order).await.unwrap();
    let at_once = place(&shop.checkout, purchase(2, Some(VISA))).await;
    shop.clock.advance(Span::from_secs(5));
    shop.checkout.drive(at_once).await.unwrap();
    let paid = |seconds| (StateName::Paid, Span::from_secs(seconds));
    assert_eq!(*shop.ear.finished.lock().unwrap(), [paid(3), paid(5)]);
}
