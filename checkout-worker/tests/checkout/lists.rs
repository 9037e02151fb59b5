//! The windows of the reconciler by provider: cut by our clock, filled by another's, and compared slice by slice.

use std::sync::{Arc, Mutex};

use checkout_worker::Checkout;
use checkout_worker::jobs::{CLOCK_MARGIN, JobError, Timing};
use checkout_worker::ledger::Reply;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::provider::{Page, Provider, ProviderCall, Window};
use domain::saga::{Answer, PaymentId, Stall, StateName};
use domain::{Clock, Span, Timestamp};
use proptest::prelude::*;

use super::support::{SECURE, StandingClock, config, open_ledger, place, ports, purchase};
use super::witness::Watched;

/// The least that a time is cut into.
const SHORTEST: Span = Span::from_mins(15);

fn reach() -> Span {
    Span::from_millis(u64::try_from(Timing::default().reconcile_window.as_millis()).unwrap())
}

/// What slices are when they are put together: each begins where the one before ends.
fn whole(slices: &[Window]) -> Window {
    assert!(
        slices.windows(2).all(|pair| pair[0].until == pair[1].since),
        "{slices:?}"
    );
    Window {
        since: slices[0].since,
        until: slices[slices.len() - 1].until,
        after: None,
    }
}

/// One round, and the window it listed.
async fn round(shop: &Watched) -> Window {
    shop.checkout.reconcile().await.unwrap();
    whole(&shop.provider.windows())
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

/// A provider that lists no more than it was built to.
#[derive(Clone)]
struct Limited {
    inner: MemoryProvider,
    /// Lists of longer windows never end.
    length_max: Span,
    /// Windows that reach beyond this instant are not answered.
    reach: Arc<Mutex<Timestamp>>,
    /// The windows whose list began.
    windows: Arc<Mutex<Vec<Window>>>,
}

impl Provider for Limited {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        self.inner.perform(call)
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        if window.after.is_none() {
            self.windows.lock().unwrap().push(window.clone());
        }
        if window.until > *self.reach.lock().unwrap() {
            return Box::pin(std::future::ready(Err(Stall::Lost)));
        }
        if window.until.since(window.since) > self.length_max {
            let page = Page {
                payments: Vec::new(),
                next: PaymentId::new("pi_more").ok(),
            };
            return Box::pin(std::future::ready(Ok(page)));
        }
        self.inner.list(window)
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        self.inner.retrieve(payment)
    }
}

struct LimitedShop {
    checkout: Checkout,
    provider: Limited,
    clock: Arc<StandingClock>,
    _dir: tempfile::TempDir,
}

impl LimitedShop {
    async fn open(length_max: Span) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let provider = Limited {
            inner: MemoryProvider::new(clock.clone()),
            length_max,
            reach: Arc::new(Mutex::new(Timestamp::NEVER)),
            windows: Arc::default(),
        };
        let ledger = open_ledger(dir.path(), &clock);
        let ports = ports(ledger, Arc::new(provider.clone()), clock.clone());
        Self {
            checkout: Checkout::open(config(8), ports).await.unwrap(),
            provider,
            clock,
            _dir: dir,
        }
    }

    /// The windows whose list began since the last time this was asked.
    fn windows(&self) -> Vec<Window> {
        std::mem::take(&mut *self.provider.windows.lock().unwrap())
    }
}

#[tokio::test]
async fn more_payments_than_are_listed_in_one_go_are_compared_in_short_slices() {
    let longest = SHORTEST + CLOCK_MARGIN + CLOCK_MARGIN;
    let shop = LimitedShop::open(longest).await;
    let order = place(&shop.checkout, purchase(1, Some(SECURE))).await;
    shop.checkout.drive(order).await.unwrap();
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.inner.confirm(&payment, true));
    shop.clock.advance(Span::from_mins(157));
    let now = shop.clock.now();
    let found = shop.checkout.reconcile().await.unwrap();
    assert_eq!((found.seen, found.applied), (1, 1));
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!(view.ledger_state, StateName::Paid);

    let windows = shop.windows();
    let (endless, slices) = windows.split_first().unwrap();
    assert_eq!(
        endless.since, slices[0].since,
        "no more than one is listed in vain"
    );
    assert!(
        slices
            .iter()
            .all(|window| window.until.since(window.since) <= longest)
    );
    let window = whole(slices);
    assert_eq!(
        (window.since, window.until),
        (now - reach() - CLOCK_MARGIN, now + CLOCK_MARGIN)
    );
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(whole(&shop.windows()).since, now - CLOCK_MARGIN);
}

#[tokio::test]
async fn what_was_compared_stays_compared_when_the_provider_fails_at_a_later_slice() {
    let shop = LimitedShop::open(Span::from_mins(60 * 24)).await;
    let now = shop.clock.now();
    *shop.provider.reach.lock().unwrap() = now - Span::from_mins(60);
    let failed = shop.checkout.reconcile().await;
    assert!(
        matches!(failed, Err(JobError::Provider(Stall::Lost))),
        "{failed:?}"
    );
    let windows = shop.windows();
    let compared = whole(&windows[..windows.len() - 1]);
    assert!(windows.len() > 2, "{windows:?}");
    *shop.provider.reach.lock().unwrap() = Timestamp::NEVER;
    shop.checkout.reconcile().await.unwrap();
    let rest = whole(&shop.windows());
    assert_eq!(
        (rest.since, rest.until),
        (compared.until - CLOCK_MARGIN, now + CLOCK_MARGIN)
    );
}

#[tokio::test]
async fn a_list_that_never_ends_ends_the_round() {
    let shop = LimitedShop::open(Span::ZERO).await;
    let failed = shop.checkout.reconcile().await;
    assert!(matches!(failed, Err(JobError::Endless(_))), "{failed:?}");
    assert_eq!(
        shop.windows().len(),
        3,
        "once as it is, once in a short slice, and once as short as it gets"
    );
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
