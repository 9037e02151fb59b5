//! `GET …/ticket/events`: the poll as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream wakes when the shopper's own poll would be due, looks at the snapshot as a poll
//! does, and writes only what changed; a comment keeps proxies from cutting a silent line. Where several gateways
//! serve, each event's id says how far the queue was seen to move; browsers bring the last one to the next stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use admission::{PlaceState, Shown, Visitor};
use bytes::Bytes;
use domain::{DropId, Number, Span, Timestamp};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::Room;
use super::answer::Refusal;
use super::refused::place_problem;
use super::standing::poll_json;
use crate::edge::{BoxError, EdgeBody, Problem};

/// Streams open at once in this process. Each costs a connection and about 20 KiB; beyond the
/// cap browsers fall back to polling, which costs nothing between two polls.
pub(super) const STREAMS_MAX: usize = 100_000;
/// A silent stream says something this often: proxies commonly cut lines silent for 15 s or more.
const HEARTBEAT: Span = Span::from_secs(10);
/// A stream ends after this long at most and the browser opens a new one, so that connections spread
/// over gateways again after one was restarted.
const LIFE_MAX: Span = Span::from_mins(15);
/// How much sooner a stream may end: a fifth of [`LIFE_MAX`].
const LIFE_SPREAD: Span = Span::from_mins(3);

struct Events {
    room: Arc<Room>,
    drop: DropId,
    visitor: Visitor,
    ticket: Box<str>,
    shown: Option<Shown>,
    sleep: Pin<Box<Sleep>>,
    said: (Option<PlaceState>, Option<u64>, Option<Span>),
    said_at: Timestamp,
    ends_at: Timestamp,
    over: bool,
}

/// Counts a stream for as long as it is open.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Counted {
    events: Events,
    _slot: Slot,
}

impl Room {
    /// Opens a stream of the shopper's place.
    pub(super) fn events(
        self: &Arc<Self>,
        drop: &DropId,
        headers: &HeaderMap,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let (visitor, ticket) = self.holder(drop, headers)?;
        let place = self.desk.place(drop, ticket, &visitor).map_err(place_problem)?;
        let slot = Slot(Arc::clone(&self.streams));
        if self.streams.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
            return Err(Problem::overloaded(Span::from_secs(30)).into());
        }
        let now = self.clock.now();
        let events = Events {
            room: Arc::clone(self),
            drop: drop.clone(),
            visitor,
            ticket: ticket.into(),
            shown: self.shown_before(drop, headers),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            said: (None, None, None),
            said_at: now,
            ends_at: now + life(place.number),
            over: false,
        };
        Ok(sse(axum::body::Body::new(Counted { events, _slot: slot })))
    }

    /// What this browser was shown, by a stream before this one or by a poll.
    fn shown_before(&self, drop: &DropId, headers: &HeaderMap) -> Option<Shown> {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let (streamed, polled) = (last.and_then(Shown::parse), self.shown(drop, headers));
        streamed.map(|streamed| streamed.furthest(polled)).or(polled)
    }
}

/// The head of an event stream around `body`.
pub(super) fn sse(body: axum::body::Body) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::axum(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx in front of us would otherwise hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Events {
    /// What is to be said now, if anything; sets the time of the next look.
    fn look(&mut self) -> Option<Bytes> {
        let now = self.room.clock.now();
        let looked = self.room.desk.place(&self.drop, &self.ticket, &self.visitor);
        let (Ok(place), Some(posted)) = (looked, self.room.posted(&self.drop)) else {
            self.over = true;
            return None;
        };
        let place = place.not_behind(self.shown);
        self.shown = place.shown.or(self.shown);
        self.over = now >= self.ends_at
            || matches!(
                place.state,
                PlaceState::Ended | PlaceState::SoldOut | PlaceState::Left
            );
        let saying = (Some(place.state), place.position, place.wait.map(|wait| wait.max));
        if saying != self.said {
            (self.said, self.said_at) = (saying, now);
            self.rest(place.poll_after, now);
            let id = place
                .shown
                .map(|shown| format!("id: {shown}\n"))
                .unwrap_or_default();
            return Some(Bytes::from(format!(
                "{id}data: {}\n\n",
                poll_json(&posted, &place, None, &*self.room.clock)
            )));
        }
        if self.over || now.since(self.said_at) >= HEARTBEAT {
            self.said_at = now;
            self.rest(place.poll_after, now);
            return Some(Bytes::from_static(b": still here\n\n"));
        }
        self.rest(place.poll_after, now);
        None
    }

    /// Sleeps until there may be news.
    fn rest(&mut self, poll_after: Span, now: Timestamp) {
        let pause = pause(poll_after, now.since(self.said_at));
        self.sleep
            .as_mut()
            .reset(tokio::time::Instant::now() + pause.as_duration());
    }
}

/// How long the stream of a ticket lives. A crowd whose streams were opened in one moment, after a gateway died, shall
/// not return in one; by number, because neighbours then get lives that lie far apart.
fn life(number: Number) -> Span {
    let mixed = number.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    LIFE_MAX - Span::from_millis(mixed % LIFE_SPREAD.as_millis())
}

/// How long to wait for news after a silence of `silent`: never so long that it would last longer than a heartbeat.
fn pause(poll_after: Span, silent: Span) -> Span {
    poll_after.min(HEARTBEAT - silent)
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let events = &mut self.get_mut().events;
        loop {
            if events.over {
                return Poll::Ready(None);
            }
            ready!(events.sleep.as_mut().poll(cx));
            if let Some(bytes) = events.look() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_opened_in_one_moment_end_over_a_fifth_of_their_life() {
        let lives: Vec<Span> = (1..=18_000).map(|number| life(Number(number))).collect();
        assert!(
            lives
                .iter()
                .all(|life| *life <= LIFE_MAX && *life > LIFE_MAX - LIFE_SPREAD)
        );
        for second in 0..LIFE_SPREAD.as_secs_ceil() {
            let from = LIFE_MAX - Span::from_secs(second);
            let ending = lives
                .iter()
                .filter(|life| **life <= from && **life > from - Span::from_secs(1));
            let ending = ending.count();
            assert!(
                (50..200).contains(&ending),
                "{ending} end {second} s before the last"
            );
        }
    }

    #[test]
    fn no_silence_lasts_longer_than_a_heartbeat() {
        for millis in (0..30_000).step_by(10) {
            let (poll_after, mut silent) = (Span::from_millis(millis.max(1)), Span::ZERO);
            for _ in 0..HEARTBEAT.as_millis() {
                if silent >= HEARTBEAT {
                    break;
                }
                silent = silent + pause(poll_after, silent);
            }
            assert_eq!(silent, HEARTBEAT, "{poll_after:?}");
        }
    }
}
