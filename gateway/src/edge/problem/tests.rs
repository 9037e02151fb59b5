//! Problems: their members, their headers, and who gets the page.

use http_body_util::BodyExt;

use super::*;

fn id() -> RequestId {
    RequestId::new("request-0001").unwrap()
}

/// Pages that show the least: the real ones have tests of their own.
struct Bare;

impl Pages for Bare {
    fn draw(&self, problem: &Problem, id: &RequestId) -> String {
        format!("<!doctype html><title>{}</title>{id}", problem.title())
    }

    fn policy(&self) -> HeaderValue {
        HeaderValue::from_static("default-src 'none'")
    }
}

async fn text(response: Response<EdgeBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_program_gets_rfc_9457() {
    let problem = Problem::rate_limited(Span::from_millis(1_200)).with("limit", "per_address");
    let response = problem.into_response(&id(), Form::Json);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    let value: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "type": "/.doorline/problems/rate-limited",
            "title": "Too many requests",
            "status": 429,
            "detail": "Requests come faster from your address than the limit allows.",
            "instance": "request-0001",
            "retry_after": 2,
            "limit": "per_address",
        })
    );
}

#[tokio::test]
async fn a_person_gets_the_page_that_was_handed_over_under_its_policy() {
    let problem = Problem::overloaded(Span::from_secs(7));
    let response = problem.into_response(&id(), Form::Page(&Bare));
    assert_eq!(response.status(), 503);
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (RETRY_AFTER, "7"),
    ] {
        assert_eq!(response.headers()[&name], value, "{name}");
    }
    assert_eq!(
        text(response).await,
        "<!doctype html><title>Too busy right now</title>request-0001"
    );
}

#[test]
fn malformed_requests_close_the_connection() {
    let response = Problem::malformed("two Host headers").into_response(&id(), Form::Json);
    assert_eq!(response.headers()[CONNECTION], "close");
}

#[test]
fn the_form_follows_accept() {
    for (accept, page) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ("application/json", false),
        ("application/json, text/html", false),
        ("text/html, application/json", true),
        ("*/*", false),
        ("", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        let form = Form::wanted_by(&headers, &Bare);
        assert_eq!(matches!(form, Form::Page(_)), page, "{accept}");
    }
}

#[tokio::test]
async fn a_routers_plain_rejection_becomes_a_problem() {
    let mut plain = Response::new(axum::body::Body::from("Expected request with JSON"));
    *plain.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    plain.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let answer = explain_rejection(plain, &id(), Form::Json).await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    let value: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(value["type"], "/.doorline/problems/unsupported-media-type");
    assert_eq!(value["detail"], "Expected request with JSON");
}

#[tokio::test]
async fn an_error_that_has_a_form_is_left_alone() {
    let mut json = Response::new(axum::body::Body::from("{}"));
    *json.status_mut() = StatusCode::CONFLICT;
    json.headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    assert_eq!(text(explain_rejection(json, &id(), Form::Json).await).await, "{}");
}

#[tokio::test]
async fn a_routers_405_keeps_its_allow() {
    let mut plain = Response::new(axum::body::Body::empty());
    *plain.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    plain
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
    let answer = explain_rejection(plain, &id(), Form::Json).await;
    assert_eq!(answer.headers()[ALLOW], "GET,HEAD");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
}
