//! Counts what happens at the edge. Every counter is looked up once at the start, and what every
//! request counts is counted per core, in plain numbers: the shared counters learn it when
//! somebody scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::local::{LocalHistogram, LocalIntCounter};
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::metrics::{Metrics, NO_LABELS, Settle};
use crate::assembly::readings::House;
use crate::edge::observe::{ConnectionEnd, Limit, Observer, Outcome, Priority, Route, UpstreamOutcome};
use crate::edge::per_core::PerCore;

/// The edge's observer over the process's metrics.
pub struct EdgeCounts {
    tallies: Arc<Tallies>,
    limited: Vec<IntCounter>,
    shed: Vec<IntCounter>,
    ended: Vec<IntCounter>,
    retried: IntCounter,
    connections: IntGauge,
    panics: IntCounter,
    house: Arc<House>,
}

/// What every request counts, apart for each core. The locks are there for whoever scrapes: no
/// other core ever waits for one.
struct Tallies(PerCore<Mutex<Tally>>);

struct Tally {
    requests: Vec<Vec<LocalIntCounter>>,
    durations: Vec<LocalHistogram>,
    proxied: Vec<LocalIntCounter>,
    proxied_duration: LocalHistogram,
}

impl Tally {
    fn new(metrics: &Metrics) -> Self {
        let requests = |route: &Route| {
            let by_outcome = |outcome: &Outcome| {
                let labels = [route.label(), outcome.label()];
                metrics.requests.with_label_values(&labels).local()
            };
            Outcome::ALL.iter().map(by_outcome).collect()
        };
        let duration = |route: &Route| metrics.request_duration.with_label_values(&[route.label()]);
        let proxied = |how: &UpstreamOutcome| metrics.proxied.with_label_values(&[how.label()]);
        Self {
            requests: Route::ALL.iter().map(requests).collect(),
            durations: Route::ALL.iter().map(|route| duration(route).local()).collect(),
            proxied: UpstreamOutcome::ALL
                .iter()
                .map(|how| proxied(how).local())
                .collect(),
            proxied_duration: metrics.proxied_duration.with_label_values(NO_LABELS).local(),
        }
    }
}

impl Tallies {
    fn mine(&self) -> MutexGuard<'_, Tally> {
        self.0.mine().lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for Tallies {
    fn settle(&self) {
        for tally in self.0.all() {
            let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally
                .requests
                .iter()
                .flatten()
                .chain(&tally.proxied)
                .for_each(LocalIntCounter::flush);
            tally.durations.iter().for_each(LocalHistogram::flush);
            tally.proxied_duration.flush();
        }
    }
}

impl EdgeCounts {
    /// Looks every counter up. How the upstream fares is passed on to `house`, which paces the queue by it.
    pub fn new(metrics: &Metrics, house: Arc<House>) -> Self {
        let one = |family: &IntCounterVec, label: &str| family.with_label_values(&[label]);
        let tallies = Arc::new(Tallies(PerCore::new(|| Mutex::new(Tally::new(metrics)))));
        metrics.settle_first(Arc::clone(&tallies) as Arc<dyn Settle>);
        Self {
            tallies,
            limited: Limit::ALL
                .iter()
                .map(|limit| one(&metrics.rate_limited, limit.label()))
                .collect(),
            shed: Priority::ALL
                .iter()
                .map(|priority| one(&metrics.shed, priority.label()))
                .collect(),
            ended: ConnectionEnd::ALL
                .iter()
                .map(|why| one(&metrics.connections_ended, why.label()))
                .collect(),
            retried: metrics.proxied_retries.with_label_values(NO_LABELS),
            connections: metrics.connections.clone(),
            panics: one(&metrics.panics, "request"),
            house,
        }
    }
}

impl Observer for EdgeCounts {
    fn request(&self, route: Route, outcome: Outcome, took: Duration) {
        let tally = self.tallies.mine();
        tally.requests[route.index()][outcome.index()].inc();
        tally.durations[route.index()].observe(took.as_secs_f64());
    }

    fn rate_limited(&self, limit: Limit) {
        self.limited[limit.index()].inc();
    }

    fn shed(&self, priority: Priority) {
        self.shed[priority.index()].inc();
    }

    fn connection_opened(&self) {
        self.connections.inc();
    }

    fn connection_closed(&self) {
        self.connections.dec();
    }

    fn connection_ended(&self, why: ConnectionEnd) {
        self.ended[why.index()].inc();
    }

    fn panicked(&self) {
        self.panics.inc();
    }

    fn upstream(&self, outcome: UpstreamOutcome, took: Duration) {
        let tally = self.tallies.mine();
        tally.proxied[outcome.index()].inc();
        tally.proxied_duration.observe(took.as_secs_f64());
        drop(tally);
        self.house.upstream(outcome, took);
    }

    fn upstream_retried(&self) {
        self.retried.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;

    fn scraped(metrics: &Metrics) -> String {
        String::from_utf8(metrics.encode()).expect("the text format is UTF-8")
    }

    #[test]
    fn whatever_was_counted_on_any_core_stands_in_the_next_scrape() {
        let metrics = Metrics::new().expect("names do not collide");
        let house = Arc::new(House::new(Arc::new(SystemClock), Vec::new(), None));
        let counts = EdgeCounts::new(&metrics, house);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    counts.request(Route::Open, Outcome::Ok, Duration::from_micros(300));
                    counts.upstream(UpstreamOutcome::Answered, Duration::from_micros(200));
                });
            }
        });
        let text = scraped(&metrics);
        assert!(text.contains("doorline_requests_total{outcome=\"ok\",route=\"open\"} 4"));
        assert!(text.contains("doorline_request_duration_seconds_count{route=\"open\"} 4"));
        assert!(text.contains("doorline_proxied_requests_total{outcome=\"answered\"} 4"));
        assert!(text.contains("doorline_proxied_duration_seconds_count 4"));
        assert_eq!(scraped(&metrics), text, "nothing is counted twice");
    }
}
