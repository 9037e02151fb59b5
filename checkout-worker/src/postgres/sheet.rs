//! The working copy of one transaction: what was read under locks, what commands make of it one after the other, and what
//! is to be written at the end. No SQL here, and nothing is decided here either that `domain` or `reserving` can decide.

use std::collections::BTreeMap;

use domain::pool::{Bucket, Slice};
use domain::saga::{Effect, Event, Moment, Order, PaymentMethod, StateName, Step, StockMove};
use domain::{AdmissionId, DropId, OrderId, ShopperKey, Sku, Timestamp};

use crate::ledger::{
    Acceptance, Applied, AttemptRow, ClientKey, NewOrder, OrderRecord, Reservation, Transition,
};
use crate::reserving;
use crate::row::{Corrupt, moved_money};

/// Under which name a request was made.
pub(super) type RequestKey = (DropId, ShopperKey, ClientKey);
/// One attempt: order, operation, number.
pub(super) type AttemptKey = (OrderId, &'static str, u32);

/// What was read, kept current as commands pass.
#[derive(Default)]
pub(super) struct Sheet {
    pub(super) now: Timestamp,
    pub(super) orders: BTreeMap<OrderId, Result<OrderRecord, Corrupt>>,
    /// Orders that were placed under the keys asked for, with the hash of the request.
    pub(super) requests: BTreeMap<RequestKey, (OrderId, [u8; 32])>,
    pub(super) admissions: BTreeMap<AdmissionId, OrderId>,
    pub(super) units: BTreeMap<(DropId, ShopperKey), u32>,
    /// All buckets of SKUs that are reserved from; of others only those that units move in.
    pub(super) buckets: BTreeMap<(DropId, Sku), BTreeMap<u32, Bucket>>,
    /// What orders hold or held.
    pub(super) held: BTreeMap<OrderId, Vec<Slice>>,
    pub(super) writes: Writes,
}

/// What is to be written, each row once.
#[derive(Default)]
pub(super) struct Writes {
    /// New orders. Their rows are taken from [`Sheet::orders`].
    pub(super) placed: BTreeMap<OrderId, NewOrder>,
    /// Orders that changed, with version and state as they were read: the compare-and-set's expectation.
    pub(super) changed: BTreeMap<OrderId, (u64, StateName)>,
    pub(super) entries: Vec<Entry>,
    pub(super) stock: BTreeMap<(DropId, Sku, u32), Delta>,
    pub(super) payments: BTreeMap<OrderId, PaymentRow>,
    pub(super) attempts: BTreeMap<AttemptKey, AttemptRow>,
    pub(super) outcomes: BTreeMap<AttemptKey, &'static str>,
    pub(super) messages: Vec<MessageRow>,
}

/// One movement of units.
pub(super) struct Entry {
    pub(super) order: OrderId,
    pub(super) kind: &'static str,
    pub(super) slice: Slice,
}

/// By how much a bucket changes.
#[derive(Clone, Copy, Default)]
pub(super) struct Delta {
    pub(super) held: i64,
    pub(super) sold: i64,
}

/// What is known of an order's money.
pub(super) struct PaymentRow {
    pub(super) provider_id: String,
    pub(super) captured: u64,
    pub(super) refunded: u64,
    pub(super) currency: String,
}

/// One message for the outbox; without a notice it goes to the workers.
pub(super) struct MessageRow {
    pub(super) order: OrderId,
    pub(super) notice: Option<&'static str>,
    pub(super) version: u64,
    pub(super) returned: u32,
}

impl Sheet {
    /// Reserves, and accepts where a payment method is given.
    pub(super) fn reserve(&mut self, new: &NewOrder) -> Result<Reservation, Corrupt> {
        let key = (new.drop.clone(), new.shopper, new.client_key.clone());
        if let Some((order, hash)) = self.requests.get(&key) {
            if *hash != new.request_hash {
                return Ok(Reservation::KeyMismatch { order: *order });
            }
            return match self.orders.get(order) {
                Some(Ok(record)) => Ok(Reservation::Repeated(record.clone())),
                Some(Err(corrupt)) => Err(corrupt.clone()),
                None => Err(Corrupt {
                    order: *order,
                    what: "its key is there and its row is not".to_owned(),
                }),
            };
        }
        if let Some(order) = self.admissions.get(&new.admission) {
            return Ok(Reservation::AdmissionSpent { order: *order });
        }
        let shopper = (new.drop.clone(), new.shopper);
        let has = self.units.get(&shopper).copied().unwrap_or(0);
        if let Some(refused) = reserving::over_limit(new, has) {
            return Ok(refused);
        }
        let choice = reserving::choose(new, |sku| {
            let buckets = self.buckets.get(&(new.drop.clone(), sku.clone()));
            Ok(buckets.map_or_else(Vec::new, |found| found.values().copied().collect()))
        })?;
        let slices = match choice {
            Ok(slices) => slices,
            Err(refused) => return Ok(refused),
        };
        let (record, effects) = reserving::placed(new, self.now);
        self.requests.insert(key, (new.id, new.request_hash));
        self.admissions.insert(new.admission, new.id);
        *self.units.entry(shopper).or_default() += reserving::units(new);
        for slice in &slices {
            self.shift(&record.order, "hold", slice);
        }
        self.held.insert(new.id, slices);
        self.post(&record.order, &effects, 0);
        self.writes.placed.insert(new.id, new.clone());
        self.orders.insert(new.id, Ok(record.clone()));
        Ok(Reservation::Placed(record))
    }

    /// Accepts a reserved order, by the ledger's own clock.
    pub(super) fn accept(&mut self, order: OrderId, method: &PaymentMethod) -> Result<Acceptance, Corrupt> {
        let Some(record) = self.orders.get(&order).cloned().transpose()? else {
            return Ok(Acceptance::Unknown);
        };
        let step = record
            .order
            .clone()
            .step(Event::Accept(method.clone()), Moment::at(self.now));
        Ok(match step {
            Err(refusal) => Acceptance::Refused(refusal),
            Ok(step) => Acceptance::Accepted(Box::new(self.store(record, &step))),
        })
    }

    /// Releases a reservation that is past its time.
    pub(super) fn expire(&mut self, order: OrderId) -> Result<Option<OrderRecord>, Corrupt> {
        let Some(record) = self.orders.get(&order).cloned().transpose()? else {
            return Ok(None);
        };
        let step = record.order.clone().step(Event::Expire, Moment::at(self.now));
        Ok(step.ok().map(|step| self.store(record, &step)))
    }

    /// Stores a step, if the order is still as the step left it.
    pub(super) fn apply(&mut self, transition: &Transition) -> Result<Applied, Corrupt> {
        let step = &transition.step;
        let id = step.order.id;
        let Some(record) = self.orders.get(&id).cloned().transpose()? else {
            return Ok(Applied::Conflict);
        };
        let before = step.order.version.saturating_sub(1);
        if (record.order.version, record.order.state.name()) != (before, step.from) {
            return Ok(Applied::Conflict);
        }
        self.store(record, step);
        if let Some((operation, n, outcome)) = transition.outcome {
            self.writes.outcomes.insert((id, operation.as_str(), n), outcome);
        }
        if let Some(attempt) = &transition.attempt {
            let key = (id, attempt.operation.as_str(), attempt.n);
            self.writes.attempts.entry(key).or_insert_with(|| attempt.clone());
        }
        Ok(Applied::Done)
    }

    fn store(&mut self, before: OrderRecord, step: &Step) -> OrderRecord {
        let (id, order) = (before.order.id, &step.order);
        let read = (before.order.version, before.order.state.name());
        self.writes.changed.entry(id).or_insert(read);
        let returned = step.stock.map_or(0, |movement| self.settle(order, movement));
        if let Some(moved) = moved_money(order) {
            let row = self.writes.payments.entry(id).or_insert_with(|| PaymentRow {
                provider_id: moved.payment.as_str().to_owned(),
                captured: 0,
                refunded: 0,
                currency: order.total.currency.as_str().to_owned(),
            });
            row.captured = row.captured.max(moved.captured);
            row.refunded = row.refunded.max(moved.refunded);
        }
        self.post(order, &step.effects, returned);
        let after = before.after(order.clone(), self.now);
        self.orders.insert(id, Ok(after.clone()));
        after
    }

    /// Moves all units that the order held. Says how many of them went back to the pool.
    fn settle(&mut self, order: &Order, movement: StockMove) -> u32 {
        let slices = self.held.get(&order.id).cloned().unwrap_or_default();
        let kind = match movement {
            StockMove::Void => "void",
            StockMove::Sell => "sell",
            StockMove::Unsell => "unsell",
        };
        for slice in &slices {
            self.shift(order, kind, slice);
        }
        let units = slices.iter().map(|slice| slice.quantity);
        match movement {
            StockMove::Void | StockMove::Unsell => units.fold(0, u32::saturating_add),
            StockMove::Sell => 0,
        }
    }

    /// Notes one movement, in the books and in the copy of the bucket that later commands see.
    fn shift(&mut self, order: &Order, kind: &'static str, slice: &Slice) {
        let (held, sold) = match kind {
            "hold" => (1, 0),
            "void" => (-1, 0),
            "sell" => (-1, 1),
            _ => (0, -1),
        };
        let quantity = i64::from(slice.quantity);
        let name = (order.drop.clone(), slice.sku.clone());
        if let Some(bucket) = self
            .buckets
            .get_mut(&name)
            .and_then(|found| found.get_mut(&slice.bucket))
        {
            let moved = |units: u32, by: i64| u32::try_from(i64::from(units) + by * quantity).unwrap_or(0);
            bucket.held = moved(bucket.held, held);
            bucket.sold = moved(bucket.sold, sold);
        }
        let delta = self
            .writes
            .stock
            .entry((name.0, name.1, slice.bucket))
            .or_default();
        delta.held += held * quantity;
        delta.sold += sold * quantity;
        self.writes.entries.push(Entry {
            order: order.id,
            kind,
            slice: slice.clone(),
        });
    }

    /// Notes the messages among a step's effects.
    fn post(&mut self, order: &Order, effects: &[Effect], returned: u32) {
        for effect in effects {
            let notice = match effect {
                Effect::Drive => None,
                Effect::Notice(notice) => Some(notice.as_str()),
                Effect::Call(_) | Effect::Alarm(_) | Effect::SlowDown(_) | Effect::Halt => continue,
            };
            self.writes.messages.push(MessageRow {
                order: order.id,
                notice,
                version: order.version,
                returned: if notice.is_some() { returned } else { 0 },
            });
        }
    }
}
