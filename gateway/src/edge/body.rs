//! The two body types of the edge. An answer is one enum, so that a proxied body is polled
//! without a box or a virtual call per frame; a request body carries its own limits.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::InFlight;
use super::proxy::UpstreamBody;

mod request;

pub(super) use request::Awaited;
pub use request::{BodyError, BodyLimits, RequestBody};

/// Any error a body of ours can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
#[derive(Debug)]
pub struct EdgeBody {
    kind: Kind,
    /// Keeps the connection marked as busy until the last byte is handed over.
    in_flight: Option<InFlight>,
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Upstream(Box<UpstreamBody>),
    Axum(axum::body::Body),
}

impl EdgeBody {
    /// No body at all.
    pub const fn empty() -> Self {
        Self {
            kind: Kind::Full(None),
            in_flight: None,
        }
    }

    /// A body that is known as a whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let kind = Kind::Full((!bytes.is_empty()).then_some(bytes));
        Self {
            kind,
            in_flight: None,
        }
    }

    /// A body that streams from a router of ours.
    pub fn axum(body: axum::body::Body) -> Self {
        Self {
            kind: Kind::Axum(body),
            in_flight: None,
        }
    }

    /// A body that streams from the upstream.
    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self {
            kind: Kind::Upstream(Box::new(body)),
            in_flight: None,
        }
    }

    pub(super) fn set_in_flight(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }
}

impl Default for EdgeBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<String> for EdgeBody {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for EdgeBody {
    fn from(text: &'static str) -> Self {
        Self::full(Bytes::from_static(text.as_bytes()))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Upstream(body) => body.poll_frame(cx).map_err(Into::into),
            Kind::Axum(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Upstream(body) => body.is_end_stream(),
            Kind::Axum(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Upstream(body) => body.size_hint(),
            Kind::Axum(body) => body.size_hint(),
        }
    }
}
