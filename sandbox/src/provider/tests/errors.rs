//! Error bodies and headers, word for word where clients depend on them.

use serde_json::{Value, json};

use crate::provider::error::ApiError;
use crate::provider::server::refusal;

fn body(error: &ApiError) -> Value {
    serde_json::from_str(&error.to_body()).unwrap()
}

#[test]
fn a_refusal_has_stripes_shape() {
    let error =
        ApiError::invalid("Missing required param: amount.", Some("amount")).code("parameter_missing");
    let expected = json!({ "error": {
        "type": "invalid_request_error",
        "message": "Missing required param: amount.",
        "param": "amount",
        "code": "parameter_missing",
        "doc_url": "https://stripe.com/docs/error-codes/parameter-missing",
    }});
    assert_eq!(body(&error), expected);
    assert_eq!(
        (error.status.as_u16(), error.saved, error.should_retry),
        (400, true, None)
    );
}

#[test]
fn what_is_missing_is_named() {
    let error = ApiError::missing("payment_intent", "pi_x", "intent");
    assert_eq!(error.status, 404);
    assert_eq!(body(&error)["error"]["message"], "No such payment_intent: 'pi_x'");
    assert_eq!(body(&error)["error"]["code"], "resource_missing");
}

#[test]
fn troubles_before_execution_are_not_saved_and_may_be_tried_again() {
    for (error, status) in [
        (ApiError::rate_limited(), 429),
        (ApiError::unavailable("Down."), 500),
    ] {
        assert_eq!(
            (error.status.as_u16(), error.saved, error.should_retry),
            (status, false, Some(true))
        );
        assert_eq!(refusal(&error).headers()["stripe-should-retry"], "true");
    }
}

#[test]
fn headers_follow_the_kind_of_refusal() {
    let limited = refusal(&ApiError::rate_limited());
    assert_eq!(limited.headers()["stripe-rate-limited-reason"], "endpoint-rate");
    let plain = refusal(&ApiError::invalid("No.", None));
    assert!(!plain.headers().contains_key("stripe-should-retry"));
    assert!(!plain.headers().contains_key("stripe-rate-limited-reason"));
    assert_eq!(plain.headers()["content-type"], "application/json");
    let declined = refusal(&ApiError::invalid("No.", None).retry(false));
    assert_eq!(declined.headers()["stripe-should-retry"], "false");
}
