//! The gateway's side of the queue: its snapshot, the caller, and every operation with the witness beside it.

use domain::queue::{Advance, Claim, Claimant, JoinRefusal, Joined, Moment, Queue, View, position};
use domain::{
    AdmissionId, Chance, Number, Phase, QueueingMethod, Rank, Readings, ShopperKey, Timestamp, Wait,
};

use super::agenda::Task;
use super::mutation::{Checked, Law, Mutation, Violation, require};
use super::world::World;

/// A shopper's place, as the signed ticket says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) number: Number,
    pub(crate) drawn: Option<Rank>,
    pub(crate) joined_at: Timestamp,
}

/// What a poll finds out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// No snapshot, or not started.
    Unknown,
    /// So many ranks until mine, plus one.
    Waiting(u64),
    /// It is my turn.
    Called,
    SoldOut,
    Ended,
}

/// The id of an admission: derived, so that claiming again gives the same one.
pub(crate) fn admission(shopper: ShopperKey, number: Number) -> AdmissionId {
    let mut id = shopper.0;
    for (byte, more) in id.iter_mut().zip(number.0.to_be_bytes()) {
        *byte ^= more.rotate_left(3) ^ 0x5a;
    }
    AdmissionId(id)
}

impl World {
    /// Carries out one operation of the queue, where the gateway is up.
    pub(crate) fn door<T>(
        &mut self,
        urgent: Option<ShopperKey>,
        operation: impl FnOnce(&mut Queue, Moment) -> T,
    ) -> Option<T> {
        let (wall, stock) = (self.wall(), self.stock_state);
        if !self.store.is_up() {
            return None;
        }
        let now = self.store.now(wall);
        self.witness.time(now, self.held);
        self.store
            .run(wall, urgent, |queue, now| operation(queue, Moment { now, stock }))
    }

    /// The queue is held, or goes on, from now on.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
        let wall = self.wall();
        let now = self.store.now(wall);
        self.witness.time(now, held);
    }

    fn readings(&self) -> Readings {
        Readings {
            stock: Some(self.ledger.level()),
            order_backlog: self.ledger.backlog(),
            drain_per_minute: Some(60_000 / self.plan.drain_gap),
            ..Readings::default()
        }
    }

    /// Takes a snapshot, and decides whom to call. Now and then two gateways decide on the same version.
    pub(crate) fn caller(&mut self, life: u32) -> Checked {
        if self.fleet.life(0) != Some(life) {
            return Ok(());
        }
        let readings = self.readings();
        self.stock_state = readings.stock_state();
        if let Some(view) = self.door(None, Queue::view) {
            self.witness.frontier(view.frontier)?;
            let (advance, outflow) = view.next(self.store.rules(), &readings);
            self.check_outflow(&view, outflow.calls)?;
            if advance.calls > 0 && self.mutation != Some(Mutation::CallerAsleep) {
                let deciders = 1 + u64::from(self.random.chance(100));
                for _ in 0..deciders {
                    let delay = self.random.between(0, 300);
                    self.agenda.after(delay, Task::Advance(life, advance));
                }
            }
            self.snapshot = Some(view);
        }
        let delay = self.random.between(400, 1_500);
        self.agenda.after(delay, Task::Caller(life));
        Ok(())
    }

    /// Nobody is called who could only be sent away: not for stock that is gone, not while the queue is held.
    fn check_outflow(&self, view: &View, calls: u64) -> Checked {
        let may = view.phase == Phase::Open && calls <= view.room.waiting;
        let for_nothing = self.ledger.level().available == 0;
        let allowed = calls == 0 || (may && !for_nothing);
        require(Law::Liveness, allowed, || {
            format!("{calls} called in phase {:?} for nothing", view.phase)
        })
    }

    /// A decision reaches the store; a stale one changes nothing.
    pub(crate) fn advance(&mut self, life: u32, advance: Advance) -> Checked {
        if self.fleet.life(0) != Some(life) {
            return Ok(());
        }
        if let Some(Ok(frontier)) = self.door(None, |queue, at| queue.advance(advance, at)) {
            self.witness.frontier(frontier)?;
            self.note(|| format!("the frontier is at {}", frontier.0));
        }
        Ok(())
    }

    pub(crate) fn join(
        &mut self,
        shopper: ShopperKey,
    ) -> Result<Option<Result<Joined, JoinRefusal>>, Violation> {
        let random = self.random.next();
        self.store.prepare_number();
        let Some(outcome) = self.door(None, |queue, at| queue.join(shopper, random, at)) else {
            return Ok(None);
        };
        if let Ok(joined) = outcome {
            self.witness.number(joined.number, shopper)?;
            self.known.insert(shopper);
            self.note(|| format!("{shopper} has number {}", joined.number.0));
        }
        Ok(Some(outcome))
    }

    /// What the page shows, from the gateway's snapshot. The first poll after a restart brings a lost place back.
    pub(crate) fn poll(&mut self, claimant: &Claimant) -> Result<Option<Standing>, Violation> {
        if !self.store.is_up() {
            return Ok(None);
        }
        if self.known.insert(claimant.shopper) {
            self.door(None, |queue, at| queue.relearn(claimant, at));
        }
        let Some(view) = self.snapshot.take() else {
            return Ok(Some(Standing::Unknown));
        };
        let standing = self.standing(claimant, &view);
        self.snapshot = Some(view);
        standing.map(Some)
    }

    fn standing(&mut self, claimant: &Claimant, view: &View) -> Result<Standing, Violation> {
        match view.phase {
            Phase::Ended => return Ok(Standing::Ended),
            Phase::SoldOut => return Ok(Standing::SoldOut),
            Phase::Scheduled | Phase::Prequeue | Phase::Open | Phase::Paused | Phase::Draining => {}
        }
        if !view.started {
            return Ok(Standing::Unknown);
        }
        let rank = match (claimant.drawn, view.draw) {
            (Some(rank), _) => rank,
            (None, Some(draw)) => draw.rank(claimant.number),
            (None, None) => Rank(claimant.number.0),
        };
        self.witness.rank(claimant.number, rank)?;
        if rank < view.frontier {
            return Ok(Standing::Called);
        }
        let place = position(self.store.rules().method, rank, view.frontier, view.room.waiting);
        let wait = Wait::estimate(place - 1, &view.flow);
        let chance = Chance::estimate(self.ledger.level(), place - 1, 600, 1_000);
        let gone = self.ledger.level().is_gone();
        require(
            Law::Liveness,
            (chance == Chance::Gone) == gone && wait.is_none_or(|w| w.min <= w.max),
            || format!("position {place} was told {chance:?} and {wait:?}"),
        )?;
        Ok(Standing::Waiting(place))
    }

    /// Whether positions are exact, so that they can be compared.
    pub(crate) fn positions_are_exact(&self) -> bool {
        self.store.rules().method == QueueingMethod::Fifo
    }

    /// A shopper turns up.
    pub(crate) fn claim(&mut self, claimant: &Claimant) -> Result<Option<Claim>, Violation> {
        let outcome = self.door(Some(claimant.shopper), |queue, at| {
            let outcome = queue.claim(claimant, at);
            (outcome, at.now, queue.rank_of(claimant.number, claimant.drawn))
        });
        let Some((claim, now, rank)) = outcome else {
            return Ok(None);
        };
        let (shopper, number) = (claimant.shopper, claimant.number.0);
        self.note(|| format!("{shopper} claims number {number}: {claim:?}"));
        let rules = self.store.rules();
        let granted = self.witness.was_granted(claimant.admission);
        match claim {
            Claim::Admitted {
                admission,
                expires_at,
                repeated: false,
            } => {
                let limits = rules.limits;
                self.witness.grant(admission, now, expires_at, limits)?;
            }
            Claim::Admitted {
                admission,
                expires_at,
                repeated: true,
            } => self.witness.repeat(admission, expires_at),
            Claim::Lapsed => {
                let patience = rules.patience();
                self.witness.lapsed(rank, patience)?;
            }
            Claim::Finished => require(Law::OwnTimeOnly, granted, || {
                format!("number {number} was never let in and is told that it was")
            })?,
            Claim::NotCalled { .. }
            | Claim::RoomFull { .. }
            | Claim::Left
            | Claim::Paused
            | Claim::NotOpen
            | Claim::SoldOut
            | Claim::Ended => {}
        }
        Ok(Some(claim))
    }

    /// A sign of life.
    pub(crate) fn renew(&mut self, id: AdmissionId) -> Option<Timestamp> {
        let until = self.door(None, |queue, at| queue.renew(id, at.now)).flatten()?;
        self.witness.repeat(id, until);
        Some(until)
    }
}
