//! The provider port: the only truth for money.
//!
//! A call never fails, it is *answered*: what could not be learnt is [`Answer::Stalled`]. Harmless wrong answers: any
//! stall, at any time. Harmful ones: a payment that is not the order's, and [`Answer::Absent`] for one that exists.

pub mod memory;
pub mod stripe;

use domain::saga::{Answer, Call, IdempotencyKey, KeySpace, Payment, PaymentId, Stall};
use domain::{DropId, Money, OrderId, Timestamp};
use sha2::{Digest, Sha256};

use crate::ledger::{Email, Reply};

/// One call as it goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderCall {
    /// The drop, for the payment's metadata.
    pub drop: DropId,
    /// The order, for the payment's metadata.
    pub order: OrderId,
    /// The space that keys are drawn from, for the payment's metadata.
    pub space: KeySpace,
    /// The key, for calls that change something.
    pub key: Option<IdempotencyKey>,
    /// Where the provider may send a receipt.
    pub email: Option<Email>,
    /// What to do.
    pub call: Call,
}

/// Payments created within a window, a page at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Created at or after this instant.
    pub since: Timestamp,
    /// Created at or before this instant.
    pub until: Timestamp,
    /// After this payment, for the next page.
    pub after: Option<PaymentId>,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// Payments that carry our metadata; others in the account are left out.
    pub payments: Vec<Payment>,
    /// Where the next page starts, if there is one.
    pub next: Option<PaymentId>,
}

/// The port.
pub trait Provider: Send + Sync {
    /// Performs one call. Sends it at most once; repeating is the saga's business.
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer>;
    /// Lists payments of a window, newest first, or says why it could not.
    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>>;
    /// Reads one payment by its name alone, for webhooks.
    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer>;
}

/// SHA-256 over everything that a call sends under its key. Recorded with the attempt, so that a bug which changes a
/// parameter is caught here and not by the provider. The key itself and its space are no part of it: a restored
/// ledger sends the same attempt under a key of another space.
pub fn fingerprint(call: &ProviderCall) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut field = |text: &str| {
        hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    };
    let money = |amount: &Money| format!("{} {}", amount.amount, amount.currency);
    field(call.drop.as_str());
    field(&call.order.to_string());
    match &call.call {
        Call::Authorise { method, amount, .. } => {
            field(method.as_str());
            field(&money(amount));
            field(call.email.as_ref().map_or("", Email::as_str));
        }
        Call::Capture { payment, amount, .. }
        | Call::Refund { payment, amount, .. }
        | Call::RefundStray { payment, amount, .. } => {
            field(payment.as_str());
            field(&money(amount));
        }
        Call::Cancel { payment, .. } | Call::CancelStray { payment, .. } | Call::Retrieve { payment } => {
            field(payment.as_str());
        }
        Call::Find { since, .. } => field(&since.as_millis().to_string()),
    }
    hash.finalize().into()
}
