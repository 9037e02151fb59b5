//! The payment API's operations: parameters in, an object or a refusal out.

mod create;
mod list;
mod refund;

use serde_json::Value;

use super::book::Book;
use super::card::{self, Card, Decline};
use super::error::ApiError;
use super::event::Cause;
use super::intent::{CaptureMethod, Confirmed, WrongState};
use super::params::Params;
use super::route::Operation;

/// One call, apart from HTTP.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// Id named in the path.
    pub(crate) id: Option<String>,
    pub(crate) params: Params,
    pub(crate) cause: Cause,
}

/// Carries a call out. A refusal that is not [`ApiError::before_execution`] may have changed the
/// intent, as a decline does.
pub(crate) fn perform(book: &mut Book, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    book.expire(now_ms);
    let id = call.id.as_deref().unwrap_or_default();
    match call.operation {
        Operation::CreateIntent => create::create(book, call, now_ms),
        Operation::ConfirmIntent => confirm(book, id, call, now_ms),
        Operation::CaptureIntent => capture(book, id, call, now_ms),
        Operation::CancelIntent => cancel(book, id, call, now_ms),
        Operation::RetrieveIntent => retrieve(book, id, call),
        Operation::ListIntents => list::intents(book, &call.params),
        Operation::CreateRefund => refund::create(book, call, now_ms),
        Operation::RetrieveRefund => refund::retrieve(book, id),
        Operation::ListRefunds => list::refunds(book, &call.params),
    }
}

fn retrieve(book: &Book, id: &str, call: &Call) -> Result<Value, ApiError> {
    let index = book.find(id)?;
    // A publishable-key client proves itself with the client secret; with a secret key it is optional
    // but must be right when given.
    let given = call.params.get("client_secret");
    if given.is_some_and(|secret| secret != book.intents[index].client_secret) {
        let message = "The client_secret provided does not match any associated PaymentIntent.";
        return Err(ApiError::invalid(message, Some("client_secret")));
    }
    Ok(book.show(index))
}

fn confirm(book: &mut Book, id: &str, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    const KNOWN: &[&str] = &[
        "payment_method",
        "return_url",
        "error_on_requires_action",
        "off_session",
        "receipt_email",
        "use_stripe_sdk",
        "expand",
        "payment_method_options",
        "setup_future_usage",
        "shipping",
        "capture_method",
    ];
    call.params.only(KNOWN)?;
    book.check_room()?;
    let index = book.find(id)?;
    let intent = &mut book.intents[index];
    if let Some(url) = call.params.get("return_url") {
        intent.return_url = Some(url.to_owned());
    }
    let named = call.params.get("payment_method").map(str::to_owned);
    let method = named.or_else(|| intent.payment_method.clone());
    charge_card(book, index, method, call, now_ms)
}

/// The part that create-and-confirm shares with confirm.
fn charge_card(
    book: &mut Book,
    index: usize,
    method: Option<String>,
    call: &Call,
    now_ms: u64,
) -> Result<Value, ApiError> {
    let Some(method) = method else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can \
                       either update the PaymentIntent with a payment method and then confirm it again, or \
                       confirm it again directly with a payment method or ConfirmationToken.";
        let error = ApiError::invalid(message, None).code("payment_intent_unexpected_state");
        return Err(error.with("payment_intent", book.show(index)));
    };
    let card = known_card(&method)?;
    let intent = &book.intents[index];
    require_return_url(intent.automatic_payment_methods, intent.return_url.as_deref())?;
    let refuse_action = call.params.boolean("error_on_requires_action")? == Some(true);
    let charge = book.new_charge(now_ms / 1_000);
    let charge_id = charge.id.clone();
    let intent = &mut book.intents[index];
    let confirmed = intent.confirm(card.behaviour, refuse_action, charge);
    let (confirmed, effects) = confirmed.map_err(|wrong| wrong_state("confirm", wrong, book.show(index)))?;
    if confirmed == Confirmed::Accepted {
        book.intents[index].payment_method = Some(method);
    }
    book.apply(index, effects, now_ms, &call.cause);
    match confirmed {
        Confirmed::Accepted => Ok(book.show(index)),
        Confirmed::Declined(decline) => Err(declined(decline, &charge_id, book.show(index))),
    }
}

fn capture(book: &mut Book, id: &str, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    call.params.only(&[
        "amount_to_capture",
        "final_capture",
        "metadata",
        "expand",
        "statement_descriptor",
    ])?;
    book.check_room()?;
    let index = book.find(id)?;
    let intent = &mut book.intents[index];
    let amount = call.params.integer("amount_to_capture")?.unwrap_or(intent.amount);
    if amount == 0 {
        let message = "Invalid positive integer";
        return Err(ApiError::invalid(message, Some("amount_to_capture")).code("parameter_invalid_integer"));
    }
    if amount > intent.amount && intent.capturable() > 0 {
        let message = "The amount to capture is greater than the remaining capturable amount.";
        return Err(ApiError::invalid(message, Some("amount_to_capture")).code("amount_too_large"));
    }
    let captured = intent.capture(amount);
    let effects = captured.map_err(|wrong| wrong_state("capture", wrong, book.show(index)))?;
    book.apply(index, effects, now_ms, &call.cause);
    Ok(book.show(index))
}

fn cancel(book: &mut Book, id: &str, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    const REASONS: [&str; 4] = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    call.params.only(&["cancellation_reason", "expand"])?;
    let reason = call.params.get("cancellation_reason").map(str::to_owned);
    if reason.as_deref().is_some_and(|given| !REASONS.contains(&given)) {
        let message = format!(
            "Invalid cancellation_reason: must be one of {}",
            REASONS.join(", ")
        );
        return Err(ApiError::invalid(message, Some("cancellation_reason")).before_execution());
    }
    let index = book.find(id)?;
    let canceled = book.intents[index].cancel(now_ms / 1_000, reason);
    let effects = canceled.map_err(|wrong| wrong_state("cancel", wrong, book.show(index)))?;
    book.apply(index, effects, now_ms, &call.cause);
    Ok(book.show(index))
}

/// A card may send the shopper to the bank's page; with redirects allowed the way back must be known.
fn require_return_url(redirects: Option<bool>, return_url: Option<&str>) -> Result<(), ApiError> {
    if redirects != Some(true) || return_url.is_some() {
        return Ok(());
    }
    let message = "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. \
                   Because some of these payment methods might redirect your customer off of your page, you \
                   must provide a `return_url`. If you don't want to accept redirect-based payment methods, \
                   set `automatic_payment_methods[enabled]` to `true` and \
                   `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and \
                   Payment Intents.";
    Err(ApiError::invalid(message, Some("return_url")).before_execution())
}

fn known_card(method: &str) -> Result<Card, ApiError> {
    card::find(method).ok_or_else(|| ApiError::missing("PaymentMethod", method, "payment_method"))
}

fn declined(decline: Decline, charge_id: &str, intent: Value) -> ApiError {
    ApiError::new(http::StatusCode::PAYMENT_REQUIRED, "card_error", decline.message)
        .code(decline.code)
        .with("decline_code", decline.reason)
        .with("charge", charge_id)
        .with("payment_intent", intent)
        .retry(false)
}

/// Stripe's words for a request that the state does not allow.
fn wrong_state(verb: &str, WrongState(status): WrongState, intent: Value) -> ApiError {
    let status = status.name();
    let message = match verb {
        "capture" => format!(
            "This PaymentIntent could not be captured because it has a status of {status}. Only a \
             PaymentIntent with one of the following statuses may be captured: requires_capture."
        ),
        "cancel" => format!(
            "You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent \
             with one of the following statuses may be canceled: requires_payment_method, \
             requires_capture, requires_confirmation, requires_action, processing."
        ),
        _ => format!(
            "This PaymentIntent's status is {status}; it cannot be confirmed. Only a PaymentIntent with one \
             of the following statuses may be confirmed: requires_payment_method, requires_confirmation, \
             requires_action."
        ),
    };
    let error = ApiError::invalid(message, None).code("payment_intent_unexpected_state");
    error.with("payment_intent", intent)
}

fn capture_method(params: &Params) -> Result<CaptureMethod, ApiError> {
    match params.get("capture_method") {
        // Stripe's default since API version 2024-04-10.
        None | Some("automatic_async") => Ok(CaptureMethod::AutomaticAsync),
        Some("automatic") => Ok(CaptureMethod::Automatic),
        Some("manual") => Ok(CaptureMethod::Manual),
        Some(other) => {
            let message = format!(
                "Invalid capture_method: must be one of automatic, automatic_async, or manual; got {other}"
            );
            Err(ApiError::invalid(message, Some("capture_method")).before_execution())
        }
    }
}
