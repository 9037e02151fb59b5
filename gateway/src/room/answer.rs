//! Small answers of the shopper API: personal, so never stored by anybody on the way.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};

use crate::edge::{EdgeBody, Form, Problem, RequestId};

/// JSON for one shopper.
pub(crate) fn json(status: StatusCode, body: String) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
