//! A request's body with its limits: bytes in all, time between two frames, time in all.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::super::headers;
use super::super::proxy::Hold;
use super::ahead::Ahead;

/// Bytes from which on no more of a body is read before it goes on its way: any form of a shop has fewer.
const AHEAD_BYTES_MAX: usize = 16 * 1_024;

/// What a request's body may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// Bytes at most.
    pub bytes_max: u64,
    /// Time without a single byte at most.
    pub idle: Duration,
    /// Time from the first look at the body to its end at most.
    pub total: Duration,
}

/// A client's body broke a limit or the connection.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes.
    #[error("the request body is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// Too slow.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The client broke off, or its framing was wrong.
    #[error("the request body could not be read")]
    Broken(#[source] hyper::Error),
}

/// Tells whoever keeps the upstream's time whether a body waits for its client just now: the body
/// itself is in hyper's hands meanwhile.
#[derive(Clone, Default, Debug)]
pub(in crate::edge) struct Awaited(Arc<AtomicBool>);

/// The body of a request, as it streams from the client.
#[derive(Debug)]
pub struct RequestBody(Option<Box<Limited>>);

#[derive(Debug)]
struct Limited {
    incoming: Incoming,
    limits: BodyLimits,
    bytes_left: u64,
    ahead: Ahead,
    /// Made only once the client lets us wait: most bodies arrive with their head.
    waiting: Option<Waiting>,
    /// Made only for a body that goes upstream.
    awaited: Option<Awaited>,
    /// Made only for a body that was not there when it went upstream. Given back with its last byte.
    hold: Option<Hold>,
}

#[derive(Debug)]
struct Waiting {
    sleep: Pin<Box<Sleep>>,
    ends: Instant,
    armed: bool,
}

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Puts `incoming` under `limits`. Costs nothing where there is no body.
    pub fn new(incoming: Incoming, limits: BodyLimits) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        let bytes_left = limits.bytes_max;
        Self(Some(Box::new(Limited {
            incoming,
            limits,
            bytes_left,
            ahead: Ahead::default(),
            waiting: None,
            awaited: None,
            hold: None,
        })))
    }

    /// Whether there is nothing to send, so that the request may be sent twice.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Says from now on whether the client is waited for; nothing where there is no body.
    pub(in crate::edge) fn awaited(&mut self) -> Option<Awaited> {
        let limited = self.0.as_mut()?;
        Some(limited.awaited.get_or_insert_default().clone())
    }

    /// Reads what has come of it and says whether that is all. More than a short body is not read,
    /// and is not waited for either.
    pub(in crate::edge) fn poll_there(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match &mut self.0 {
            None => Poll::Ready(Ok(())),
            Some(limited) => limited.poll_there(cx),
        }
    }

    /// Keeps `hold` until the last byte is handed over, or nobody wants it any more.
    pub(in crate::edge) fn set_hold(&mut self, hold: Hold) {
        if let Some(limited) = &mut self.0 {
            limited.hold = Some(hold);
        }
    }

    /// The limits replaced, for a route that takes more or less than the rest.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: u64) -> Self {
        if let Some(limited) = &mut self.0 {
            limited.limits.bytes_max = bytes_max;
            limited.bytes_left = bytes_max;
        }
        self
    }

    /// Refuses at once what announces itself as too large.
    pub fn check_announced(&self) -> Result<(), BodyError> {
        match &self.0 {
            Some(body) if body.incoming.size_hint().lower() > body.bytes_left => Err(BodyError::TooLarge {
                bytes_max: body.limits.bytes_max,
            }),
            _ => Ok(()),
        }
    }
}

impl Awaited {
    /// Whether the client is waited for. Never once the body has ended.
    pub(in crate::edge) fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, awaited: bool) {
        self.0.store(awaited, Ordering::Relaxed);
    }
}

impl Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.ahead.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.ahead.has_ended() {
            return Poll::Ready(None);
        }
        self.poll_incoming(cx)
    }

    fn poll_there(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while !self.is_there() {
            if self.ahead.bytes() >= AHEAD_BYTES_MAX {
                return Poll::Pending;
            }
            let frame = ready!(self.poll_incoming(cx)).transpose()?;
            self.ahead.push(frame);
        }
        Poll::Ready(Ok(()))
    }

    fn is_there(&self) -> bool {
        self.ahead.has_ended() || self.incoming.is_end_stream()
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Some(awaited) = &self.awaited {
            awaited.set(polled.is_pending());
        }
        let Poll::Ready(frame) = polled else {
            ready!(self.poll_deadline(cx));
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        };
        if let Some(waiting) = &mut self.waiting {
            waiting.armed = false;
        }
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(BodyError::Broken(error))),
            Some(Ok(frame)) => Some(self.admit(frame)),
        })
    }

    fn admit(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        if let Some(data) = frame.data_ref() {
            let left = self.bytes_left.checked_sub(data.len() as u64);
            self.bytes_left = left.ok_or(BodyError::TooLarge {
                bytes_max: self.limits.bytes_max,
            })?;
        }
        if let Some(trailers) = frame.trailers_mut() {
            headers::clean_trailers(trailers);
        }
        Ok(frame)
    }

    /// Ready when the client has let us wait too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let (idle, total) = (self.limits.idle, self.limits.total);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            sleep: Box::pin(tokio::time::sleep(idle)),
            ends: now + total,
            armed: false,
        });
        if !waiting.armed {
            waiting.armed = true;
            waiting.sleep.as_mut().reset((now + idle).min(waiting.ends));
        }
        waiting.sleep.as_mut().poll(cx)
    }
}

/// hyper lets go of a body with its last byte; then nobody waits for the client any more.
impl Drop for Limited {
    fn drop(&mut self) {
        if let Some(awaited) = &self.awaited {
            awaited.set(false);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            None => Poll::Ready(None),
            Some(limited) => limited.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|limited| limited.ahead.is_empty() && limited.is_there())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(limited) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let hint = limited.incoming.size_hint();
        match (hint.exact(), limited.ahead.bytes() as u64) {
            (Some(bytes), ahead @ 1..) => SizeHint::with_exact(bytes + ahead),
            (Some(_), 0) | (None, _) => hint,
        }
    }
}
