//! What an operation changed, by name: a store that keeps a copy writes these and nothing else.

use alloc::collections::BTreeSet;

use super::Queue;
use crate::{AdmissionId, Rank, ShopperKey};

/// What changed since the changes were last taken. A name that is no longer found in the queue
/// has been removed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Something about the queue as a whole: epoch, frontier, controls, draw.
    pub queue: bool,
    /// Stretches of the call history, by their first rank.
    pub calls: BTreeSet<Rank>,
    /// Shoppers' places.
    pub members: BTreeSet<ShopperKey>,
    /// Sessions.
    pub sessions: BTreeSet<AdmissionId>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        !self.queue && self.calls.is_empty() && self.members.is_empty() && self.sessions.is_empty()
    }
}

impl Queue {
    /// Takes what changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        core::mem::take(&mut self.changes)
    }

    /// Whether something about the queue as a whole waits to be taken.
    pub fn has_changed_as_a_whole(&self) -> bool {
        self.changes.queue
    }
}
