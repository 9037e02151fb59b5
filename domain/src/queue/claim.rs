//! Claiming: a called shopper turns up and is let in, if the hard limits have room.
//!
//! The limits are checked here and nowhere else, against exact counts, so that over-calling can
//! never break them. A called shopper who finds no room is remembered, and goes before anybody
//! of a higher rank: a slot is granted only if more are free than such shoppers of lower rank.

use super::place::Absent;
use super::{MemberState, Moment, Queue};
use crate::calls::CallState;
use crate::queue::order::position;
use crate::sessions::Session;
use crate::{AdmissionId, Number, Phase, QueueingMethod, Rank, ShopperKey, Span, Timestamp};

/// Shortest and longest time after which a shopper in front of a full room should ask again:
/// sessions may end before their time, so a longer nap would leave slots empty.
pub const RETRY_MIN: Span = Span::from_secs(1);
/// See [`RETRY_MIN`].
pub const RETRY_MAX: Span = Span::from_secs(2);

/// How much later than told a shopper may come back without losing the turn. The worst adds up to 2.3 s: a second because
/// `Retry-After` is told in whole seconds, 0.3 s by which pages spread these claims (and not more, as they do elsewhere), a
/// second of a browser's timer in a background tab. That leaves 0.7 s for the way there and back, and 1.7 s to a page that
/// is looked at. Longer would keep the slot of everybody who gave up empty for longer.
pub const RETURN_SLACK: Span = Span::from_secs(3);

/// Who claims: what the signed ticket says, and the admission id derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claimant {
    /// Who, from the visitor cookie.
    pub shopper: ShopperKey,
    /// On which place.
    pub number: Number,
    /// The rank drawn with it, where the method draws one per shopper.
    pub drawn: Option<Rank>,
    /// When the place was taken.
    pub joined_at: Timestamp,
    /// The id an admission on this place has.
    pub admission: AdmissionId,
}

/// What came of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Let in; the same answer as often as it is asked for while the session runs.
    Admitted {
        /// Names the admission.
        admission: AdmissionId,
        /// When the session ends unless renewed.
        expires_at: Timestamp,
        /// Whether it had been granted before.
        repeated: bool,
    },
    /// Not this rank's turn.
    NotCalled {
        /// How many ranks until it is, plus one.
        position: u64,
    },
    /// Called, but the room is full. The turn is kept until a little after `retry_after`.
    RoomFull {
        /// When to claim again.
        retry_after: Span,
    },
    /// Window and grace have passed: join again, at the end.
    Lapsed,
    /// Given up, or replaced by a newer place.
    Left,
    /// Used: its session is over.
    Finished,
    /// Held by the operator; the place is kept.
    Paused,
    /// The drop has not started, or is a closed page.
    NotOpen,
    /// Everything is sold.
    SoldOut,
    /// The drop is over.
    Ended,
}

impl Queue {
    /// A shopper turns up.
    pub fn claim(&mut self, claimant: &Claimant, at: Moment) -> Claim {
        self.settle(at.now);
        let outcome = match self.running_session(claimant) {
            Some(repeated) => repeated,
            None => self.claim_in_phase(claimant, at),
        };
        self.assert_sound();
        outcome
    }

    fn running_session(&self, claimant: &Claimant) -> Option<Claim> {
        let member = self
            .members
            .get(&claimant.shopper)
            .filter(|m| m.number == claimant.number)?;
        let MemberState::Inside(admission) = member.state else {
            return None;
        };
        let expires_at = self.sessions.get(&admission)?.expires_at;
        Some(Claim::Admitted {
            admission,
            expires_at,
            repeated: true,
        })
    }

    fn claim_in_phase(&mut self, claimant: &Claimant, at: Moment) -> Claim {
        match self.phase(at) {
            Phase::Scheduled | Phase::Prequeue => Claim::NotOpen,
            Phase::Paused => Claim::Paused,
            Phase::SoldOut => Claim::SoldOut,
            Phase::Ended => Claim::Ended,
            Phase::Open | Phase::Draining => match self.rules.method {
                QueueingMethod::Reject => Claim::NotOpen,
                QueueingMethod::Fifo | QueueingMethod::Random => self.claim_in_turn(claimant, at),
                QueueingMethod::Passthrough => self.claim_without_queue(claimant, at),
            },
        }
    }

    /// Counted, but not held: neither turn nor limits apply.
    fn claim_without_queue(&mut self, claimant: &Claimant, at: Moment) -> Claim {
        match self.place_of(claimant) {
            Ok(rank) => self.let_in(claimant, rank, at.now),
            Err(absent) => absent.into(),
        }
    }

    fn claim_in_turn(&mut self, claimant: &Claimant, at: Moment) -> Claim {
        let rank = match self.place_of(claimant) {
            Ok(rank) => rank,
            Err(absent) => return absent.into(),
        };
        if self.calls.state_of(rank) == CallState::Waiting {
            let position = position(self.rules.method, rank, self.frontier(), self.census.waiting);
            return Claim::NotCalled { position };
        }
        if self.has_lapsed(rank, at) {
            return Claim::Lapsed;
        }
        if !self.returning.contains(rank) {
            self.changes.calls.extend(self.calls.note_shown(rank));
        }
        let ahead = self.returning.ahead_of(rank);
        if self.free_places(at.now) <= ahead {
            return self.turn_away(rank, ahead, at.now);
        }
        let counted = self.window.admit(at.now, self.rules.limits.new_users_per_minute);
        assert!(counted, "free places were counted from this very window");
        self.let_in(claimant, rank, at.now)
    }

    /// Places free under both limits at `now`.
    fn free_places(&self, now: Timestamp) -> u64 {
        let limits = self.rules.limits;
        let slots = u64::from(limits.total_active_users).saturating_sub(self.sessions.count());
        let claims = u64::from(limits.new_users_per_minute).saturating_sub(self.window.count(now));
        slots.min(claims)
    }

    fn turn_away(&mut self, rank: Rank, ahead: u64, now: Timestamp) -> Claim {
        let retry_after = self.room_in(ahead, now).as_millis();
        let retry_after = Span::from_millis(retry_after.clamp(RETRY_MIN.as_millis(), RETRY_MAX.as_millis()));
        self.returning.expect(rank, now + retry_after + RETURN_SLACK);
        self.tally.room_full = self.tally.room_full.saturating_add(1);
        Claim::RoomFull { retry_after }
    }

    /// How long until more than `ahead` places are free, if nobody leaves early.
    fn room_in(&self, ahead: u64, now: Timestamp) -> Span {
        let limits = self.rules.limits;
        let needed = ahead.saturating_add(1);
        let by_rate = self.window.room_for(needed, limits.new_users_per_minute, now);
        let over = self.sessions.count().saturating_add(needed);
        let over = over.saturating_sub(u64::from(limits.total_active_users));
        let by_slots = match over.checked_sub(1) {
            None => Some(now),
            Some(nth) => self.sessions.nth_expiry(nth),
        };
        by_rate
            .zip(by_slots)
            .map_or(RETRY_MAX, |(rate, slots)| now.until(rate.max(slots)))
    }

    fn let_in(&mut self, claimant: &Claimant, rank: Rank, now: Timestamp) -> Claim {
        let Claimant {
            shopper,
            number,
            admission,
            ..
        } = *claimant;
        let expires_at = now + self.rules.session_duration;
        let session = Session {
            shopper,
            number,
            claimed_at: now,
            expires_at,
            has_decided: false,
        };
        self.uncount_queued(rank);
        self.census.inside = self.census.inside.saturating_add(1);
        if let Some(member) = self.members.get_mut(&shopper) {
            member.state = MemberState::Inside(admission);
        }
        self.sessions.put(admission, session);
        self.returning.remove(rank);
        self.changes.members.insert(shopper);
        self.changes.sessions.insert(admission);
        self.tally
            .note_admitted(self.sessions.count(), self.window.count(now));
        Claim::Admitted {
            admission,
            expires_at,
            repeated: false,
        }
    }

    /// Counts an admission from `now` on, because its answer leaves only now: the rolling minute is about when
    /// somebody is told to be in. False if it had to be counted anew and there is no room; then it must not be
    /// answered; it may be asked for again, and keeps its turn until then.
    #[must_use]
    pub fn stamp_again(&mut self, admission: AdmissionId, now: Timestamp) -> bool {
        let counts = self.rules.method != QueueingMethod::Passthrough;
        let Some(session) = self.sessions.get(&admission).copied().filter(|_| counts) else {
            return true;
        };
        let drawn = self.members.get(&session.shopper).and_then(|member| member.drawn);
        let rank = self.rank_of(session.number, drawn);
        // What is kept for those who are expected back before is not free.
        let ahead = u32::try_from(self.returning.ahead_of(rank)).unwrap_or(u32::MAX);
        let limit = self.rules.limits.new_users_per_minute.saturating_sub(ahead);
        if !self.window.restamp(session.claimed_at, now, limit) {
            self.returning.expect(rank, now + RETRY_MAX + RETURN_SLACK);
            return false;
        }
        self.returning.remove(rank);
        let claimed_at = session.claimed_at.max(now);
        self.sessions.put(
            admission,
            Session {
                claimed_at,
                ..session
            },
        );
        self.changes.sessions.insert(admission);
        self.assert_sound();
        true
    }
}

impl From<Absent> for Claim {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Lapsed => Self::Lapsed,
            Absent::Left => Self::Left,
            Absent::Finished => Self::Finished,
        }
    }
}
