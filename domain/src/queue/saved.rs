//! The queue as a store writes it down, and how it is put together again after a stop.

use alloc::vec::Vec;

use super::{Member, MemberState, Queue, Tally};
use crate::calls::{Call, Calls};
use crate::draw::{Draw, Seed};
use crate::sessions::Session;
use crate::window::MinuteWindow;
use crate::{AdmissionId, Control, DropRules, Number, Rank, ShopperKey, Timestamp};

/// What has to survive a stop of the queue as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Sessions of other epochs are void.
    pub epoch: u32,
    /// Numbers up to this one may have been handed out.
    pub issued: Number,
    /// The secret of the draw.
    pub seed: Seed,
    /// Whether the drop has started.
    pub started: bool,
    /// The cohort, once the draw has been held.
    pub cohort: Option<u64>,
    /// What the operator has asked for.
    pub control: Control,
    /// Since when the queue is held, if it is.
    pub held_since: Option<Timestamp>,
    /// Ranks below have lapsed.
    pub lapsed_below: Rank,
    /// Ranks below are called.
    pub frontier: Rank,
    /// What has happened so far.
    pub tally: Tally,
}

/// Everything that has to survive a stop. What is missing here (who is expected back, credit for
/// pacing, turnover) may be forgotten without harm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saved {
    /// The queue as a whole.
    pub head: Head,
    /// The call history, oldest first.
    pub calls: Vec<Call>,
    /// Shoppers' places.
    pub members: Vec<(ShopperKey, Member)>,
    /// Active sessions of this epoch.
    pub sessions: Vec<(AdmissionId, Session)>,
    /// Ended admissions and when their tokens die.
    pub revoked: Vec<(Timestamp, AdmissionId)>,
    /// When places were claimed, ended sessions included, at least for the last minute.
    pub claimed_at: Vec<Timestamp>,
    /// When the store was last known to be at work.
    pub alive_at: Timestamp,
}

impl Queue {
    /// What has to survive a stop of the queue as a whole.
    pub fn head(&self) -> Head {
        Head {
            epoch: self.epoch,
            issued: self.issued,
            seed: self.seed,
            started: self.started,
            cohort: self.draw.map(|draw| draw.cohort),
            control: self.control,
            held_since: self.held_since,
            lapsed_below: self.calls.lapsed_below(),
            frontier: self.frontier(),
            tally: self.tally,
        }
    }

    /// Everything that has to survive a stop at `now`.
    pub fn save(&self, now: Timestamp) -> Saved {
        Saved {
            head: self.head(),
            calls: self.calls.iter().copied().collect(),
            members: self
                .members
                .iter()
                .map(|(shopper, member)| (*shopper, *member))
                .collect(),
            sessions: self
                .sessions
                .iter()
                .map(|(id, session)| (*id, *session))
                .collect(),
            revoked: self.revoked.iter().copied().collect(),
            claimed_at: self.window.stamps().collect(),
            alive_at: now,
        }
    }

    /// One stretch of the call history, by its first rank.
    pub fn call(&self, from: Rank) -> Option<Call> {
        self.calls.iter().find(|call| call.from == from).copied()
    }

    /// When the token of an ended admission dies, if that lies ahead.
    pub fn revoked_until(&self, admission: &AdmissionId) -> Option<Timestamp> {
        self.revoked
            .iter()
            .find(|(_, id)| id == admission)
            .map(|(dies_at, _)| *dies_at)
    }

    /// The queue as it was saved. Time in which we were not there to let anybody in does not
    /// run against claim windows or sessions; it does run for the rolling minute.
    pub fn restore(rules: DropRules, saved: Saved, now: Timestamp) -> Self {
        let head = saved.head;
        let mut queue = Self::new(rules, head.seed);
        queue.epoch = head.epoch;
        queue.issued = head.issued;
        queue.started = head.started;
        queue.draw = head.cohort.map(|cohort| Draw {
            seed: head.seed,
            cohort,
        });
        queue.control = head.control;
        queue.held_since = head.held_since;
        queue.tally = head.tally;
        queue.calls = Calls::restore(head.lapsed_below, saved.calls);
        if queue.calls.frontier() < head.frontier {
            // The history lost its end: those called by it get their window from now.
            queue.calls.record(head.frontier, 0, now, queue.rules.patience());
        }
        queue.window = MinuteWindow::restore(saved.claimed_at, now);
        queue.revoked = saved.revoked.into_iter().collect();
        for (id, session) in saved.sessions {
            queue.sessions.put(id, session);
        }
        queue.restore_members(saved.members);
        let lost = now.since(saved.alive_at);
        if head.held_since.is_none() {
            queue.shift_calls(lost);
        }
        if !queue.control.queue_all {
            queue.shift_sessions(lost);
        }
        queue.forget_lapsed();
        queue.assert_sound();
        queue
    }

    fn restore_members(&mut self, members: Vec<(ShopperKey, Member)>) {
        for (shopper, mut member) in members {
            if let MemberState::Inside(id) = member.state
                && self
                    .sessions
                    .get(&id)
                    .is_none_or(|session| session.shopper != shopper)
            {
                member.state = MemberState::Finished;
            }
            let rank = self.rank_of(member.number, member.drawn);
            let count = match member.state {
                MemberState::Inside(_) => &mut self.census.inside,
                MemberState::Finished | MemberState::Left => &mut self.census.gone,
                MemberState::Queued if rank < self.calls.frontier() => &mut self.census.called,
                MemberState::Queued => &mut self.census.waiting,
            };
            *count = count.saturating_add(1);
            self.issued = self.issued.max(member.number);
            self.line.insert((rank, shopper));
            self.members.insert(shopper, member);
        }
        self.drop_sessions_without_members();
    }

    /// A session whose shopper's row is gone would count for ever: rows are not trusted.
    fn drop_sessions_without_members(&mut self) {
        let members = &self.members;
        let inside = |id: &AdmissionId, session: &Session| {
            members
                .get(&session.shopper)
                .is_some_and(|m| m.state == MemberState::Inside(*id))
        };
        let orphans: Vec<AdmissionId> = self
            .sessions
            .iter()
            .filter(|(id, session)| !inside(id, session))
            .map(|(id, _)| *id)
            .collect();
        for id in orphans {
            self.sessions.remove(&id);
            self.changes.sessions.insert(id);
        }
    }
}
