//! How much of the pace the upstream can bear: additive increase while it is well,
//! multiplicative decrease when it errs or slows down. After Chiu and Jain, "Analysis of the
//! Increase and Decrease Algorithms for Congestion Avoidance" (1989), in whole thousandths.

use crate::Span;

/// Never less than this share of the pace: with nobody let in there would be nothing to measure
/// a recovery by.
pub const HEALTH_PER_MILLE_MIN: u32 = 20;

/// Gained per good interval: from the floor back to full pace in under a minute of seconds.
const INCREASE_PER_MILLE: u32 = 20;

/// Kept after a bad interval.
const DECREASE_PER_MILLE: u32 = 700;

/// Errors up to this share of requests are everyday noise.
const ERRORS_PER_MILLE_MAX: u64 = 20;

/// What was seen of the upstream in one interval of about a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// Requests answered or given up.
    pub requests: u64,
    /// Of these: server errors, resets and timeouts.
    pub errors: u64,
    /// A high percentile of the answer time.
    pub latency: Span,
}

/// The share of the pace the upstream can bear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    per_mille: u32,
    latency_target: Span,
}

impl Health {
    /// Full health; answers slower than `latency_target` will count as illness.
    pub fn new(latency_target: Span) -> Self {
        Self {
            per_mille: 1_000,
            latency_target,
        }
    }

    /// The share, in thousandths: from [`HEALTH_PER_MILLE_MIN`] to 1,000.
    pub fn per_mille(&self) -> u32 {
        self.per_mille
    }

    /// What one more interval says. An interval without requests says nothing ill.
    #[must_use]
    pub fn after(self, seen: Interval) -> Self {
        let failing = seen.errors.saturating_mul(1_000) > seen.requests.saturating_mul(ERRORS_PER_MILLE_MAX);
        let slow = seen.requests > 0 && seen.latency > self.latency_target;
        let per_mille = if failing || slow {
            self.per_mille
                .saturating_mul(DECREASE_PER_MILLE)
                .checked_div(1_000)
                .unwrap_or(0)
        } else {
            self.per_mille.saturating_add(INCREASE_PER_MILLE)
        };
        Self {
            per_mille: per_mille.clamp(HEALTH_PER_MILLE_MIN, 1_000),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Interval = Interval {
        requests: 100,
        errors: 0,
        latency: Span::from_millis(50),
    };
    const FAILING: Interval = Interval {
        requests: 100,
        errors: 50,
        latency: Span::from_millis(50),
    };
    const SLOW: Interval = Interval {
        requests: 100,
        errors: 0,
        latency: Span::from_millis(5_000),
    };

    fn healthy() -> Health {
        Health::new(Span::from_millis(500))
    }

    #[test]
    fn errors_and_slowness_both_lower_the_pace() {
        assert_eq!(healthy().after(FAILING).per_mille(), 700);
        assert_eq!(healthy().after(SLOW).per_mille(), 700);
        assert_eq!(healthy().after(GOOD).per_mille(), 1_000);
    }

    #[test]
    fn silence_is_not_illness() {
        let silent = Interval {
            requests: 0,
            errors: 0,
            latency: Span::ZERO,
        };
        assert_eq!(healthy().after(silent), healthy());
    }

    #[test]
    fn it_recovers_within_a_minute_of_good_seconds() {
        let floor = (0..50).fold(healthy(), |h, _| h.after(FAILING));
        assert_eq!(floor.per_mille(), HEALTH_PER_MILLE_MIN);
        assert_eq!((0..60).fold(floor, |h, _| h.after(GOOD)), healthy());
    }

    proptest! {
        #[test]
        fn it_stays_between_floor_and_full(intervals in proptest::collection::vec((0u64..200, 0u64..200, 0u64..2_000), 0..200)) {
            let mut health = healthy();
            for (requests, errors, latency) in intervals {
                let seen = Interval { requests, errors: errors.min(requests), latency: Span::from_millis(latency) };
                let next = health.after(seen);
                prop_assert!((HEALTH_PER_MILLE_MIN..=1_000).contains(&next.per_mille()));
                let bad = seen.errors * 50 > seen.requests || (seen.requests > 0 && latency > 500);
                let (was, is) = (health.per_mille(), next.per_mille());
                let moved_rightly = if bad { is <= was } else { is >= was };
                prop_assert!(moved_rightly);
                health = next;
            }
        }
    }
}
