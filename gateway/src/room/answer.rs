//! Small answers of the shopper API: personal, so never stored by anybody on the way.

use std::sync::LazyLock;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::edge::ids::X_REQUEST_ID;
use crate::edge::{EdgeBody, Form, Problem, RequestId};

/// The headers of an answer for one shopper. Copied for every poll, which costs half of what it
/// costs to put them into a map one by one; the request's id, which the edge puts on every answer,
/// has its place already, so that the copy need not grow.
static PERSONAL: LazyLock<HeaderMap> = LazyLock::new(|| {
    let lines = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (X_REQUEST_ID, ""),
    ];
    let lines = lines.map(|(name, value)| (name, HeaderValue::from_static(value)));
    lines.into_iter().collect()
});

/// JSON for one shopper.
pub(crate) fn json(status: StatusCode, body: String) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = PERSONAL.clone();
    response
}

/// Done, and nothing to say about it: 204.
pub(crate) fn empty() -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Adds a cookie to an answer, if there is one to keep.
pub(crate) fn keep(response: &mut Response<EdgeBody>, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// A refusal, perhaps with a cookie that lets the next try succeed.
#[derive(Debug)]
pub(crate) struct Refusal {
    problem: Problem,
    cookie: Option<HeaderValue>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            cookie: None,
        }
    }
}

impl Refusal {
    /// A refusal that also sets `cookie`.
    pub(crate) fn with_cookie(problem: Problem, cookie: HeaderValue) -> Self {
        Self {
            problem,
            cookie: Some(cookie),
        }
    }

    /// Writes the refusal.
    pub(crate) fn into_response(self, id: &RequestId, form: Form<'_>) -> Response<EdgeBody> {
        let mut response = self.problem.into_response(id, form);
        keep(&mut response, self.cookie);
        response
    }
}
