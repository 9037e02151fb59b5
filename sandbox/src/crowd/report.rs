//! What the crowd tells afterwards.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::observer::{Observer, Seen};
use super::progress::Counts;

/// One order as its shopper saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderSeen {
    /// Its id.
    pub order: String,
    /// Index of the shopper.
    pub shopper: u32,
    /// Whether the gateway said that it accepted the order for payment.
    pub accepted: bool,
    /// The last state seen.
    pub state: String,
}

/// Percentiles; the unit is the field's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 90th.
    pub p90: f64,
    /// 99th.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// The crowd's view of a drop.
#[derive(Clone, Debug, Serialize)]
pub struct CrowdReport {
    /// How many were sent.
    pub shoppers: u32,
    /// Final counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Shoppers still at it when time was up.
    pub unfinished: u64,
    /// Every order that was answered with an id.
    pub orders: Vec<OrderSeen>,
    /// Admissions that surely fell within one span of 60 s: each happened between sending the claim
    /// and its answer. A number above the limit proves a violation.
    pub max_admitted_in_60s: u64,
    /// Shoppers surely active at the same moment: from the answer to the claim until they sent their
    /// payment or went away.
    pub max_active_seen: u64,
    /// From joining to being let in.
    pub wait_seconds: Percentiles,
    /// Joins.
    pub join_ms: Percentiles,
    /// Polls of the place in the queue.
    pub poll_ms: Percentiles,
    /// Claims, granted or not.
    pub claim_ms: Percentiles,
    /// Order requests.
    pub order_ms: Percentiles,
    /// Answers that were problems, and failed connections, by kind.
    pub problems: BTreeMap<String, u64>,
    /// Promises seen broken, in words; the first hundred. Must be empty.
    pub violations: Vec<String>,
    /// How long it took.
    pub duration_seconds: f64,
}

impl CrowdReport {
    pub(crate) fn of(observer: &Observer, shoppers: u32) -> Self {
        let counts = observer.progress.counts();
        let seen = observer.seen();
        Self {
            shoppers,
            counts,
            unfinished: u64::from(shoppers).saturating_sub(counts.finished),
            orders: seen.orders.values().cloned().collect(),
            max_admitted_in_60s: most_within(&seen.admissions, 60_000),
            max_active_seen: most_active(&seen),
            wait_seconds: percentiles(&seen.latencies.wait),
            join_ms: percentiles(&seen.latencies.join),
            poll_ms: percentiles(&seen.latencies.poll),
            claim_ms: percentiles(&seen.latencies.claim),
            order_ms: percentiles(&seen.latencies.order),
            problems: seen.problems.clone(),
            violations: seen.violations.clone(),
            duration_seconds: thousandths(observer.elapsed_ms()),
        }
    }
}

/// The largest number of intervals that surely lie within one span of `span_ms`, given when each
/// began and ended: all that end inside a span which starts with one's beginning.
fn most_within(intervals: &[(u64, u64)], span_ms: u64) -> u64 {
    let mut begun: Vec<u64> = intervals.iter().map(|(begin, _)| *begin).collect();
    let mut ended: Vec<u64> = intervals.iter().map(|(_, end)| *end).collect();
    begun.sort_unstable();
    ended.sort_unstable();
    let within = |from: &u64| {
        let until = from.saturating_add(span_ms);
        let over = ended.partition_point(|end| *end < until);
        // Whatever began earlier has ended by then too: a request lasts seconds, the span a minute.
        let earlier = begun.partition_point(|begin| begin < from);
        over.saturating_sub(earlier)
    };
    let most = begun.iter().map(within).max().unwrap_or(0);
    u64::try_from(most).unwrap_or(u64::MAX)
}

fn most_active(seen: &Seen) -> u64 {
    let mut changes = seen.active.clone();
    // Leaving first within one millisecond: the count stays a lower bound.
    changes.sort_unstable();
    let mut active: i64 = 0;
    let mut most = 0;
    for (_, change) in changes {
        active += change;
        most = most.max(active);
    }
    u64::try_from(most).unwrap_or(0)
}

/// Histogram values are thousandths of the report's unit: microseconds of milliseconds, milliseconds
/// of seconds.
fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| thousandths(histogram.value_at_quantile(quantile));
    let largest = thousandths(histogram.max());
    Percentiles {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: largest,
    }
}

fn thousandths(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::from(u32::MAX), f64::from) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_admissions_surely_within_a_minute_count_together() {
        assert_eq!(most_within(&[], 60_000), 0);
        assert_eq!(most_within(&[(0, 10), (100, 110), (59_000, 59_010)], 60_000), 3);
        // The last may have been granted at 60,001, a minute after the first.
        assert_eq!(most_within(&[(0, 10), (100, 110), (59_999, 60_001)], 60_000), 2);
        assert_eq!(
            most_within(&[(0, 10), (70_000, 70_010), (70_000, 70_020)], 60_000),
            2
        );
    }

    #[test]
    fn one_who_leaves_as_another_enters_does_not_raise_the_count() {
        let observer = Observer::new(std::sync::Arc::default());
        observer.seen().active = vec![(5, 1), (10, 1), (10, -1), (11, 1)];
        assert_eq!(most_active(&observer.seen()), 2);
    }
}
