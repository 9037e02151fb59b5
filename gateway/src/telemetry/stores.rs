//! Stores with a stopwatch: the ledger and the queue store, each call measured from asking to
//! answer, waiting for its turn included.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use admission::store::redis::Watch;
use admission::store::{Answer, Going, JoinRequest, QueueStore, Went};
use checkout_worker::ledger::{
    Acceptance, Applied, AuditEntry, AuditLine, AuditSums, Change, Channel, DropPlan, DueNotice, Gauges,
    Ledger, LedgerReply, NewOrder, Opened, OrderFilter, OrderRecord, Pending, Replay, Replayed, Reservation,
    Sales, StockChange, StockChanged, Telling, Told, Transition, Untold,
};
use domain::pool::Level;
use domain::queue::{Advance, Claim, Claimant, Command, EndReason, JoinRefusal, Joined, Moment, Stale, View};
use domain::saga::{KeySpace, PaymentMethod};
use domain::{AdmissionId, Control, DropId, DropRules, OrderId, Rank, Sku, Span, StockHint, Timestamp};
use prometheus::HistogramVec;
use tokio::time::Instant;

use super::metrics::Metrics;

type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A ledger whose calls are measured.
pub struct TimedLedger {
    inner: Arc<dyn Ledger>,
    watch: Stopwatch,
}

/// A queue store whose calls are measured.
pub struct TimedQueues {
    inner: Arc<dyn QueueStore>,
    watch: Stopwatch,
}

/// Counts and measures what Redis itself is asked for: an operation of the queue store may take several
/// commands, and many joins share one.
pub struct RedisWatch(HistogramVec);

impl RedisWatch {
    /// Measures into `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self(metrics.store_duration.clone())
    }
}

impl Watch for RedisWatch {
    fn sent(&self, op: &'static str, took: Duration) {
        self.0
            .with_label_values(&["redis", op])
            .observe(took.as_secs_f64());
    }
}

struct Stopwatch {
    store: &'static str,
    durations: HistogramVec,
}

impl TimedLedger {
    /// Measures `inner` into `metrics`.
    pub fn new(inner: Arc<dyn Ledger>, metrics: &Metrics) -> Self {
        Self {
            inner,
            watch: Stopwatch::new("ledger", metrics),
        }
    }
}

impl TimedQueues {
    /// Measures `inner` into `metrics`.
    pub fn new(inner: Arc<dyn QueueStore>, metrics: &Metrics) -> Self {
        Self {
            inner,
            watch: Stopwatch::new("queue", metrics),
        }
    }
}

impl Stopwatch {
    fn new(store: &'static str, metrics: &Metrics) -> Self {
        Self {
            store,
            durations: metrics.store_duration.clone(),
        }
    }

    fn time<'a, T: 'a>(&self, op: &'static str, reply: Reply<'a, T>) -> Reply<'a, T> {
        let duration = self.durations.with_label_values(&[self.store, op]);
        Box::pin(async move {
            let started = Instant::now();
            let answer = reply.await;
            duration.observe(started.elapsed().as_secs_f64());
            answer
        })
    }
}

/// Passes every method on to `inner`, with the stopwatch running.
macro_rules! measured {
    ($reply:ident; $($name:ident<$life:lifetime>($($argument:ident: $kind:ty),*) -> $answer:ty;)+) => {
        $(fn $name<$life>(&$life self, $($argument: $kind),*) -> $reply<$life, $answer> {
            self.watch.time(stringify!($name), self.inner.$name($($argument),*))
        })+
    };
}

impl Ledger for TimedLedger {
    measured! { LedgerReply;
        open_drop<'a>(plan: DropPlan) -> Opened;
        change_stock<'a>(drop: DropId, sku: Sku, change: StockChange, entry: AuditEntry) -> StockChanged;
        reserve<'a>(order: NewOrder) -> Reservation;
        accept<'a>(order: OrderId, method: PaymentMethod) -> Acceptance;
        expire<'a>(limit: u32) -> Vec<OrderRecord>;
        load<'a>(order: OrderId) -> Option<OrderRecord>;
        newer<'a>(known: Vec<(OrderId, u64)>) -> Vec<(OrderId, u64)>;
        apply<'a>(transition: Transition) -> Applied;
        redrive<'a>(limit: u32, patience: Span, paused: Vec<DropId>) -> u32;
        due_drops<'a>() -> Vec<(DropId, u64)>;
        list<'a>(filter: OrderFilter) -> Vec<OrderRecord>;
        pending<'a>(channel: Channel, limit: u32) -> Vec<Pending>;
        delivered<'a>(messages: Vec<i64>) -> ();
        published<'a>(messages: Vec<i64>) -> ();
        postponed<'a>(order: OrderId) -> ();
        notices_due<'a>(limit: u32, horizon: Span) -> Vec<DueNotice>;
        notices_told<'a>(told: Vec<Told>) -> ();
        forget_notices<'a>(horizon: Span, limit: u32) -> u32;
        untold<'a>(telling: Telling, limit: u32) -> Vec<Untold>;
        replay_notices<'a>(what: Replay, after: i64) -> Replayed;
        event_known<'a>(event: String) -> bool;
        record_event<'a>(event: String, kind: String) -> bool;
        stock<'a>(drop: DropId) -> Vec<(Sku, Level)>;
        gauges<'a>() -> Gauges;
        sales<'a>(drop: DropId) -> Sales;
        audit<'a>() -> AuditSums;
        key_space<'a>() -> KeySpace;
        next_key_space<'a>(entry: AuditEntry) -> KeySpace;
        switches<'a>() -> Vec<String>;
        set_switch<'a>(name: String, on: bool, entry: AuditEntry) -> ();
        changes<'a>() -> Vec<Change>;
        change<'a>(changes: Vec<Change>, entry: AuditEntry) -> ();
        note<'a>(entry: AuditEntry) -> ();
        noted<'a>(since: Option<Timestamp>, limit: u32) -> Vec<AuditLine>;
    }
}

impl QueueStore for TimedQueues {
    measured! { Answer;
        open<'a>(rules: &'a DropRules, at: Moment) -> Timestamp;
        join<'a>(drop: &'a DropId, requests: Vec<JoinRequest>, at: Moment) -> Vec<Result<Joined, JoinRefusal>>;
        view<'a>(drop: &'a DropId, at: Moment) -> View;
        advance<'a>(drop: &'a DropId, advance: Advance, at: Moment) -> Result<Rank, Stale>;
        claim<'a>(drop: &'a DropId, claimant: Claimant, at: Moment) -> Claim;
        leave<'a>(drop: &'a DropId, claimant: Claimant, at: Moment) -> ();
        renew<'a>(drop: &'a DropId, admissions: Vec<AdmissionId>, now: Timestamp) -> Vec<Option<Timestamp>>;
        end_session<'a>(drop: &'a DropId, admission: AdmissionId, reason: EndReason, now: Timestamp) -> ();
        note_decided<'a>(drop: &'a DropId, admission: AdmissionId, now: Timestamp) -> ();
        control<'a>(drop: &'a DropId, command: Command, at: Moment) -> Control;
        offer_stock<'a>(drop: &'a DropId, reading: StockHint, now: Timestamp) -> ();
        go_to_order<'a>(drop: &'a DropId, admissions: Vec<(AdmissionId, Going)>, now: Timestamp) -> Vec<Went>;
        flush<'a>(now: Timestamp) -> ();
    }

    /// From memory: nothing to measure.
    fn stock_hint(&self, drop: &DropId) -> Option<Arc<StockHint>> {
        self.inner.stock_hint(drop)
    }
}
