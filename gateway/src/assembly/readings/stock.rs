//! The stock as this process knows it: read from the ledger, or by another gateway for all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use admission::store::QueueStore;
use checkout_worker::Checkout;
use domain::pool::{Level, Line, check_lines};
use domain::{DropId, Keeper, Sku, StockHint, Timestamp};

use super::House;

/// Longest wait for a reading to be taken over as the hint: the next one follows at once.
const OFFERED_WITHIN: Duration = Duration::from_millis(100);

/// Where readings are shared with other gateways.
pub struct Shared {
    /// Names this process among those that read.
    pub keeper: Keeper,
    /// Holds the hint.
    pub queues: Arc<dyn QueueStore>,
}

impl House {
    /// Reads the stock for sale of each drop that no other gateway has read just now. A ledger that fails leaves
    /// the last levels standing: they pace the outflow, and what they may get wrong the ledger itself refuses.
    pub async fn read_stock(&self, checkout: &Checkout) {
        for drop in self.drops.load_full().iter() {
            let read_at = self.clock.now();
            if let Some(theirs) = self.hint_of_another(drop, read_at) {
                self.note(drop, &theirs);
                continue;
            }
            match checkout.stock_for_sale(drop).await {
                Ok(levels) => {
                    self.ledger_answered();
                    self.share(drop, levels, read_at).await;
                }
                Err(error) => tracing::warn!(drop.id = %drop, %error, "the stock cannot be read"),
            }
        }
    }

    pub(super) fn hint_of_another(&self, drop: &DropId, now: Timestamp) -> Option<Arc<StockHint>> {
        let shared = self.shared.as_ref()?;
        let hint = shared.queues.stock_hint(drop)?;
        (hint.keeper != shared.keeper && hint.is_fresh(now)).then_some(hint)
    }

    /// Takes a reading of our own, and offers it to the others.
    pub(super) async fn share(&self, drop: &DropId, mut levels: Vec<(Sku, Level)>, read_at: Timestamp) {
        levels.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let keeper = self.shared.as_ref().map_or(Keeper(0), |shared| shared.keeper);
        let reading = StockHint {
            keeper,
            read_at,
            levels,
        };
        self.note(drop, &Arc::new(reading.clone()));
        if let Some(shared) = &self.shared {
            let offered = shared.queues.offer_stock(drop, reading, self.clock.now());
            // Where it cannot be shared everybody reads for themselves; the queue's own calls say why.
            let _ = tokio::time::timeout(OFFERED_WITHIN, offered).await;
        }
    }

    pub(super) fn note(&self, drop: &DropId, reading: &Arc<StockHint>) {
        self.stock.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.insert(drop.clone(), Arc::clone(reading));
            known
        });
    }

    /// The best reading of a drop that there is now: another gateway's counts as soon as it is seen.
    pub(super) fn reading(&self, drop: &DropId) -> Option<Arc<StockHint>> {
        let known = self.stock.load().get(drop).cloned();
        let theirs = self.hint_of_another(drop, self.clock.now());
        match (known, theirs) {
            (Some(known), Some(theirs)) if known.read_at > theirs.read_at => Some(known),
            (known, theirs) => theirs.or(known),
        }
    }

    /// What is left of everything that `lines` ask for, if of one of them nothing is left according to a
    /// reading that is fresh, and newer than whatever gave units back here. Touches no store.
    ///
    /// It may be wrong for as long as a reading is fresh: it may refuse somebody a moment before a unit
    /// comes back, and it may let pass what the ledger will refuse. Both are harmless.
    pub fn sold_out(&self, drop: &DropId, lines: &[Line]) -> Option<Vec<Line>> {
        let reading = self.reading(drop)?;
        let returned_at = Timestamp::from_millis(self.returned_at.load(Ordering::Acquire));
        let counts = reading.is_fresh(self.clock.now()) && reading.read_at > returned_at;
        // What is malformed is for the checkout to say.
        (counts && check_lines(lines).is_ok())
            .then(|| reading.refuses(lines))
            .flatten()
    }

    /// Units came back through this process: who gave them up may take them again at once.
    pub fn units_returned(&self) {
        self.returned_at
            .fetch_max(self.clock.now().as_millis(), Ordering::AcqRel);
    }
}
