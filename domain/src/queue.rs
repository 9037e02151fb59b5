//! The queue of one drop, pure: what every store has to agree with.
//!
//! A shopper joins and gets a number, is called when the frontier passes the rank, claims and is
//! inside for a session. Everything that follows from time alone (the start, sessions that end,
//! places that lapse) happens at the beginning of the next operation, so that an operation's
//! outcome depends on its arguments and on nothing else. Each operation ends by checking that
//! every shopper is in exactly one state.

mod advance;
mod changes;
mod claim;
mod control;
mod order;
mod place;
mod saved;
mod view;

#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};

pub use advance::{Advance, Stale};
pub use changes::Changes;
pub use claim::{Claim, Claimant, RETRY_MAX, RETRY_MIN, RETURN_SLACK};
pub use control::{Command, EndReason, TOKEN_LEEWAY};
pub use order::{RANDOM_WIDTH, position};
pub use place::{JoinRefusal, Joined};
pub use saved::{Head, Saved};
pub use view::{CLAIM_DELAY, Tally, View};

use crate::calls::Calls;
use crate::draw::{Draw, Seed};
use crate::pace::Pace;
use crate::returning::Returning;
use crate::sessions::Sessions;
use crate::turnover::Turnover;
use crate::window::MinuteWindow;
use crate::{AdmissionId, Control, DropRules, Number, Phase, Rank, ShopperKey, StockState, Timestamp};

/// When an operation happens, and the one thing about the world that decides the phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The present instant. Must not go backwards from one operation to the next.
    pub now: Timestamp,
    /// Whether anything is left to sell.
    pub stock: StockState,
}

/// One shopper's newest place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Order of joining.
    pub number: Number,
    /// The rank drawn at joining, where the method draws one per shopper.
    pub drawn: Option<Rank>,
    /// When the place was taken.
    pub joined_at: Timestamp,
    /// How it stands.
    pub state: MemberState,
}

/// How a place stands. Whether it is called follows from its rank and the frontier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberState {
    /// In line, or called and not come yet.
    Queued,
    /// Admitted, and the session runs.
    Inside(AdmissionId),
    /// Admitted, and the session is over.
    Finished,
    /// Given up.
    Left,
}

/// The queue of one drop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    rules: DropRules,
    control: Control,
    epoch: u32,
    version: u64,
    issued: Number,
    seed: Seed,
    started: bool,
    draw: Option<Draw>,
    calls: Calls,
    pace: Pace,
    members: BTreeMap<ShopperKey, Member>,
    /// Every place that may still be asked for, in the order of service.
    line: BTreeSet<(Rank, ShopperKey)>,
    census: Census,
    sessions: Sessions,
    window: MinuteWindow,
    turnover: Turnover,
    returning: Returning,
    /// Admissions ended before their token's time, by the instant the token dies by itself.
    revoked: BTreeSet<(Timestamp, AdmissionId)>,
    held_since: Option<Timestamp>,
    tally: Tally,
    changes: Changes,
}

/// How many shoppers are in each state. Kept beside the states, and checked against each other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Census {
    waiting: u64,
    called: u64,
    inside: u64,
    gone: u64,
}

impl Queue {
    /// An empty queue. `seed` must be unpredictable: it decides the draw.
    pub fn new(rules: DropRules, seed: Seed) -> Self {
        let changes = Changes {
            queue: true,
            ..Changes::default()
        };
        Self {
            rules,
            control: Control::default(),
            epoch: 1,
            version: 0,
            issued: Number(0),
            seed,
            started: false,
            draw: None,
            calls: Calls::default(),
            pace: Pace::default(),
            members: BTreeMap::new(),
            line: BTreeSet::new(),
            census: Census::default(),
            sessions: Sessions::default(),
            window: MinuteWindow::default(),
            turnover: Turnover::default(),
            returning: Returning::default(),
            revoked: BTreeSet::new(),
            held_since: None,
            tally: Tally::default(),
            changes,
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> &DropRules {
        &self.rules
    }

    /// The highest number handed out.
    pub fn issued(&self) -> Number {
        self.issued
    }

    /// Ranks below are called.
    pub fn frontier(&self) -> Rank {
        self.calls.frontier()
    }

    /// Where the drop stands.
    pub fn phase(&self, at: Moment) -> Phase {
        Phase::at(&self.rules.schedule, self.control, at.stock, at.now)
    }

    /// Rises with everything that could make a decision to call wrong.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// One shopper's newest place, if it is remembered.
    pub fn member(&self, shopper: &ShopperKey) -> Option<&Member> {
        self.members.get(shopper)
    }

    /// One active session.
    pub fn session(&self, admission: &AdmissionId) -> Option<&crate::sessions::Session> {
        self.sessions.get(admission)
    }

    /// How many sessions are active.
    pub fn active(&self) -> u64 {
        self.sessions.count()
    }

    /// Lets time take effect: the start, sessions that end, places that lapse.
    pub fn settle(&mut self, now: Timestamp) {
        if !self.started && now >= self.rules.schedule.event_start {
            self.start();
        }
        if self.control.queue_all {
            self.turnover.skip(now);
        } else {
            self.turnover.pass(self.sessions.count(), now);
            while let Some((id, session)) = self.sessions.pop_expired(now) {
                self.note_session_over(id, &session.shopper);
                self.turnover.note_ended(self.rules.limits.total_active_users);
            }
        }
        self.returning.forget(now);
        let patience = self.rules.patience();
        if self
            .calls
            .forget(self.lapse_clock(now), patience, self.returning.first())
            > 0
        {
            self.changes.queue = true;
            self.forget_lapsed();
        }
        while self.revoked.first().is_some_and(|(dies_at, _)| *dies_at <= now) {
            self.revoked.pop_first();
        }
        self.assert_sound();
    }

    /// The instant that claim windows are measured at: it stands still while the queue is held.
    fn lapse_clock(&self, now: Timestamp) -> Timestamp {
        self.held_since.map_or(now, |since| since.min(now))
    }

    /// Takes the places below the history out of the line; nobody came for them.
    fn forget_lapsed(&mut self) {
        let below = self.calls.lapsed_below();
        while let Some((rank, shopper)) = self.line.first().copied() {
            if rank >= below {
                break;
            }
            self.line.pop_first();
            let Some(member) = self.members.get(&shopper).copied() else {
                continue;
            };
            match member.state {
                MemberState::Inside(_) => continue,
                MemberState::Queued => {
                    self.census.called = self.census.called.saturating_sub(1);
                    self.tally.no_shows = self.tally.no_shows.saturating_add(1);
                }
                MemberState::Finished | MemberState::Left => {
                    self.census.gone = self.census.gone.saturating_sub(1);
                }
            }
            self.members.remove(&shopper);
            self.changes.members.insert(shopper);
        }
    }

    /// The conservation law: every remembered shopper is in exactly one state, every session has
    /// its shopper, and nobody was called whose number was never handed out.
    fn assert_sound(&self) {
        let Census {
            waiting,
            called,
            inside,
            gone,
        } = self.census;
        let counted = waiting
            .saturating_add(called)
            .saturating_add(inside)
            .saturating_add(gone);
        assert_eq!(
            counted,
            self.members.len() as u64,
            "every shopper is in exactly one state"
        );
        assert_eq!(inside, self.sessions.count(), "every session has its shopper");
        assert!(
            self.line.len() <= self.members.len(),
            "every place in line has its shopper"
        );
    }
}
