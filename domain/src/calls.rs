//! When ranks were called: a short history of the frontier, from which follow who has lapsed,
//! how many of the called turn up, and how fast the queue moves.
//!
//! Bounded: calls within a second (or a 512th of the patience, if that is longer) are one entry,
//! and entries older than the patience are dropped. An entry carries the time of its last call,
//! so coalescing only ever gives a shopper more time.

use alloc::collections::VecDeque;

use crate::{Rank, Span, Timestamp};

/// Entries within one patience. With the grain below this many, plus the one being filled.
const GRAINS_PER_PATIENCE: u64 = 512;

/// How long calls are measured over for outflow.
const MEASURED: Span = Span::from_secs(60);

/// Calls before the show rate is believed: until then most are assumed to turn up, because
/// calling too few idles seconds while calling too many sends shoppers into a full room.
const SHOW_PRIOR: u64 = 10;

/// One stretch of ranks called at about the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The first rank of the stretch.
    pub from: Rank,
    /// The first rank after the stretch.
    pub to: Rank,
    /// When its first rank was called; calls within the grain from here join the stretch.
    pub opened_at: Timestamp,
    /// When its last rank was called.
    pub called_at: Timestamp,
    /// Shoppers known to be called by it.
    pub called: u64,
    /// Of these, who turned up.
    pub shown: u64,
}

/// The call history of one drop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calls {
    lapsed_below: Rank,
    entries: VecDeque<Call>,
}

/// How a rank stands in the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// Not called.
    Waiting,
    /// Called at this time.
    Called(Timestamp),
    /// Called so long ago that it is no longer remembered when.
    Forgotten,
}

/// How fast the queue moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Speed {
    /// Shoppers called per minute.
    pub calls_per_minute: u64,
    /// Ranks passed per minute: more than shoppers where numbers belong to nobody.
    pub ranks_per_minute: u64,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            lapsed_below: Rank(1),
            entries: VecDeque::new(),
        }
    }
}

impl Calls {
    /// A history as it was saved, oldest first. Entries that do not follow on each other are
    /// closed up, so that every rank below the frontier has one answer.
    pub fn restore(lapsed_below: Rank, saved: impl IntoIterator<Item = Call>) -> Self {
        let mut calls = Self {
            lapsed_below,
            entries: VecDeque::new(),
        };
        for call in saved {
            let from = calls.frontier();
            if call.to > from {
                calls.entries.push_back(Call { from, ..call });
            }
        }
        calls
    }

    /// Ranks below are called.
    pub fn frontier(&self) -> Rank {
        self.entries.back().map_or(self.lapsed_below, |call| call.to)
    }

    /// Ranks below have lapsed.
    pub fn lapsed_below(&self) -> Rank {
        self.lapsed_below
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Call> + Clone {
        self.entries.iter()
    }

    /// Calls within this of the opening of an entry join it.
    pub const fn grain(patience: Span) -> Span {
        let grain = patience.as_millis() / GRAINS_PER_PATIENCE;
        Span::from_millis(if grain < 1_000 { 1_000 } else { grain })
    }

    /// Notes that the frontier moved up to `to` at `now`, calling `called` known shoppers.
    pub fn record(&mut self, to: Rank, called: u64, now: Timestamp, patience: Span) {
        let from = self.frontier();
        assert!(to >= from, "the frontier only grows");
        if to == from {
            return;
        }
        let grain = Self::grain(patience);
        match self.entries.back_mut() {
            Some(last) if last.opened_at + grain > now => {
                last.to = to;
                last.called_at = last.called_at.max(now);
                last.called = last.called.saturating_add(called);
            }
            Some(_) | None => {
                let called_at = self.entries.back().map_or(now, |last| now.max(last.called_at));
                self.entries.push_back(Call {
                    from,
                    to,
                    opened_at: called_at,
                    called_at,
                    called,
                    shown: 0,
                });
            }
        }
    }

    /// How `rank` stands.
    pub fn state_of(&self, rank: Rank) -> CallState {
        if rank < self.lapsed_below {
            return CallState::Forgotten;
        }
        let index = self.entries.partition_point(|call| call.to <= rank);
        self.entries
            .get(index)
            .map_or(CallState::Waiting, |call| CallState::Called(call.called_at))
    }

    /// Notes that the shopper of `rank` turned up.
    pub fn note_shown(&mut self, rank: Rank) -> Option<Rank> {
        let index = self.entries.partition_point(|call| call.to <= rank);
        let call = self.entries.get_mut(index).filter(|call| call.from <= rank)?;
        call.shown = call.shown.saturating_add(1).min(call.called);
        Some(call.from)
    }

    /// Drops entries whose last call is `patience` ago or longer, but none that reaches `keep`.
    /// Gives the first dropped rank's entry keys, for whoever keeps a copy.
    pub fn forget(&mut self, now: Timestamp, patience: Span, keep: Option<Rank>) -> u64 {
        let mut dropped: u64 = 0;
        while let Some(call) = self.entries.front() {
            let kept = keep.is_some_and(|keep| call.to > keep);
            if kept || call.called_at + patience > now {
                break;
            }
            self.lapsed_below = call.to;
            self.entries.pop_front();
            dropped = dropped.saturating_add(1);
        }
        dropped
    }

    /// Moves every call later by `lost`, time in which nobody could have claimed.
    pub fn shift(&mut self, lost: Span) {
        for call in &mut self.entries {
            call.opened_at = call.opened_at + lost;
            call.called_at = call.called_at + lost;
        }
    }

    /// Shoppers called within `horizon` before `now` who have not turned up yet.
    pub fn pending(&self, now: Timestamp, horizon: Span) -> u64 {
        let young = self
            .entries
            .iter()
            .rev()
            .take_while(|call| call.called_at + horizon > now);
        young.fold(0, |sum, call| {
            sum.saturating_add(call.called.saturating_sub(call.shown))
        })
    }

    /// Called shoppers who turn up, in thousandths: of those called long enough ago to have done
    /// so (`horizon`) and recently enough to say something about now (two minutes more).
    pub fn show_per_mille(&self, now: Timestamp, horizon: Span) -> u32 {
        let oldest = horizon + Span::from_mins(2);
        let telling = self
            .entries
            .iter()
            .rev()
            .filter(|call| call.called_at + horizon <= now);
        let telling = telling.take_while(|call| call.called_at + oldest > now);
        let (called, shown) = telling.fold((SHOW_PRIOR, SHOW_PRIOR), |(called, shown), call| {
            (
                called.saturating_add(call.called),
                shown.saturating_add(call.shown.min(call.called)),
            )
        });
        let rate = shown.saturating_mul(1_000).checked_div(called).unwrap_or(1_000);
        u32::try_from(rate).unwrap_or(1_000).min(1_000)
    }

    /// How fast the queue moved over the last minute; none where nobody was called in it.
    pub fn speed(&self, now: Timestamp) -> Option<Speed> {
        let recent = self
            .entries
            .iter()
            .rev()
            .take_while(|call| call.called_at + MEASURED > now);
        let (mut calls, mut ranks, mut since) = (0u64, 0u64, None);
        for call in recent {
            calls = calls.saturating_add(call.called);
            ranks = ranks.saturating_add(call.to.0.saturating_sub(call.from.0));
            since = Some(call.opened_at);
        }
        // A history shorter than a minute is measured over its own length, but not over less
        // than five seconds: the first burst says nothing about the pace to come.
        let whole = self
            .entries
            .front()
            .is_none_or(|first| Some(first.opened_at) != since);
        let elapsed = if whole { MEASURED } else { now.since(since?) };
        let elapsed = elapsed.as_millis().clamp(5_000, MEASURED.as_millis());
        let per_minute = |n: u64| n.saturating_mul(60_000).checked_div(elapsed).unwrap_or(0);
        since.map(|_| Speed {
            calls_per_minute: per_minute(calls),
            ranks_per_minute: per_minute(ranks),
        })
    }
}

#[cfg(test)]
mod tests;
