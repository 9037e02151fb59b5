//! The stock of a drop, per SKU and split into buckets so that one hot SKU is not one hot row.
//!
//! This is both the rule for spreading a reservation over buckets, which every ledger uses,
//! and the model that ledgers are tested against.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Sku;

/// Most buckets one SKU may have; a reservation looks at all of them in the worst case.
pub const BUCKETS_MAX: u32 = 64;

/// One share of a SKU's stock, in units. `held + sold <= total` always.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Bucket {
    /// Units allocated to the drop.
    pub total: u32,
    /// Units reserved and not yet sold.
    pub held: u32,
    /// Units sold.
    pub sold: u32,
}

/// Units of one SKU taken from one bucket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slice {
    /// What the units are of.
    pub sku: Sku,
    /// The bucket they came from, counted from 0.
    pub bucket: u32,
    /// How many; never 0.
    pub quantity: u32,
}

/// Units of one SKU that a shopper asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Line {
    /// What is asked for.
    pub sku: Sku,
    /// How many units; 0 is refused.
    pub quantity: u32,
}

/// The stock of one SKU over all its buckets, in units.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Level {
    /// Units allocated.
    pub total: u32,
    /// Units reserved and not yet sold.
    pub held: u32,
    /// Units sold.
    pub sold: u32,
}

/// Why stock did not move. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PoolError {
    /// At least one SKU had too little; what is left of each SKU asked for, in the order asked.
    #[error("too little is left")]
    SoldOut {
        /// Units still available, per SKU asked for.
        left: Vec<Line>,
    },
    /// The drop does not sell this SKU.
    #[error("the drop has no SKU {0}")]
    UnknownSku(Sku),
    /// A request named a SKU twice, asked for 0 units, or asked for nothing at all.
    #[error("a request names each SKU once, with at least one unit")]
    Malformed,
    /// More would be withdrawn, returned or sold than is there.
    #[error("bucket {} of {} does not have {} such units", .0.bucket, .0.sku, .0.quantity)]
    NotThere(Slice),
    /// Fewer units are free than should be withdrawn.
    #[error("only {free} units of {sku} are free to withdraw")]
    NotFree {
        /// What should be withdrawn.
        sku: Sku,
        /// Units neither held nor sold.
        free: u32,
    },
}

/// The stock of one drop.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pool {
    skus: BTreeMap<Sku, Vec<Bucket>>,
}

impl Bucket {
    /// A bucket of `total` free units.
    pub const fn of(total: u32) -> Self {
        Self {
            total,
            held: 0,
            sold: 0,
        }
    }

    /// Units neither held nor sold.
    pub const fn free(self) -> u32 {
        self.total.saturating_sub(self.held).saturating_sub(self.sold)
    }

    /// Whether `held + sold <= total`.
    pub const fn conserved(self) -> bool {
        match self.held.checked_add(self.sold) {
            Some(taken) => taken <= self.total,
            None => false,
        }
    }
}

impl Level {
    /// The sum over `buckets`.
    pub fn of(buckets: &[Bucket]) -> Self {
        buckets.iter().fold(Self::default(), |sum, bucket| Self {
            total: sum.total.saturating_add(bucket.total),
            held: sum.held.saturating_add(bucket.held),
            sold: sum.sold.saturating_add(bucket.sold),
        })
    }

    /// Units neither held nor sold.
    pub const fn available(self) -> u32 {
        self.total.saturating_sub(self.held).saturating_sub(self.sold)
    }
}

/// Splits `total` units over `buckets` buckets (1 to [`BUCKETS_MAX`]) as evenly as can be, larger shares first.
pub fn split(total: u32, buckets: u32) -> Vec<Bucket> {
    let count = buckets.clamp(1, BUCKETS_MAX);
    let share = total.checked_div(count).unwrap_or(0);
    let rest = total.checked_rem(count).unwrap_or(0);
    (0..count)
        .map(|index| Bucket::of(share.saturating_add(u32::from(index < rest))))
        .collect()
}

/// Chooses where `quantity` units come from: starting at bucket `start` modulo their number, going round once.
/// Returns `(bucket, units)` pairs, or nothing where all buckets together have too little.
pub fn spread(buckets: &[Bucket], quantity: u32, start: u32) -> Option<Vec<(u32, u32)>> {
    let count = u32::try_from(buckets.len()).ok()?;
    let first = start.checked_rem(count)?;
    let mut wanted = quantity;
    let mut taken = Vec::new();
    for index in (first..count).chain(0..first) {
        if wanted == 0 {
            break;
        }
        let free = buckets.get(usize::try_from(index).ok()?)?.free();
        let part = free.min(wanted);
        if part > 0 {
            taken.push((index, part));
            wanted = wanted.saturating_sub(part);
        }
    }
    (wanted == 0).then_some(taken)
}

/// Refuses requests that name a SKU twice, ask for 0 units, or for nothing.
pub fn check_lines(lines: &[Line]) -> Result<(), PoolError> {
    let twice = |index: usize, line: &Line| {
        lines
            .iter()
            .skip(index.saturating_add(1))
            .any(|l| l.sku == line.sku)
    };
    let malformed = |(index, line): (usize, &Line)| line.quantity == 0 || twice(index, line);
    if lines.is_empty() || lines.iter().enumerate().any(malformed) {
        return Err(PoolError::Malformed);
    }
    Ok(())
}

impl Pool {
    /// An empty pool, selling nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allocates `total` units of `sku` over `buckets` buckets, replacing what the pool knew of it.
    #[must_use]
    pub fn with(mut self, sku: Sku, total: u32, buckets: u32) -> Self {
        self.skus.insert(sku, split(total, buckets));
        self
    }

    /// Holds all lines or nothing. `start` says in which bucket to look first; any number will do.
    pub fn reserve(&mut self, lines: &[Line], start: u32) -> Result<Vec<Slice>, PoolError> {
        check_lines(lines)?;
        let mut slices = Vec::new();
        let mut short = false;
        for line in lines {
            let buckets = self
                .skus
                .get(&line.sku)
                .ok_or_else(|| PoolError::UnknownSku(line.sku.clone()))?;
            match spread(buckets, line.quantity, start) {
                Some(parts) => slices.extend(parts.into_iter().map(|(bucket, quantity)| Slice {
                    sku: line.sku.clone(),
                    bucket,
                    quantity,
                })),
                None => short = true,
            }
        }
        if short {
            return Err(PoolError::SoldOut {
                left: self.left(lines),
            });
        }
        self.change(&slices, |b, q| {
            Some(Bucket {
                held: b.held.checked_add(q)?,
                ..b
            })
        })?;
        Ok(slices)
    }

    /// Gives held units back.
    pub fn void(&mut self, slices: &[Slice]) -> Result<(), PoolError> {
        self.change(slices, |b, q| {
            Some(Bucket {
                held: b.held.checked_sub(q)?,
                ..b
            })
        })
    }

    /// Turns held units into sold ones.
    pub fn sell(&mut self, slices: &[Slice]) -> Result<(), PoolError> {
        self.change(slices, |b, q| {
            Some(Bucket {
                held: b.held.checked_sub(q)?,
                sold: b.sold.checked_add(q)?,
                ..b
            })
        })
    }

    /// Gives sold units back.
    pub fn unsell(&mut self, slices: &[Slice]) -> Result<(), PoolError> {
        self.change(slices, |b, q| {
            Some(Bucket {
                sold: b.sold.checked_sub(q)?,
                ..b
            })
        })
    }

    /// Allocates `quantity` more units of `sku`, spread evenly.
    pub fn add(&mut self, sku: &Sku, quantity: u32) -> Result<(), PoolError> {
        let buckets = self
            .skus
            .get_mut(sku)
            .ok_or_else(|| PoolError::UnknownSku(sku.clone()))?;
        let count = u32::try_from(buckets.len()).unwrap_or(BUCKETS_MAX);
        for (bucket, more) in buckets.iter_mut().zip(split(quantity, count)) {
            bucket.total = bucket.total.saturating_add(more.total);
        }
        self.assert_conserved();
        Ok(())
    }

    /// Takes `quantity` free units of `sku` out of the drop, or nothing where fewer are free.
    pub fn withdraw(&mut self, sku: &Sku, quantity: u32) -> Result<(), PoolError> {
        let free = self.level(sku).map_or(0, Level::available);
        let buckets = self
            .skus
            .get_mut(sku)
            .ok_or_else(|| PoolError::UnknownSku(sku.clone()))?;
        let parts = spread(buckets, quantity, 0).ok_or_else(|| PoolError::NotFree {
            sku: sku.clone(),
            free,
        })?;
        for (index, part) in parts {
            if let Some(bucket) = usize::try_from(index).ok().and_then(|i| buckets.get_mut(i)) {
                bucket.total = bucket.total.saturating_sub(part);
            }
        }
        self.assert_conserved();
        Ok(())
    }

    /// The stock of `sku` over all its buckets; nothing where the drop does not sell it.
    pub fn level(&self, sku: &Sku) -> Option<Level> {
        self.skus.get(sku).map(|buckets| Level::of(buckets))
    }

    /// Every SKU with its stock.
    pub fn levels(&self) -> impl Iterator<Item = (&Sku, Level)> {
        self.skus.keys().filter_map(|sku| Some((sku, self.level(sku)?)))
    }

    /// The buckets of `sku`; none where the drop does not sell it.
    pub fn buckets(&self, sku: &Sku) -> &[Bucket] {
        self.skus.get(sku).map_or(&[], Vec::as_slice)
    }

    fn left(&self, lines: &[Line]) -> Vec<Line> {
        let available = |sku: &Sku| self.level(sku).map_or(0, Level::available);
        lines
            .iter()
            .map(|line| Line {
                sku: line.sku.clone(),
                quantity: available(&line.sku),
            })
            .collect()
    }

    /// Applies `rule` to the bucket of every slice, or to none of them.
    fn change(
        &mut self,
        slices: &[Slice],
        rule: impl Fn(Bucket, u32) -> Option<Bucket>,
    ) -> Result<(), PoolError> {
        let before = self.skus.clone();
        for slice in slices {
            let bucket = self
                .skus
                .get_mut(&slice.sku)
                .and_then(|buckets| buckets.get_mut(usize::try_from(slice.bucket).ok()?));
            let changed = bucket.and_then(|b| {
                *b = rule(*b, slice.quantity).filter(|after| after.conserved())?;
                Some(())
            });
            if changed.is_none() {
                self.skus = before;
                return Err(PoolError::NotThere(slice.clone()));
            }
        }
        self.assert_conserved();
        Ok(())
    }

    /// The conservation law of stock, checked after every change, in release builds too: selling more than there is
    /// must stop the process rather than reach a shopper.
    fn assert_conserved(&self) {
        assert!(
            self.skus.values().flatten().all(|bucket| bucket.conserved()),
            "held + sold <= total in every bucket"
        );
    }
}

#[cfg(test)]
mod tests;
