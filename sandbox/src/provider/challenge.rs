//! The shopper's bank: a page with two buttons, and the same as one JSON call.
//!
//! Whoever knows the client secret is the shopper; the secret key is not needed. The call may come
//! from a shop's page on another origin, so it answers CORS preflights.

use askama::Template;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::event::Cause;
use super::intent::Status;
use super::server::{Asked, put, refusal};
use super::shared::Shared;
use crate::serve::{Reply, reply};

/// What the shopper tells the bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    #[default]
    Succeed,
    Fail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    client_secret: String,
    outcome: Outcome,
    /// Set by the page's form: answer with a page or a redirect instead of JSON.
    page: Option<String>,
}

#[derive(Template)]
#[template(path = "challenge.html")]
struct Page<'a> {
    amount: &'a str,
    client_secret: &'a str,
    /// `None` while the question is open.
    done: Option<bool>,
}

/// Handles every method on `/sandbox/authenticate/{payment_intent}`.
pub(crate) fn answer(shared: &Shared, asked: &Asked, id: &str) -> Reply {
    let mut answer = if asked.method == Method::OPTIONS {
        reply(StatusCode::NO_CONTENT, "text/plain", "")
    } else if asked.method == Method::GET {
        ask(shared, asked, id).unwrap_or_else(|error| refusal(&error))
    } else if asked.method == Method::POST {
        decide(shared, asked, id).unwrap_or_else(|error| refusal(&error))
    } else {
        reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET or POST")
    };
    let headers = answer.headers_mut();
    put(headers, "access-control-allow-origin", "*");
    put(headers, "access-control-allow-methods", "GET, POST");
    put(headers, "access-control-allow-headers", "content-type");
    put(headers, "access-control-max-age", "600");
    put(headers, "cache-control", "no-store");
    answer
}

fn ask(shared: &Shared, asked: &Asked, id: &str) -> Result<Reply, ApiError> {
    let given: Answer = serde_urlencoded::from_str(&asked.query).unwrap_or_default();
    let state = shared.state();
    let index = state.book.find(id)?;
    let intent = &state.book.intents[index];
    check_secret(&intent.client_secret, &given.client_secret)?;
    let amount = price(intent.amount, &intent.currency);
    let done = (intent.status != Status::RequiresAction).then_some(intent.last_error.is_none());
    Ok(page(&Page {
        amount: &amount,
        client_secret: &given.client_secret,
        done,
    }))
}

fn decide(shared: &Shared, asked: &Asked, id: &str) -> Result<Reply, ApiError> {
    let given = parse(&asked.headers, &asked.body)?;
    let now_ms = shared.clock.now_ms();
    let mut guard = shared.state();
    let state = &mut *guard;
    let index = state.book.find(id)?;
    check_secret(&state.book.intents[index].client_secret, &given.client_secret)?;
    let charge = state.book.new_charge(now_ms / 1_000);
    let passed = given.outcome == Outcome::Succeed;
    let decided = state.book.intents[index].authenticate(passed, charge);
    let effects = decided.map_err(|wrong| {
        let message = format!("This payment needs no authentication: it is {}.", wrong.0.name());
        ApiError::invalid(message, None).code("payment_intent_unexpected_state")
    })?;
    state.book.apply(index, effects, now_ms, &Cause::default());
    shared.publish(state);
    let intent = &state.book.intents[index];
    let went_well = intent.last_error.is_none();
    if given.page.is_none() {
        let body = json!({ "id": intent.id, "status": intent.status.name() }).to_string();
        return Ok(reply(StatusCode::OK, "application/json", body));
    }
    if let Some(url) = &intent.return_url {
        return back_to_shop(url, &intent.id, &intent.client_secret, went_well);
    }
    let amount = price(intent.amount, &intent.currency);
    Ok(page(&Page {
        amount: &amount,
        client_secret: "",
        done: Some(went_well),
    }))
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Answer, ApiError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.starts_with("application/json"));
    let bad = |why: String| ApiError::invalid(format!("Bad authentication answer: {why}"), None);
    if is_json {
        serde_json::from_slice(body).map_err(|error| bad(error.to_string()))
    } else {
        serde_urlencoded::from_bytes(body).map_err(|error| bad(error.to_string()))
    }
}

fn check_secret(expected: &str, given: &str) -> Result<(), ApiError> {
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), given.as_bytes());
    equal.map_err(|_| {
        let mut error = ApiError::invalid("The client_secret does not match.", Some("client_secret"));
        error.status = StatusCode::FORBIDDEN;
        error
    })
}

/// Stripe's way back: the return URL with what happened in its query.
fn back_to_shop(url: &str, id: &str, secret: &str, went_well: bool) -> Result<Reply, ApiError> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let status = if went_well { "succeeded" } else { "failed" };
    let location = format!(
        "{url}{joint}payment_intent={id}&payment_intent_client_secret={secret}&redirect_status={status}"
    );
    let location = HeaderValue::from_str(&location)
        .map_err(|_| ApiError::invalid("The return_url cannot be redirected to.", Some("return_url")))?;
    let mut answer = reply(StatusCode::SEE_OTHER, "text/plain", "");
    answer.headers_mut().insert(header::LOCATION, location);
    Ok(answer)
}

fn page(page: &Page<'_>) -> Reply {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action *; frame-ancestors *";
    let Ok(html) = page.render() else {
        return refusal(&ApiError::unavailable("The page could not be rendered."));
    };
    let mut answer = reply(StatusCode::OK, "text/html; charset=utf-8", html);
    put(answer.headers_mut(), "content-security-policy", POLICY);
    put(answer.headers_mut(), "x-content-type-options", "nosniff");
    put(answer.headers_mut(), "referrer-policy", "no-referrer");
    answer
}

/// `129.00 EUR`; currencies without minor units, of which Stripe lists sixteen, are shown whole.
fn price(amount: u64, currency: &str) -> String {
    const WHOLE: [&str; 16] = [
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf",
        "xof", "xpf",
    ];
    let name = currency.to_ascii_uppercase();
    if WHOLE.contains(&currency) {
        return format!("{amount} {name}");
    }
    format!("{}.{:02} {name}", amount / 100, amount % 100)
}
