//! Ranks: the start with its draw, the rank of a number, and the position a rank stands for.

use super::{Member, MemberState, Queue};
use crate::draw::Draw;
use crate::{Number, QueueingMethod, Rank, Shuffle};

/// The width ranks are drawn in where each shopper draws one: frontier to frontier plus this.
///
/// While the frontier passes it once, everybody who waited when it began has been called, so that
/// bad luck ends; within it, whoever waits is as likely to be next as anybody else.
pub const RANDOM_WIDTH: u64 = 1 << 32;

/// How many are to be called before `rank` is, plus one. Where ranks are drawn per shopper they
/// are spread thin, and the position is what is to be expected with `waiting` shoppers in line.
pub fn position(method: QueueingMethod, rank: Rank, frontier: Rank, waiting: u64) -> u64 {
    let ahead = rank.0.saturating_sub(frontier.0);
    match method {
        QueueingMethod::Random => {
            let expected = u128::from(ahead).saturating_mul(u128::from(waiting));
            let expected = expected.checked_div(u128::from(RANDOM_WIDTH)).unwrap_or(0);
            u64::try_from(expected).unwrap_or(u64::MAX).saturating_add(1)
        }
        QueueingMethod::Fifo | QueueingMethod::Passthrough | QueueingMethod::Reject => {
            ahead.saturating_add(1)
        }
    }
}

impl Queue {
    /// The rank of a place: drawn with it, drawn at the start, or its number.
    pub fn rank_of(&self, number: Number, drawn: Option<Rank>) -> Rank {
        match (drawn, self.draw) {
            (Some(rank), _) => rank,
            (None, Some(draw)) => draw.rank(number),
            (None, None) => Rank(number.0),
        }
    }

    /// The rank a shopper joining now would draw from `random`, if this queue draws per shopper.
    pub(super) fn draw_rank(&self, random: u64) -> Option<Rank> {
        match self.rules.method {
            QueueingMethod::Random => {
                let offset = random.checked_rem(RANDOM_WIDTH).unwrap_or(0);
                Some(Rank(self.frontier().0.saturating_add(offset)))
            }
            QueueingMethod::Fifo | QueueingMethod::Passthrough | QueueingMethod::Reject => None,
        }
    }

    /// Opens the drop: freezes the cohort, holds the draw, and voids whatever session there was.
    pub(super) fn start(&mut self) {
        assert!(!self.started, "a drop starts once");
        self.started = true;
        let shuffles =
            self.rules.shuffle == Shuffle::AtEventStart && self.rules.method == QueueingMethod::Fifo;
        if shuffles && self.frontier() == Rank(1) {
            self.draw = Some(Draw {
                seed: self.seed,
                cohort: self.issued.0,
            });
            self.line = self
                .members
                .iter()
                .map(|(shopper, member)| (self.rank_of(member.number, member.drawn), *shopper))
                .collect();
        }
        self.begin_epoch();
    }

    /// Sessions of the epoch before are void; places are kept.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.version = self.version.saturating_add(1);
        self.changes.queue = true;
        while let Some((id, session)) = self.sessions.pop_expired(crate::Timestamp::NEVER) {
            self.note_session_over(id, &session.shopper);
        }
    }

    /// Books a session that has been taken out of the list: its shopper is no longer inside.
    pub(super) fn note_session_over(&mut self, id: crate::AdmissionId, shopper: &crate::ShopperKey) {
        self.changes.sessions.insert(id);
        let Some(member) = self.members.get_mut(shopper) else {
            return;
        };
        if member.state != MemberState::Inside(id) {
            return;
        }
        member.state = MemberState::Finished;
        self.census.inside = self.census.inside.saturating_sub(1);
        self.changes.members.insert(*shopper);
        let Member { number, drawn, .. } = *member;
        if self.rank_of(number, drawn) < self.calls.lapsed_below() {
            // The line has no entry for it any more, so nothing later would remove it.
            self.members.remove(shopper);
        } else {
            self.census.gone = self.census.gone.saturating_add(1);
        }
    }
}
