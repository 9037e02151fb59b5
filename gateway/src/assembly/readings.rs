//! What one half of the house must know of the other: stock and backlog from the checkout,
//! health from the edge, carried to the queue as values. Refreshed a few times a second, so
//! that nobody who asks has to wait.
//!
//! Of several gateways one reads the stock for all (`domain::hint`): the others find what it has read
//! in the queue store's hint, and read the ledger themselves when that is missing or old.

mod stock;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admission::Outside;
use arc_swap::ArcSwap;
use checkout_worker::Checkout;
use checkout_worker::checkout::Figures;
use domain::health::{Health, Interval};
use domain::pool::Level;
use domain::saga::StateName;
use domain::{Clock, DropId, Readings, Sku, Span, StockHint, StockLevel, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::edge::observe::UpstreamOutcome;
use crate::edge::per_core::PerCore;
pub use stock::Shared;

/// How often the stock is read. A shopper is told "sold out" at most this much late, and one tick of the queue
/// where another gateway has read it.
const REFRESH: Duration = Duration::from_millis(250);
/// An upstream that takes longer than this to begin its answers is let rest.
const LATENCY_TARGET: Span = Span::from_secs(2);
/// One health interval, and one look at the ledger's other figures, per this many refreshes: a
/// second. They pace the outflow and fill the metrics, and neither is looked at more often.
const REFRESHES_PER_INTERVAL: u32 = 4;

/// Units of every item of every drop, and of items that it does not name any more: of those only what orders have.
type Levels = Vec<(DropId, Sku, Level)>;

/// The latest readings of all drops.
pub struct House {
    clock: Arc<dyn Clock>,
    /// Every drop that sells something.
    drops: ArcSwap<Vec<DropId>>,
    /// None for a worker: it paces nobody, and reads once a second.
    shared: Option<Shared>,
    /// The latest reading of each drop that was used, our own or another's.
    stock: ArcSwap<BTreeMap<DropId, Arc<StockHint>>>,
    /// When units last came back through this process: no reading of before may turn anybody away.
    returned_at: AtomicU64,
    figures: ArcSwap<Figures>,
    /// When the ledger last answered.
    read_at: AtomicU64,
    health: Mutex<Option<Health>>,
    /// Noted with every proxied request, so apart for each core.
    upstream: PerCore<Seen>,
}

/// What was seen of the upstream since the last interval.
#[derive(Default, Debug)]
struct Seen {
    requests: AtomicU64,
    errors: AtomicU64,
    slow: AtomicU64,
}

impl House {
    /// A house of these drops that has read nothing yet.
    pub fn new(clock: Arc<dyn Clock>, drops: Vec<DropId>, shared: Option<Shared>) -> Self {
        Self {
            clock,
            drops: ArcSwap::from_pointee(drops),
            shared,
            stock: ArcSwap::default(),
            returned_at: AtomicU64::new(0),
            figures: ArcSwap::default(),
            read_at: AtomicU64::new(0),
            health: Mutex::default(),
            upstream: PerCore::default(),
        }
    }

    /// Reads the stock of these drops from now on.
    pub fn read_of(&self, drops: Vec<DropId>) {
        self.drops.store(Arc::new(drops));
    }

    /// Reads the ledger until `stop`.
    pub async fn refresh(&self, checkout: &Checkout, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(REFRESH);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = 0_u32;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            round = round.wrapping_add(1);
            let is_full = round.is_multiple_of(REFRESHES_PER_INTERVAL);
            if is_full || self.shared.is_some() {
                self.read_stock(checkout).await;
            }
            if is_full {
                self.read_figures(checkout).await;
                self.close_interval();
            }
        }
    }

    /// Reads the ledger's other figures once; where it fails, the last ones stand as well.
    pub async fn read_figures(&self, checkout: &Checkout) {
        match checkout.figures().await {
            Ok(figures) => {
                self.ledger_answered();
                self.figures.store(Arc::new(figures));
            }
            Err(error) => tracing::warn!(%error, "the ledger's figures cannot be read"),
        }
    }

    fn ledger_answered(&self) {
        self.read_at
            .store(self.clock.now().as_millis(), Ordering::Relaxed);
    }

    /// How long ago the ledger last answered this process; what another has read says nothing about that.
    pub fn ledger_silence(&self) -> Span {
        self.clock
            .now()
            .since(Timestamp::from_millis(self.read_at.load(Ordering::Relaxed)))
    }

    /// The present instant, for ages.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Every drop's stock as last read.
    pub fn levels(&self) -> Levels {
        let of_drop = |drop: &DropId| {
            let reading = self.reading(drop);
            let levels = reading.map(|reading| reading.levels.clone());
            let levels = levels.unwrap_or_default().into_iter();
            let named = |(sku, level)| (drop.clone(), sku, level);
            levels.map(named).collect::<Vec<_>>()
        };
        self.drops.load().iter().flat_map(of_drop).collect()
    }

    /// The checkout's other figures as last read.
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.load_full()
    }

    /// One drop's stock as last read.
    pub fn stock(&self, drop: &DropId) -> BTreeMap<Sku, Level> {
        self.reading(drop)
            .map_or_else(BTreeMap::new, |reading| reading.levels.iter().cloned().collect())
    }

    /// Notes how one exchange with the upstream went.
    pub fn upstream(&self, outcome: UpstreamOutcome, took: Duration) {
        let took_long = took > LATENCY_TARGET.as_duration();
        let (failed, slow) = match outcome {
            UpstreamOutcome::Answered => (false, took_long),
            UpstreamOutcome::ServerError
            | UpstreamOutcome::ConnectFailed
            | UpstreamOutcome::TimedOut
            | UpstreamOutcome::Broken => (true, took_long),
            // It has not even been asked, however long or short the wait was: half of its connections
            // at least are busy with answers, not with clients, and they do not suffice.
            UpstreamOutcome::Saturated => (false, true),
            UpstreamOutcome::ClientFailed => return,
        };
        let seen = self.upstream.mine();
        seen.requests.fetch_add(1, Ordering::Relaxed);
        if failed {
            seen.errors.fetch_add(1, Ordering::Relaxed);
        }
        if slow {
            seen.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn close_interval(&self) {
        let taken = |count: fn(&Seen) -> &AtomicU64| -> u64 {
            let counts = self.upstream.all().map(count);
            counts.map(|count| count.swap(0, Ordering::Relaxed)).sum()
        };
        let requests = taken(|seen| &seen.requests);
        let slow = taken(|seen| &seen.slow);
        // The 95th percentile lies above the target exactly if more than one in twenty does.
        let is_slow = slow.saturating_mul(20) > requests;
        let latency = if is_slow {
            LATENCY_TARGET + Span::from_millis(1)
        } else {
            Span::ZERO
        };
        let seen = Interval {
            requests,
            errors: taken(|seen| &seen.errors),
            latency,
        };
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = Some(health.unwrap_or_else(|| Health::new(LATENCY_TARGET)).after(seen));
    }

    fn health_per_mille(&self) -> u32 {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.map_or(Readings::default().health_per_mille, |health| health.per_mille())
    }
}

impl Outside for House {
    fn readings(&self, drop: &DropId) -> Readings {
        let figures = self.figures.load();
        let reading = self.reading(drop);
        let levels = reading.iter().flat_map(|reading| &reading.levels);
        let stock = levels
            .map(|(_, level)| level)
            .fold(None, |sum: Option<StockLevel>, level| {
                let sum = sum.unwrap_or_default();
                Some(StockLevel {
                    available: sum.available + u64::from(level.available()),
                    reserved: sum.reserved + u64::from(level.held),
                    sold: sum.sold + u64::from(level.sold),
                })
            });
        let waiting = |state: StateName| matches!(state, StateName::Accepted | StateName::Authorising);
        let backlog = figures
            .gauges
            .orders
            .iter()
            .filter(|(id, state, _)| id == drop && waiting(*state));
        let drain = figures
            .drain
            .iter()
            .find(|(id, _)| id == drop)
            .map(|(_, per_second)| *per_second);
        // Who is called while nobody may order is called for nothing.
        let drain = if figures.stopped.contains(drop) {
            Some(0)
        } else {
            drain
        };
        Readings {
            stock,
            order_backlog: backlog.map(|(.., count)| count).sum(),
            drain_per_minute: drain.map(|per_second| u64::from(per_second) * 60),
            health_per_mille: self.health_per_mille(),
            ..Readings::default()
        }
    }
}

#[cfg(test)]
mod tests;
