//! Answers as the API writes them. They are not trusted: what cannot be read is an answer that was lost.

use std::collections::BTreeMap;

use domain::saga::{Answer, ClientSecret, KeySpace, Payment, PaymentId, PaymentStatus, Reason, Stall};
use domain::{Currency, DropId, Money, OrderId};
use serde::Deserialize;

use crate::provider::Page;

use super::reason_or;

#[derive(Deserialize)]
struct Intent {
    id: String,
    status: String,
    amount: u64,
    currency: String,
    #[serde(default)]
    amount_capturable: u64,
    #[serde(default)]
    amount_received: u64,
    client_secret: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    last_payment_error: Option<ErrorBody>,
    latest_charge: Option<Charge>,
}

/// A charge's id, or the charge itself where the API was asked to expand it and did.
#[derive(Deserialize)]
#[serde(untagged)]
enum Charge {
    Expanded { amount_refunded: u64 },
    Id(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Refund {
    amount: u64,
    status: Option<String>,
    failure_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Failure {
    #[serde(default)]
    error: ErrorBody,
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
}

/// What an error body says; empty where there is none.
pub(super) struct ErrorWords {
    pub(super) kind: String,
    word: Option<String>,
}

impl ErrorWords {
    /// The most telling word there is.
    pub(super) fn reason(&self) -> Reason {
        reason_or(self.word.as_deref(), "unknown")
    }
}

/// Reads an error body.
pub(super) fn error(body: &[u8]) -> ErrorWords {
    let error = serde_json::from_slice::<Failure>(body).unwrap_or_default().error;
    let word = error.decline_code.or(error.code).or_else(|| error.kind.clone());
    ErrorWords {
        kind: error.kind.unwrap_or_default(),
        word,
    }
}

/// Reads a payment. One that does not carry our metadata is none of ours.
pub(super) fn payment(body: &[u8]) -> Answer {
    match serde_json::from_slice::<Intent>(body) {
        Ok(intent) => converted(intent).map_or_else(
            || Answer::Rejected(reason_or(Some("foreign_payment"), "unknown")),
            Answer::Payment,
        ),
        Err(_) => Answer::Stalled(Stall::Lost),
    }
}

/// Reads a page of a list; payments that are none of ours are left out.
pub(super) fn page(body: &[u8]) -> Option<Page> {
    let list: List<Intent> = serde_json::from_slice(body).ok()?;
    let oldest = list.data.last().map(|intent| intent.id.clone());
    let next = match (list.has_more, oldest) {
        (true, Some(oldest)) => Some(PaymentId::new(&oldest).ok()?),
        (true, None) | (false, _) => None,
    };
    Some(Page {
        payments: list.data.into_iter().filter_map(converted).collect(),
        next,
    })
}

/// Reads a refund that was just made.
pub(super) fn refund(body: &[u8]) -> Answer {
    let Ok(refund) = serde_json::from_slice::<Refund>(body) else {
        return Answer::Stalled(Stall::Lost);
    };
    match refund.status.as_deref() {
        // Pending is on its way: cards take days, and the provider reports a failure as an event.
        Some("succeeded" | "pending") | None => Answer::Refunded(refund.amount),
        Some(_) => Answer::Rejected(reason_or(refund.failure_reason.as_deref(), "refund_failed")),
    }
}

/// Sums the refunds of one payment that were not refused.
pub(super) fn refunded(body: &[u8]) -> Option<u64> {
    let list: List<Refund> = serde_json::from_slice(body).ok()?;
    let counts = |refund: &&Refund| !matches!(refund.status.as_deref(), Some("failed" | "canceled"));
    Some(
        list.data
            .iter()
            .filter(counts)
            .map(|refund| refund.amount)
            .fold(0, u64::saturating_add),
    )
}

fn converted(intent: Intent) -> Option<Payment> {
    let drop = DropId::new(intent.metadata.get("drop")?).ok()?;
    let order = OrderId(u128::from_str_radix(intent.metadata.get("order")?, 16).ok()?);
    let n = intent.metadata.get("n")?.parse().ok()?;
    let space = intent.metadata.get("space").map(|name| KeySpace::parse(name));
    let refunded = match intent.latest_charge {
        Some(Charge::Expanded { amount_refunded }) => amount_refunded,
        Some(Charge::Id(_)) | None => 0,
    };
    let decline = intent
        .last_payment_error
        .and_then(|error| error.decline_code.or(error.code));
    Some(Payment {
        id: PaymentId::new(&intent.id).ok()?,
        drop,
        order,
        space: space.unwrap_or(Some(KeySpace::FIRST))?,
        n,
        status: status(&intent.status)?,
        amount: Money::new(intent.amount, Currency::new(&intent.currency).ok()?),
        capturable: intent.amount_capturable,
        captured: intent.amount_received,
        refunded,
        client_secret: intent
            .client_secret
            .and_then(|secret| ClientSecret::new(&secret).ok()),
        decline: decline.and_then(|word| Reason::new(&word).ok()),
    })
}

fn status(name: &str) -> Option<PaymentStatus> {
    Some(match name {
        "requires_payment_method" => PaymentStatus::RequiresMethod,
        "requires_confirmation" => PaymentStatus::RequiresConfirmation,
        "requires_action" => PaymentStatus::RequiresAction,
        "processing" => PaymentStatus::Processing,
        "requires_capture" => PaymentStatus::RequiresCapture,
        "succeeded" => PaymentStatus::Succeeded,
        "canceled" => PaymentStatus::Cancelled,
        _ => return None,
    })
}
