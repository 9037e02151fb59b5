//! After the ledger was restored to an older copy: the provider kept what the ledger has lost.
//!
//! Nothing else may run on the ledger meanwhile. New orders and payments are stopped by a durable switch first, so that a
//! process which starts too early finds them stopped; keys move to the next space, so that no key of the lost time is
//! met again; then every payment of the lost time is compared with the ledger. What it knows goes on as if it were news; an
//! authorisation that nobody knows is given up, and captured money that nobody knows is given back.

use std::time::Duration;

use domain::Timestamp;
use domain::saga::{KeySpace, StateName};

use crate::audit::AuditReport;
use crate::jobs::{JobError, Reconciled};
use crate::ledger::{AuditEntry, LedgerError, OrderFilter};
use crate::switch::{RESTORING, Switches};

use super::Checkout;

/// Rounds over the provider's payments before what is left is a person's business. The usual case takes two: one that
/// undoes, and one that sees it undone.
const ROUNDS_MAX: u32 = 20;
/// Between two rounds: the provider's list may trail its own answers.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);

/// What a restore came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The space that keys are drawn from now.
    pub key_space: KeySpace,
    /// From when on payments were compared.
    pub since: Timestamp,
    /// What the comparisons found, all rounds together.
    pub found: Reconciled,
    /// Payments whose end was not seen. They are looked at again by another restore, or are for a person.
    pub left: usize,
    /// The books at the end.
    pub audit: AuditReport,
}

/// A restore did not come to its end. What it had stopped stays stopped; run it again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The ledger failed.
    #[error("restoring met a failing ledger")]
    Ledger(#[from] LedgerError),
    /// The provider's payments could not be compared.
    #[error("the provider's payments could not be compared")]
    Job(#[from] JobError),
}

impl Restored {
    /// Whether everything is settled and the books are right: orders are taken and paid for again.
    pub fn is_done(&self) -> bool {
        self.left == 0 && self.audit.is_clean()
    }
}

impl Checkout {
    /// Brings a restored ledger and the provider together. `since` is when the copy was made, or earlier; orders that are
    /// open for longer widen the time that is compared.
    ///
    /// # Errors
    /// If the ledger or the provider fails. It can be run again, as often as needed.
    pub async fn restore(&self, since: Timestamp, by: &str) -> Result<Restored, RestoreError> {
        let driver = self.driver();
        let begun = AuditEntry::new("restore.begin", "ledger", by);
        driver
            .ledger
            .set_switch(RESTORING.to_owned(), true, begun)
            .await?;
        // Only here: others stay stopped, and here is nobody who takes orders to payment.
        driver.valve.follow(Switches::default());
        driver.valve.configure(Switches::default());
        let key_space = driver
            .ledger
            .next_key_space(AuditEntry::new("keys.next_space", "restore", by))
            .await?;
        driver.keys.move_to(key_space);
        let since = since.min(self.oldest_open().await?);
        let found = self.settle(since).await?;
        let restored = Restored {
            key_space,
            since,
            found,
            left: self.jobs().unsettled(),
            audit: self.audit().await?,
        };
        if restored.is_done() {
            let done = AuditEntry::new("restore.done", "ledger", by);
            driver
                .ledger
                .set_switch(RESTORING.to_owned(), false, done)
                .await?;
        }
        Ok(restored)
    }

    /// When the oldest order was reserved that a payment may still be owed to.
    async fn oldest_open(&self) -> Result<Timestamp, LedgerError> {
        let states = StateName::ALL.into_iter().filter(|state| !state.is_end());
        let filter = OrderFilter {
            states: states.collect(),
            limit: 1,
            ..OrderFilter::default()
        };
        let oldest = self.driver().ledger.list(filter).await?;
        Ok(oldest
            .first()
            .map_or(Timestamp::NEVER, |record| record.created_at))
    }

    /// Compares until nothing moves any more.
    async fn settle(&self, since: Timestamp) -> Result<Reconciled, JobError> {
        let mut all = Reconciled::default();
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                tokio::time::sleep(BETWEEN_ROUNDS).await;
            }
            let found = self.jobs().restore_from_provider(since).await?;
            all = Reconciled {
                seen: all.seen.max(found.seen),
                applied: all.applied + found.applied,
                unknown: all.unknown.max(found.unknown),
            };
            if found.applied == 0 && self.jobs().unsettled() == 0 {
                break;
            }
        }
        Ok(all)
    }
}
