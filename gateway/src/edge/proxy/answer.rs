//! The body of an answer on its way from the upstream to the client, together with the
//! connection it comes by, which goes back to the pool with the last byte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::super::body::EdgeBody;
use super::super::headers;
use super::link::Link;
use super::pool::Pool;

/// A streaming body from the upstream.
#[derive(Debug)]
pub struct UpstreamBody {
    /// Read already while looking whether the body was whole.
    first: Option<Frame<Bytes>>,
    /// Broken already while looking.
    broken: Option<hyper::Error>,
    incoming: Incoming,
    returning: Returning,
    /// The idle timer is set for the present wait.
    timed: bool,
}

/// Why an answer's body ended too soon. The client sees a broken connection: there is no other
/// way to say so after the head.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamBodyError {
    /// The upstream broke off.
    #[error("the upstream broke off within the body")]
    Broken(#[source] Option<hyper::Error>),
    /// No byte came for too long.
    #[error("the upstream stopped within the body")]
    TimedOut,
}

/// What polling hyper's body yields.
type Polled = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// A connection that returns to its pool once its exchange is complete.
#[derive(Debug)]
pub(super) struct Returning {
    link: Option<Link>,
    pool: Arc<Pool>,
}

/// Makes the answer's body. Where it is there as a whole already, the connection goes back at
/// once, before the client has read a byte.
pub(super) fn body(mut incoming: Incoming, mut returning: Returning) -> EdgeBody {
    if incoming.is_end_stream() {
        returning.finish();
        return EdgeBody::empty();
    }
    // Should more have come meanwhile, the next poll of the body moves the driver before it waits.
    let first = match returning.look(&mut incoming).0 {
        Poll::Ready(Some(Ok(frame))) => frame,
        Poll::Ready(Some(Err(error))) => {
            return EdgeBody::upstream(UpstreamBody::failed(incoming, returning, error));
        }
        Poll::Ready(None) | Poll::Pending => {
            return EdgeBody::upstream(UpstreamBody::new(None, incoming, returning));
        }
    };
    if incoming.is_end_stream() {
        returning.finish();
        return match first.into_data() {
            Ok(bytes) => EdgeBody::full(bytes),
            Err(_trailers) => EdgeBody::empty(),
        };
    }
    EdgeBody::upstream(UpstreamBody::new(Some(first), incoming, returning))
}

impl Returning {
    pub(super) const fn new(link: Link, pool: Arc<Pool>) -> Self {
        Self {
            link: Some(link),
            pool,
        }
    }

    /// Takes what the driver has put into `incoming`. Only the driver puts anything there, and it
    /// runs in this very task just before, so that nobody needs to be woken.
    fn look(&self, incoming: &mut Incoming) -> (Polled, bool) {
        let look = |cx: &mut Context<'_>| Pin::new(&mut *incoming).poll_frame(cx);
        match &self.link {
            Some(link) => link.unwoken(look),
            None => (
                Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop())),
                false,
            ),
        }
    }

    fn finish(&mut self) {
        if let Some(link) = self.link.take() {
            self.pool.give_back(link);
        }
    }
}

impl UpstreamBody {
    fn new(first: Option<Frame<Bytes>>, incoming: Incoming, returning: Returning) -> Self {
        Self {
            first,
            broken: None,
            incoming,
            returning,
            timed: false,
        }
    }

    /// A body that broke before its first byte.
    fn failed(incoming: Incoming, returning: Returning, error: hyper::Error) -> Self {
        Self {
            broken: Some(error),
            ..Self::new(None, incoming, returning)
        }
    }

    pub(in crate::edge) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(error) = self.broken.take() {
            return self.fail(UpstreamBodyError::Broken(Some(error)));
        }
        loop {
            if let Some(link) = &mut self.returning.link {
                link.poll_driver(cx);
            }
            return match self.returning.look(&mut self.incoming) {
                (Poll::Ready(Some(Ok(frame))), _) => Poll::Ready(Some(Ok(self.pass(frame)))),
                (Poll::Ready(Some(Err(error))), _) => self.fail(UpstreamBodyError::Broken(Some(error))),
                (Poll::Ready(None), _) => {
                    self.returning.finish();
                    Poll::Ready(None)
                }
                (Poll::Pending, true) => continue,
                (Poll::Pending, false) => self.wait(cx),
            };
        }
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        self.timed = false;
        if let Some(trailers) = frame.trailers_mut() {
            headers::clean_trailers(trailers);
        }
        if self.incoming.is_end_stream() || frame.is_trailers() {
            self.returning.finish();
        }
        frame
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        let idle = self.returning.pool.config().body_idle;
        let Some(link) = self.returning.link.as_mut().filter(|link| !link.has_ended()) else {
            return self.fail(UpstreamBodyError::Broken(None));
        };
        if !self.timed {
            self.timed = true;
            link.set_timer(idle);
        }
        if link.poll_timer(cx).is_ready() {
            return self.fail(UpstreamBodyError::TimedOut);
        }
        Poll::Pending
    }

    fn fail(&mut self, error: UpstreamBodyError) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        self.returning.link = None;
        tracing::debug!(%error, "an answer of the upstream was cut");
        Poll::Ready(Some(Err(error)))
    }

    pub(in crate::edge) fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.broken.is_none() && self.incoming.is_end_stream()
    }

    pub(in crate::edge) fn size_hint(&self) -> SizeHint {
        let held = self
            .first
            .as_ref()
            .and_then(Frame::data_ref)
            .map_or(0, |bytes| bytes.len() as u64);
        match self.incoming.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + held),
            None => SizeHint::default(),
        }
    }
}
