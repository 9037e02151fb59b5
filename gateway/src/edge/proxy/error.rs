//! What can go wrong between us and the upstream, and what the client is told.

use std::io;

use domain::Span;
use http::Request;

use super::super::body::{BodyError, RequestBody};
use super::super::observe::UpstreamOutcome;
use super::super::problem::Problem;

/// How long clients wait when every connection to the upstream is in use.
const SATURATED_RETRY: Span = Span::from_secs(2);

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// All connections are in use, and the queue for them is full or too slow.
    #[error("no connection to the upstream became free")]
    Saturated,
    /// As many connections as may wait for clients do: for uploads, and at the end of tunnels. This
    /// request would have been one more.
    #[error("too many uploads and tunnels hold a connection to the upstream")]
    HeldByClients,
    /// No connection could be opened.
    #[error("cannot connect to the upstream")]
    Connect(#[source] io::Error),
    /// Connecting took too long.
    #[error("connecting to the upstream took too long")]
    ConnectTimedOut,
    /// The head of the answer took too long.
    #[error("the upstream did not answer in time")]
    AnswerTimedOut,
    /// The connection broke, or what came was not HTTP.
    #[error("the upstream broke the connection or the protocol")]
    Broken(#[source] Option<hyper::Error>),
    /// The client's own body failed on the way.
    #[error("the request body failed")]
    Body(#[source] Option<hyper::Error>, BodyFault),
}

/// Which limit the client's body broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFault {
    /// Larger than the route takes.
    TooLarge {
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// Too slow.
    TimedOut,
    /// The client broke off.
    Broken,
}

/// Why one try on one connection failed, and whether another one is safe.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not a byte was sent: the request comes back.
    NotSent(Box<Request<RequestBody>>),
    /// The connection died before a byte of the answer.
    Died(Option<hyper::Error>),
    /// Anything that a second try would not mend or must not repeat.
    Final(ProxyError),
}

impl From<Failure> for ProxyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(_) => Self::Broken(None),
            Failure::Died(error) => Self::Broken(error),
            Failure::Final(error) => error,
        }
    }
}

/// A body that failed before any of it went upstream.
impl From<BodyError> for ProxyError {
    fn from(error: BodyError) -> Self {
        let fault = BodyFault::from(&error);
        let cause = match error {
            BodyError::Broken(cause) => Some(cause),
            BodyError::TooLarge { .. } | BodyError::TimedOut => None,
        };
        Self::Body(cause, fault)
    }
}

impl ProxyError {
    /// What the observer is told.
    pub const fn outcome(&self) -> UpstreamOutcome {
        match self {
            Self::Saturated => UpstreamOutcome::Saturated,
            Self::Connect(_) => UpstreamOutcome::ConnectFailed,
            Self::ConnectTimedOut | Self::AnswerTimedOut => UpstreamOutcome::TimedOut,
            Self::Broken(_) => UpstreamOutcome::Broken,
            Self::HeldByClients | Self::Body(..) => UpstreamOutcome::ClientFailed,
        }
    }

    /// What the client is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Saturated | Self::HeldByClients => Problem::upstream_saturated(SATURATED_RETRY),
            Self::Connect(_) => Problem::upstream_unreachable("No connection to the shop could be opened."),
            Self::ConnectTimedOut => Problem::upstream_timed_out("Connecting to the shop took too long."),
            Self::AnswerTimedOut => Problem::upstream_timed_out("The shop took too long to answer."),
            Self::Broken(_) => Problem::upstream_unreachable("The shop broke off before it answered."),
            Self::Body(_, BodyFault::TooLarge { bytes_max }) => Problem::body_too_large(*bytes_max),
            Self::Body(_, BodyFault::TimedOut) => Problem::body_timed_out(),
            Self::Body(_, BodyFault::Broken) => Problem::malformed("The request body could not be read."),
        }
    }
}

impl From<&BodyError> for BodyFault {
    fn from(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge { bytes_max } => Self::TooLarge {
                bytes_max: *bytes_max,
            },
            BodyError::TimedOut => Self::TimedOut,
            BodyError::Broken(_) => Self::Broken,
        }
    }
}

/// Finds the client's own fault in the causes of `error`, if it is one.
pub(super) fn body_fault(error: &hyper::Error) -> Option<BodyFault> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref::<BodyError>() {
            return Some(fault.into());
        }
        cause = error.source();
    }
    None
}
