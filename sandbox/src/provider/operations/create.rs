//! `POST /v1/payment_intents`: checks the parameters, makes the intent, confirms it when asked to.

use serde_json::Value;

use super::{Call, capture_method, charge_card, known_card, require_return_url};
use crate::provider::book::Book;
use crate::provider::error::ApiError;
use crate::provider::intent::{Intent, Status};
use crate::provider::params::Params;

/// Parameters of the reference that are accepted; those we do not act on have no bearing on money.
const KNOWN: &[&str] = &[
    "amount",
    "currency",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "customer",
    "description",
    "error_on_requires_action",
    "expand",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_options",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "use_stripe_sdk",
];

/// Eight digits, Stripe's ceiling for most currencies.
const AMOUNT_MAX: u64 = 99_999_999;

pub(super) fn create(book: &mut Book, call: &Call, now_ms: u64) -> Result<Value, ApiError> {
    let params = &call.params;
    params.only(KNOWN)?;
    book.check_room()?;
    let currency = currency(params)?;
    let amount = amount(params, &currency)?;
    let confirm = params.boolean("confirm")? == Some(true);
    if !confirm && params.mentions("error_on_requires_action") {
        let message = "You cannot set error_on_requires_action without setting confirm to true.";
        return Err(ApiError::invalid(message, Some("error_on_requires_action")).before_execution());
    }
    let payment_method = params.get("payment_method").map(str::to_owned);
    if let Some(method) = &payment_method {
        known_card(method)?;
    }
    let automatic_payment_methods = automatic_payment_methods(params)?;
    if confirm {
        // Everything that charging would refuse is refused before the intent exists.
        params.required("payment_method")?;
        params.boolean("error_on_requires_action")?;
        require_return_url(automatic_payment_methods, params.get("return_url"))?;
    }
    let id = book.new_id("pi");
    let client_secret = format!("{id}_secret_{}", book.new_id("s").trim_start_matches("s_"));
    let status = match payment_method {
        Some(_) => Status::RequiresConfirmation,
        None => Status::RequiresPaymentMethod,
    };
    let intent = Intent {
        id,
        client_secret,
        created_s: now_ms / 1_000,
        amount,
        currency,
        capture_method: capture_method(params)?,
        status,
        payment_method: payment_method.clone(),
        metadata: params.metadata()?,
        return_url: params.get("return_url").map(str::to_owned),
        description: params.get("description").map(str::to_owned),
        receipt_email: params.get("receipt_email").map(str::to_owned),
        automatic_payment_methods,
        received: 0,
        refunded: 0,
        charge: None,
        last_error: None,
        canceled_at_s: None,
        cancellation_reason: None,
        after_action: None,
    };
    let index = book.insert(intent, now_ms, &call.cause);
    if confirm {
        charge_card(book, index, payment_method, call, now_ms)
    } else {
        Ok(book.show(index))
    }
}

fn currency(params: &Params) -> Result<String, ApiError> {
    let given = params.required("currency")?;
    let currency = given.to_ascii_lowercase();
    if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Ok(currency);
    }
    let message = format!("Invalid currency: {given}. Stripe expects three letters of ISO 4217.");
    Err(ApiError::invalid(message, Some("currency")).before_execution())
}

fn amount(params: &Params, currency: &str) -> Result<u64, ApiError> {
    params.required("amount")?;
    let amount = params.integer("amount")?.unwrap_or_default();
    // Stripe's least charges; currencies it lists with another minimum are rarely sold in here.
    let least = if currency == "gbp" { 30 } else { 50 };
    if amount < least {
        let message = format!("Amount must be at least {least} {currency} in minor units");
        return Err(ApiError::invalid(message, Some("amount")).code("amount_too_small"));
    }
    if amount > AMOUNT_MAX {
        let message = format!("Amount must be no more than {AMOUNT_MAX} {currency} in minor units");
        return Err(ApiError::invalid(message, Some("amount")).code("amount_too_large"));
    }
    Ok(amount)
}

/// `Some(redirects allowed)` when on. Without `payment_method_types` it is on by default (since API
/// version 2023-08-16), which is why a server-side confirm needs a `return_url`.
fn automatic_payment_methods(params: &Params) -> Result<Option<bool>, ApiError> {
    let enabled = params.boolean("automatic_payment_methods[enabled]")?;
    let has_types = params.mentions("payment_method_types");
    if enabled == Some(true) && has_types {
        let message = "You may only specify one of these parameters: automatic_payment_methods, \
                       payment_method_types.";
        return Err(ApiError::invalid(message, None).before_execution());
    }
    if has_types {
        if params.lists("payment_method_types", "card") {
            return Ok(None);
        }
        let message = "The sandbox knows one payment method type: card.";
        return Err(ApiError::invalid(message, Some("payment_method_types")).before_execution());
    }
    let redirects = params.get("automatic_payment_methods[allow_redirects]") != Some("never");
    Ok((enabled != Some(false)).then_some(redirects))
}
