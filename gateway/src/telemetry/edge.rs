//! Counts what happens at the edge. Every counter is looked up once at the start, so that a
//! request costs a few atomic additions and no label is hashed on its way.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::metrics::{Metrics, NO_LABELS};
use crate::assembly::readings::House;
use crate::edge::observe::{ConnectionEnd, Limit, Observer, Outcome, Priority, Route, UpstreamOutcome};

/// The edge's observer over the process's metrics.
pub struct EdgeCounts {
    requests: Vec<Vec<IntCounter>>,
    durations: Vec<Histogram>,
    limited: Vec<IntCounter>,
    shed: Vec<IntCounter>,
    ended: Vec<IntCounter>,
    proxied: Vec<IntCounter>,
    proxied_duration: Histogram,
    retried: IntCounter,
    connections: IntGauge,
    panics: IntCounter,
    house: Arc<House>,
}

impl EdgeCounts {
    /// Looks every counter up. How the upstream fares is passed on to `house`, which paces the queue by it.
    pub fn new(metrics: &Metrics, house: Arc<House>) -> Self {
        let one = |family: &IntCounterVec, label: &str| family.with_label_values(&[label]);
        let requests = |route: &Route| {
            let by_outcome = |outcome: &Outcome| {
                metrics
                    .requests
                    .with_label_values(&[route.label(), outcome.label()])
            };
            Outcome::ALL.iter().map(by_outcome).collect()
        };
        let duration = |route: &Route| metrics.request_duration.with_label_values(&[route.label()]);
        Self {
            requests: Route::ALL.iter().map(requests).collect(),
            durations: Route::ALL.iter().map(duration).collect(),
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
            proxied: UpstreamOutcome::ALL
                .iter()
                .map(|how| one(&metrics.proxied, how.label()))
                .collect(),
            proxied_duration: metrics.proxied_duration.with_label_values(NO_LABELS),
            retried: metrics.proxied_retries.with_label_values(NO_LABELS),
            connections: metrics.connections.clone(),
            panics: one(&metrics.panics, "request"),
            house,
        }
    }
}

impl Observer for EdgeCounts {
    fn request(&self, route: Route, outcome: Outcome, took: Duration) {
        self.requests[route.index()][outcome.index()].inc();
        self.durations[route.index()].observe(took.as_secs_f64());
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
        self.proxied[outcome.index()].inc();
        self.proxied_duration.observe(took.as_secs_f64());
        self.house.upstream(outcome, took);
    }

    fn upstream_retried(&self) {
        self.retried.inc();
    }
}
