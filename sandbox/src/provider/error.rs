//! Stripe's error bodies, and whether an idempotency key remembers them.

use http::StatusCode;
use serde_json::{Value, json};

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Stripe saves an answer once the endpoint began to execute: declines and wrong states are
    /// saved, malformed parameters and conflicts are not.
    pub(crate) saved: bool,
    /// Value of `Stripe-Should-Retry`, where the provider has an opinion.
    pub(crate) should_retry: Option<bool>,
    body: Box<Value>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        let body = json!({ "type": kind, "message": message.into() });
        Self {
            status,
            saved: true,
            should_retry: None,
            body: Box::new(body),
        }
    }

    /// 400 `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>, param: Option<&str>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        match param {
            Some(param) => error.with("param", param),
            None => error,
        }
    }

    /// 404 for an object that does not exist.
    pub(crate) fn missing(object: &str, id: &str, param: &str) -> Self {
        let mut error = Self::invalid(format!("No such {object}: '{id}'"), Some(param));
        error.status = StatusCode::NOT_FOUND;
        error.code("resource_missing")
    }

    /// 500 with nothing done and nothing saved.
    pub(crate) fn unavailable(message: &str) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", message);
        error.before_execution().retry(true)
    }

    pub(crate) fn rate_limited() -> Self {
        let message = "Request rate limit exceeded. You can learn more about rate limits here \
                       https://docs.stripe.com/rate-limits.";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", message);
        error.code("rate_limit").before_execution().retry(true)
    }

    pub(crate) fn code(self, code: &str) -> Self {
        let doc_url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", doc_url)
    }

    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body[field] = value.into();
        self
    }

    /// The endpoint never began: the key stays free for another try.
    pub(crate) fn before_execution(mut self) -> Self {
        self.saved = false;
        self
    }

    pub(crate) fn retry(mut self, should: bool) -> Self {
        self.should_retry = Some(should);
        self
    }

    /// `{"error": {…}}`.
    pub(crate) fn to_body(&self) -> String {
        json!({ "error": *self.body }).to_string()
    }
}
