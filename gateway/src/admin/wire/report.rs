//! The JSON of the report after a sale. Names that the demo's report has mean the same here.

use std::collections::BTreeMap;

use admission::Figures;
use admission::figures::WAIT_BUCKETS_SECS;
use checkout_worker::ledger::Sales;
use domain::saga::StateName;
use serde::{Deserialize, Serialize};

use super::{Difference, Limits, Units};

/// `GET drops/{drop}/report`: what a drop came to so far.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Report {
    /// The drop's id.
    pub drop: String,
    /// What shoppers read.
    pub title: String,
    /// When it was counted.
    pub at: String,
    /// Where the drop stands.
    pub phase: String,
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in.
    pub admitted: u64,
    /// Called shoppers who did not turn up.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Most sessions at once.
    pub max_active_users: u64,
    /// Most admissions in any 60 seconds.
    pub max_admitted_in_60s: u64,
    /// The limits in force now.
    pub limits: Limits,
    /// How long shoppers waited, as this process has seen it since it started.
    pub wait_seconds: Waits,
    /// Orders that ever held units.
    pub reserved: u64,
    /// Orders by their state in the ledger.
    pub orders: BTreeMap<String, u64>,
    /// Declined orders by reason.
    pub declined: BTreeMap<String, u64>,
    /// Orders that were let go, and orders whose payment was lost before it was captured, by reason.
    pub released: BTreeMap<String, u64>,
    /// Units by SKU.
    pub stock: BTreeMap<String, Units>,
    /// Money by currency.
    pub revenue: BTreeMap<String, Money>,
    /// When the first unit was sold.
    pub first_sale_at: Option<String>,
    /// When the last unit was sold.
    pub last_sale_at: Option<String>,
    /// Whether every unit and every charge adds up, over all drops.
    pub clean: bool,
    /// What does not.
    pub differences: Vec<Difference>,
}

/// Money of one currency, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Money {
    /// Captured.
    pub captured: u64,
    /// Given back of that.
    pub refunded: u64,
}

/// Waits from join to admission: so many of a hundred waited no longer than so many seconds. Counted in steps, so each is
/// the end of its step; nothing where nobody was let in, or where it is beyond the last step.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub struct Waits {
    /// Half.
    pub p50: Option<u64>,
    /// Nine of ten.
    pub p90: Option<u64>,
    /// Ninety-nine of a hundred.
    pub p99: Option<u64>,
}

impl Waits {
    /// Reads the steps of `figures`.
    pub fn of(figures: &Figures) -> Self {
        let all: u64 = figures.wait_buckets.iter().sum();
        let within = |percent: u64| {
            let wanted = all.saturating_mul(percent).div_ceil(100).max(1);
            let mut seen = 0;
            let steps = WAIT_BUCKETS_SECS.iter().zip(figures.wait_buckets);
            for (end, count) in steps {
                seen += count;
                if seen >= wanted {
                    return Some(*end);
                }
            }
            None
        };
        Self {
            p50: within(50),
            p90: within(90),
            p99: within(99),
        }
    }
}

/// Orders by their state in the ledger.
pub fn orders(sales: &Sales) -> BTreeMap<String, u64> {
    let orders = sales.orders.iter();
    orders
        .map(|(state, count)| (state.as_str().to_owned(), *count))
        .collect()
}

/// Why orders came to one of these states. A reason belongs to one of them only.
pub fn reasons(sales: &Sales, states: &[StateName]) -> BTreeMap<String, u64> {
    let reasons = sales.reasons.iter();
    reasons
        .filter(|(state, ..)| states.contains(state))
        .map(|(_, why, count)| (why.clone(), *count))
        .collect()
}

/// Money by currency.
pub fn revenue(sales: &Sales) -> BTreeMap<String, Money> {
    let money = sales.revenue.iter().map(|revenue| {
        let (captured, refunded) = (revenue.captured, revenue.refunded);
        (revenue.currency.clone(), Money { captured, refunded })
    });
    money.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(buckets: &[(usize, u64)]) -> Waits {
        let mut figures = Figures::default();
        for (at, count) in buckets {
            figures.wait_buckets[*at] = *count;
        }
        Waits::of(&figures)
    }

    #[test]
    fn a_percentile_is_the_end_of_the_step_it_falls_into() {
        let told = |p50, p90, p99| Waits { p50, p90, p99 };
        assert_eq!(waits(&[]), told(None, None, None));
        assert_eq!(waits(&[(2, 1)]), told(Some(5), Some(5), Some(5)));
        assert_eq!(
            waits(&[(0, 50), (3, 40), (5, 10)]),
            told(Some(1), Some(10), Some(60))
        );
        assert_eq!(waits(&[(0, 51), (12, 49)]), told(Some(1), None, None));
    }
}
