//! The drain: how many orders per second each drop's workers take to payment, and the drop's other terms.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::saga::ACTION_TIME;
use domain::{DropId, Span};

use crate::pace::Pace;

/// Orders per second for a drop nobody configured (its orders are still in the ledger, its section is gone).
const RATE_UNCONFIGURED: u32 = 1;

/// A pace per drop. Holds as many as are configured, plus one for all others.
#[derive(Debug)]
pub struct Drain {
    drops: RwLock<BTreeMap<DropId, Terms>>,
    others: Arc<Pace>,
}

#[derive(Clone, Debug)]
struct Terms {
    pace: Arc<Pace>,
    action_time: Span,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            drops: RwLock::default(),
            others: Arc::new(Pace::per_second(RATE_UNCONFIGURED)),
        }
    }
}

impl Drain {
    /// Sets a drop's terms: orders per second, and how long its shoppers may take to confirm with their bank.
    pub fn configure(&self, drop: &DropId, per_second: u32, action_time: Span) {
        let mut drops = self.drops.write().unwrap_or_else(PoisonError::into_inner);
        let terms = drops.entry(drop.clone()).or_insert_with(|| Terms {
            pace: Arc::new(Pace::per_second(per_second)),
            action_time,
        });
        terms.pace.set(per_second);
        terms.action_time = action_time;
    }

    /// Whether the drop is configured.
    pub fn knows(&self, drop: &DropId) -> bool {
        self.terms(drop).is_some()
    }

    /// Sets a drop's rate. Says whether the drop is known.
    pub fn set_rate(&self, drop: &DropId, per_second: u32) -> bool {
        let terms = self.terms(drop);
        if let Some(terms) = &terms {
            terms.pace.set(per_second);
        }
        terms.is_some()
    }

    /// Waits for the drop's turn.
    pub async fn turn(&self, drop: &DropId) {
        self.pace(drop).turn().await;
    }

    /// Lowers the drop's rate for a while: the provider is overrun.
    pub fn slow_down(&self, drop: &DropId, hold: Option<Duration>) {
        self.pace(drop).slow_down(hold);
    }

    /// Orders per second in force now, per drop.
    pub fn rates(&self) -> Vec<(DropId, u32)> {
        let drops = self.drops.read().unwrap_or_else(PoisonError::into_inner);
        drops
            .iter()
            .map(|(drop, terms)| (drop.clone(), terms.pace.rate()))
            .collect()
    }

    /// How long the drop's shoppers may take to confirm with their bank.
    pub fn action_time(&self, drop: &DropId) -> Span {
        self.terms(drop).map_or(ACTION_TIME, |terms| terms.action_time)
    }

    fn pace(&self, drop: &DropId) -> Arc<Pace> {
        self.terms(drop)
            .map_or_else(|| Arc::clone(&self.others), |terms| terms.pace)
    }

    fn terms(&self, drop: &DropId) -> Option<Terms> {
        self.drops
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(drop)
            .cloned()
    }
}
