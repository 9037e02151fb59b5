//! The windows of the reconciler by provider: cut by our clock, filled by another's.

use checkout_worker::jobs::{CLOCK_MARGIN, JobError, Timing};
use checkout_worker::provider::Window;
use domain::saga::Stall;
use domain::{Clock, Span, Timestamp};
use proptest::prelude::*;

use super::witness::Watched;

fn reach() -> Span {
    Span::from_millis(u64::try_from(Timing::default().reconcile_window.as_millis()).unwrap())
}

/// One round, and the window it listed.
async fn round(shop: &Watched) -> Window {
    shop.checkout.reconcile().await.unwrap();
    let mut windows = shop.provider.windows();
    assert_eq!(windows.len(), 1);
    windows.remove(0)
}

#[tokio::test]
async fn the_first_window_reaches_a_day_back_and_a_margin_on_both_sides() {
    let shop = Watched::usual().await;
    let (now, window) = (shop.clock.now(), round(&shop).await);
    assert_eq!(
        (window.since, window.until),
        (now - reach() - CLOCK_MARGIN, now + CLOCK_MARGIN)
    );
}

#[tokio::test]
async fn windows_overlap_by_the_margin_so_that_differing_clocks_lose_nothing() {
    let shop = Watched::usual().await;
    let mut last = shop.clock.now();
    round(&shop).await;
    for minutes in [5, 1, 0, 90] {
        shop.clock.advance(Span::from_mins(minutes));
        let window = round(&shop).await;
        assert_eq!(window.since, last - CLOCK_MARGIN);
        last = shop.clock.now();
        assert_eq!(window.until, last + CLOCK_MARGIN);
    }
}

#[tokio::test]
async fn a_round_that_fails_leaves_its_window_to_the_next() {
    let shop = Watched::usual().await;
    let start = shop.clock.now();
    round(&shop).await;
    *shop.provider.list_fails.lock().unwrap() = Some(Stall::Lost);
    for _ in 0..3 {
        shop.clock.advance(Span::from_mins(5));
        let failed = shop.checkout.reconcile().await;
        assert!(
            matches!(failed, Err(JobError::Provider(Stall::Lost))),
            "{failed:?}"
        );
    }
    shop.provider.windows();
    *shop.provider.list_fails.lock().unwrap() = None;
    assert_eq!(round(&shop).await.since, start - CLOCK_MARGIN);
}

#[tokio::test]
async fn a_clock_that_went_back_looks_at_the_whole_window_again() {
    let shop = Watched::usual().await;
    shop.clock.advance(Span::from_mins(120));
    round(&shop).await;
    shop.clock.go_back(Span::from_mins(90));
    let (now, window) = (shop.clock.now(), round(&shop).await);
    assert_eq!(window.since, now - reach() - CLOCK_MARGIN);
    assert_eq!(round(&shop).await.since, now - CLOCK_MARGIN);
}

#[tokio::test]
async fn a_restart_looks_at_a_whole_day() {
    let shop = Watched::usual().await;
    round(&shop).await;
    let shop = shop.reopened().await;
    shop.clock.advance(Span::from_mins(5));
    let (now, window) = (shop.clock.now(), round(&shop).await);
    assert_eq!(window.since, now - reach() - CLOCK_MARGIN);
}

fn covers(window: &Window, at: Timestamp) -> bool {
    (window.since..=window.until).contains(&at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the provider's clock says within the margin, a payment made at any moment between two rounds is in the
    /// window of a later one.
    #[test]
    fn every_payment_is_in_some_window_although_the_clocks_differ(
        gaps in prop::collection::vec(1_u64..1_800, 2..8),
        made_before_end in 0_u64..1_800,
        skew_seconds in 0_u64..=600,
        ahead: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shop = Watched::usual().await;
            round(&shop).await;
            let started = shop.clock.now();
            let mut windows = Vec::new();
            for gap in gaps {
                shop.clock.advance(Span::from_secs(gap));
                windows.push(round(&shop).await);
            }
            let made = shop.clock.now() - Span::from_secs(made_before_end);
            if made < started {
                return Ok(());
            }
            let skew = Span::from_secs(skew_seconds);
            let stamped = if ahead { made + skew } else { made - skew };
            prop_assert!(windows.iter().any(|window| covers(window, stamped)), "{windows:?} miss {stamped:?}");
            Ok(())
        })?;
    }
}
