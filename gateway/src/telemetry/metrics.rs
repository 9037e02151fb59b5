//! Every metric that Doorline publishes, by the names of the interface page. Labels are
//! bounded: drops, SKUs, states and outcomes, never an id of a person.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Request latencies in seconds. The poll's target is 1 ms and the join's 20 ms, so the
/// buckets are dense there; 10 s is the longest an upstream may take by default.
const REQUEST_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// From accepted order to its end, in seconds.
const CHECKOUT_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];
/// One store or provider call, in seconds.
const CALL_BUCKETS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Keeps counts of its own between two scrapes, because they are too many to go into the shared
/// counters one by one.
pub trait Settle: Send + Sync {
    /// Carries over what was counted since the last time.
    fn settle(&self);
}

/// Who is to settle before anything is read.
#[derive(Clone, Default)]
struct Unsettled(Arc<Mutex<Vec<Arc<dyn Settle>>>>);

impl std::fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unsettled")
    }
}

macro_rules! families {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ident($name:literal, $labels:expr $(, $buckets:expr)?);)+) => {
        /// The metric families, registered once per process.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            registry: Registry,
            unsettled: Unsettled,
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Metrics {
            /// Registers every family under the prefix `doorline_`.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new_custom(Some("doorline".into()), None)?;
                $(
                    let help = concat!($($doc),+).trim();
                    let $field = build!($kind, $name, help, $labels $(, $buckets)?)?;
                    registry.register(Box::new($field.clone()))?;
                )+
                Ok(Self { registry, unsettled: Unsettled::default(), $($field,)+ })
            }
        }
    };
}

macro_rules! build {
    (HistogramVec, $name:literal, $help:expr, $labels:expr, $buckets:expr) => {
        HistogramVec::new(
            HistogramOpts::new($name, $help).buckets($buckets.to_vec()),
            &$labels,
        )
    };
    (IntGauge, $name:literal, $help:expr, $labels:expr) => {
        IntGauge::with_opts(unlabelled($name, $help, $labels))
    };
    ($kind:ident, $name:literal, $help:expr, $labels:expr) => {
        $kind::new(Opts::new($name, $help), &$labels)
    };
}

/// The label values of a family without labels.
pub const NO_LABELS: &[&str] = &[];

/// A family without labels still names its empty list, so that every line above reads alike.
fn unlabelled(name: &str, help: &str, none: [&str; 0]) -> Opts {
    let [] = none;
    Opts::new(name, help)
}

families! {
    /// Requests answered, by route and outcome.
    requests: IntCounterVec("requests_total", ["route", "outcome"]);
    /// Time to the last byte of the answer's head, in seconds.
    request_duration: HistogramVec("request_duration_seconds", ["route"], REQUEST_BUCKETS);
    /// Requests sent to the upstream, by outcome.
    proxied: IntCounterVec("proxied_requests_total", ["outcome"]);
    /// Time the upstream took to begin its answer, in seconds.
    proxied_duration: HistogramVec("proxied_duration_seconds", [], REQUEST_BUCKETS);
    /// Requests sent to the upstream again because a kept connection had died.
    proxied_retries: IntCounterVec("proxied_retries_total", []);
    /// Public connections open now.
    connections: IntGauge("connections", []);
    /// Connections turned away or cut, by the reason.
    connections_ended: IntCounterVec("connections_ended_total", ["reason"]);
    /// Event streams open now.
    event_streams: IntGauge("event_streams", []);
    /// Requests refused by a rate limit.
    rate_limited: IntCounterVec("rate_limited_total", ["limit"]);
    /// Requests shed to keep more important ones going.
    shed: IntCounterVec("shed_total", ["priority"]);
    /// Tasks that died of a panic. Each is a bug.
    panics: IntCounterVec("panics_total", ["where"]);
    /// 1 for each part of the house that can do its work, as `/readyz` says it.
    ready: IntGaugeVec("ready", ["part"]);
    /// 1 for the phase that the drop is in, 0 for the others.
    drop_phase: IntGaugeVec("drop_phase", ["drop", "phase"]);
    /// Numbers handed out.
    queue_joined: IntCounterVec("queue_joined_total", ["drop"]);
    /// Shoppers in the queue whose rank is not called yet.
    queue_waiting: IntGaugeVec("queue_waiting", ["drop"]);
    /// Shoppers in the queue, by the chance of units that they are told.
    queue_chance: IntGaugeVec("queue_chance", ["drop", "chance"]);
    /// All ranks below this one are called.
    queue_frontier: IntGaugeVec("queue_frontier", ["drop"]);
    /// How long the shopper at the frontier has waited, in seconds.
    queue_oldest_wait: GaugeVec("queue_oldest_wait_seconds", ["drop"]);
    /// Admissions granted.
    admitted: IntCounterVec("admitted_total", ["drop"]);
    /// Sessions that count as active now.
    active_users: IntGaugeVec("active_users", ["drop"]);
    /// Sessions that may count as active at once.
    active_users_limit: IntGaugeVec("active_users_limit", ["drop"]);
    /// Admissions in the last 60 seconds.
    admitted_last_minute: IntGaugeVec("admitted_last_minute", ["drop"]);
    /// Admissions allowed in any 60 seconds.
    admitted_last_minute_limit: IntGaugeVec("admitted_last_minute_limit", ["drop"]);
    /// Called shoppers whose claim window passed without a claim.
    no_shows: IntCounterVec("no_shows_total", ["drop"]);
    /// Admissions inside and outside the interval that the shopper was told.
    estimate_hits: IntCounterVec("estimate_hits_total", ["drop", "hit"]);
    /// 1 for the bound that paces the outflow now, 0 for the others.
    outflow_bound: IntGaugeVec("outflow_bound", ["drop", "bound"]);
    /// Units of the pool, by state.
    stock_units: IntGaugeVec("stock_units", ["drop", "sku", "state"]);
    /// Orders, by state.
    orders: IntGaugeVec("orders", ["drop", "state"]);
    /// Steps that orders have taken.
    order_transitions: IntCounterVec("order_transitions_total", ["drop", "from", "to"]);
    /// From accepted order to paid, in seconds.
    checkout_duration: HistogramVec("checkout_duration_seconds", ["drop"], CHECKOUT_BUCKETS);
    /// The drain rate that workers keep to now.
    drain_per_second: GaugeVec("drain_per_second", ["drop"]);
    /// Calls to the provider, by outcome.
    provider_requests: IntCounterVec("provider_requests_total", ["op", "outcome"]);
    /// Time the provider took to answer, in seconds.
    provider_duration: HistogramVec("provider_duration_seconds", ["op"], CALL_BUCKETS);
    /// 1 for the reason why no payment is made, 0 while payments are made.
    payments_shut: IntGaugeVec("payments_shut", ["why"]);
    /// 1 while calls to the target fail fast.
    breaker_open: IntGaugeVec("breaker_open", ["target"]);
    /// Ledger rows that wait for the broker.
    outbox_pending: IntGauge("outbox_pending", []);
    /// Age of the oldest such row, in seconds.
    outbox_oldest: GaugeVec("outbox_oldest_seconds", []);
    /// Orders set aside for a person, by reason.
    parked_orders: IntGaugeVec("parked_orders", ["reason"]);
    /// What does not add up. Must be 0.
    audit_difference: IntGaugeVec("audit_difference", ["what"]);
    /// When all books were last compared here to the end, in seconds since 1970; 0 if not since this process began.
    audit_finished: GaugeVec("audit_finished_timestamp_seconds", []);
    /// Time a store took, in seconds.
    store_duration: HistogramVec("store_duration_seconds", ["store", "op"], CALL_BUCKETS);
    /// Events from the provider, by what came of them.
    webhooks: IntCounterVec("webhooks_total", ["outcome"]);
    /// Events told to the merchant's system, by what came of each try; the last one counts as `given_up` too.
    merchant_webhooks: IntCounterVec("merchant_webhooks_total", ["outcome"]);
    /// Events that the merchant's system has not taken yet.
    merchant_webhooks_pending: IntGauge("merchant_webhooks_pending", []);
    /// Age of the oldest such event, in seconds.
    merchant_webhooks_oldest: GaugeVec("merchant_webhooks_oldest_seconds", []);
    /// Events that the merchant's system did not take in any try, and that nobody has replayed.
    merchant_webhooks_given_up: IntGauge("merchant_webhooks_given_up", []);
    /// Broker messages that nobody can work on and that were put aside, by why.
    messages_refused: IntCounterVec("messages_refused_total", ["why"]);
    /// Things a person must look at, as the checkout found them.
    alarms: IntCounterVec("alarms_total", ["alarm"]);
    /// Configurations read while the program runs, by what came of them.
    config_reloads: IntCounterVec("config_reloads_total", ["outcome"]);
    /// When the configuration in force was read, in seconds since 1970.
    config_loaded: GaugeVec("config_loaded_timestamp_seconds", []);
    /// Always 1; the labels tell which build this is.
    build_info: IntGaugeVec("build_info", ["version", "commit"]);
}

impl Metrics {
    /// Has `counts` settle each time before the metrics are written.
    pub fn settle_first(&self, counts: Arc<dyn Settle>) {
        self.unsettled().push(counts);
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn Settle>>> {
        self.unsettled.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text format that Prometheus scrapes.
    pub fn encode(&self) -> Vec<u8> {
        for counts in &*self.unsettled() {
            counts.settle();
        }
        let mut text = Vec::with_capacity(16 * 1024);
        // Writing into memory cannot fail, and a family that cannot be encoded is a bug in its name.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_registers_and_is_published_under_the_prefix() {
        let metrics = Metrics::new().expect("names do not collide");
        metrics.build_info.with_label_values(&["0", "none"]).set(1);
        metrics.queue_joined.with_label_values(&["aurora"]).inc_by(3);
        let text = String::from_utf8(metrics.encode()).expect("the text format is UTF-8");
        assert!(text.contains("doorline_build_info{commit=\"none\",version=\"0\"} 1"));
        assert!(text.contains("doorline_queue_joined_total{drop=\"aurora\"} 3"));
        assert!(text.contains("# TYPE doorline_outbox_pending gauge"));
    }
}
