//! The pool against a naive model that knows every single unit.

use super::*;
use alloc::vec;
use proptest::prelude::*;

/// What one unit is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Free,
    Held(usize),
    Sold(usize),
}

/// Every unit of every SKU, one by one.
#[derive(Default, Debug)]
struct Naive {
    units: BTreeMap<Sku, Vec<Unit>>,
}

impl Naive {
    fn free(&self, sku: &Sku) -> u32 {
        self.count(sku, |unit| unit == Unit::Free)
    }

    fn count(&self, sku: &Sku, is: impl Fn(Unit) -> bool) -> u32 {
        let units = self
            .units
            .get(sku)
            .map_or(0, |units| units.iter().filter(|unit| is(**unit)).count());
        u32::try_from(units).unwrap()
    }

    fn can_hold(&self, lines: &[Line]) -> bool {
        lines.iter().all(|line| self.free(&line.sku) >= line.quantity)
    }

    fn turn(&mut self, from: Unit, to: Unit, sku: &Sku, quantity: u32) {
        let units = self.units.get_mut(sku).unwrap();
        let chosen = units
            .iter_mut()
            .filter(|unit| **unit == from)
            .take(quantity as usize);
        chosen.for_each(|unit| *unit = to);
    }

    fn turn_all(&mut self, from: Unit, to: Unit) {
        self.units
            .values_mut()
            .flatten()
            .filter(|unit| **unit == from)
            .for_each(|unit| *unit = to);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Reserve(Vec<(usize, u32)>, u32),
    Void(usize),
    Sell(usize),
    Unsell(usize),
    Add(usize, u32),
    Withdraw(usize, u32),
}

fn op() -> impl Strategy<Value = Op> {
    let lines = prop::collection::vec((0_usize..3, 0_u32..6), 0..4);
    prop_oneof![
        6 => (lines, any::<u32>()).prop_map(|(lines, start)| Op::Reserve(lines, start)),
        3 => any::<usize>().prop_map(Op::Void),
        3 => any::<usize>().prop_map(Op::Sell),
        1 => any::<usize>().prop_map(Op::Unsell),
        1 => (0_usize..3, 0_u32..10).prop_map(|(sku, quantity)| Op::Add(sku, quantity)),
        1 => (0_usize..3, 0_u32..10).prop_map(|(sku, quantity)| Op::Withdraw(sku, quantity)),
    ]
}

fn skus() -> Vec<Sku> {
    ["A", "B", "C"]
        .into_iter()
        .map(|name| Sku::new(name).unwrap())
        .collect()
}

fn line(sku: &Sku, quantity: u32) -> Line {
    Line {
        sku: sku.clone(),
        quantity,
    }
}

/// Orders' slices, by the order's name.
type Named = Vec<(usize, Vec<Slice>)>;

/// The pool, the model, and what the test remembers of orders.
struct Pair {
    skus: Vec<Sku>,
    pool: Pool,
    naive: Naive,
    held: Named,
    sold: Named,
}

impl Pair {
    fn new(stock: [u32; 3], buckets: u32) -> Self {
        let skus = skus();
        let (mut pool, mut naive) = (Pool::new(), Naive::default());
        for (sku, total) in skus.iter().zip(stock) {
            pool = pool.with(sku.clone(), total, buckets);
            naive.units.insert(sku.clone(), vec![Unit::Free; total as usize]);
        }
        Self {
            skus,
            pool,
            naive,
            held: Vec::new(),
            sold: Vec::new(),
        }
    }

    fn apply(&mut self, name: usize, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Reserve(wanted, start) => return self.reserve(name, &wanted, start),
            Op::Void(pick) if !self.held.is_empty() => {
                let (name, slices) = self.held.swap_remove(pick % self.held.len());
                self.pool.void(&slices).unwrap();
                self.naive.turn_all(Unit::Held(name), Unit::Free);
            }
            Op::Sell(pick) if !self.held.is_empty() => {
                let (name, slices) = self.held.swap_remove(pick % self.held.len());
                self.pool.sell(&slices).unwrap();
                self.naive.turn_all(Unit::Held(name), Unit::Sold(name));
                self.sold.push((name, slices));
            }
            Op::Unsell(pick) if !self.sold.is_empty() => {
                let (name, slices) = self.sold.swap_remove(pick % self.sold.len());
                self.pool.unsell(&slices).unwrap();
                self.naive.turn_all(Unit::Sold(name), Unit::Free);
            }
            Op::Void(_) | Op::Sell(_) | Op::Unsell(_) => {}
            Op::Add(sku, quantity) => {
                self.pool.add(&self.skus[sku], quantity).unwrap();
                self.naive
                    .units
                    .get_mut(&self.skus[sku])
                    .unwrap()
                    .extend(vec![Unit::Free; quantity as usize]);
            }
            Op::Withdraw(sku, quantity) => return self.withdraw(&self.skus[sku].clone(), quantity),
        }
        Ok(())
    }

    fn reserve(&mut self, name: usize, wanted: &[(usize, u32)], start: u32) -> Result<(), TestCaseError> {
        let lines: Vec<Line> = wanted
            .iter()
            .map(|(sku, quantity)| line(&self.skus[*sku], *quantity))
            .collect();
        let before = self.pool.clone();
        match self.pool.reserve(&lines, start) {
            Ok(slices) => {
                prop_assert!(check_lines(&lines).is_ok() && self.naive.can_hold(&lines));
                for slice in &slices {
                    self.naive
                        .turn(Unit::Free, Unit::Held(name), &slice.sku, slice.quantity);
                }
                for wanted in &lines {
                    let given = slices
                        .iter()
                        .filter(|s| s.sku == wanted.sku)
                        .map(|s| s.quantity)
                        .sum::<u32>();
                    prop_assert_eq!(given, wanted.quantity);
                }
                self.held.push((name, slices));
            }
            Err(PoolError::SoldOut { left }) => {
                prop_assert!(!self.naive.can_hold(&lines));
                for (left, wanted) in left.iter().zip(&lines) {
                    prop_assert_eq!(left, &line(&wanted.sku, self.naive.free(&wanted.sku)));
                }
                prop_assert_eq!(&before, &self.pool);
            }
            Err(PoolError::Malformed) => prop_assert!(check_lines(&lines).is_err()),
            Err(other) => prop_assert!(false, "{other}"),
        }
        Ok(())
    }

    fn withdraw(&mut self, sku: &Sku, quantity: u32) -> Result<(), TestCaseError> {
        let enough = self.naive.free(sku) >= quantity;
        prop_assert_eq!(self.pool.withdraw(sku, quantity).is_ok(), enough);
        let units = self.naive.units.get_mut(sku).unwrap();
        for _ in 0..if enough { quantity } else { 0 } {
            let free = units.iter().position(|unit| *unit == Unit::Free).unwrap();
            units.swap_remove(free);
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        for sku in &self.skus {
            let level = self.pool.level(sku).unwrap();
            prop_assert_eq!(level.total as usize, self.naive.units[sku].len());
            prop_assert_eq!(
                level.held,
                self.naive.count(sku, |unit| matches!(unit, Unit::Held(_)))
            );
            prop_assert_eq!(
                level.sold,
                self.naive.count(sku, |unit| matches!(unit, Unit::Sold(_)))
            );
            prop_assert_eq!(level.available(), self.naive.free(sku));
        }
        Ok(())
    }
}

/// Replays `ops` on both and compares after every one.
fn replay(stock: [u32; 3], buckets: u32, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut pair = Pair::new(stock, buckets);
    for (name, op) in ops.into_iter().enumerate() {
        pair.apply(name, op)?;
        pair.compare()?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_pool_and_a_model_of_single_units_agree(
        stock in [0_u32..12, 0..12, 0..12],
        buckets in 1_u32..6,
        ops in prop::collection::vec(op(), 1..80),
    ) {
        replay(stock, buckets, ops)?;
    }

    #[test]
    fn splitting_loses_no_unit_and_is_even(total in 0_u32..10_000, buckets in 0_u32..200) {
        let split = split(total, buckets);
        prop_assert_eq!(split.iter().map(|bucket| bucket.total).sum::<u32>(), total);
        let (least, most) = (split.iter().map(|b| b.total).min().unwrap(), split.iter().map(|b| b.total).max().unwrap());
        prop_assert!(most - least <= 1);
        prop_assert!((1..=BUCKETS_MAX as usize).contains(&split.len()));
    }

    #[test]
    fn a_spread_takes_only_what_is_free(
        buckets in prop::collection::vec((0_u32..9, 0_u32..5, 0_u32..5), 0..8),
        quantity in 0_u32..40,
        start: u32,
    ) {
        let buckets: Vec<Bucket> = buckets
            .into_iter()
            .map(|(free, held, sold)| Bucket { total: free + held + sold, held, sold })
            .collect();
        let free: u32 = buckets.iter().map(|bucket| bucket.free()).sum();
        match spread(&buckets, quantity, start) {
            None => prop_assert!(free < quantity || buckets.is_empty()),
            Some(parts) => {
                prop_assert_eq!(parts.iter().map(|(_, part)| part).sum::<u32>(), quantity);
                for (at, part) in parts {
                    prop_assert!(part > 0 && part <= buckets[at as usize].free());
                }
            }
        }
    }
}

#[test]
fn the_last_unit_has_one_buyer() {
    let sku = Sku::new("A").unwrap();
    let mut pool = Pool::new().with(sku.clone(), 1, 4);
    assert!(pool.reserve(&[line(&sku, 1)], 3).is_ok());
    assert_eq!(
        pool.reserve(&[line(&sku, 1)], 0),
        Err(PoolError::SoldOut {
            left: vec![line(&sku, 0)]
        })
    );
}

#[test]
fn one_missing_sku_holds_nothing_of_the_others() {
    let [a, b] = ["A", "B"].map(|name| Sku::new(name).unwrap());
    let mut pool = Pool::new().with(a.clone(), 5, 2).with(b.clone(), 1, 2);
    let refused = pool.reserve(&[line(&a, 2), line(&b, 2)], 0);
    assert_eq!(
        refused,
        Err(PoolError::SoldOut {
            left: vec![line(&a, 5), line(&b, 1)]
        })
    );
    assert_eq!(pool.level(&a).unwrap().held, 0);
}

#[test]
fn giving_back_twice_is_refused_and_changes_nothing() {
    let sku = Sku::new("A").unwrap();
    let mut pool = Pool::new().with(sku.clone(), 3, 1);
    let slices = pool.reserve(&[line(&sku, 2)], 0).unwrap();
    pool.void(&slices).unwrap();
    let before = pool.clone();
    assert_eq!(pool.void(&slices), Err(PoolError::NotThere(slices[0].clone())));
    assert_eq!(pool.unsell(&slices), Err(PoolError::NotThere(slices[0].clone())));
    assert_eq!(pool, before);
}

#[test]
fn units_that_are_held_or_sold_cannot_be_withdrawn() {
    let sku = Sku::new("A").unwrap();
    let mut pool = Pool::new().with(sku.clone(), 5, 2);
    let slices = pool.reserve(&[line(&sku, 3)], 0).unwrap();
    pool.sell(&slices).unwrap();
    assert_eq!(
        pool.withdraw(&sku, 3),
        Err(PoolError::NotFree {
            sku: sku.clone(),
            free: 2
        })
    );
    pool.withdraw(&sku, 2).unwrap();
    assert_eq!(
        pool.level(&sku),
        Some(Level {
            total: 3,
            held: 0,
            sold: 3
        })
    );
}

#[test]
fn an_unknown_sku_is_named() {
    let sku = Sku::new("A").unwrap();
    assert_eq!(
        Pool::new().reserve(&[line(&sku, 1)], 0),
        Err(PoolError::UnknownSku(sku))
    );
}
