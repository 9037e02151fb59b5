//! What the crowd saw: latencies, admissions, orders, problems, and broken promises.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::progress::Progress;
use super::report::OrderSeen;
use crate::clock::monotonic;
use crate::link::LinkError;

/// Kinds of problems and violations kept apart; more are counted under "other".
const KINDS_MAX: usize = 100;
const VIOLATIONS_MAX: usize = 100;

/// A measured kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    Join,
    /// Asked so long after the one before, if there was one. An answer that takes longer holds the next polls up, which
    /// would have waited too: they are counted as if they had been sent.
    Poll(Duration),
    Claim,
    Order,
    /// From joining to being let in.
    Wait,
}

/// Latencies in microseconds, waits in milliseconds: three digits are kept of either.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) join: Histogram<u64>,
    pub(crate) poll: Histogram<u64>,
    pub(crate) claim: Histogram<u64>,
    pub(crate) order: Histogram<u64>,
    pub(crate) wait: Histogram<u64>,
}

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) latencies: Latencies,
    /// When each claim that let somebody in was sent and answered, milliseconds into the run.
    pub(crate) admissions: Vec<(u64, u64)>,
    /// Changes of the number of active shoppers: time in milliseconds into the run, and by how many.
    pub(crate) active: Vec<(u64, i64)>,
    pub(crate) problems: BTreeMap<String, u64>,
    pub(crate) violations: Vec<String>,
    pub(crate) orders: BTreeMap<String, OrderSeen>,
    /// Who was given which number; one entry per shopper.
    pub(crate) numbers: BTreeMap<u64, u32>,
}

/// The crowd's shared notebook.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) progress: Arc<Progress>,
    started: Instant,
    seen: Mutex<Seen>,
}

impl Observer {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        // Up to an hour in microseconds.
        let histogram = || Histogram::new_with_max(3_600_000_000, 3).expect("the bounds are constants");
        let latencies = Latencies {
            join: histogram(),
            poll: histogram(),
            claim: histogram(),
            order: histogram(),
            wait: histogram(),
        };
        let seen = Seen {
            latencies,
            admissions: Vec::new(),
            active: Vec::new(),
            problems: BTreeMap::new(),
            violations: Vec::new(),
            orders: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        Self {
            progress,
            started: monotonic(),
            seen: Mutex::new(seen),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the crowd set out.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn took(&self, measure: Measure, time: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let us = micros(time);
        let latencies = &mut self.seen().latencies;
        match measure {
            Measure::Join => latencies.join.saturating_record(us),
            Measure::Poll(every) => {
                let within = us.min(latencies.poll.high());
                let noted = latencies.poll.record_correct(within, micros(every));
                noted.expect("it is within the scale");
            }
            Measure::Claim => latencies.claim.saturating_record(us),
            Measure::Order => latencies.order.saturating_record(us),
            Measure::Wait => latencies.wait.saturating_record(us / 1_000),
        }
    }

    /// A claim sent at `sent_ms` was granted just now.
    pub(crate) fn admitted(&self, sent_ms: u64) {
        let now_ms = self.elapsed_ms();
        let mut seen = self.seen();
        seen.admissions.push((sent_ms, now_ms));
        seen.active.push((now_ms, 1));
        drop(seen);
        self.progress.admitted();
    }

    /// An admitted shopper may cease to be active from now on.
    pub(crate) fn done_being_active(&self) {
        let now_ms = self.elapsed_ms();
        self.seen().active.push((now_ms, -1));
    }

    /// Notes whose number this is; another shopper who has it already, if there is one.
    pub(crate) fn number(&self, number: u64, shopper: u32) -> Option<u32> {
        let holder = *self.seen().numbers.entry(number).or_insert(shopper);
        (holder != shopper).then_some(holder)
    }

    pub(crate) fn problem(&self, kind: &str) {
        self.progress.problems();
        count(&mut self.seen().problems, kind);
    }

    pub(crate) fn broken(&self, error: &LinkError) {
        self.progress.broken();
        count(&mut self.seen().problems, &format!("connection: {error}"));
    }

    pub(crate) fn violation(&self, what: String) {
        self.progress.violations();
        tracing::warn!(%what, "a promise to a shopper was broken");
        let violations = &mut self.seen().violations;
        if violations.len() < VIOLATIONS_MAX {
            violations.push(what);
        }
    }

    /// Notes an order and its newest state; says whether the state is news.
    pub(crate) fn order(&self, order: &str, shopper: u32, state: &str, accepted: bool) -> bool {
        let mut seen = self.seen();
        let entry = seen.orders.entry(order.to_owned()).or_insert_with(|| OrderSeen {
            order: order.to_owned(),
            shopper,
            accepted: false,
            state: String::new(),
        });
        entry.accepted |= accepted;
        let is_news = entry.state != state;
        state.clone_into(&mut entry.state);
        is_news
    }
}

fn count(counts: &mut BTreeMap<String, u64>, kind: &str) {
    let kind = if counts.len() < KINDS_MAX || counts.contains_key(kind) {
        kind
    } else {
        "other"
    };
    *counts.entry(kind.to_owned()).or_default() += 1;
}
