//! The laws of stock and money, checked after every step that touched either, and once more when all is over.

use std::collections::BTreeMap;

use domain::pool::Bucket;
use domain::saga::{Flag, Notice, Operation, State, StateName, Units};
use domain::{OrderId, ShopperKey, Sku};

use super::ledger::{Kind, Row};
use super::mutation::{Checked, Law, Violation, require};
use super::world::World;

/// Answers that an order may have before it rests: the saga's own bound on calls, and room for workers who ask twice.
const ANSWERS_MAX: u32 = 60;

impl World {
    /// Every law that can be checked at any moment.
    pub(crate) fn check(&mut self) -> Checked {
        let (wall, limits) = (self.wall(), self.store.rules().limits);
        if self.store.is_up() {
            let now = self.store.now(wall);
            self.witness.check(now, limits)?;
        }
        let revision = (
            self.ledger.revision,
            self.provider.revision,
            self.ledger.notices.len(),
        );
        if revision == self.checked {
            return Ok(());
        }
        self.checked = revision;
        self.check_stock()?;
        self.check_orders()?;
        self.check_rest()?;
        self.check_money()
    }

    /// Nobody's order is asked about for ever without an end, a shopper's turn, or a flag that somebody sees.
    fn check_rest(&mut self) -> Checked {
        for (id, row) in &self.ledger.rows {
            let name = row.order.state.name();
            let waits = matches!(name, StateName::Reserved | StateName::ActionRequired);
            let over = name.is_end() && !refunding(&row.order.state);
            if waits || over || row.order.flag.is_some() {
                self.answers.remove(id);
            }
        }
        let circling = self.answers.iter().find(|(_, answers)| **answers > ANSWERS_MAX);
        require(Law::NobodyCircles, circling.is_none(), || {
            format!("{circling:?} answers without coming to rest")
        })
    }

    /// Rows within their totals, rows as their entries say, rows as the live orders say, rows as the pool says.
    fn check_stock(&self) -> Checked {
        let mut by_entries: BTreeMap<(&Sku, u32), (i64, i64)> = BTreeMap::new();
        for ((_, kind, sku, bucket), quantity) in &self.ledger.stock.entries {
            let (held, sold) = by_entries.entry((sku, *bucket)).or_default();
            let quantity = i64::from(*quantity);
            match kind {
                Kind::Hold => *held += quantity,
                Kind::Void => *held -= quantity,
                Kind::Sell => (*held, *sold) = (*held - quantity, *sold + quantity),
                Kind::Unsell => *sold -= quantity,
            }
        }
        let by_orders = self.units_by_orders();
        for (sku, buckets) in &self.ledger.stock.rows {
            for (index, bucket) in (0..).zip(buckets) {
                require(Law::Stock, bucket.conserved(), || {
                    format!("bucket {index} of {sku} is {bucket:?}")
                })?;
                let row = (i64::from(bucket.held), i64::from(bucket.sold));
                let entries = by_entries.get(&(sku, index)).copied().unwrap_or_default();
                let orders = by_orders.get(&(sku, index)).copied().unwrap_or_default();
                require(Law::Entries, row == entries && row == orders, || {
                    format!("bucket {index} of {sku}: row {row:?}, entries {entries:?}, orders {orders:?}")
                })?;
            }
            let model: &[Bucket] = self.ledger.stock.model.buckets(sku);
            let agrees = self.mutation.is_some() || model == buckets.as_slice();
            require(Law::Stock, agrees, || {
                format!("{sku}: rows {buckets:?}, pool {model:?}")
            })?;
        }
        Ok(())
    }

    fn units_by_orders(&self) -> BTreeMap<(&Sku, u32), (i64, i64)> {
        let mut sums: BTreeMap<(&Sku, u32), (i64, i64)> = BTreeMap::new();
        for row in self.ledger.rows.values() {
            for slice in &row.slices {
                let (held, sold) = sums.entry((&slice.sku, slice.bucket)).or_default();
                let quantity = i64::from(slice.quantity);
                let entry = (row.order.id, Kind::Unsell, slice.sku.clone(), slice.bucket);
                let returned = row.order.state.name() == StateName::Refunded
                    && self.ledger.stock.entries.contains_key(&entry);
                match row.order.state.name().units() {
                    Units::Held => *held += quantity,
                    Units::Sold if !returned => *sold += quantity,
                    Units::Sold | Units::Back => {}
                }
            }
        }
        sums
    }

    /// Limits per shopper and admission, and no order that only a bug of ours could have frozen.
    fn check_orders(&self) -> Checked {
        let mut units: BTreeMap<ShopperKey, u32> = BTreeMap::new();
        let mut admissions = BTreeMap::new();
        for row in self.ledger.rows.values() {
            let id = row.order.id;
            let frozen = matches!(row.order.flag, Some(Flag::Frozen(_)));
            require(Law::NotFrozen, !frozen, || {
                format!("order {:x} is {:?}", id.0, row.order.flag)
            })?;
            let parked = self.plan.faults.provider_is_well() && row.order.flag.is_some();
            require(Law::NotParked, !parked, || {
                format!("order {:x} is {:?}", id.0, row.order.flag)
            })?;
            if row.order.state.name().is_dead() {
                continue;
            }
            let has = units.entry(row.order.shopper).or_default();
            *has += row.units;
            let limit = self.plan.per_shopper;
            require(Law::ShopperLimits, *has <= limit, || {
                format!("{} has {has} units of {limit}", row.order.shopper)
            })?;
            let other = admissions.insert(row.admission, id);
            require(Law::ShopperLimits, other.is_none(), || {
                format!("orders {other:?} and {id:?} share an admission")
            })?;
        }
        let mut told: BTreeMap<OrderId, u32> = BTreeMap::new();
        for (order, _) in self
            .ledger
            .notices
            .iter()
            .filter(|(_, notice)| *notice == Notice::Paid)
        {
            *told.entry(*order).or_default() += 1;
        }
        let twice = told.iter().find(|(_, times)| **times > 1);
        require(Law::ToldOnce, twice.is_none(), || {
            format!("{twice:?} was told to be paid more than once")
        })
    }

    /// What the provider did, against what the ledger intends.
    fn check_money(&self) -> Checked {
        let mut captured: BTreeMap<OrderId, u64> = BTreeMap::new();
        let mut attempts = BTreeMap::new();
        for object in self.provider.objects.values() {
            let payment = &object.payment;
            let id = payment.order;
            let other = attempts.insert((id, payment.n), &payment.id);
            require(Law::OneObject, other.is_none(), || {
                format!("{other:?} and {:?} for one attempt", payment.id)
            })?;
            let known = self
                .ledger
                .attempts
                .contains_key(&(id, Operation::Authorise, payment.n));
            require(Law::OneObject, known, || {
                format!("{:?} exists without its attempt on record", payment.id)
            })?;
            if payment.captured == 0 {
                continue;
            }
            let row = &self.ledger.rows[&id];
            let whole = payment.captured == row.order.total.amount && payment.amount == row.order.total;
            let other = captured.insert(id, payment.captured - payment.refunded);
            require(Law::ChargedOnce, whole && other.is_none(), || {
                format!(
                    "order {:x} over {} was captured as {payment:?} and {other:?}",
                    id.0, row.order.total
                )
            })?;
            let sold = row.order.state.name().units() == Units::Sold;
            require(Law::CapturedIsSold, sold, || {
                format!(
                    "{:?} is captured, its order is {}",
                    payment.id,
                    row.order.state.name()
                )
            })?;
        }
        for row in self.ledger.rows.values() {
            check_books(row, captured.get(&row.order.id).copied())?;
        }
        Ok(())
    }

    /// What must hold when faults are long over.
    pub(crate) fn check_end(&self) -> Checked {
        let states = || {
            self.shoppers
                .iter()
                .enumerate()
                .map(|(i, s)| (i + 1, s.stage))
                .collect::<Vec<_>>()
        };
        require(Law::Liveness, self.everybody_is_done(), || {
            format!("shoppers still wait: {:?}", states())
        })?;
        for id in &self.ledger.accepted {
            let order = &self.ledger.rows[id].order;
            let over = order.state.name().is_end() && order.flag.is_none() && !refunding(&order.state);
            require(Law::NothingLost, over, || {
                format!("order {:x} is left behind: {order:?}", id.0)
            })?;
        }
        let open = self
            .provider
            .objects
            .values()
            .find(|object| object.payment.is_open());
        require(Law::NoStrays, open.is_none(), || {
            format!("a payment is left behind: {open:?}")
        })?;
        let kept: u64 = self
            .provider
            .objects
            .values()
            .map(|o| o.payment.captured - o.payment.refunded)
            .sum();
        let paid = self
            .ledger
            .rows
            .values()
            .filter(|row| row.order.state.name() == StateName::Paid);
        let paid: u64 = paid.map(|row| row.order.total.amount).sum();
        require(Law::BooksAgree, kept == paid, || {
            format!("the provider kept {kept}, the ledger says {paid}")
        })
    }

    /// Whether nothing is owed to anybody.
    pub(crate) fn at_rest(&self) -> bool {
        let over = |row: &Row| row.order.state.name().is_end() && !refunding(&row.order.state);
        self.calm
            && self.everybody_is_done()
            && self.ledger.outbox.is_empty()
            && self.ledger.rows.values().all(over)
    }
}

fn refunding(state: &State) -> bool {
    matches!(state, State::Paid(paid) if paid.refund.is_some())
}

/// PAID means captured and kept, or a refund of it under way; REFUNDED means given back.
fn check_books(row: &Row, kept: Option<u64>) -> Result<(), Violation> {
    let total = row.order.total.amount;
    let agrees = match row.order.state.name() {
        StateName::Paid => kept == Some(total) || (refunding(&row.order.state) && kept == Some(0)),
        StateName::Refunded => kept == Some(0),
        StateName::Reserved
        | StateName::Accepted
        | StateName::Authorising
        | StateName::ActionRequired
        | StateName::Cancelling
        | StateName::Committed
        | StateName::Declined
        | StateName::Released
        | StateName::Unwound => true,
    };
    require(Law::BooksAgree, agrees, || {
        format!(
            "order {:x} is {} over {total}, the provider keeps {kept:?}",
            row.order.id.0,
            row.order.state.name()
        )
    })
}
