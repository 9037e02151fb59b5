//! Shoppers: what they want, how they behave, and what they do next. Every request may fail or lose its answer; then
//! they do what people do, and try again.

mod inside;

use domain::queue::{Claim, Claimant, JoinRefusal};
use domain::{OrderId, Phase, ShopperKey, Timestamp};

use super::agenda::Task;
use super::door::{Standing, Ticket, admission};
use super::mutation::{Checked, Law, Violation, require};
use super::random::Random;
use super::world::World;

/// How a shopper behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    Patient,
    Impatient,
    NoShow,
    LateReturner,
    DoubleClicker,
    Decliner,
    ThreeDs,
    AbandonsAtPayment,
    Rejoins,
}

/// Where a shopper stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Outside,
    Waiting,
    Inside,
    Done(End),
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Bought,
    SoldOut,
    Closed,
    Left,
    NeverCame,
    TooLate,
    GaveUp,
}

/// One shopper.
#[derive(Clone, Debug)]
pub(crate) struct Shopper {
    pub(crate) key: ShopperKey,
    pub(crate) behaviour: Behaviour,
    pub(crate) stage: Stage,
    ticket: Option<Ticket>,
    /// The position told last.
    position: u64,
    patient_until: Timestamp,
    /// The late returner has been away.
    returned: bool,
    /// When the admission token dies.
    token_until: Timestamp,
    order: Option<OrderId>,
    client_key: u64,
    accepted: bool,
    asked_by_bank: bool,
    refusals: u32,
    rejoins: u32,
}

const BEHAVIOURS: [Behaviour; 14] = [
    Behaviour::Patient,
    Behaviour::Patient,
    Behaviour::Patient,
    Behaviour::Patient,
    Behaviour::Impatient,
    Behaviour::NoShow,
    Behaviour::LateReturner,
    Behaviour::DoubleClicker,
    Behaviour::DoubleClicker,
    Behaviour::Decliner,
    Behaviour::ThreeDs,
    Behaviour::ThreeDs,
    Behaviour::AbandonsAtPayment,
    Behaviour::Rejoins,
];

impl Shopper {
    pub(crate) fn new(index: u64, random: &mut Random) -> Self {
        Self {
            key: ShopperKey((u128::from(index) + 1).to_be_bytes()),
            behaviour: random.pick(&BEHAVIOURS),
            stage: Stage::Outside,
            ticket: None,
            position: u64::MAX,
            patient_until: Timestamp::from_millis(super::plan::START + random.between(60_000, 400_000)),
            returned: false,
            token_until: Timestamp::EPOCH,
            order: None,
            client_key: 0,
            accepted: false,
            asked_by_bank: false,
            refusals: 0,
            rejoins: 0,
        }
    }

    fn claimant(&self) -> Option<Claimant> {
        let Ticket {
            number,
            drawn,
            joined_at,
        } = self.ticket?;
        let admission = admission(self.key, number);
        Some(Claimant {
            shopper: self.key,
            number,
            drawn,
            joined_at,
            admission,
        })
    }
}

/// What a shopper does: the milliseconds until the next thing.
type Move = Result<u64, Violation>;

impl World {
    /// Lets one shopper do the next thing.
    pub(crate) fn shopper(&mut self, index: usize) -> Checked {
        let delay = match self.shoppers[index].stage {
            Stage::Outside => self.arrive_at_queue(index)?,
            Stage::Waiting => self.wait(index)?,
            Stage::Inside => self.shop(index)?,
            Stage::Done(_) => return Ok(()),
        };
        self.agenda.after(delay, Task::Shopper(index));
        Ok(())
    }

    fn done(&mut self, index: usize, end: End) -> u64 {
        self.shoppers[index].stage = Stage::Done(end);
        self.note(|| format!("shopper {} is done: {end:?}", index + 1));
        0
    }

    /// A little later, as people are.
    fn soon(&mut self) -> u64 {
        self.random.between(1_500, 9_000)
    }

    fn answer_is_lost(&mut self) -> bool {
        let chance = self.faults().answer_lost;
        self.random.chance(chance)
    }

    fn arrive_at_queue(&mut self, index: usize) -> Move {
        let key = self.shoppers[index].key;
        let Some(outcome) = self.join(key)? else {
            return Ok(self.soon());
        };
        if self.answer_is_lost() {
            return Ok(self.soon());
        }
        match outcome {
            Ok(joined) => {
                let ticket = Ticket {
                    number: joined.number,
                    drawn: joined.drawn,
                    joined_at: joined.since,
                };
                let shopper = &mut self.shoppers[index];
                (shopper.ticket, shopper.position) = (Some(ticket), u64::MAX);
                shopper.stage = Stage::Waiting;
                Ok(self.soon())
            }
            Err(JoinRefusal::NotOpen(Phase::SoldOut)) => Ok(self.done(index, End::SoldOut)),
            Err(JoinRefusal::NotOpen(Phase::Ended) | JoinRefusal::Closed) => {
                Ok(self.done(index, End::Closed))
            }
            Err(JoinRefusal::NotOpen(_) | JoinRefusal::Full) => Ok(self.soon()),
        }
    }

    fn wait(&mut self, index: usize) -> Move {
        let shopper = &self.shoppers[index];
        let claimant = shopper.claimant().expect("who waits has a ticket");
        let (behaviour, returned, before) = (shopper.behaviour, shopper.returned, shopper.position);
        if behaviour == Behaviour::Impatient && self.wall() > shopper.patient_until {
            return Ok(self.leave(index, &claimant));
        }
        if self.random.chance(20) {
            self.reload(&claimant)?;
        }
        match self.poll(&claimant)? {
            None | Some(Standing::Unknown) => Ok(self.soon()),
            Some(Standing::SoldOut) => Ok(self.done(index, End::SoldOut)),
            Some(Standing::Ended) => Ok(self.done(index, End::Closed)),
            Some(Standing::Waiting(position)) => {
                let shrinks = position <= before || !self.positions_are_exact();
                require(Law::PositionsShrink, shrinks, || {
                    format!("position {before} became {position}")
                })?;
                self.shoppers[index].position = position;
                Ok(self.soon())
            }
            Some(Standing::Called) if behaviour == Behaviour::NoShow => Ok(self.done(index, End::NeverCame)),
            Some(Standing::Called) if behaviour == Behaviour::LateReturner && !returned => {
                self.shoppers[index].returned = true;
                let rules = self.store.rules();
                let (window, grace) = (rules.claim_window.as_millis(), rules.late_grace.as_millis());
                Ok(window + self.random.between(0, grace + grace / 3))
            }
            Some(Standing::Called) => self.turn_up(index, &claimant),
        }
    }

    /// Reloading the page joins again, ticket in hand: the same place, unless its time is over.
    fn reload(&mut self, claimant: &Claimant) -> Checked {
        let lived = self.door(None, |queue, at| queue.relearn(claimant, at));
        let finished = self.witness.was_granted(claimant.admission);
        let Some(Ok(joined)) = self.join(claimant.shopper)? else {
            return Ok(());
        };
        let same = joined.number == claimant.number || finished || lived == Some(false);
        let rank = self.door(None, |queue, _| queue.rank_of(claimant.number, claimant.drawn));
        match rank {
            Some(rank) if !same => {
                let patience = self.store.rules().patience();
                self.witness.lapsed(rank, patience)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn leave(&mut self, index: usize, claimant: &Claimant) -> u64 {
        match self.door(None, |queue, at| queue.leave(claimant, at)) {
            Some(()) => {
                self.witness.ended(claimant.admission);
                self.done(index, End::Left)
            }
            None => self.soon(),
        }
    }

    fn turn_up(&mut self, index: usize, claimant: &Claimant) -> Move {
        if self.shoppers[index].behaviour == Behaviour::DoubleClicker {
            self.claim(claimant)?;
        }
        let Some(claim) = self.claim(claimant)? else {
            return Ok(self.soon());
        };
        if self.answer_is_lost() {
            return Ok(self.random.between(500, 2_500));
        }
        match claim {
            Claim::Admitted { expires_at, .. } => {
                let shopper = &mut self.shoppers[index];
                (shopper.stage, shopper.token_until) = (Stage::Inside, expires_at);
                (shopper.order, shopper.accepted, shopper.asked_by_bank) = (None, false, false);
                Ok(self.random.between(300, 8_000))
            }
            Claim::RoomFull { retry_after } => Ok(retry_after.as_millis() + self.random.between(0, 1_500)),
            Claim::NotCalled { .. } | Claim::Paused | Claim::NotOpen => Ok(self.soon()),
            Claim::Lapsed => Ok(self.again_or(index, End::TooLate)),
            Claim::Finished | Claim::Left => Ok(self.again_or(index, End::GaveUp)),
            Claim::SoldOut => Ok(self.done(index, End::SoldOut)),
            Claim::Ended => Ok(self.done(index, End::Closed)),
        }
    }

    /// Some join again at the end of the queue; the others go home.
    fn again_or(&mut self, index: usize, end: End) -> u64 {
        let shopper = &mut self.shoppers[index];
        if shopper.behaviour != Behaviour::Rejoins || shopper.rejoins >= 2 {
            return self.done(index, end);
        }
        shopper.rejoins += 1;
        shopper.stage = Stage::Outside;
        (shopper.ticket, shopper.order, shopper.accepted) = (None, None, false);
        (shopper.asked_by_bank, shopper.refusals) = (false, 0);
        self.soon()
    }
}
