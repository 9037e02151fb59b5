//! How objects look in JSON: the fields of Stripe's reference that its SDKs and our clients read.

use serde_json::{Value, json};

use super::book::Refund;
use super::card::Decline;
use super::intent::{Charge, Intent, Status};

/// The API version whose shapes are spoken.
pub(crate) const API_VERSION: &str = "2025-09-30.clover";

/// A `PaymentIntent` object. `next_action` points at paths without a host: see [`with_base`].
pub(crate) fn intent(intent: &Intent) -> Value {
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.capturable(),
        "amount_details": { "tip": {} },
        "amount_received": intent.received,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": intent.automatic_payment_methods.map(|redirects| json!({
            "enabled": true,
            "allow_redirects": if redirects { "always" } else { "never" },
        })),
        "canceled_at": intent.canceled_at_s,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method.name(),
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created_s,
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": intent.last_error.map(|decline| last_error(intent, decline)),
        "latest_charge": intent.charge.as_ref().map(|charge| charge.id.as_str()),
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action(intent),
        "on_behalf_of": null,
        "payment_method": intent.payment_method,
        "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": intent.receipt_email,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": intent.status.name(),
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// The latest Charge of an intent, or null.
pub(crate) fn charge(intent: &Intent) -> Value {
    let Some(charge) = &intent.charge else {
        return Value::Null;
    };
    json!({
        "id": charge.id,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.received,
        "amount_refunded": intent.refunded,
        "captured": charge.captured,
        "created": charge.created_s,
        "currency": intent.currency,
        "failure_code": charge.failure.map(|decline| decline.code),
        "failure_message": charge.failure.map(|decline| decline.message),
        "livemode": false,
        "metadata": intent.metadata,
        "outcome": outcome(charge),
        "paid": charge.failure.is_none(),
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "refunded": intent.received > 0 && intent.refunded == intent.received,
        "status": if charge.failure.is_none() { "succeeded" } else { "failed" },
    })
}

/// A Refund object.
pub(crate) fn refund(refund: &Refund, intent: &Intent) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "charge": intent.charge.as_ref().map(|charge| charge.id.as_str()),
        "created": refund.created_s,
        "currency": intent.currency,
        "metadata": refund.metadata,
        "payment_intent": intent.id,
        "reason": refund.reason,
        "receipt_number": null,
        "status": "succeeded",
    })
}

/// A page of a list.
pub(crate) fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

/// Path of the page where a shopper faces the bank.
pub(crate) fn challenge_path(intent: &Intent) -> String {
    format!(
        "/sandbox/authenticate/{}?client_secret={}",
        intent.id, intent.client_secret
    )
}

/// Puts the provider's own address in front of the paths in `next_action`.
pub(crate) fn with_base(mut intent: Value, base: &str) -> Value {
    for pointer in [
        "/next_action/redirect_to_url/url",
        "/next_action/use_stripe_sdk/stripe_js",
    ] {
        if let Some(url) = intent.pointer_mut(pointer) {
            let path = url.as_str().unwrap_or_default();
            *url = Value::String(format!("{base}{path}"));
        }
    }
    intent
}

fn next_action(intent: &Intent) -> Value {
    if intent.status != Status::RequiresAction {
        return Value::Null;
    }
    match &intent.return_url {
        Some(return_url) => json!({
            "type": "redirect_to_url",
            "redirect_to_url": { "url": challenge_path(intent), "return_url": return_url },
        }),
        None => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": { "type": "three_d_secure_redirect", "stripe_js": challenge_path(intent) },
        }),
    }
}

fn last_error(intent: &Intent, decline: Decline) -> Value {
    json!({
        "type": "card_error",
        "code": decline.code,
        "decline_code": decline.reason,
        "message": decline.message,
        "charge": intent.charge.as_ref().map(|charge| charge.id.as_str()),
    })
}

fn outcome(charge: &Charge) -> Value {
    match charge.failure {
        None => json!({ "network_status": "approved_by_network", "type": "authorized" }),
        Some(decline) => json!({
            "network_status": "declined_by_network",
            "reason": decline.reason,
            "type": "issuer_declined",
        }),
    }
}
