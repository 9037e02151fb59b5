//! `POST /v1/refunds` and `GET /v1/refunds/{id}`.

use serde_json::Value;

use super::Call;
use crate::provider::book::{Book, Refund};
use crate::provider::error::ApiError;
use crate::provider::wire;

pub(super) fn create(book: &mut Book, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];
    let params = &call.params;
    params.only(&["payment_intent", "amount", "reason", "metadata", "expand"])?;
    book.check_room()?;
    let reason = params.get("reason").map(str::to_owned);
    if reason.as_deref().is_some_and(|given| !REASONS.contains(&given)) {
        let message = format!("Invalid reason: must be one of {}", REASONS.join(", "));
        return Err(ApiError::invalid(message, Some("reason")).before_execution());
    }
    let metadata = params.metadata()?;
    let index = book.find(params.required("payment_intent")?)?;
    let intent = &book.intents[index];
    if intent.received == 0 {
        let message = format!(
            "This PaymentIntent ({}) does not have a successful charge to refund.",
            intent.id
        );
        return Err(ApiError::invalid(message, Some("payment_intent")));
    }
    let left = intent.refundable();
    if left == 0 {
        let charge = intent
            .charge
            .as_ref()
            .map(|charge| charge.id.as_str())
            .unwrap_or_default();
        let message = format!("Charge {charge} has already been refunded.");
        return Err(ApiError::invalid(message, None).code("charge_already_refunded"));
    }
    let amount = params.integer("amount")?.unwrap_or(left);
    if amount == 0 || amount > left {
        let message =
            format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(ApiError::invalid(message, Some("amount")));
    }
    let refund = Refund {
        id: book.new_id("re"),
        intent: index,
        amount,
        created_s: now_ms / 1_000,
        reason,
        metadata,
    };
    let effects = book.intents[index].refund(amount);
    let shown = wire::refund(&refund, &book.intents[index]);
    book.refunds.push(refund);
    book.apply(index, effects, now_ms, &call.cause);
    Ok(shown)
}

pub(super) fn retrieve(book: &Book, id: &str) -> Result<Value, ApiError> {
    let found = book.refunds.iter().find(|refund| refund.id == id);
    let refund = found.ok_or_else(|| ApiError::missing("refund", id, "id"))?;
    Ok(wire::refund(refund, &book.intents[refund.intent]))
}
