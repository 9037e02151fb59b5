//! The drain: how many orders per second each drop's workers take to payment, and the drop's other terms.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::saga::ACTION_TIME;
use domain::{DropId, Span};
use tokio::sync::Mutex;

use crate::ledger::{Change, Ledger, LedgerError};
use crate::pace::Pace;
use crate::turns::Turns;

/// Orders per second for a drop nobody configured (its orders are still in the ledger, its section is gone).
const RATE_UNCONFIGURED: u32 = 1;

/// The setting that a changed drain rate is kept under.
pub const DRAIN_PER_SECOND: &str = "drain_per_second";

/// The lane of drops that nobody configured; no drop can be called so.
const OTHERS: &str = "*";

/// A pace per drop, shared with everybody who has the same turns. Holds as many as are configured, plus one for all others.
pub struct Drain {
    turns: Arc<dyn Turns>,
    drops: RwLock<BTreeMap<DropId, Terms>>,
    others: Arc<Pace>,
    /// One reading of the changes at a time, or an old one would be carried out after a new one.
    reading: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Terms {
    pace: Arc<Pace>,
    /// Orders per second, before any operator changed it.
    configured: u32,
    action_time: Span,
}

impl Drain {
    /// A drain at the rates that `turns` keeps.
    pub fn new(turns: Arc<dyn Turns>) -> Self {
        let others = Pace::new(Arc::clone(&turns), &lane(OTHERS), RATE_UNCONFIGURED);
        Self {
            turns,
            drops: RwLock::default(),
            others: Arc::new(others),
            reading: Mutex::default(),
        }
    }

    /// Sets a drop's terms: orders per second, and how long its shoppers may take to confirm with their bank.
    pub fn configure(&self, drop: &DropId, per_second: u32, action_time: Span) {
        let mut drops = self.drops.write().unwrap_or_else(PoisonError::into_inner);
        let terms = drops.entry(drop.clone()).or_insert_with(|| Terms {
            pace: Arc::new(Pace::new(
                Arc::clone(&self.turns),
                &lane(drop.as_str()),
                per_second,
            )),
            configured: per_second,
            action_time,
        });
        terms.configured = per_second;
        terms.pace.set(per_second);
        terms.action_time = action_time;
    }

    /// Whether the drop is configured.
    pub fn knows(&self, drop: &DropId) -> bool {
        self.terms(drop).is_some()
    }

    /// Sets every drop's rate as it is configured, or as an operator has changed it since.
    pub fn follow(&self, changes: &[Change]) {
        let drops = self.drops.read().unwrap_or_else(PoisonError::into_inner);
        for (drop, terms) in drops.iter() {
            let configured = terms.configured.to_string();
            let in_force = Change::in_force(changes, drop, DRAIN_PER_SECOND, &configured);
            terms.pace.set(in_force.parse().unwrap_or(terms.configured));
        }
    }

    /// Does [`Drain::follow`] with what operators have changed by now.
    ///
    /// # Errors
    /// If the ledger cannot be read; the rates stay as they are.
    pub async fn follow_ledger(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        let _alone = self.reading.lock().await;
        self.follow(&ledger.changes().await?);
        Ok(())
    }

    /// Waits for the drop's turn.
    ///
    /// # Errors
    /// If whoever keeps the turns cannot be asked.
    pub async fn turn(&self, drop: &DropId) -> Result<(), LedgerError> {
        self.pace(drop).turn().await
    }

    /// Lowers the drop's rate for a while, for everybody who shares it: the provider is overrun.
    pub async fn slow_down(&self, drop: &DropId, hold: Option<Duration>) {
        self.pace(drop).slow_down(hold).await;
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

fn lane(drop: &str) -> String {
    format!("drain/{drop}")
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.rates()).finish()
    }
}
