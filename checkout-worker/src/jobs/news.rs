//! News of watched orders: what another process did to them is seen here, and whoever watches is woken.
//!
//! One look at the ledger serves everybody who watches at this process, a few times a second; while nobody watches there is
//! none. Postgres could call out instead (`NOTIFY`), but it makes commits wait for each other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::OrderId;

use crate::ledger::LedgerError;

use super::Jobs;

/// Orders asked about in one query.
const AT_ONCE: usize = 4_096;

/// Watched orders with the version that each was last seen at.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<OrderId, u64>>);

impl Jobs {
    /// Wakes whoever watches an order that has moved on since the last look; says how many orders have. An order that is
    /// seen for the first time counts as moved on: whoever watches it may have read it before it was watched.
    pub async fn look_for_news(&self) -> Result<usize, LedgerError> {
        let asked = self.known.of(self.driver.hub.orders());
        let mut moved = 0;
        for some in asked.chunks(AT_ONCE) {
            let newer = self.driver.ledger.newer(some.to_vec()).await?;
            moved += newer.len();
            for (order, version) in newer {
                self.known.note(order, version);
                self.driver.hub.wake(order);
            }
        }
        Ok(moved)
    }
}

impl Known {
    /// The versions of `watched`, 0 for those not seen yet. All others are forgotten.
    fn of(&self, watched: Vec<OrderId>) -> Vec<(OrderId, u64)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked: BTreeMap<OrderId, u64> = watched
            .into_iter()
            .map(|order| (order, known.get(&order).copied().unwrap_or(0)))
            .collect();
        known.clone_from(&asked);
        asked.into_iter().collect()
    }

    fn note(&self, order: OrderId, version: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(order, version);
    }
}
