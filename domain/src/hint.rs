//! The stock hint: what one process last read of a drop's stock, kept where all gateways see it, so that
//! the ledger is read once for all of them.
//!
//! A hint may be wrong in either direction and is never the truth. Who reads the ledger needs no
//! election: whoever finds the hint no longer fresh reads by itself and offers what it has read, and of
//! several offers one is taken. From then on the others find a fresh hint and leave the ledger alone.

use alloc::vec::Vec;

use crate::pool::{Level, Line};
use crate::{Sku, Span, Timestamp};

/// For how long a reading counts as fresh. It is renewed four times a second, so a keeper that is merely
/// slow keeps its office; one that died is replaced after this and a quarter of a second.
pub const FRESH_FOR: Span = Span::from_millis(1_000);

/// Names a process that reads the ledger: drawn at random when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeper(pub u64);

/// A drop's stock as one process read it from the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockHint {
    /// Who read it.
    pub keeper: Keeper,
    /// When the ledger was asked: what was committed before this instant is in the levels.
    pub read_at: Timestamp,
    /// Units per SKU, in the order of their names.
    pub levels: Vec<(Sku, Level)>,
}

impl StockHint {
    /// Whether it may be used at `now` in place of the ledger. An instant too far ahead is no better than
    /// one too long past: then two clocks disagree, and nothing can be said about its age.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.read_at) <= FRESH_FOR && self.read_at.since(now) <= FRESH_FOR
    }

    /// Whether this reading takes the place of `there` at `now`: only a fresh one does, and while the one
    /// that is there is fresh, only a later one of the same keeper.
    pub fn may_replace(&self, there: Option<&Self>, now: Timestamp) -> bool {
        self.is_fresh(now)
            && there.is_none_or(|there| {
                !there.is_fresh(now) || (there.keeper == self.keeper && self.read_at > there.read_at)
            })
    }

    /// What is left of everything that `lines` ask for, if of one of them nothing is left; the answer that
    /// the ledger would give. None where something is left of each, or where a SKU is unknown here.
    pub fn refuses(&self, lines: &[Line]) -> Option<Vec<Line>> {
        let left = lines.iter().map(|line| {
            let known = self.levels.iter().find(|(sku, _)| *sku == line.sku)?;
            Some(Line {
                sku: line.sku.clone(),
                quantity: known.1.available(),
            })
        });
        let left = left.collect::<Option<Vec<Line>>>()?;
        left.iter().any(|line| line.quantity == 0).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use proptest::prelude::*;

    fn hint(keeper: u64, read_at: u64) -> StockHint {
        StockHint {
            keeper: Keeper(keeper),
            read_at: Timestamp::from_millis(read_at),
            levels: Vec::new(),
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn sku(name: &str) -> Sku {
        Sku::new(name).unwrap()
    }

    fn line(name: &str, quantity: u32) -> Line {
        Line {
            sku: sku(name),
            quantity,
        }
    }

    #[test]
    fn a_reading_is_fresh_for_a_second_on_both_sides() {
        let hint = hint(1, 10_000);
        assert!(hint.is_fresh(at(10_000)) && hint.is_fresh(at(11_000)) && hint.is_fresh(at(9_000)));
        assert!(!hint.is_fresh(at(11_001)), "too old");
        assert!(!hint.is_fresh(at(8_999)), "read by a clock that is ahead");
    }

    #[test]
    fn a_keeper_is_followed_by_itself_and_replaced_once_it_is_silent() {
        let kept = hint(1, 10_000);
        assert!(hint(1, 10_250).may_replace(Some(&kept), at(10_250)));
        assert!(
            !hint(1, 9_900).may_replace(Some(&kept), at(10_250)),
            "an answer that was overtaken"
        );
        assert!(!hint(2, 10_250).may_replace(Some(&kept), at(10_250)), "kept");
        assert!(hint(2, 11_001).may_replace(Some(&kept), at(11_001)), "silent");
        assert!(
            !hint(2, 10_000).may_replace(None, at(11_001)),
            "no reading is taken that is old already"
        );
    }

    #[test]
    fn an_order_is_refused_for_what_is_gone_and_told_all_that_is_left() {
        let level = |total, held, sold| Level { total, held, sold };
        let hint = StockHint {
            levels: vec![(sku("A"), level(5, 3, 2)), (sku("B"), level(9, 1, 1))],
            ..hint(1, 0)
        };
        assert_eq!(
            hint.refuses(&[line("B", 1), line("A", 2)]),
            Some(vec![line("B", 7), line("A", 0)])
        );
        assert_eq!(
            hint.refuses(&[line("B", 8)]),
            None,
            "too little is the ledger's word"
        );
        assert_eq!(
            hint.refuses(&[line("A", 1), line("C", 1)]),
            None,
            "an unknown SKU is the ledger's to name"
        );
        assert_eq!(hint.refuses(&[]), None);
    }

    proptest! {
        /// Whatever is offered by whom and when: while a fresh hint stands only its own keeper moves it, and forwards.
        #[test]
        fn a_fresh_hint_has_one_keeper_and_never_goes_back(
            offers in proptest::collection::vec((0u64..3, 0u64..1_500, 0u64..400), 1..60)
        ) {
            let (mut now, mut there): (u64, Option<StockHint>) = (10_000, None);
            for (keeper, age, waited) in offers {
                now += waited;
                let offer = hint(keeper, now - age);
                if offer.may_replace(there.as_ref(), at(now)) {
                    if let Some(there) = there.as_ref().filter(|there| there.is_fresh(at(now))) {
                        prop_assert_eq!(there.keeper, offer.keeper);
                        prop_assert!(there.read_at < offer.read_at);
                    }
                    prop_assert!(offer.is_fresh(at(now)));
                    there = Some(offer);
                }
            }
        }
    }
}
