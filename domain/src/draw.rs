//! The draw: which rank an early joiner's number gets when the drop starts.
//!
//! A keyed permutation instead of a shuffled list: any process computes any rank by itself, in
//! constant time, and once the seed is revealed so can any shopper. The network is a balanced
//! Feistel network (Luby and Rackoff, 1988) with SipHash-2-4 as its round function; values that
//! fall outside the cohort are walked on until they fall inside (Black and Rogaway, "Ciphers
//! with Arbitrary Finite Domains", 2002).

use core::hash::Hasher;

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use crate::{Number, Rank};

/// Four rounds are a proof's minimum; eight leave a margin and cost about 100 ns.
const ROUNDS: u8 = 8;

/// The secret of a draw: committed to before the start, revealed at the start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

/// A draw that was held: the seed and how many numbers it was held for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// The secret, public from now on.
    pub seed: Seed,
    /// Numbers 1 to this one were drawn; later ones keep their number as rank.
    pub cohort: u64,
}

impl Seed {
    /// What is published before the start: SHA-256 of the seed.
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    fn round(&self, round: u8, cohort: u64, half: u64) -> u64 {
        let (key, rest) = self.0.split_at(16);
        let key: [u8; 16] = key.try_into().unwrap_or_default();
        let mut hasher = SipHasher24::new_with_key(&key);
        hasher.write(rest);
        hasher.write(&[round]);
        hasher.write(&cohort.to_le_bytes());
        hasher.write(&half.to_le_bytes());
        hasher.finish()
    }
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(secret)")
    }
}

impl Draw {
    /// The rank of `number`. One to one over all numbers.
    pub fn rank(&self, number: Number) -> Rank {
        if number.0 == 0 || number.0 > self.cohort {
            return Rank(number.0);
        }
        // Walking ends: the network permutes a finite set, so following it from a value inside
        // the cohort must come back into the cohort, at the latest to that value itself.
        let mut value = self.permute(number.0.saturating_sub(1));
        while value >= self.cohort {
            value = self.permute(value);
        }
        Rank(value.saturating_add(1))
    }

    /// One pass through the network over `0..2^(2 * half_bits)`.
    fn permute(&self, value: u64) -> u64 {
        let half_bits = self.half_bits();
        let mask = 1u64.checked_shl(half_bits).unwrap_or(0).wrapping_sub(1);
        let (mut left, mut right) = (value.checked_shr(half_bits).unwrap_or(0) & mask, value & mask);
        for round in 0..ROUNDS {
            let mixed = left ^ (self.seed.round(round, self.cohort, right) & mask);
            (left, right) = (right, mixed);
        }
        left.checked_shl(half_bits).unwrap_or(0) | right
    }

    /// Half the bits of the smallest even-width block that holds the cohort: at most four times
    /// as many values as the cohort, so a walk takes four passes at worst on average.
    fn half_bits(&self) -> u32 {
        let bits = u64::BITS.saturating_sub(self.cohort.saturating_sub(1).leading_zeros());
        bits.div_ceil(2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn draw(seed: u8, cohort: u64) -> Draw {
        Draw {
            seed: Seed([seed; 32]),
            cohort,
        }
    }

    #[test]
    fn the_order_is_fixed_for_all_time() {
        // Recomputed by shoppers with the published seed: a change here breaks their proof.
        let ranks = [1, 2, 3, 4, 5, 6, 7, 8].map(|n| draw(7, 8).rank(Number(n)).0);
        let all: BTreeSet<u64> = ranks.into_iter().collect();
        assert_eq!(all, (1..=8).collect());
        assert_eq!(ranks, FIXED);
    }

    /// Computed by a separate implementation in another language, from the description above.
    const FIXED: [u64; 8] = [3, 4, 5, 7, 1, 6, 2, 8];

    #[test]
    fn numbers_after_the_cohort_keep_their_order() {
        for number in [9, 10, 1_000_000, u64::MAX] {
            assert_eq!(draw(1, 8).rank(Number(number)), Rank(number));
        }
    }

    #[test]
    fn another_seed_gives_another_order() {
        let order = |seed| {
            (1..=100)
                .map(|n| draw(seed, 100).rank(Number(n)).0)
                .collect::<alloc::vec::Vec<_>>()
        };
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn the_commitment_is_the_hash_of_the_seed() {
        let empty_hash = Seed([0; 32]).commitment();
        assert_eq!(empty_hash[..4], [0x66, 0x68, 0x7a, 0xad]);
    }

    #[test]
    fn early_numbers_have_no_advantage() {
        // The mean rank of the first tenth over 200 seeds stays near the middle: 500.5, with a
        // standard error of about 289 / sqrt(20,000) = 2.
        let mut sum = 0;
        for seed in 0..200 {
            sum += (1..=100)
                .map(|n| draw(seed, 1_000).rank(Number(n)).0)
                .sum::<u64>();
        }
        let mean = sum / 20_000;
        assert!((490..=511).contains(&mean), "mean rank {mean}");
    }

    proptest! {
        #[test]
        fn it_is_one_to_one_onto_the_cohort(seed: u8, cohort in 1u64..3_000) {
            let ranks: BTreeSet<u64> = (1..=cohort).map(|n| draw(seed, cohort).rank(Number(n)).0).collect();
            prop_assert_eq!(ranks, (1..=cohort).collect());
        }

        #[test]
        fn huge_cohorts_stay_inside(seed: u8, cohort in 1u64 << 40..u64::MAX, number in 1u64..1 << 40) {
            let rank = draw(seed, cohort).rank(Number(number)).0;
            prop_assert!((1..=cohort).contains(&rank));
        }
    }
}
