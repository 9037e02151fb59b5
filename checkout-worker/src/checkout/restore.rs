//! After the ledger was restored to an older copy: the provider kept what the ledger has lost.
//!
//! Nothing else may run on the ledger meanwhile. New orders and payments are stopped by a durable switch first, so that a
//! process which starts too early finds them stopped; keys move to the next space, so that no key of the lost time is
//! met again; then every payment of the lost time is compared with the ledger. What it knows goes on as if it were news; an
//! authorisation that nobody knows is given up, and captured money that nobody knows is given back. Where the same copy came
//! back before, payments of that time show which spaces it moved to then, and keys leave those behind as well.

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
/// Of so many of the oldest open orders the first that can be read says how far back payments may be owed.
const OLDEST_OPEN: u32 = 128;
/// Spaces that are left behind at once. Nobody restores one copy so often within the day for which the provider remembers
/// keys; a payment that says so was written by hand.
const SPACES_MAX: u32 = 64;

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
        driver.valve.follow(driver.valve.reading(), Switches::default());
        driver.valve.configure(Switches::default());
        self.next_key_space(by).await?;
        let since = since.min(self.oldest_open().await?);
        let found = self.settle(since, by).await?;
        let restored = Restored {
            key_space: driver.keys.space(),
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

    async fn next_key_space(&self, by: &str) -> Result<(), LedgerError> {
        let entry = AuditEntry::new("keys.next_space", "restore", by);
        let space = self.driver().ledger.next_key_space(entry).await?;
        self.driver().keys.move_to(space);
        Ok(())
    }

    /// When the oldest order was reserved that a payment may still be owed to. One that cannot be read is passed over: it is
    /// for a person, and once it is mended the restore is run again.
    async fn oldest_open(&self) -> Result<Timestamp, LedgerError> {
        let states = StateName::ALL.into_iter().filter(|state| !state.is_end());
        let filter = OrderFilter {
            states: states.collect(),
            limit: OLDEST_OPEN,
            ..OrderFilter::default()
        };
        let oldest = self.driver().ledger.list(filter).await?;
        let oldest = oldest.first();
        Ok(oldest.map_or(Timestamp::NEVER, |record| record.created_at))
    }

    /// Compares until nothing moves any more.
    async fn settle(&self, since: Timestamp, by: &str) -> Result<Reconciled, RestoreError> {
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
                given_back: all.given_back + found.given_back,
                newest: all.newest.max(found.newest),
            };
            // Before the next round: what met a key of another time in this one is asked for again under a new one.
            self.leave_behind(all.newest, by).await?;
            if found.applied == 0 && self.jobs().unsettled() == 0 {
                break;
            }
        }
        Ok(all)
    }

    /// Moves on while payments were made in the space in force, or in a newer one: this copy came back before, and moved to it
    /// then, in a time that is lost as well.
    async fn leave_behind(&self, newest: Option<KeySpace>, by: &str) -> Result<(), LedgerError> {
        for _ in 0..SPACES_MAX {
            if Some(self.driver().keys.space()) > newest {
                return Ok(());
            }
            self.next_key_space(by).await?;
        }
        tracing::error!(?newest, "a payment is of a key space that no restore has come to");
        Ok(())
    }
}
