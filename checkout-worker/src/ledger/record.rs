//! An order with everything that the ledger keeps beside its saga.

use domain::Timestamp;
use domain::saga::{Order, StateName};

use super::{Email, Item};

/// An order as the ledger keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderRecord {
    /// The saga's part.
    pub order: Order,
    /// What was bought.
    pub items: Vec<Item>,
    /// Where a receipt may go.
    pub email: Option<Email>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// Until when its units were or are reserved.
    pub reserved_until: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// When it was accepted; nothing where it was not, or before this was kept.
    pub accepted_at: Option<Timestamp>,
}

impl OrderRecord {
    /// The record after a step that was stored at `now`.
    pub(crate) fn after(self, order: Order, now: Timestamp) -> Self {
        let accepted = (order.state.name() == StateName::Accepted).then_some(now);
        Self {
            order,
            changed_at: now,
            accepted_at: self.accepted_at.or(accepted),
            ..self
        }
    }

    /// Since when its shopper waits for an answer: since it was accepted, or reserved where that is not known.
    pub fn waits_since(&self) -> Timestamp {
        self.accepted_at.unwrap_or(self.created_at)
    }
}
