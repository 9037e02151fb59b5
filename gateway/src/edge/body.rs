//! The two body types of the edge. An answer is one enum, so that a proxied body is polled
//! without a box or a virtual call per frame; a request body carries its own limits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::InFlight;
use super::proxy::UpstreamBody;

mod ahead;
mod pieces;
mod request;

pub(super) use pieces::Taking;
pub(super) use request::Awaited;
pub use request::{BodyError, BodyLimits, RequestBody};

use pieces::Pieces;

/// Any error a body of ours can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
#[derive(Debug)]
pub struct EdgeBody {
    kind: Kind,
    /// Keeps the connection marked as busy until the last byte is handed over.
    in_flight: Option<InFlight>,
    /// On HTTP/2: cuts the frames, and tells whether the client takes them.
    pieces: Option<Box<Pieces>>,
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
        Self::of(Kind::Full(None))
    }

    /// A body that is known as a whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// A body that streams from a router of ours.
    pub fn axum(body: axum::body::Body) -> Self {
        Self::of(Kind::Axum(body))
    }

    /// A body that streams from the upstream.
    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self::of(Kind::Upstream(Box::new(body)))
    }

    const fn of(kind: Kind) -> Self {
        Self {
            kind,
            in_flight: None,
            pieces: None,
        }
    }

    pub(super) fn set_in_flight(&mut self, in_flight: InFlight) {
        self.in_flight = Some(in_flight);
    }

    /// Hands the body over in pieces from now on, and notes in `taking` whether they are taken.
    pub(super) fn set_pieces(&mut self, taking: Arc<Taking>) {
        self.pieces = Some(Box::new(Pieces::new(taking)));
    }

    fn rest_bytes(&self) -> u64 {
        self.pieces
            .as_ref()
            .map_or(0, |pieces| pieces.rest_bytes() as u64)
    }
}

impl Kind {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upstream(body) => body.poll_frame(cx).map_err(Into::into),
            Self::Axum(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::Axum(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Upstream(body) => body.size_hint(),
            Self::Axum(body) => body.size_hint(),
        }
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
        let Self { kind, pieces, .. } = self.get_mut();
        match pieces {
            None => kind.poll_frame(cx),
            Some(pieces) => pieces.poll(|| kind.poll_frame(cx)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest_bytes() == 0 && self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.kind.size_hint();
        match (hint.exact(), self.rest_bytes()) {
            (Some(bytes), rest @ 1..) => SizeHint::with_exact(bytes + rest),
            (Some(_), 0) | (None, _) => hint,
        }
    }
}
