//! A ledger as `checkout-worker` promises it: every operation is one transaction, durable when it returns.

mod stock;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use stock::{Kind, Stock};

use domain::pool::{Line, Slice};
use domain::saga::{
    Effect, Event, Moment, Notice, Operation, Order, PaymentMethod, State, StateName, Step, StockMove,
};
use domain::{AdmissionId, Money, OrderId, ShopperKey, StockLevel, Timestamp};

use super::mutation::Mutation;

/// An order with what the saga does not care about.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) order: Order,
    pub(crate) slices: Vec<Slice>,
    pub(crate) units: u32,
    pub(crate) admission: AdmissionId,
    pub(crate) changed_at: Timestamp,
}

/// A request to hold units.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) order: Order,
    pub(crate) lines: Vec<Line>,
    pub(crate) admission: AdmissionId,
    /// The client's own name for the request.
    pub(crate) client_key: u64,
    /// Where present, accepted in the same step.
    pub(crate) method: Option<PaymentMethod>,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placed {
    New(OrderId),
    Repeated(OrderId),
    SoldOut,
    LimitExceeded,
    AdmissionSpent(OrderId),
}

/// What came of storing a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Applied {
    Done,
    Conflict,
}

/// The ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) rows: BTreeMap<OrderId, Row>,
    pub(crate) stock: Stock,
    /// The parameters of every attempt, by what it attempts.
    pub(crate) attempts: BTreeMap<(OrderId, Operation, u32), String>,
    pub(crate) outbox: BTreeMap<u64, OrderId>,
    pub(crate) notices: Vec<(OrderId, Notice)>,
    pub(crate) events: BTreeSet<u64>,
    /// Orders that were accepted, durably: an end is owed to each.
    pub(crate) accepted: BTreeSet<OrderId>,
    /// Rises with every change.
    pub(crate) revision: u64,
    client_keys: BTreeMap<(ShopperKey, u64), OrderId>,
    messages: u64,
    per_shopper: u32,
    mutation: Option<Mutation>,
}

impl Ledger {
    pub(crate) fn new(stock: Stock, per_shopper: u32, mutation: Option<Mutation>) -> Self {
        Self {
            rows: BTreeMap::new(),
            stock,
            attempts: BTreeMap::new(),
            outbox: BTreeMap::new(),
            notices: Vec::new(),
            events: BTreeSet::new(),
            accepted: BTreeSet::new(),
            revision: 0,
            client_keys: BTreeMap::new(),
            messages: 0,
            per_shopper,
            mutation,
        }
    }

    /// Units over all live orders of a shopper.
    pub(crate) fn units_of(&self, shopper: ShopperKey) -> u32 {
        let live = self
            .rows
            .values()
            .filter(|row| row.order.shopper == shopper && !is_dead(row));
        live.map(|row| row.units).sum()
    }

    /// The live order of an admission.
    pub(crate) fn order_of(&self, admission: AdmissionId) -> Option<OrderId> {
        let live = |row: &&Row| row.admission == admission && !is_dead(row);
        self.rows.values().find(live).map(|row| row.order.id)
    }

    /// Why a shopper may not have so many units more. Part of [`Self::reserve`]'s transaction.
    pub(crate) fn refusal(&self, purchase: &Purchase) -> Option<Placed> {
        if let Some(order) = self.order_of(purchase.admission) {
            return Some(Placed::AdmissionSpent(order));
        }
        let wanted: u32 = purchase.lines.iter().map(|line| line.quantity).sum();
        let over = self.units_of(purchase.order.shopper) + wanted > self.per_shopper;
        over.then_some(Placed::LimitExceeded)
    }

    /// Holds units, all or nothing, and accepts where a method is given.
    pub(crate) fn reserve(&mut self, purchase: &Purchase, start: u32, moment: Moment) -> Placed {
        let name = (purchase.order.shopper, purchase.client_key);
        if let Some(order) = self.client_keys.get(&name) {
            return Placed::Repeated(*order);
        }
        if self.mutation != Some(Mutation::LimitOutsideTransaction)
            && let Some(refusal) = self.refusal(purchase)
        {
            return refusal;
        }
        let id = purchase.order.id;
        let Some(slices) = self.stock.hold(id, &purchase.lines, start) else {
            return Placed::SoldOut;
        };
        let row = Row {
            order: purchase.order.clone(),
            slices,
            units: purchase.lines.iter().map(|line| line.quantity).sum(),
            admission: purchase.admission,
            changed_at: moment.now,
        };
        self.rows.insert(id, row);
        self.client_keys.insert(name, id);
        self.revision += 1;
        if let Some(method) = &purchase.method {
            self.accept(id, method, moment);
        }
        Placed::New(id)
    }

    /// Accepts a reserved order; says whether it is accepted now.
    pub(crate) fn accept(&mut self, id: OrderId, method: &PaymentMethod, moment: Moment) -> bool {
        let Some(row) = self.rows.get(&id) else {
            return false;
        };
        match row.order.clone().step(Event::Accept(method.clone()), moment) {
            Ok(step) => self.apply(&step, None, moment.now) == Applied::Done,
            Err(_) => self.accepted.contains(&id),
        }
    }

    /// Stores a step: compare-and-set, units, attempt and messages, or nothing of it.
    pub(crate) fn apply(
        &mut self,
        step: &Step,
        attempt: Option<(Operation, u32, String)>,
        now: Timestamp,
    ) -> Applied {
        let id = step.order.id;
        let row = self.rows.get_mut(&id).expect("steps are made from rows");
        let fits = row.order.version + 1 == step.order.version && row.order.state.name() == step.from;
        let blind = self.mutation == Some(Mutation::ReleaseTwice) && step.stock == Some(StockMove::Void);
        if !fits && !blind {
            return Applied::Conflict;
        }
        row.order = step.order.clone();
        row.changed_at = now;
        let keeps = self.mutation == Some(Mutation::DeclineNotReleasing)
            && row.order.state.name() == StateName::Declined;
        let slices = row.slices.clone();
        if let Some(stock) = step.stock.filter(|_| !keeps) {
            self.stock.shift(id, &slices, stock);
        }
        if let Some((operation, n, params)) = attempt {
            let known = self
                .attempts
                .entry((id, operation, n))
                .or_insert_with(|| params.clone());
            assert_eq!(
                *known, params,
                "a key is never used with other parameters: {id} {operation:?} {n}"
            );
        }
        self.note(step);
        self.revision += 1;
        Applied::Done
    }

    fn note(&mut self, step: &Step) {
        let id = step.order.id;
        if matches!(step.order.state, State::Accepted(_)) {
            self.accepted.insert(id);
        }
        let silent = self.mutation == Some(Mutation::AcceptWithoutOutboxAndRedrive)
            && step.from == StateName::Reserved;
        for effect in &step.effects {
            match effect {
                Effect::Drive if !silent => self.message(id),
                Effect::Notice(notice) => self.notices.push((id, *notice)),
                Effect::Drive | Effect::Call(_) | Effect::Alarm(_) | Effect::SlowDown(_) | Effect::Halt => {}
            }
        }
    }

    /// Writes a message for the workers.
    pub(crate) fn message(&mut self, order: OrderId) {
        self.messages += 1;
        self.outbox.insert(self.messages, order);
    }

    /// What the outflow is told about stock.
    pub(crate) fn level(&self) -> StockLevel {
        let buckets = self.stock.rows.values().flatten();
        buckets.fold(StockLevel::default(), |sum, bucket| StockLevel {
            available: sum.available + u64::from(bucket.free()),
            reserved: sum.reserved + u64::from(bucket.held),
            sold: sum.sold + u64::from(bucket.sold),
        })
    }

    /// Accepted orders that are not at an end.
    pub(crate) fn backlog(&self) -> u64 {
        self.accepted
            .iter()
            .filter(|id| !self.rows[id].order.state.name().is_end())
            .count() as u64
    }

    /// What lines cost, from the drop's prices.
    pub(crate) fn price(lines: &[Line], price: impl Fn(&Line) -> Money) -> Money {
        let mut prices = lines
            .iter()
            .map(|line| price(line).times(line.quantity).expect("small amounts"));
        let first = prices.next().expect("at least one line");
        prices.fold(first, |sum, next| sum.plus(next).expect("one currency"))
    }
}

fn is_dead(row: &Row) -> bool {
    row.order.state.name().is_dead()
}
