//! The answer to `Accept: application/json` on a protected path: an object named and shaped as
//! clients written for Cloudflare Waiting Room expect it, and our own fields beside it.

use serde::Serialize;

use super::page::{Live, PageState, PageView, QueueingMethod, refresh_seconds, wait_phrase};

const MINUTE_SECONDS: u64 = 60;
const MINUTE_MS: u64 = 60_000;

/// The whole JSON body.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct WaitingRoomAnswer {
    /// For clients written for Cloudflare.
    #[serde(rename = "cfWaitingRoom")]
    pub cloudflare: CfWaitingRoom,
    /// For ours: the same as the ticket endpoint answers.
    pub doorline: Live,
}

/// The `cfWaitingRoom` object. Waits and times until are whole minutes, as there; names and
/// types as in the vendor's documentation of its JSON response.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the shape is the vendor's, flag by flag"
)]
pub struct CfWaitingRoom {
    /// False only once admitted.
    pub in_waiting_room: bool,
    /// Whether the wait fields mean anything.
    pub wait_time_known: bool,
    /// Middle of the interval, minutes; 0 while unknown.
    pub wait_time: u64,
    /// The interval in words, or `unavailable`.
    pub wait_time_formatted: String,
    /// Lower end, minutes.
    #[serde(rename = "waitTime25Percentile")]
    pub wait_time_25_percentile: u64,
    /// Middle, minutes.
    #[serde(rename = "waitTime50Percentile")]
    pub wait_time_50_percentile: u64,
    /// Upper end, minutes.
    #[serde(rename = "waitTime75Percentile")]
    pub wait_time_75_percentile: u64,
    /// Whether joining is refused.
    pub queue_is_full: bool,
    /// Whether everybody is held.
    pub queue_all: bool,
    /// The server's time, RFC 3339.
    pub last_updated: String,
    /// When to ask again, seconds.
    pub refresh_interval_seconds: u64,
    /// `fifo`, `random`, `passthrough` or `reject`.
    pub queueing_method: &'static str,
    /// Method is `fifo`.
    #[serde(rename = "isFIFOQueue")]
    pub is_fifo_queue: bool,
    /// Method is `random`.
    pub is_random_queue: bool,
    /// Method is `passthrough`.
    pub is_passthrough_queue: bool,
    /// Method is `reject`.
    pub is_reject_queue: bool,
    /// The drop has started and not ended.
    pub is_event_active: bool,
    /// Joining is open, the drop has not started.
    pub is_event_prequeueing: bool,
    /// Minutes, 0 once started.
    pub time_until_event_start: u64,
    /// In words, empty once started.
    pub time_until_event_start_formatted: String,
    /// Minutes, 0 when over or open-ended.
    pub time_until_event_end: u64,
    /// In words, empty when over or open-ended.
    pub time_until_event_end_formatted: String,
    /// Whether those who join before the start are shuffled.
    pub shuffle_at_event_start: bool,
}

impl WaitingRoomAnswer {
    /// Builds the body from what the page would show.
    pub fn of(view: &PageView) -> Self {
        Self {
            cloudflare: CfWaitingRoom::of(view),
            doorline: Live::of_ticket(view),
        }
    }
}

impl CfWaitingRoom {
    /// Translates a view into the vendor's terms.
    pub fn of(view: &PageView) -> Self {
        let wait = view.wait.filter(|_| view.state != PageState::Paused);
        let minutes = |seconds: u64| seconds.div_ceil(MINUTE_SECONDS);
        let (low, middle, high) = wait.map_or((0, 0, 0), |wait| {
            let middle = u64::midpoint(wait.min_seconds, wait.max_seconds);
            (
                minutes(wait.min_seconds),
                minutes(middle),
                minutes(wait.max_seconds),
            )
        });
        let until = |at: Option<u64>| at.map_or(0, |at| at.saturating_sub(view.now_ms).div_ceil(MINUTE_MS));
        let (start, end) = (until(view.opens_at_ms), until(view.ends_at_ms));
        let started = view.opens_at_ms.is_none_or(|at| at <= view.now_ms);
        let ended = view.ends_at_ms.is_some_and(|at| at <= view.now_ms);
        Self {
            in_waiting_room: view.state != PageState::Admitted,
            wait_time_known: wait.is_some(),
            wait_time: middle,
            wait_time_formatted: wait.map_or_else(|| "unavailable".to_owned(), wait_phrase),
            wait_time_25_percentile: low,
            wait_time_50_percentile: middle,
            wait_time_75_percentile: high,
            queue_is_full: view.queue_is_full || view.queueing_method == QueueingMethod::Reject,
            queue_all: view.queue_all,
            last_updated: super::page::rfc3339(view.now_ms),
            refresh_interval_seconds: refresh_seconds(view)
                .unwrap_or_else(|| view.poll_after_ms.div_ceil(1_000).max(1)),
            queueing_method: view.queueing_method.as_str(),
            is_fifo_queue: view.queueing_method == QueueingMethod::Fifo,
            is_random_queue: view.queueing_method == QueueingMethod::Random,
            is_passthrough_queue: view.queueing_method == QueueingMethod::Passthrough,
            is_reject_queue: view.queueing_method == QueueingMethod::Reject,
            is_event_active: started && !ended && view.state != PageState::Ended,
            is_event_prequeueing: !started && !matches!(view.state, PageState::Scheduled | PageState::Ended),
            time_until_event_start: start,
            time_until_event_start_formatted: spoken_minutes(start),
            time_until_event_end: end,
            time_until_event_end_formatted: spoken_minutes(end),
            shuffle_at_event_start: view.shuffle_at_event_start,
        }
    }
}

fn spoken_minutes(minutes: u64) -> String {
    match minutes {
        0 => String::new(),
        1 => "1 minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::page::WaitInterval;

    /// 2026-11-27T09:00:00Z.
    const NOW: u64 = 1_795_770_000_000;

    fn waiting() -> PageView {
        PageView {
            wait: Some(WaitInterval {
                min_seconds: 170,
                max_seconds: 290,
            }),
            opens_at_ms: Some(NOW - 5_000),
            ends_at_ms: Some(NOW + 3_600_000),
            position: Some(42),
            ..PageView::new("aurora", "Aurora", PageState::Waiting, NOW)
        }
    }

    #[test]
    fn carries_every_field_of_the_contract_under_its_exact_name() {
        let body = serde_json::to_value(WaitingRoomAnswer::of(&waiting())).unwrap();
        let contract = "inWaitingRoom, waitTimeKnown, waitTime, waitTimeFormatted, waitTime25Percentile, \
            waitTime50Percentile, waitTime75Percentile, queueIsFull, queueAll, lastUpdated, \
            refreshIntervalSeconds, queueingMethod, isFIFOQueue, isRandomQueue, isPassthroughQueue, \
            isRejectQueue, isEventActive, isEventPrequeueing, timeUntilEventStart, \
            timeUntilEventStartFormatted, timeUntilEventEnd, timeUntilEventEndFormatted, shuffleAtEventStart";
        let object = body["cfWaitingRoom"].as_object().unwrap();
        let mut wanted: Vec<&str> = contract.split(',').map(str::trim).collect();
        let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }

    #[test]
    fn wait_is_given_in_whole_minutes_rounded_up() {
        let answer = CfWaitingRoom::of(&waiting());
        assert!(answer.wait_time_known && answer.in_waiting_room && answer.is_event_active);
        assert_eq!(
            (
                answer.wait_time_25_percentile,
                answer.wait_time,
                answer.wait_time_75_percentile
            ),
            (3, 4, 5)
        );
        assert_eq!(answer.wait_time_formatted, "about 2 to 5 minutes");
        assert_eq!(answer.time_until_event_end_formatted, "60 minutes");
        assert_eq!(answer.time_until_event_start_formatted, "");
        assert_eq!(answer.last_updated, "2026-11-27T09:00:00Z");
    }

    #[test]
    fn wait_is_unknown_while_paused_even_if_an_old_estimate_is_at_hand() {
        let answer = CfWaitingRoom::of(&PageView {
            state: PageState::Paused,
            ..waiting()
        });
        assert!(!answer.wait_time_known);
        assert_eq!(
            (answer.wait_time, answer.wait_time_formatted.as_str()),
            (0, "unavailable")
        );
    }

    #[test]
    fn prequeue_is_an_event_that_has_not_started() {
        let view = PageView {
            opens_at_ms: Some(NOW + 61_000),
            wait: None,
            ..PageView {
                state: PageState::Prequeue,
                ..waiting()
            }
        };
        let answer = CfWaitingRoom::of(&view);
        assert!(answer.is_event_prequeueing && !answer.is_event_active);
        assert_eq!(answer.time_until_event_start, 2);
        assert_eq!(answer.time_until_event_start_formatted, "2 minutes");
    }
}
