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
    // Room for one more, or putting the id into its place would make the map grow after all.
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    headers.extend(lines.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_for_one_shopper_is_json_that_nobody_keeps() {
        let response = json(StatusCode::CREATED, "{}".to_owned());
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }

    #[test]
    fn one_answers_headers_are_not_the_nexts() {
        let mut first = json(StatusCode::OK, String::new());
        first
            .headers_mut()
            .insert(X_REQUEST_ID, HeaderValue::from_static("first-request"));
        first
            .headers_mut()
            .append(SET_COOKIE, HeaderValue::from_static("a=b"));
        let second = json(StatusCode::OK, String::new());
        assert_eq!(second.headers()[X_REQUEST_ID], "");
        assert!(!second.headers().contains_key(SET_COOKIE));
    }

    #[test]
    fn the_id_finds_its_place_without_growing_the_map() {
        let mut headers = PERSONAL.clone();
        let before = headers.capacity();
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("the-request"));
        assert_eq!(headers.capacity(), before);
        assert_eq!(headers.get_all(X_REQUEST_ID).iter().count(), 1);
    }

    #[test]
    fn done_has_nothing_to_say() {
        let response = empty();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert!(!response.headers().contains_key(CONTENT_TYPE));
    }
}
