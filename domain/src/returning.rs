//! Called shoppers who met a full room and are expected back: they go before anybody whose rank
//! is higher. Bounded, and each is expected for a short time only, so that somebody who gives
//! up does not keep a slot empty.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{Rank, Timestamp};

/// Most shoppers remembered. Beyond it the highest ranks are forgotten, who would be last anyway.
pub const RETURNING_MAX: usize = 4_096;

/// Who is expected back, and until when.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Returning {
    until: BTreeMap<Rank, Timestamp>,
    by_time: BTreeSet<(Timestamp, Rank)>,
}

impl Returning {
    /// Expects the shopper of `rank` back until `until`.
    pub fn expect(&mut self, rank: Rank, until: Timestamp) {
        self.remove(rank);
        if self.until.len() >= RETURNING_MAX {
            match self.until.last_key_value() {
                Some((last, _)) if *last > rank => self.remove(*last),
                Some(_) | None => return,
            }
        }
        self.until.insert(rank, until);
        self.by_time.insert((until, rank));
        self.assert_sound();
    }

    /// No longer expects the shopper of `rank`.
    pub fn remove(&mut self, rank: Rank) {
        if let Some(until) = self.until.remove(&rank) {
            self.by_time.remove(&(until, rank));
        }
        self.assert_sound();
    }

    /// Gives up on those who should have been back before `now`.
    pub fn forget(&mut self, now: Timestamp) {
        while let Some((until, rank)) = self.by_time.first().copied() {
            if until > now {
                break;
            }
            self.remove(rank);
        }
    }

    /// How many are expected.
    pub fn count(&self) -> u64 {
        self.until.len() as u64
    }

    /// How many of them have a lower rank.
    pub fn ahead_of(&self, rank: Rank) -> u64 {
        self.until.range(..rank).count() as u64
    }

    /// Whether the shopper of `rank` is expected.
    pub fn contains(&self, rank: Rank) -> bool {
        self.until.contains_key(&rank)
    }

    /// The lowest rank expected.
    pub fn first(&self) -> Option<Rank> {
        self.until.first_key_value().map(|(rank, _)| *rank)
    }

    fn assert_sound(&self) {
        assert_eq!(self.until.len(), self.by_time.len(), "each is expected once");
        assert!(self.until.len() <= RETURNING_MAX, "only so many are remembered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn when_full_the_highest_rank_gives_way() {
        let mut returning = Returning::default();
        for rank in 0..RETURNING_MAX as u64 {
            returning.expect(Rank(rank + 10), at(1));
        }
        returning.expect(Rank(u64::MAX), at(1));
        assert!(!returning.contains(Rank(u64::MAX)));
        returning.expect(Rank(1), at(1));
        assert!(returning.contains(Rank(1)));
        assert!(!returning.contains(Rank(RETURNING_MAX as u64 + 9)));
    }

    proptest! {
        #[test]
        fn they_agree_with_a_plain_list(steps in proptest::collection::vec((0u64..30, 0u64..500, 0u8..3), 0..200)) {
            let mut returning = Returning::default();
            let mut list: Vec<(u64, u64)> = Vec::new();
            for (rank, time, what) in steps {
                match what {
                    0 => {
                        list.retain(|(r, _)| *r != rank);
                        list.push((rank, time));
                        returning.expect(Rank(rank), at(time));
                    }
                    1 => {
                        list.retain(|(r, _)| *r != rank);
                        returning.remove(Rank(rank));
                    }
                    _ => {
                        list.retain(|(_, until)| *until > time);
                        returning.forget(at(time));
                    }
                }
                let ahead = list.iter().filter(|(r, _)| *r < rank).count() as u64;
                prop_assert_eq!(returning.ahead_of(Rank(rank)), ahead);
                prop_assert_eq!(returning.count(), list.len() as u64);
                prop_assert_eq!(returning.first(), list.iter().map(|(r, _)| Rank(*r)).min());
            }
        }
    }
}
