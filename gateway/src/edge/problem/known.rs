//! The problems that the edge itself refuses with. Slugs are part of the interface.

use std::borrow::Cow;

use domain::Span;
use http::{HeaderValue, StatusCode};

use super::Problem;

impl Problem {
    /// 400: the request could be read in two ways, or not at all.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed-request",
            "The request cannot be read",
        )
        .detail(detail)
        .closing()
    }

    /// 400: the path has no single normal form.
    pub fn bad_path(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-path", "The path cannot be read").detail(detail)
    }

    /// 404: nothing lives here.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
    }

    /// 405: the method is not served here.
    pub fn method_not_allowed(allow: Option<HeaderValue>) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This method is not allowed here",
        );
        match allow {
            Some(methods) => problem.allow(methods),
            None => problem,
        }
    }

    /// 408: the body came too slowly.
    pub fn body_timed_out() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "The request did not arrive in time",
        )
        .closing()
    }

    /// 413: the body is larger than the route takes.
    pub fn body_too_large(bytes_max: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The request body is too large",
        )
        .detail(format!("At most {bytes_max} bytes are taken here."))
        .with("bytes_max", bytes_max)
        .closing()
    }

    /// 414: the request target is longer than `bytes_max`.
    pub fn uri_too_long(bytes_max: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            "The address is too long",
        )
        .detail(format!("At most {bytes_max} bytes are taken."))
        .closing()
    }

    /// 417: an expectation other than `100-continue`.
    pub fn expectation_failed() -> Self {
        Self::new(
            StatusCode::EXPECTATION_FAILED,
            "expectation-failed",
            "The expectation cannot be met",
        )
        .closing()
    }

    /// 429: a rate limit of this client.
    pub fn rate_limited(wait: Span) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests")
            .detail("Requests come faster from your address than the limit allows.")
            .retry_after(wait)
    }

    /// 431: more header lines than are taken.
    pub fn too_many_headers(lines_max: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "The request header is too large",
        )
        .detail(format!("At most {lines_max} header lines are taken."))
        .closing()
    }

    /// 502: the upstream cannot be reached or broke off.
    pub fn upstream_unreachable(detail: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "upstream-unreachable",
            "The shop cannot be reached",
        )
        .detail(detail)
    }

    /// 503: capacity is kept for more important requests.
    pub fn overloaded(wait: Span) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "Too busy right now",
        )
        .detail("All capacity is in use; shoppers who pay go first.")
        .retry_after(wait)
    }

    /// 503: no connection to the upstream became free in time.
    pub fn upstream_saturated(wait: Span) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream-saturated",
            "The shop is busy right now",
        )
        .detail("All connections to the shop are in use.")
        .retry_after(wait)
    }

    /// 504: the upstream did not answer in time.
    pub fn upstream_timed_out(detail: &'static str) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream-timeout",
            "The shop did not answer in time",
        )
        .detail(detail)
    }
}
