//! What is the same for every shopper of a drop, worked out once per snapshot: the view that
//! pages start from, the shared part of the poll's JSON, and the public state.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use admission::Snapshot;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use domain::{Phase, Shuffle};
use serde::Serialize;

use super::page::{Draw, ItemStock, LiveStock, PageState, PageView, QueueingMethod, rfc3339};
use crate::config::DropConfig;

/// The longest a shopper far from the front waits between two looks at the public state.
const PUBLIC_POLL_MS: u64 = 5_000;

/// The board of one drop.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) config: Arc<DropConfig>,
    posted: ArcSwapOption<Posted>,
}

/// What the board shows for one snapshot.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) snapshot: Arc<Snapshot>,
    /// A view without a shopper: state of the phase, times, stock, notice.
    pub(super) view: PageView,
    /// The public state as JSON.
    pub(super) public: Bytes,
    /// The members that every poll shares, as they stand between the braces, with a leading comma.
    pub(super) shared: String,
}

#[derive(Serialize)]
struct Public<'a> {
    drop: &'a str,
    title: &'a str,
    phase: &'static str,
    now: String,
    opens_at: Option<String>,
    ends_at: Option<String>,
    frontier: u64,
    waiting: u64,
    outflow_per_minute: Option<u64>,
    stock: BTreeMap<&'a str, LiveStock>,
    notice: Option<&'a str>,
    stale: bool,
    poll_after_ms: u64,
}

#[derive(Serialize)]
struct Shared<'a> {
    drop: &'a str,
    title: &'a str,
    now: String,
    joins_at: Option<String>,
    opens_at: Option<String>,
    ends_at: Option<String>,
    stock: BTreeMap<&'a str, LiveStock>,
    notice: Option<&'a str>,
    stale: bool,
}

impl Board {
    pub(super) fn new(config: Arc<DropConfig>) -> Self {
        Self {
            config,
            posted: ArcSwapOption::empty(),
        }
    }

    /// What to show for `snapshot`. Whoever first sees a new snapshot writes it up; `stock` is
    /// asked for only then. Two at once do the same work twice, which is harmless.
    pub(super) fn show(
        &self,
        snapshot: Arc<Snapshot>,
        stock: impl FnOnce() -> Vec<ItemStock>,
    ) -> Arc<Posted> {
        if let Some(posted) = self
            .posted
            .load_full()
            .filter(|posted| Arc::ptr_eq(&posted.snapshot, &snapshot))
        {
            return posted;
        }
        let fresh = Arc::new(self.write_up(snapshot, stock()));
        self.posted.store(Some(Arc::clone(&fresh)));
        fresh
    }

    /// The same for a moment's look: where it is written up already, no reference is counted, which
    /// all cores would do to one word on every poll.
    pub(super) fn read<R>(
        &self,
        snapshot: &Arc<Snapshot>,
        stock: impl FnOnce() -> Vec<ItemStock>,
        read: impl FnOnce(&Posted) -> R,
    ) -> R {
        match &*self.posted.load() {
            Some(posted) if Arc::ptr_eq(&posted.snapshot, snapshot) => read(posted),
            Some(_) | None => read(&self.show(Arc::clone(snapshot), stock)),
        }
    }

    fn write_up(&self, snapshot: Arc<Snapshot>, stock: Vec<ItemStock>) -> Posted {
        let view = self.view(&snapshot, stock);
        let time = |at: Option<u64>| at.map(rfc3339);
        let units: BTreeMap<_, _> = view
            .stock
            .iter()
            .map(|item| {
                let ItemStock {
                    available,
                    reserved,
                    sold,
                    ..
                } = *item;
                (
                    item.sku.as_str(),
                    LiveStock {
                        available,
                        reserved,
                        sold,
                    },
                )
            })
            .collect();
        let public = Public {
            drop: &view.drop,
            title: &view.title,
            phase: snapshot.phase.as_str(),
            now: rfc3339(view.now_ms),
            opens_at: time(view.opens_at_ms),
            ends_at: time(view.ends_at_ms),
            frontier: snapshot.frontier.0,
            waiting: snapshot.waiting,
            outflow_per_minute: snapshot.outflow_per_minute,
            stock: units.clone(),
            notice: view.notice.as_deref(),
            stale: snapshot.stale,
            poll_after_ms: PUBLIC_POLL_MS,
        };
        let shared = Shared {
            drop: &view.drop,
            title: &view.title,
            now: rfc3339(view.now_ms),
            joins_at: time(view.prequeue_at_ms),
            opens_at: time(view.opens_at_ms),
            ends_at: time(view.ends_at_ms),
            stock: units,
            notice: view.notice.as_deref(),
            stale: snapshot.stale,
        };
        let public = Bytes::from(json(&public));
        // `{"drop":…}` becomes `,"drop":…`: the poll puts its own members in front.
        let shared = json(&shared);
        let shared = format!(",{}", &shared[1..shared.len() - 1]);
        Posted {
            snapshot,
            view,
            public,
            shared,
        }
    }

    fn view(&self, snapshot: &Snapshot, stock: Vec<ItemStock>) -> PageView {
        let config = &self.config;
        let schedule = &snapshot.rules.schedule;
        let state = state_of_phase(snapshot.phase, config.queueing_method);
        PageView {
            queueing_method: config.queueing_method,
            shuffle_at_event_start: config.shuffle == Shuffle::AtEventStart,
            queue_all: snapshot.control.queue_all,
            prequeue_at_ms: config.prequeue_start_time.as_ref().map(|at| at.at().as_millis()),
            opens_at_ms: Some(schedule.event_start.as_millis()),
            ends_at_ms: schedule.event_end.map(domain::Timestamp::as_millis),
            claim_window_seconds: config.claim_window.as_secs_ceil(),
            stock,
            notice: config.notice.clone(),
            draw: (config.shuffle == Shuffle::AtEventStart).then(|| Draw {
                commitment: hex(&snapshot.draw.commitment),
                seed: snapshot.draw.revealed.map(|(seed, _)| hex(&seed)),
            }),
            stale: snapshot.stale,
            ..PageView::new(
                config.id.as_str(),
                &config.title,
                state,
                snapshot.taken_at.as_millis(),
            )
        }
    }
}

/// What a drop's phase means to somebody without a ticket.
fn state_of_phase(phase: Phase, method: QueueingMethod) -> PageState {
    match (method, phase) {
        (QueueingMethod::Reject, _) => PageState::Reject,
        (_, Phase::Scheduled) => PageState::Scheduled,
        (_, Phase::Prequeue | Phase::Open | Phase::Paused) => PageState::Joining,
        (_, Phase::SoldOut) => PageState::SoldOut,
        (_, Phase::Draining | Phase::Ended) => PageState::Ended,
    }
}

/// Plain structs of strings and numbers always serialize.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialize")
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(super) mod tests;
