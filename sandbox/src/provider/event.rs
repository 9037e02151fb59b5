//! Webhook events: which kinds exist, and how one looks on the wire.

use serde_json::{Value, json};

use super::wire;

/// The events this provider sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Created,
    RequiresAction,
    AmountCapturableUpdated,
    Succeeded,
    PaymentFailed,
    Canceled,
    ChargeRefunded,
}

impl EventKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "payment_intent.created",
            Self::RequiresAction => "payment_intent.requires_action",
            Self::AmountCapturableUpdated => "payment_intent.amount_capturable_updated",
            Self::Succeeded => "payment_intent.succeeded",
            Self::PaymentFailed => "payment_intent.payment_failed",
            Self::Canceled => "payment_intent.canceled",
            Self::ChargeRefunded => "charge.refunded",
        }
    }
}

/// Who caused an event: the request that did, as Stripe reports it; absent for a timer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// The body of one event. It is fixed when the event happens, not when it is delivered.
pub(crate) fn body(id: &str, kind: EventKind, now_s: u64, cause: &Cause, object: &Value) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": wire::API_VERSION,
        "created": now_s,
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": cause.request_id, "idempotency_key": cause.idempotency_key },
        "type": kind.name(),
    })
}
