//! Taking a place, finding it again, and giving it up.

use super::{Member, MemberState, Moment, Queue};
use crate::calls::CallState;
use crate::queue::claim::Claimant;
use crate::queue::control::EndReason;
use crate::{Number, Phase, QueueingMethod, Rank, ShopperKey};

/// A place, just taken or found again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joined {
    /// Order of joining.
    pub number: Number,
    /// The rank drawn with it, where the method draws one per shopper.
    pub drawn: Option<Rank>,
    /// When the place was taken.
    pub since: crate::Timestamp,
    /// Whether the shopper had this place already.
    pub repeated: bool,
}

/// Why no place was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinRefusal {
    /// Nobody joins in this phase.
    #[error("nobody may join while the drop is {}", .0.as_str())]
    NotOpen(Phase),
    /// The drop is a closed page.
    #[error("the drop is closed")]
    Closed,
    /// The queue remembers as many shoppers as it may.
    #[error("the queue remembers as many shoppers as it may")]
    Full,
}

/// Why a place is not in line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absent {
    /// Its time has passed.
    Lapsed,
    /// It was given up, or a newer one has taken its place.
    Left,
    /// Its session is over.
    Finished,
}

impl Queue {
    /// Takes a place at the end, or finds the one that `shopper` has. `random` decides the rank
    /// where the method draws one per shopper, and must be unpredictable.
    pub fn join(&mut self, shopper: ShopperKey, random: u64, at: Moment) -> Result<Joined, JoinRefusal> {
        self.settle(at.now);
        if let Some(member) = self.members.get(&shopper).filter(|m| self.is_alive(m, at)) {
            let Member {
                number,
                drawn,
                joined_at,
                ..
            } = *member;
            return Ok(Joined {
                number,
                drawn,
                since: joined_at,
                repeated: true,
            });
        }
        if self.rules.method == QueueingMethod::Reject {
            return Err(JoinRefusal::Closed);
        }
        let phase = self.phase(at);
        if !phase.admits_joining() {
            return Err(JoinRefusal::NotOpen(phase));
        }
        if self.members.len() as u64 >= u64::from(self.rules.queue_capacity) {
            return Err(JoinRefusal::Full);
        }
        let number = Number(self.issued.0.saturating_add(1));
        let drawn = self.draw_rank(random);
        self.tally.joined = self.tally.joined.saturating_add(1);
        self.put_in_line(
            shopper,
            Member {
                number,
                drawn,
                joined_at: at.now,
                state: MemberState::Queued,
            },
        );
        Ok(Joined {
            number,
            drawn,
            since: at.now,
            repeated: false,
        })
    }

    /// Gives the place up for good; ends its session if it has one. Leaving twice is leaving.
    pub fn leave(&mut self, claimant: &Claimant, at: Moment) {
        self.settle(at.now);
        let _ = self.place_of(claimant);
        let Some(member) = self.members.get(&claimant.shopper).copied() else {
            return;
        };
        if member.number != claimant.number {
            return;
        }
        match member.state {
            MemberState::Inside(id) => self.end_session(id, EndReason::Left, at.now),
            MemberState::Queued => {
                let rank = self.rank_of(member.number, member.drawn);
                self.returning.remove(rank);
                self.uncount_queued(rank);
                self.census.gone = self.census.gone.saturating_add(1);
            }
            MemberState::Finished | MemberState::Left => return,
        }
        if let Some(member) = self.members.get_mut(&claimant.shopper) {
            member.state = MemberState::Left;
            self.tally.left = self.tally.left.saturating_add(1);
            self.changes.members.insert(claimant.shopper);
        }
        self.assert_sound();
    }

    /// The rank of a claimant's place. A place the store has lost is taken up again: the signed
    /// ticket proves that it was given.
    pub(super) fn place_of(&mut self, claimant: &Claimant) -> Result<Rank, Absent> {
        let rank = self.rank_of(claimant.number, claimant.drawn);
        match self.members.get(&claimant.shopper) {
            Some(member) if member.number == claimant.number => match member.state {
                MemberState::Queued | MemberState::Inside(_) => Ok(rank),
                MemberState::Finished => Err(Absent::Finished),
                MemberState::Left => Err(Absent::Left),
            },
            Some(member) if member.number > claimant.number => Err(Absent::Left),
            Some(Member {
                state: MemberState::Inside(_),
                ..
            }) => Err(Absent::Left),
            Some(_) | None if rank < self.calls.lapsed_below() => Err(Absent::Lapsed),
            Some(_) | None => {
                let Claimant {
                    number,
                    drawn,
                    joined_at,
                    ..
                } = *claimant;
                self.put_in_line(
                    claimant.shopper,
                    Member {
                        number,
                        drawn,
                        joined_at,
                        state: MemberState::Queued,
                    },
                );
                Ok(rank)
            }
        }
    }

    /// Takes up a place from its ticket, where the store has lost it. Whether it is in line now.
    pub fn relearn(&mut self, claimant: &Claimant, at: Moment) -> bool {
        self.settle(at.now);
        let known = self.place_of(claimant).is_ok();
        self.assert_sound();
        known
    }

    /// Whether a place still stands for something: joining again finds it.
    fn is_alive(&self, member: &Member, at: Moment) -> bool {
        match member.state {
            MemberState::Inside(_) => true,
            MemberState::Finished | MemberState::Left => false,
            MemberState::Queued => !self.has_lapsed(self.rank_of(member.number, member.drawn), at),
        }
    }

    /// Whether the window and the grace of a called rank have passed. Somebody who came and met
    /// a full room does not lapse while expected back.
    pub(super) fn has_lapsed(&self, rank: Rank, at: Moment) -> bool {
        match self.calls.state_of(rank) {
            CallState::Waiting => false,
            CallState::Forgotten => true,
            CallState::Called(called_at) => {
                called_at + self.rules.patience() <= self.lapse_clock(at.now)
                    && !self.returning.contains(rank)
            }
        }
    }

    /// Puts `member` in line for `shopper`, in place of an older place that is over.
    fn put_in_line(&mut self, shopper: ShopperKey, member: Member) {
        if let Some(old) = self.members.remove(&shopper) {
            let rank = self.rank_of(old.number, old.drawn);
            self.line.remove(&(rank, shopper));
            self.returning.remove(rank);
            match old.state {
                MemberState::Queued => {
                    self.uncount_queued(rank);
                    self.tally.no_shows = self.tally.no_shows.saturating_add(1);
                }
                MemberState::Finished | MemberState::Left => {
                    self.census.gone = self.census.gone.saturating_sub(1);
                }
                MemberState::Inside(_) => unreachable!("a running session keeps its place"),
            }
        }
        let rank = self.rank_of(member.number, member.drawn);
        if rank < self.frontier() {
            self.census.called = self.census.called.saturating_add(1);
        } else {
            self.census.waiting = self.census.waiting.saturating_add(1);
        }
        self.line.insert((rank, shopper));
        self.issued = self.issued.max(member.number);
        self.members.insert(shopper, member);
        self.changes.members.insert(shopper);
        self.assert_sound();
    }

    /// One queued place fewer.
    pub(super) fn uncount_queued(&mut self, rank: Rank) {
        if rank < self.frontier() {
            self.census.called = self.census.called.saturating_sub(1);
        } else {
            self.census.waiting = self.census.waiting.saturating_sub(1);
        }
    }
}
