//! Turns what a router answers in plain text (axum's rejections, its empty 404 and 405) into
//! problems, so that no error of ours is without a type.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::super::body::EdgeBody;
use super::super::ids::RequestId;
use super::{Form, Problem};

/// Longest plain-text rejection that is quoted, in bytes.
const QUOTED_BYTES_MAX: usize = 2_048;

/// Passes `response` on, or explains it as a problem where it is an error without a form.
///
/// Errors that already have a form (JSON, a page) are left alone, and so are all successes.
pub async fn explain_rejection(
    response: Response<axum::body::Body>,
    id: &RequestId,
    form: Form<'_>,
) -> Response<EdgeBody> {
    let bare = match response.headers().get(CONTENT_TYPE) {
        None => true,
        Some(value) => value.as_bytes().starts_with(b"text/plain"),
    };
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if !bare || !failed {
        return response.map(EdgeBody::axum);
    }
    let (parts, body) = response.into_parts();
    let text = match Limited::new(body, QUOTED_BYTES_MAX).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let detail = String::from_utf8_lossy(&text).into_owned();
    let mut answer = problem_of(parts.status, parts.headers.get(ALLOW).cloned())
        .detail(detail)
        .into_response(id, form);
    // Whatever else the router said (Retry-After, cookies) still stands.
    for (name, value) in &parts.headers {
        if !answer.headers().contains_key(name) && name != http::header::CONTENT_LENGTH {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
}

fn problem_of(status: StatusCode, allow: Option<HeaderValue>) -> Problem {
    match status {
        StatusCode::UNAUTHORIZED => Problem::new(
            status,
            "admin-token-required",
            "The token is missing or is not the right one",
        ),
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::CONFLICT => Problem::new(status, "conflict", "This is not possible as things stand"),
        StatusCode::SERVICE_UNAVAILABLE => {
            Problem::new(status, "unavailable", "A part of the house does not answer")
        }
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(allow),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "body-too-large", "The request body is too large")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
            status,
            "unsupported-media-type",
            "This type of content is not taken here",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => Problem::new(
            status,
            "unprocessable",
            "The content does not have the expected form",
        ),
        status if status.is_client_error() => {
            Problem::new(status, "bad-request", "The request cannot be processed")
        }
        status => Problem::new(status, "internal", "Something went wrong on our side"),
    }
}
