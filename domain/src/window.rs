//! The rolling minute: an exact count of what happened in the last 60 seconds, and nothing else.
//!
//! Half-open: what happened at `t` counts from `t` on and no longer at `t + HELD`, a little more
//! than 60 s. So no interval `[x, x + 60 s)`, wherever it starts, ever holds more than the limit.

use alloc::collections::VecDeque;

use crate::{Span, Timestamp};

/// How long each is counted for the sake of a promise about 60 seconds. What is stamped when it is asked for is seen by others when it is
/// answered, a moment later and not always the same moment: the promise must hold for whoever
/// counts answers, so each counts a quarter of a second longer. It costs 0.4 % of the rate.
pub const HELD: Span = Span::from_millis(60_250);

/// How long after its stamp one may be answered; what is answered later has to be stamped anew. What is left of the
/// quarter of a second is for the way to whoever counts.
pub const ANSWERED_WITHIN: Span = Span::from_millis(200);

/// The instants of the last minute. At most as many as the greatest limit it was asked under.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MinuteWindow {
    stamps: VecDeque<Timestamp>,
}

impl MinuteWindow {
    /// A window that remembers `stamps`, in any order; what is no longer counted is forgotten.
    pub fn restore(stamps: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Self {
        let mut sorted: alloc::vec::Vec<Timestamp> = stamps.into_iter().collect();
        sorted.sort_unstable();
        let mut window = Self {
            stamps: sorted.into(),
        };
        window.forget(now);
        window
    }

    /// How many count at `now`.
    pub fn count(&self, now: Timestamp) -> u64 {
        let gone = self.stamps.partition_point(|stamp| *stamp + HELD <= now);
        self.stamps.len().saturating_sub(gone) as u64
    }

    /// Counts one at `now`, unless `limit` already count.
    #[must_use]
    pub fn admit(&mut self, now: Timestamp, limit: u32) -> bool {
        self.forget(now);
        if self.stamps.len() as u64 >= u64::from(limit) {
            return false;
        }
        // A clock that stepped back must not put a stamp before its elders: order is what
        // `forget` and `count` rely on, and a later stamp only counts longer.
        let stamp = self.stamps.back().map_or(now, |last| now.max(*last));
        self.stamps.push_back(stamp);
        true
    }

    /// Counts one from `now` on that was counted at `stamp` before, because it is answered only now. While its stamp
    /// counts it keeps its place in the count, only longer; after that it needs room under `limit`, as if it came now.
    #[must_use]
    pub fn restamp(&mut self, stamp: Timestamp, now: Timestamp, limit: u32) -> bool {
        self.forget(now);
        if stamp + HELD <= now {
            return self.admit(now, limit);
        }
        // Equal stamps are as good as each other. Its own is the first one from `stamp` on, or one later.
        let own = self.stamps.partition_point(|other| *other < stamp);
        self.stamps.remove(own);
        let stamp = self.stamps.back().map_or(now, |last| now.max(*last));
        self.stamps.push_back(stamp);
        true
    }

    /// When at least `free` may be counted again under `limit`; none where never.
    pub fn room_for(&self, free: u64, limit: u32, now: Timestamp) -> Option<Timestamp> {
        let keep = u64::from(limit).checked_sub(free)?;
        let counting = self.count(now);
        let Some(must_leave) = counting.checked_sub(keep).filter(|n| *n > 0) else {
            return Some(now);
        };
        let gone = (self.stamps.len() as u64).saturating_sub(counting);
        let last = usize::try_from(gone.saturating_add(must_leave).saturating_sub(1)).ok()?;
        self.stamps.get(last).map(|stamp| *stamp + HELD)
    }

    /// The instants that are remembered, oldest first.
    pub fn stamps(&self) -> impl Iterator<Item = Timestamp> {
        self.stamps.iter().copied()
    }

    fn forget(&mut self, now: Timestamp) {
        while self.stamps.front().is_some_and(|stamp| *stamp + HELD <= now) {
            self.stamps.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
