//! Smooth pacing: a minute's worth of calls trickles out evenly instead of in one gulp, with a
//! small burst so that a handful of shoppers at an empty door need not wait for the trickle.

use crate::{Span, Timestamp};

/// One claim in units of credit. Each millisecond earns `per_minute` of them, so that a minute
/// earns exactly `per_minute` claims and nothing is ever rounded away.
const CLAIM: u64 = 60_000;

/// The burst: what this many milliseconds earn, and never less than one claim.
const BURST_MILLIS: u64 = 2_000;

/// Credit earned and not yet spent.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pace {
    credit: u64,
    at: Timestamp,
}

impl Pace {
    /// The credit as a store wrote it down: see [`Self::credit`] and [`Self::earned_until`].
    #[must_use]
    pub const fn restore(credit: u64, earned_until: Timestamp) -> Self {
        Self {
            credit,
            at: earned_until,
        }
    }

    /// What a store writes down: the credit, in its own small unit.
    pub const fn credit(self) -> u64 {
        self.credit
    }

    /// What a store writes down: until when credit has been earned.
    pub const fn earned_until(self) -> Timestamp {
        self.at
    }

    /// The credit at `now`, while `per_minute` is earned. Starts with a full burst.
    #[must_use]
    pub fn refilled(self, now: Timestamp, per_minute: u64) -> Self {
        let elapsed: Span = now.since(self.at);
        let earned = elapsed.as_millis().saturating_mul(per_minute);
        let burst = per_minute.saturating_mul(BURST_MILLIS).max(CLAIM);
        let burst = if per_minute == 0 { 0 } else { burst };
        Self {
            credit: self.credit.saturating_add(earned).min(burst),
            at: self.at.max(now),
        }
    }

    /// What may be claimed, in thousandths of a claim.
    pub fn milli_claims(self) -> u64 {
        self.credit.saturating_mul(1_000) / CLAIM
    }

    /// The credit after calling for `milli_claims`; rounded against the spender.
    #[must_use]
    pub fn spent(self, milli_claims: u64) -> Self {
        let cost = milli_claims.saturating_mul(CLAIM).div_ceil(1_000);
        Self {
            credit: self.credit.saturating_sub(cost),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn it_starts_with_a_burst_and_then_trickles() {
        let full = Pace::default().refilled(at(1_000_000), 600);
        assert_eq!(full.milli_claims(), 20_000);
        let empty = full.spent(20_000);
        assert_eq!(empty.refilled(at(1_000_099), 600).milli_claims(), 990);
        assert_eq!(empty.refilled(at(1_000_100), 600).milli_claims(), 1_000);
    }

    #[test]
    fn a_slow_pace_still_lets_one_through() {
        let full = Pace::default().refilled(at(1_000_000), 1);
        assert_eq!(full.milli_claims(), 1_000);
        assert_eq!(full.spent(1_000).refilled(at(1_059_999), 1).milli_claims(), 999);
        assert_eq!(full.spent(1_000).refilled(at(1_060_000), 1).milli_claims(), 1_000);
    }

    #[test]
    fn no_pace_is_no_claim_and_time_running_back_earns_nothing() {
        assert_eq!(Pace::default().refilled(at(9_000_000), 0).milli_claims(), 0);
        let full = Pace::default().refilled(at(1_000_000), 600).spent(20_000);
        assert_eq!(full.refilled(at(500_000), 600).milli_claims(), 0);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_spends_more_than_it_earns_and_one_burst(
            steps in proptest::collection::vec((0u64..3_000, 0u64..30), 1..200), per_minute in 1u64..2_000,
        ) {
            let (mut now, mut spent) = (1_000_000u64, 0u64);
            let mut pace = Pace::default();
            for (step, wish) in steps {
                now += step;
                pace = pace.refilled(at(now), per_minute);
                let take = pace.milli_claims().min(wish * 1_000);
                pace = pace.spent(take);
                spent += take;
                let burst = (per_minute * 2_000).max(60_000);
                let earned = (now - 1_000_000) * per_minute + burst;
                prop_assert!(spent * 60 <= earned, "spent {spent} of {earned}");
            }
        }
    }
}
