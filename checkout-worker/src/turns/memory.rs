//! Turns of one process: nobody else acts at these rates.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::turns::{Ask, Lane, Micros};
use tokio::time::Instant;

use crate::ledger::LedgerReply;

use super::{Leased, Turns, Wish};

/// Where the clock begins: far enough from its zero that a lane nobody has used is not taken for one just used.
const ORIGIN: Micros = Micros(3_600_000_000);

/// Lanes in memory. Holds as many as there are drops and endpoints.
#[derive(Debug)]
pub struct MemoryTurns {
    /// The runtime's own clock, which nobody sets and which tests can pause.
    start: Instant,
    lanes: Mutex<BTreeMap<String, Lane>>,
}

impl Default for MemoryTurns {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            lanes: Mutex::default(),
        }
    }
}

impl MemoryTurns {
    fn grant(&self, lane: &str, wish: Wish) -> Leased {
        let elapsed = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let now = ORIGIN.plus(Micros(elapsed));
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lanes.entry(lane.to_owned()).or_default();
        let (lane, leased) = wish.granted(*kept, now);
        *kept = lane;
        leased
    }
}

impl Turns for MemoryTurns {
    fn lease(&self, lane: &str, ask: Ask) -> LedgerReply<'_, Leased> {
        let leased = self.grant(lane, Wish::Lease(ask));
        Box::pin(std::future::ready(Ok(leased)))
    }

    fn slow_down(&self, lane: &str, per_second: u32, hold: Micros) -> LedgerReply<'_, u32> {
        let leased = self.grant(lane, Wish::SlowDown { per_second, hold });
        Box::pin(std::future::ready(Ok(leased.in_force)))
    }
}
