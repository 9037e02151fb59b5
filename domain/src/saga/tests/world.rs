//! A small faulty world around the real state machine: two orders that want the same last unit, workers that act on what
//! they read some time ago, a line that loses, delays and repeats, a provider that keeps keys and saves its errors, a
//! clock that jumps. A walk takes random steps in it, then everything heals, and everything must have come to an honest
//! end. A [`Mutant`] is the same world with one mistake in it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

mod laws;
mod provider;

use super::*;
use crate::Sku;
use crate::pool::{Line, Pool, Slice};

/// One mistake, as the protocol names it. `None` is the real thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mutant {
    None,
    StockCheckWithoutGuard,
    NewKeyOnRetry,
    CaptureBeforeCommit,
    AutomaticCapture,
    AcceptWithoutOutboxAndRedrive,
    NoReconciler,
    NoUncommit,
    ReleaseTwice,
    DeclineNotReleasing,
    CancelAfterCapture,
    LimitOutsideTransaction,
    WebhookAppliedTwice,
}

/// A walk broke a law; the words say which.
pub(super) type Broken = String;

/// A request on its way, or its answer on its way back.
#[derive(Clone)]
struct Flight {
    order: usize,
    call: Call,
    key: String,
    sent: Timestamp,
    answer: Option<Answer>,
}

/// What a worker wants to store, some time after it read.
struct Work {
    order: usize,
    step: Step,
}

struct Saved {
    answer: Answer,
    at: Timestamp,
}

pub(super) struct World {
    mutant: Mutant,
    random: u64,
    now: Timestamp,
    orders: Vec<Order>,
    slices: Vec<Vec<Slice>>,
    pool: Pool,
    drives: Vec<usize>,
    works: Vec<Work>,
    flights: Vec<Flight>,
    payments: Vec<Payment>,
    keys: BTreeMap<String, Saved>,
    paid_notices: BTreeMap<u128, u32>,
    captures: BTreeMap<u128, u32>,
    fresh_keys: u32,
    faults: bool,
    decline: bool,
}

const LIMIT: u32 = 1;

impl World {
    /// Two shoppers, one unit each wanted; `stock` units there are.
    pub(super) fn new(seed: u64, mutant: Mutant) -> Self {
        let mut world = Self {
            mutant,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: NOW,
            orders: Vec::new(),
            slices: Vec::new(),
            pool: Pool::new(),
            drives: Vec::new(),
            works: Vec::new(),
            flights: Vec::new(),
            payments: Vec::new(),
            keys: BTreeMap::new(),
            paid_notices: BTreeMap::new(),
            captures: BTreeMap::new(),
            fresh_keys: 0,
            faults: true,
            decline: seed.is_multiple_of(5),
        };
        let stock = 1 + world.below(2);
        world.pool = Pool::new().with(sku(), stock, 2);
        world
    }

    /// One whole life: faulty steps, then healing, then the last judgement.
    pub(super) fn live(mut self) -> Result<(), Broken> {
        self.reserve_all()?;
        self.laws()?;
        for _ in 0..60 {
            self.act()?;
            self.laws()?;
        }
        self.faults = false;
        for _ in 0..200 {
            self.heal()?;
            self.laws()?;
        }
        self.judge()
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from(self.random % u64::from(bound)).unwrap()
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.faults && self.below(100) < percent
    }

    fn any(&mut self) -> usize {
        let count = u32::try_from(self.orders.len()).unwrap();
        self.below(count) as usize
    }

    /// Both shoppers reserve; the first comes twice with two requests at once, which the limit has to notice.
    fn reserve_all(&mut self) -> Result<(), Broken> {
        let mut bought = 0;
        for shopper in [1_u8, 1, 2] {
            let id = OrderId(self.orders.len() as u128 + 1);
            // The mutant reads the shopper's units before the other request is written.
            let seen = if self.mutant == Mutant::LimitOutsideTransaction {
                0
            } else {
                bought
            };
            if shopper == 1 && seen >= LIMIT {
                continue;
            }
            let line = Line {
                sku: sku(),
                quantity: 1,
            };
            let start = self.below(8);
            let slices = match self.pool.reserve(&[line], start) {
                Ok(slices) => slices,
                Err(_) if self.mutant == Mutant::StockCheckWithoutGuard => unguarded(),
                Err(_) => continue,
            };
            bought += u32::from(shopper == 1);
            let drop = DropId::new("aurora").unwrap();
            let until = self.now + Span::from_mins(5);
            self.orders.push(Order::reserved(
                id,
                drop,
                ShopperKey([shopper; 16]),
                total(),
                until,
            ));
            self.slices.push(slices);
        }
        if bought > LIMIT {
            return Err(format!("one shopper holds {bought} units of {LIMIT}"));
        }
        Ok(())
    }

    /// One random thing happens.
    fn act(&mut self) -> Result<(), Broken> {
        let at = self.any();
        match self.below(20) {
            0 => self.now = self.now + Span::from_secs(u64::from(self.below(90))),
            1 if self.chance(10) => self.jump(),
            1..=3 => self.accept(at)?,
            4..=7 => self.work(at),
            8..=9 => self.finish_work()?,
            10..=14 => self.fly()?,
            15 => self.event(at, Event::Look)?,
            16 => self.cancel(at)?,
            17 => self.list()?,
            18 => self.meddle(),
            _ => self.event(at, Event::Expire)?,
        }
        Ok(())
    }

    /// Hours pass: whatever was on its way has long arrived nowhere, authorisations may be gone.
    fn jump(&mut self) {
        self.now = self.now + Span::from_secs(3_600 * u64::from(1 + self.below(30)));
        self.flights.clear();
        // No worker sleeps that long between deciding and sending: one that did was taken for dead and is.
        self.works.clear();
    }

    /// Shoppers confirm with their bank, banks forget authorisations.
    fn meddle(&mut self) {
        if self.payments.is_empty() {
            return;
        }
        let count = u32::try_from(self.payments.len()).unwrap();
        let (at, approves) = (self.below(count) as usize, self.below(4) > 0);
        let payment = &mut self.payments[at];
        if payment.status == PaymentStatus::RequiresAction {
            payment.status = if approves {
                PaymentStatus::RequiresCapture
            } else {
                PaymentStatus::RequiresMethod
            };
            payment.capturable = if approves { payment.amount.amount } else { 0 };
        } else if payment.status == PaymentStatus::RequiresCapture && !approves {
            payment.status = PaymentStatus::Cancelled;
            payment.capturable = 0;
        }
    }

    /// With no more faults: recovery jobs until nothing moves. Operators retry what is parked.
    fn heal(&mut self) -> Result<(), Broken> {
        self.now = self.now + Span::from_secs(61);
        for at in 0..self.orders.len() {
            self.event(at, Event::Expire)?;
            if self.mutant != Mutant::AcceptWithoutOutboxAndRedrive {
                self.drives.push(at);
            }
            self.work(at);
            self.finish_work()?;
            if self.mutant != Mutant::NoReconciler {
                self.event(at, Event::Look)?;
            }
        }
        while !self.flights.is_empty() || !self.works.is_empty() {
            self.fly()?;
            self.finish_work()?;
        }
        if self.mutant != Mutant::NoReconciler {
            self.list()?;
        }
        Ok(())
    }

    fn accept(&mut self, at: usize) -> Result<(), Broken> {
        let kind = if self.below(3) == 0 {
            "pm_card_threeDSecureRequired"
        } else {
            "pm_card_visa"
        };
        self.event(at, Event::Accept(PaymentMethod::new(kind).unwrap()))
    }

    fn cancel(&mut self, at: usize) -> Result<(), Broken> {
        let name = self.orders[at].state.name();
        if self.mutant == Mutant::CancelAfterCapture && matches!(name, StateName::Committed | StateName::Paid)
        {
            let order = &mut self.orders[at];
            order.state = State::Released(Released { by: By::Shopper });
            return self
                .pool
                .unsell(&self.slices[at].clone())
                .map_err(|error| format!("unsell: {error}"));
        }
        self.event(at, Event::Cancel(By::Shopper))
    }

    /// A worker takes a message and decides on what it reads now; it stores that later.
    fn work(&mut self, at: usize) {
        let Some(position) = self.drives.iter().position(|drive| *drive == at) else {
            return;
        };
        // Messages are lost and repeated.
        if !self.chance(20) {
            self.drives.swap_remove(position);
        }
        if let Ok(step) = self.orders[at].clone().step(Event::Drive, Moment::at(self.now)) {
            self.works.push(Work { order: at, step });
        }
    }

    fn finish_work(&mut self) -> Result<(), Broken> {
        if self.works.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(self.works.len()).unwrap();
        let pick = self.below(count) as usize;
        let Work { order, step } = self.works.swap_remove(pick);
        if self.chance(10) {
            return Ok(());
        }
        self.store(order, step)
    }

    fn event(&mut self, at: usize, event: Event) -> Result<(), Broken> {
        let twice = self.mutant == Mutant::WebhookAppliedTwice;
        if let (true, Event::Seen(payment), State::Paid(paid)) = (twice, &event, &self.orders[at].state)
            && payment.id == paid.payment
        {
            *self.paid_notices.entry(self.orders[at].id.0).or_default() += 1;
        }
        match self.orders[at].clone().step(event, Moment::at(self.now)) {
            Ok(step) => self.store(at, step),
            Err(_) => Ok(()),
        }
    }

    /// The transaction: compare-and-set, units, messages; then the call goes out, unless the process dies in between.
    fn store(&mut self, at: usize, mut step: Step) -> Result<(), Broken> {
        if self.orders[at].version != step.order.version - 1 || self.orders[at].state.name() != step.from {
            return Ok(());
        }
        let capture = matches!(step.call(), Some(Call::Capture { .. }));
        if self.mutant == Mutant::CaptureBeforeCommit && capture && step.from != StateName::Committed {
            self.send(at, &step);
            self.fly()?;
            if self.chance(50) {
                return Ok(());
            }
        }
        if self.mutant == Mutant::NoUncommit && step.order.state.name() == StateName::Unwound {
            return Ok(());
        }
        self.settle(at, &step)?;
        self.orders[at] = step.order.clone();
        step.effects.retain(|effect| {
            !(self.mutant == Mutant::AcceptWithoutOutboxAndRedrive && *effect == Effect::Drive)
        });
        for effect in &step.effects {
            match effect {
                Effect::Drive => self.drives.push(at),
                Effect::Notice(Notice::Paid) => {
                    *self.paid_notices.entry(self.orders[at].id.0).or_default() += 1;
                }
                Effect::Call(_)
                | Effect::Notice(_)
                | Effect::Alarm(_)
                | Effect::SlowDown(_)
                | Effect::Halt => {}
            }
        }
        if !self.chance(10) {
            self.send(at, &step);
        }
        Ok(())
    }

    fn settle(&mut self, at: usize, step: &Step) -> Result<(), Broken> {
        let slices = self.slices[at].clone();
        let declined = step.order.state.name() == StateName::Declined;
        let moved = match step.stock {
            None => Ok(()),
            Some(StockMove::Void) if declined && self.mutant == Mutant::DeclineNotReleasing => Ok(()),
            Some(StockMove::Void) if self.mutant == Mutant::ReleaseTwice => {
                self.pool.void(&slices).and_then(|()| self.pool.void(&slices))
            }
            Some(StockMove::Void) => self.pool.void(&slices),
            Some(StockMove::Sell) => self.pool.sell(&slices),
            Some(StockMove::Unsell) => self.pool.unsell(&slices),
        };
        moved.map_err(|error| format!("{:?} of order {at}: {error}", step.stock))
    }

    fn send(&mut self, at: usize, step: &Step) {
        let Some(call) = step.call() else { return };
        let mut key = match call.attempt() {
            Some((operation, attempt)) => {
                String::from(step.order.key(KeySpace::FIRST, operation, attempt.n).as_str())
            }
            None => String::new(),
        };
        if self.mutant == Mutant::NewKeyOnRetry {
            self.fresh_keys += 1;
            key = format!("fresh-{}", self.fresh_keys);
        }
        self.flights.push(Flight {
            order: at,
            call: call.clone(),
            key,
            sent: self.now,
            answer: None,
        });
    }

    /// One flight moves on: it arrives, or its answer does, or it is lost.
    fn fly(&mut self) -> Result<(), Broken> {
        if self.flights.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(self.flights.len()).unwrap();
        let pick = self.below(count) as usize;
        let mut flight = self.flights.swap_remove(pick);
        let asked = flight.call.asked();
        if let Some(answer) = flight.answer {
            let answer = if self.chance(15) {
                Answer::Stalled(Stall::Lost)
            } else {
                answer
            };
            return self.event(flight.order, Event::Answered(asked, answer));
        }
        if self.chance(15) {
            // The sender gives up; the request may yet arrive.
            self.event(flight.order, Event::Answered(asked, Answer::Stalled(Stall::Lost)))?;
            if self.chance(50) && self.now.since(flight.sent) < Span::from_mins(10) {
                self.flights.push(flight);
            }
            return Ok(());
        }
        flight.answer = Some(self.provide(&flight));
        self.flights.push(flight);
        Ok(())
    }

    /// The reconciler by provider: every payment is shown to its order. Also stands for webhooks, early, late and repeated.
    fn list(&mut self) -> Result<(), Broken> {
        for payment in self.payments.clone() {
            let at = self
                .orders
                .iter()
                .position(|order| order.id == payment.order)
                .unwrap();
            self.event(at, Event::Seen(payment))?;
        }
        Ok(())
    }
}

/// Holding without looking is what the guard forbids: the books show more held than there is.
fn unguarded() -> Vec<Slice> {
    vec![Slice {
        sku: sku(),
        bucket: 0,
        quantity: 1,
    }]
}

fn sku() -> Sku {
    Sku::new("AUR-42").unwrap()
}
