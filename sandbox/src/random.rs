//! Seeded randomness: the same seed gives the same crowd, the same ids, the same faults.

use std::ops::RangeInclusive;

/// A `SplitMix64` generator (Steele, Lea, Flood 2014): eight bytes of state, good enough to choose
/// behaviours and spread arrivals, and never used where an attacker would gain from guessing.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// An independent generator for participant `index` of a run seeded with `seed`.
    pub(crate) fn fork(seed: u64, index: u64) -> Self {
        let mut parent = Self::new(seed ^ index.wrapping_mul(0xA24B_AED4_963E_E407));
        Self::new(parent.next_u64())
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True with probability `chance` (0.0 never, 1.0 always).
    pub(crate) fn happens(&mut self, chance: f64) -> bool {
        // 32 bits convert to f64 without loss; finer chances than one in four thousand million
        // mean nothing here.
        let drawn = u32::try_from(self.next_u64() >> 32).unwrap_or(u32::MAX);
        f64::from(drawn) / f64::from(u32::MAX) < chance || chance >= 1.0
    }

    /// A number of the range, ends included. An empty range gives its start.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        let width = high.saturating_sub(low);
        low + self
            .next_u64()
            .checked_rem(width.saturating_add(1))
            .unwrap_or_default()
    }

    /// `length` letters and digits, in the manner of Stripe's object ids.
    pub(crate) fn alphanumeric(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut draw = || {
            let index = usize::try_from(self.within(0..=61)).unwrap_or_default();
            char::from(ALPHABET[index])
        };
        (0..length).map(|_| draw()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_repeats_and_another_differs() {
        let draw = |seed| Random::new(seed).alphanumeric(24);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chance_zero_never_happens_and_chance_one_always() {
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| !random.happens(0.0)));
        assert!((0..1_000).all(|_| random.happens(1.0)));
        let hits = (0..10_000).filter(|_| random.happens(0.25)).count();
        assert!(
            (2_200..2_800).contains(&hits),
            "a quarter of 10,000 draws, got {hits}"
        );
    }

    #[test]
    fn within_reaches_both_ends_and_nothing_else() {
        let mut random = Random::new(3);
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| random.within(4..=6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [4, 5, 6]);
    }
}
