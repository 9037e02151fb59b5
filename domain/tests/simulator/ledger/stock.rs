//! Stock rows and their entries, with the domain's pool beside them as the model they must agree with.

use std::collections::BTreeMap;

use domain::pool::{Bucket, Line, Pool, Slice, check_lines, split, spread};
use domain::saga::StockMove;
use domain::{OrderId, Sku};

use crate::simulator::mutation::Mutation;
use crate::simulator::plan::Item;

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Hold,
    Sell,
    Void,
    Unsell,
}

/// Rows, entries, model.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) rows: BTreeMap<Sku, Vec<Bucket>>,
    /// Append-only; the key keeps a unit from being moved twice.
    pub(crate) entries: BTreeMap<(OrderId, Kind, Sku, u32), u32>,
    pub(crate) model: Pool,
    mutation: Option<Mutation>,
}

impl Stock {
    pub(crate) fn new(items: &[Item], mutation: Option<Mutation>) -> Self {
        let rows = items
            .iter()
            .map(|item| (item.sku.clone(), split(item.units, item.buckets)))
            .collect();
        let allocate = |pool: Pool, item: &Item| pool.with(item.sku.clone(), item.units, item.buckets);
        let model = items.iter().fold(Pool::new(), allocate);
        Self {
            rows,
            entries: BTreeMap::new(),
            model,
            mutation,
        }
    }

    /// Holds all lines for `order`, or says that too little is left.
    pub(crate) fn hold(&mut self, order: OrderId, lines: &[Line], start: u32) -> Option<Vec<Slice>> {
        check_lines(lines).expect("shoppers ask properly");
        let mut slices = Vec::new();
        for line in lines {
            let parts = self.parts(line, start);
            slices.extend(parts?.into_iter().map(|(bucket, quantity)| Slice {
                sku: line.sku.clone(),
                bucket,
                quantity,
            }));
        }
        if self.mutation.is_none() {
            let agreed = self.model.reserve(lines, start);
            assert_eq!(
                agreed.as_ref(),
                Ok(&slices),
                "the pool and the rows agree on what is held"
            );
        }
        self.book(order, Kind::Hold, &slices, |b, q| b.held += q);
        Some(slices)
    }

    fn parts(&self, line: &Line, start: u32) -> Option<Vec<(u32, u32)>> {
        let buckets = &self.rows[&line.sku];
        if self.mutation == Some(Mutation::StockWithoutGuard) {
            return Some(vec![(0, line.quantity)]);
        }
        spread(buckets, line.quantity, start)
    }

    /// Moves the units of `order` as a step says.
    pub(crate) fn shift(&mut self, order: OrderId, slices: &[Slice], what: StockMove) {
        if self.mutation.is_none() {
            let agreed = match what {
                StockMove::Void => self.model.void(slices),
                StockMove::Sell => self.model.sell(slices),
                StockMove::Unsell => self.model.unsell(slices),
            };
            agreed.expect("the pool agrees that these units can move so");
        }
        match what {
            StockMove::Void => self.book(order, Kind::Void, slices, |b, q| b.held = b.held.wrapping_sub(q)),
            StockMove::Sell => self.book(order, Kind::Sell, slices, |b, q| {
                b.held = b.held.wrapping_sub(q);
                b.sold = b.sold.wrapping_add(q);
            }),
            StockMove::Unsell => self.book(order, Kind::Unsell, slices, |b, q| {
                b.sold = b.sold.wrapping_sub(q);
            }),
        }
    }

    fn book(&mut self, order: OrderId, kind: Kind, slices: &[Slice], change: impl Fn(&mut Bucket, u32)) {
        for slice in slices {
            let buckets = self.rows.get_mut(&slice.sku).expect("a SKU of the drop");
            change(&mut buckets[slice.bucket as usize], slice.quantity);
            let taken = self
                .entries
                .insert((order, kind, slice.sku.clone(), slice.bucket), slice.quantity);
            let guarded = self.mutation.is_none();
            assert!(
                !(guarded && taken.is_some()),
                "an entry is written once: {order} {kind:?}"
            );
        }
    }

    pub(crate) fn add(&mut self, sku: &Sku, quantity: u32) {
        let buckets = self.rows.get_mut(sku).expect("a SKU of the drop");
        let more = split(quantity, u32::try_from(buckets.len()).expect("few buckets"));
        for (bucket, more) in buckets.iter_mut().zip(more) {
            bucket.total += more.total;
        }
        self.model.add(sku, quantity).expect("a SKU of the drop");
    }

    /// Takes free units out, if there are so many.
    pub(crate) fn withdraw(&mut self, sku: &Sku, quantity: u32) -> bool {
        let buckets = self.rows.get_mut(sku).expect("a SKU of the drop");
        let parts = spread(buckets, quantity, 0);
        for (bucket, part) in parts.iter().flatten() {
            buckets[*bucket as usize].total -= part;
        }
        if self.mutation.is_none() {
            assert_eq!(
                self.model.withdraw(sku, quantity).is_ok(),
                parts.is_some(),
                "the pool agrees"
            );
        }
        parts.is_some()
    }
}
