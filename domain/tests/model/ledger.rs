//! The ledger: every function here is one transaction. It asks the saga what an event comes to, and stores that by
//! compare-and-set with the units, the messages and the news that belong to it.

use std::sync::Arc;

use domain::pool::{Bucket, spread};
use domain::saga::{
    By, Call, Effect, Event, Moment, Notice, Order, Released, State, StateName, Step, StockMove,
};
use domain::{Span, Timestamp};

use super::hands::Hand;
use super::mutation::Mutation;
use super::scene::{PER_SHOPPER, Scene};
use super::world::{Entries, Mail, NOW, Row, World, drop_id, each_attempt, order_id, plain, total};

/// What came of storing a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Applied {
    /// Stored; with the call that is owed now.
    Done(Option<Call>),
    /// The order has moved on since it was read.
    Conflict,
    /// The event does not apply.
    Refused,
}

impl World {
    /// Whether the shopper of order `at` may have one more unit.
    pub(crate) fn within_limit(&self, scene: &Scene, at: usize) -> bool {
        let shopper = scene.shopper(at);
        let live = |row: &&Row| row.order.shopper == shopper && !row.order.state.name().is_dead();
        self.placed().filter(live).count() < PER_SHOPPER
    }

    /// ∅ → RESERVED: looks at limit and stock and holds the unit, or changes nothing.
    pub(crate) fn reserve(&mut self, scene: &Scene, at: usize) -> Option<()> {
        let looked = scene.has(Mutation::LimitOutsideTransaction) && self.waved_through[at];
        if !looked && !self.within_limit(scene, at) {
            return None;
        }
        if !scene.has(Mutation::StockWithoutGuard) {
            spread(&[self.stock], 1, 0)?;
        }
        self.stock.held = self.stock.held.wrapping_add(1);
        self.waved_through[at] = false;
        let until = NOW + Span::from_mins(5);
        let order = Order::reserved(order_id(at), drop_id(), scene.shopper(at), total(), until);
        self.rows[at] = Some(Arc::new(Row {
            order: plain(order),
            entries: Entries::default(),
            mail: Mail::None,
            accepted: false,
            told_paid: 0,
        }));
        Some(())
    }

    /// What `event` comes to for order `at` as it now stands; nothing where it does not apply.
    pub(crate) fn decide(&self, scene: &Scene, at: usize, event: Event, moment: Moment) -> Option<Step> {
        let order = &self.row(at).order;
        if let (Event::Cancel(by), true) = (&event, scene.has(Mutation::CancelWinsAfterCapture))
            && matches!(order.state.name(), StateName::Committed | StateName::Paid)
        {
            return Some(taken_back(order.clone(), *by));
        }
        let mut order = order.clone();
        if scene.has(Mutation::ReleaseOnAbsence) && order.state.name() == StateName::Cancelling {
            // A key that counts as forgotten is not asked again, and no payment under it is as good as none ever.
            each_attempt(&mut order, |attempt| attempt.first_sent = Timestamp::EPOCH);
        }
        order.step(event, moment).ok()
    }

    /// Reads, decides and stores in one go, so that nobody comes in between.
    pub(crate) fn feed(&mut self, scene: &Scene, at: usize, event: Event, moment: Moment) -> Applied {
        match self.decide(scene, at, event, moment) {
            Some(step) => self.store(scene, at, &step, false),
            None => Applied::Refused,
        }
    }

    /// Stores a step, all of it or nothing. `stale` says that it was decided on an earlier version: then the
    /// compare-and-set finds another one.
    pub(crate) fn store(&mut self, scene: &Scene, at: usize, step: &Step, stale: bool) -> Applied {
        if stale && !blind(scene, step) {
            return Applied::Conflict;
        }
        let to = step.order.state.name();
        if scene.has(Mutation::NoUncommit) && to == StateName::Unwound {
            return Applied::Refused;
        }
        let keeps = scene.has(Mutation::DeclineNotReleasing) && to == StateName::Declined;
        if let Some(moved) = step.stock.filter(|_| !keeps) {
            self.shift(at, moved);
        }
        let silent = scene.has(Mutation::AcceptWithoutOutboxAndRedrive) && to == StateName::Accepted;
        let row = self.row_mut(at);
        row.order = plain(step.order.clone());
        row.accepted |= to == StateName::Accepted;
        for effect in &step.effects {
            match effect {
                Effect::Drive if row.mail == Mail::None && !silent => row.mail = Mail::Outbox,
                Effect::Notice(Notice::Paid) => row.told_paid = row.told_paid.saturating_add(1),
                Effect::Drive
                | Effect::Notice(_)
                | Effect::Call(_)
                | Effect::Alarm(_)
                | Effect::SlowDown(_)
                | Effect::Halt => {}
            }
        }
        self.outdate(at);
        Applied::Done(step.call().cloned())
    }

    /// Whoever has decided on the order and not stored it yet comes too late now.
    fn outdate(&mut self, at: usize) {
        for hand in &mut self.hands {
            if let Hand::Drowsy { order, stale, .. } = hand {
                *stale |= *order == at;
            }
        }
    }

    fn shift(&mut self, at: usize, moved: StockMove) {
        let Bucket { total, held, sold } = self.stock;
        let entries = &mut self.row_mut(at).entries;
        let (held, sold) = match moved {
            StockMove::Void => {
                entries.given_back = entries.given_back.saturating_add(1);
                (held.wrapping_sub(1), sold)
            }
            StockMove::Sell => {
                entries.sold = entries.sold.saturating_add(1);
                (held.wrapping_sub(1), sold.wrapping_add(1))
            }
            StockMove::Unsell => {
                entries.given_back = entries.given_back.saturating_add(1);
                (held, sold.wrapping_sub(1))
            }
        };
        self.stock = Bucket { total, held, sold };
    }
}

/// Whether a mistake lets this step be stored without comparing.
fn blind(scene: &Scene, step: &Step) -> bool {
    match scene.mutation {
        Some(Mutation::ReleaseTwice) => step.stock == Some(StockMove::Void),
        Some(Mutation::WebhookAppliedTwice) => step.order.state.name() == StateName::Paid,
        Some(_) | None => false,
    }
}

/// A mistaken rule: units go back although the payment may be captured.
fn taken_back(order: Order, by: By) -> Step {
    let from = order.state.name();
    let state = State::Released(Released { by });
    Step {
        from,
        order: Order { state, ..order },
        stock: Some(StockMove::Unsell),
        effects: vec![Effect::Notice(Notice::Released)],
    }
}
