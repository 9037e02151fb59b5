//! The queue as it looks from outside at one moment: what the caller decides on and what
//! snapshots are made of.

use alloc::vec::Vec;

use super::{Advance, Moment, Queue};
use crate::draw::Draw;
use crate::estimate::Flow;
use crate::pace::Pace;
use crate::{
    AdmissionId, Control, DropRules, Outflow, Phase, Rank, Readings, Room, Span, Timestamp, outflow,
};

/// Claims arrive a moment after their call, and by then the oldest of the last minute's claims
/// have left the window. Without this the pace would stay a few per cent below the limit.
pub const CLAIM_DELAY: Span = Span::from_secs(1);

/// What has happened since the queue was created, as far as its store keeps it. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in.
    pub admitted: u64,
    /// Places that lapsed unclaimed.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Claims that met a full room.
    pub room_full: u64,
    /// Most sessions active at once.
    pub active_max: u64,
    /// Most claims in any 60 seconds.
    pub claims_in_minute_max: u64,
}

/// The queue at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// When.
    pub now: Timestamp,
    /// Changes with everything that could make a decision to call wrong.
    pub version: u64,
    /// Sessions of other epochs are void.
    pub epoch: u32,
    /// Where the drop stands.
    pub phase: Phase,
    /// What the operator has asked for.
    pub control: Control,
    /// Since when the queue is held, if it is: claim windows stand still from then on.
    pub held_since: Option<Timestamp>,
    /// Ranks below are called.
    pub frontier: Rank,
    /// Ranks below have lapsed.
    pub lapsed_below: Rank,
    /// The end of each stretch of called ranks, and when it was called.
    pub calls: Vec<(Rank, Timestamp)>,
    /// What the outflow is decided on; its pace is still to be filled in.
    pub room: Room,
    /// Credit for smooth pacing.
    pub pace: Pace,
    /// Shoppers called per minute, where any were lately.
    pub calls_per_minute: Option<u64>,
    /// What waits are estimated from.
    pub flow: Flow,
    /// SHA-256 of the seed.
    pub commitment: [u8; 32],
    /// The draw, once it has been held.
    pub draw: Option<Draw>,
    /// Whether the drop has started: the draw, if there is one, is public.
    pub started: bool,
    /// Admissions whose tokens have to be refused although they have not expired.
    pub revoked: Vec<AdmissionId>,
    /// How long the first in line has waited since the start.
    pub oldest_wait: Span,
    /// What has happened.
    pub tally: Tally,
}

impl Queue {
    /// The queue at this moment.
    pub fn view(&mut self, at: Moment) -> View {
        self.settle(at.now);
        let speed = self.calls.speed(at.now);
        let room = self.room(at.now);
        View {
            now: at.now,
            version: self.version,
            epoch: self.epoch,
            phase: self.phase(at),
            control: self.control,
            held_since: self.held_since,
            frontier: self.frontier(),
            lapsed_below: self.calls.lapsed_below(),
            calls: self.calls.iter().map(|call| (call.to, call.called_at)).collect(),
            room,
            pace: self.pace,
            calls_per_minute: speed.map(|speed| speed.calls_per_minute),
            flow: Flow::of(speed, &room, &self.turnover, self.rules.limits.total_active_users),
            commitment: self.seed.commitment(),
            draw: self.draw,
            started: self.started,
            revoked: self.revoked.iter().map(|(_, id)| *id).collect(),
            oldest_wait: self.oldest_wait(at.now),
            tally: self.tally,
        }
    }

    fn room(&self, now: Timestamp) -> Room {
        let horizon = self.rules.show_horizon;
        Room {
            waiting: self.census.waiting,
            active: self.sessions.count(),
            undecided: self.sessions.undecided(),
            claims_last_minute: self.window.count(now + CLAIM_DELAY),
            pending_calls: self.calls.pending(now, horizon),
            returning: self.returning.count(),
            show_per_mille: self
                .calls
                .show_per_mille(now, horizon)
                .max(outflow::SHOW_PER_MILLE_MIN),
            pace_milli_claims: 0,
        }
    }

    fn oldest_wait(&self, now: Timestamp) -> Span {
        let first = self
            .waiting_line()
            .next()
            .and_then(|(_, shopper)| self.members.get(&shopper));
        first.map_or(Span::ZERO, |member| {
            now.since(member.joined_at.max(self.rules.schedule.event_start))
        })
    }
}

impl View {
    /// What to call next, and the credit left after it: one turn of the caller.
    pub fn next(&self, rules: &DropRules, readings: &Readings) -> (Advance, Outflow) {
        let limit = u64::from(rules.limits.new_users_per_minute);
        let health = u64::from(readings.health_per_mille.min(1_000));
        let per_minute = limit.saturating_mul(health).div_ceil(1_000);
        let pace = self.pace.refilled(self.now, per_minute);
        let room = Room {
            pace_milli_claims: pace.milli_claims(),
            ..self.room
        };
        let outflow = Outflow::decide(self.phase, rules, &room, readings);
        let spent = outflow.calls.saturating_mul(u64::from(room.show_per_mille));
        (
            Advance {
                version: self.version,
                calls: outflow.calls,
                pace: pace.spent(spent),
            },
            outflow,
        )
    }
}

impl Tally {
    pub(super) fn note_admitted(&mut self, active: u64, claims_in_minute: u64) {
        self.admitted = self.admitted.saturating_add(1);
        self.active_max = self.active_max.max(active);
        self.claims_in_minute_max = self.claims_in_minute_max.max(claims_in_minute);
    }
}
