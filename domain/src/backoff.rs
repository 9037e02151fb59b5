//! How long to wait before asking again: 1 s, 2 s, 4 s … 60 s, spread by a jitter that the
//! caller draws. Spreading keeps a thousand orders that failed together from returning together.

use crate::Span;

/// The first wait.
pub const WAIT_MIN: Span = Span::from_secs(1);
/// The longest wait, reached from the seventh try on (1 s · 2⁶ = 64 s, cut to 60 s).
pub const WAIT_MAX: Span = Span::from_secs(60);
/// Tries in a row without an answer after which an order is parked for somebody to look at.
pub const TRIES_MAX: u32 = 3;
/// The same, where the provider says each time that it is still at it: a little over four minutes of waiting
/// (1 + 2 + 4 + 8 + 16 + 32 + 3 · 60 s), which no card payment takes.
pub const BUSY_MAX: u32 = 10;

/// The greatest [`Jitter`].
const JITTER_MAX: u64 = 65_535;

/// A number drawn by the caller, 0 to 65,535, that places a wait within its spread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Jitter(pub u16);

impl Jitter {
    /// No spread: waits last exactly as long as the schedule says at least.
    pub const NONE: Self = Self(0);

    /// Its share of `most`: nothing for none, all of it for the greatest.
    pub(crate) fn share_of(self, most: u64) -> u64 {
        most.saturating_mul(u64::from(self.0)).div_euclid(JITTER_MAX)
    }
}

/// The wait after `tries` tries without an answer: the scheduled wait plus up to half of it, never
/// over [`WAIT_MAX`]. Zero tries count as one.
///
/// ```
/// use domain::backoff::{Jitter, wait};
/// assert_eq!(wait(1, Jitter::NONE).as_millis(), 1_000);
/// assert_eq!(wait(3, Jitter::NONE).as_millis(), 4_000);
/// assert_eq!(wait(40, Jitter(u16::MAX)).as_millis(), 60_000);
/// ```
pub fn wait(tries: u32, jitter: Jitter) -> Span {
    let doublings = tries.saturating_sub(1).min(16);
    let scheduled = WAIT_MIN.as_millis().saturating_mul(1_u64 << doublings);
    let scheduled = scheduled.min(WAIT_MAX.as_millis());
    let spread = jitter.share_of(scheduled / 2);
    Span::from_millis(scheduled.saturating_add(spread).min(WAIT_MAX.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_from_one_second_to_a_minute() {
        let waits: alloc::vec::Vec<u64> = (1..=8)
            .map(|tries| wait(tries, Jitter::NONE).as_millis())
            .collect();
        assert_eq!(
            waits,
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
        );
    }

    proptest! {
        #[test]
        fn a_wait_stays_between_its_schedule_and_half_again(tries in 0_u32..2_000, jitter: u16) {
            let plain = wait(tries, Jitter::NONE).as_millis();
            let spread = wait(tries, Jitter(jitter)).as_millis();
            prop_assert!(spread >= plain);
            prop_assert!(spread <= (plain + plain / 2).min(60_000));
        }

        #[test]
        fn more_jitter_never_waits_less(tries in 1_u32..20, a: u16, b: u16) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(wait(tries, Jitter(low)) <= wait(tries, Jitter(high)));
        }

        #[test]
        fn more_tries_never_wait_less(tries in 0_u32..100) {
            prop_assert!(wait(tries, Jitter::NONE) <= wait(tries + 1, Jitter::NONE));
        }
    }
}
