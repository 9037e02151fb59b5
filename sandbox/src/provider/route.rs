//! Paths and methods of the provider, and the name of each operation.

use http::Method;
use serde::{Deserialize, Serialize};

/// An operation of the payment API: the unit of rate limits and of fault rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST /v1/payment_intents`
    CreateIntent,
    /// `POST /v1/payment_intents/{id}/confirm`
    ConfirmIntent,
    /// `POST /v1/payment_intents/{id}/capture`
    CaptureIntent,
    /// `POST /v1/payment_intents/{id}/cancel`
    CancelIntent,
    /// `GET /v1/payment_intents/{id}`
    RetrieveIntent,
    /// `GET /v1/payment_intents`
    ListIntents,
    /// `POST /v1/refunds`
    CreateRefund,
    /// `GET /v1/refunds/{id}`
    RetrieveRefund,
    /// `GET /v1/refunds`
    ListRefunds,
}

impl Operation {
    /// Whether the operation honours an `Idempotency-Key` (Stripe ignores it on reads).
    pub(crate) fn is_write(self) -> bool {
        match self {
            Self::CreateIntent
            | Self::ConfirmIntent
            | Self::CaptureIntent
            | Self::CancelIntent
            | Self::CreateRefund => true,
            Self::RetrieveIntent | Self::ListIntents | Self::RetrieveRefund | Self::ListRefunds => false,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The payment API; the id of the object named in the path, if any.
    Api(Operation, Option<String>),
    /// A person's bank: the page, its form, and the JSON call.
    Challenge(String),
    /// The fault plan: read with GET, replaced with POST.
    Faults,
    /// The log of money movements.
    Log,
    /// The log summed up per order.
    Tally,
    Unknown,
}

/// Maps method and path. An unknown path and a wrong method look the same to Stripe's clients: 404.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let api = |operation, id: &str| Route::Api(operation, Some(id.to_owned()));
    let is_post = method == Method::POST;
    let is_get = method == Method::GET;
    match segments.as_slice() {
        ["v1", "payment_intents"] if is_post => Route::Api(Operation::CreateIntent, None),
        ["v1", "payment_intents"] if is_get => Route::Api(Operation::ListIntents, None),
        ["v1", "payment_intents", id] if is_get => api(Operation::RetrieveIntent, id),
        ["v1", "payment_intents", id, "confirm"] if is_post => api(Operation::ConfirmIntent, id),
        ["v1", "payment_intents", id, "capture"] if is_post => api(Operation::CaptureIntent, id),
        ["v1", "payment_intents", id, "cancel"] if is_post => api(Operation::CancelIntent, id),
        ["v1", "refunds"] if is_post => Route::Api(Operation::CreateRefund, None),
        ["v1", "refunds"] if is_get => Route::Api(Operation::ListRefunds, None),
        ["v1", "refunds", id] if is_get => api(Operation::RetrieveRefund, id),
        ["sandbox", "authenticate", id] => Route::Challenge((*id).to_owned()),
        ["sandbox", "faults"] if is_get || is_post => Route::Faults,
        ["sandbox", "log"] if is_get => Route::Log,
        ["sandbox", "tally"] if is_get => Route::Tally,
        _ => Route::Unknown,
    }
}
