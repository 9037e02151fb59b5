//! Stripe's signed events: which bytes to believe, and what they point at.
//!
//! An event is believed for one thing only: that the payment it names is worth reading. What the payment is now comes
//! from the API, so a repeated, late or reordered event cannot say anything wrong.
//! Source: <https://docs.stripe.com/webhooks/signature>.

use aws_lc_rs::hmac;
use domain::saga::PaymentId;
use domain::{OrderId, Span, Timestamp};
use serde::Deserialize;

/// Largest event that is looked at, in bytes.
pub const EVENT_BYTES_MAX: usize = 256 * 1_024;
/// How far the signature's time may be from ours, in either direction.
pub const TOLERANCE: Span = Span::from_secs(300);
/// Signatures looked at in one header: a rotation has two, an attack on our time would have many.
const SIGNATURES_MAX: usize = 8;
/// Longest header that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 2_048;

/// The secrets that may sign events: one, or two while rotating.
#[derive(Clone)]
pub struct Signing {
    keys: Vec<hmac::Key>,
    live: Option<bool>,
}

/// What a believed event points at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookEvent {
    /// Its name; the same event may come many times.
    pub id: String,
    /// Its type (`payment_intent.succeeded`).
    pub kind: String,
    /// The payment to read, where the event is about one.
    pub payment: Option<PaymentId>,
    /// The order in that payment's metadata: a hint that saves reads, never a fact.
    pub order: Option<OrderId>,
}

/// Why an event is not believed. Nothing was changed; answer 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebhookError {
    /// More than [`EVENT_BYTES_MAX`].
    #[error("the event is larger than {EVENT_BYTES_MAX} bytes")]
    TooLarge,
    /// The signature header is missing, too long, or lacks a time or a `v1`.
    #[error("the signature header is not one")]
    MalformedHeader,
    /// No signature fits: forged, changed on the way, or signed with another secret.
    #[error("no signature fits")]
    Forged,
    /// Signed too long ago, or in the future.
    #[error("the signature's time is more than {TOLERANCE} away")]
    OutOfTime,
    /// Signed, but not an event.
    #[error("the body is not an event")]
    MalformedBody,
    /// An event of the test mode at a live installation, or the reverse.
    #[error("the event belongs to the other mode")]
    OtherMode,
}

impl WebhookError {
    /// The word that stands in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::MalformedHeader => "malformed_header",
            Self::Forged => "forged",
            Self::OutOfTime => "out_of_time",
            Self::MalformedBody => "malformed_body",
            Self::OtherMode => "other_mode",
        }
    }
}

#[derive(Deserialize)]
struct EventBody {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: bool,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    id: Option<String>,
    object: Option<String>,
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: Option<EventMetadata>,
}

#[derive(Deserialize)]
struct EventMetadata {
    order: Option<String>,
}

impl Signing {
    /// Believes events signed with any of `secrets`. `live` says which mode's events are ours; nothing means both.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>, live: Option<bool>) -> Self {
        let key = |secret: &str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self {
            keys: secrets
                .into_iter()
                .filter(|secret| !secret.is_empty())
                .map(key)
                .collect(),
            live,
        }
    }

    /// Checks `body`, the raw bytes as received, against the `Stripe-Signature` header.
    pub fn verify(&self, body: &[u8], header: &str, now: Timestamp) -> Result<WebhookEvent, WebhookError> {
        if body.len() > EVENT_BYTES_MAX {
            return Err(WebhookError::TooLarge);
        }
        let (time, signatures) = parse(header).ok_or(WebhookError::MalformedHeader)?;
        let mut signed = time.as_bytes().to_vec();
        signed.push(b'.');
        signed.extend_from_slice(body);
        // `hmac::verify` compares in constant time; every pair is tried so that the number tried says nothing either.
        let fits = |signature: &Vec<u8>| {
            self.keys
                .iter()
                .filter(|key| hmac::verify(key, &signed, signature).is_ok())
                .count()
                > 0
        };
        if signatures.iter().filter(|signature| fits(signature)).count() == 0 {
            return Err(WebhookError::Forged);
        }
        let seconds: u64 = time.parse().map_err(|_| WebhookError::MalformedHeader)?;
        let at = Timestamp::EPOCH + Span::from_secs(seconds);
        if now.since(at) > TOLERANCE || at.since(now) > TOLERANCE {
            return Err(WebhookError::OutOfTime);
        }
        self.read(body)
    }

    fn read(&self, body: &[u8]) -> Result<WebhookEvent, WebhookError> {
        let body: EventBody = serde_json::from_slice(body).map_err(|_| WebhookError::MalformedBody)?;
        if self.live.is_some_and(|live| live != body.livemode) {
            return Err(WebhookError::OtherMode);
        }
        let object = body.data.object;
        let named = match object.object.as_deref() {
            Some("payment_intent") => object.id,
            // Charges, refunds and disputes name their payment.
            Some(_) | None => object.payment_intent,
        };
        let payment = named.and_then(|id| PaymentId::new(&id).ok());
        let hint = object.metadata.and_then(|metadata| metadata.order);
        let order = hint
            .and_then(|hint| u128::from_str_radix(&hint, 16).ok())
            .map(OrderId);
        if body.id.is_empty() || body.id.len() > 255 || body.kind.len() > 255 {
            return Err(WebhookError::MalformedBody);
        }
        Ok(WebhookEvent {
            id: body.id,
            kind: body.kind,
            payment,
            order,
        })
    }
}

/// The time as written, and every `v1` signature. Other schemes are ignored, as the provider demands.
fn parse(header: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (mut time, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time.is_none() => time = Some(value),
            Some(("t", _)) => return None,
            Some(("v1", value)) if signatures.len() < SIGNATURES_MAX => signatures.extend(unhex(value)),
            Some(_) | None => {}
        }
    }
    let digits =
        |text: &&str| !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    Some((time.filter(digits)?, signatures)).filter(|(_, signatures)| !signatures.is_empty())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signing({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests;
