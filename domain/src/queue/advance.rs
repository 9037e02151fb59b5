//! Calling: the frontier moves up, and only if nothing changed since the decision to move it.

use super::{MemberState, Moment, Queue};
use crate::pace::Pace;
use crate::{Phase, Rank, ShopperKey, Timestamp};

/// A decision to call, made from a [`super::View`] of the same version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    /// The version it was decided on.
    pub version: u64,
    /// Waiting shoppers to call.
    pub calls: u64,
    /// The credit left after calling them.
    pub pace: Pace,
}

/// Another decision came first: read again, decide again, or skip this turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue has changed since the decision: it is at version {version}")]
pub struct Stale {
    /// The version the queue is at.
    pub version: u64,
}

impl Queue {
    /// Where the frontier is after calling `calls` more shoppers: just past the last of them.
    /// Numbers that belong to nobody are passed over and cost nothing.
    pub fn frontier_after(&self, calls: u64) -> Rank {
        let calls = usize::try_from(calls).unwrap_or(usize::MAX);
        let waiting = self.waiting_line().take(calls);
        waiting
            .last()
            .map_or(self.frontier(), |(rank, _)| Rank(rank.0.saturating_add(1)))
    }

    /// Calls, unless the queue has changed since the decision or nobody may be called.
    pub fn advance(&mut self, advance: Advance, at: Moment) -> Result<Rank, Stale> {
        self.settle(at.now);
        if advance.version != self.version || self.phase(at) != Phase::Open {
            return Err(Stale {
                version: self.version,
            });
        }
        let to = self.frontier_after(advance.calls);
        let called = self.waiting_line().take_while(|(rank, _)| *rank < to).count() as u64;
        self.census.waiting = self.census.waiting.saturating_sub(called);
        self.census.called = self.census.called.saturating_add(called);
        self.note_calls(to, called, at.now);
        self.pace = advance.pace;
        self.version = self.version.saturating_add(1);
        self.assert_sound();
        Ok(self.frontier())
    }

    fn note_calls(&mut self, to: Rank, called: u64, now: Timestamp) {
        let before = self.frontier();
        self.calls.record(to, called, now, self.rules.patience());
        assert!(self.frontier() >= before, "the frontier only grows");
        if self.frontier() > before {
            self.changes.queue = true;
            self.changes
                .calls
                .extend(self.calls.iter().next_back().map(|call| call.from));
        }
    }

    /// Waiting shoppers in the order of service.
    pub(super) fn waiting_line(&self) -> impl Iterator<Item = (Rank, ShopperKey)> {
        let from = (self.frontier(), ShopperKey([0; 16]));
        self.line.range(from..).copied().filter(|(_, shopper)| {
            self.members
                .get(shopper)
                .is_some_and(|member| member.state == MemberState::Queued)
        })
    }
}
