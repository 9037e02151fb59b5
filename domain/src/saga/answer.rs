//! What an answer of the provider means: the one place where status codes become decisions.

use crate::Span;

use super::payment::{Payment, Reason};

/// What came of one call to the provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// The payment as it stands now.
    Payment(Payment),
    /// The refund is on its way; minor units of the payment's currency.
    Refunded(u64),
    /// The provider has no payment of this order.
    Absent,
    /// A definite decline: the method will not pay.
    Declined(Reason),
    /// Definitely refused for another reason; a person must look.
    Rejected(Reason),
    /// The key was used with other parameters: a bug of ours, never to be answered with a new key.
    KeyMismatch,
    /// Nothing is decided.
    Stalled(Stall),
}

/// Why nothing is decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stall {
    /// The same key is being worked on elsewhere: ask again later.
    InFlight,
    /// Too many requests. Not a try: the request was not looked at.
    RateLimited {
        /// How long to keep away, where the provider says so.
        retry_after: Option<Span>,
    },
    /// Our credentials are refused: nothing will work until somebody mends them.
    Forbidden,
    /// The provider failed and answered so. The request is over; whether it had an effect is unknown.
    Failed {
        /// Whether the same key may bring another answer.
        repeat: Repeat,
    },
    /// No answer: a timeout or a broken connection. The request may still be under way.
    Lost,
}

/// Whether it makes sense to send the same request again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Repeat {
    /// It does, with the same key.
    SameKey,
    /// It does not: read, then decide.
    Never,
}

/// The meaning of an answer, before its body is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// 2xx: the body is the object.
    Success,
    /// See [`Answer::Declined`].
    Declined,
    /// See [`Answer::KeyMismatch`].
    KeyMismatch,
    /// See [`Answer::Rejected`].
    Rejected,
    /// See [`Answer::Stalled`].
    Stalled(Stall),
}

/// What the head and the error body of an answer say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Outcome<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `error.type` of the body (`card_error`, `idempotency_error`, …); empty where there is none.
    pub error_type: &'a str,
    /// `Stripe-Should-Retry`, which wins over the status.
    pub should_retry: Option<bool>,
    /// `Retry-After`.
    pub retry_after: Option<Span>,
}

/// Says what an answer means. A header that allows or forbids a retry wins over the status, except that success,
/// refused credentials and a key mismatch are what they are, and that 429 was never looked at, hence may be repeated.
///
/// Source: <https://docs.stripe.com/error-low-level> and <https://docs.stripe.com/api/idempotent_requests>.
pub fn classify(outcome: Outcome<'_>) -> Class {
    let again = outcome.should_retry;
    match outcome.status {
        200..=299 => Class::Success,
        400 if outcome.error_type == "idempotency_error" => Class::KeyMismatch,
        401 | 403 => Class::Stalled(Stall::Forbidden),
        429 => Class::Stalled(Stall::RateLimited {
            retry_after: outcome.retry_after,
        }),
        402 if again != Some(true) => Class::Declined,
        409 if again == Some(false) => Class::Rejected,
        500..=599 if again == Some(false) => Class::Stalled(Stall::Failed {
            repeat: Repeat::Never,
        }),
        500 => Class::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        }),
        409 => Class::Stalled(Stall::InFlight),
        400..=499 if again == Some(true) => Class::Stalled(Stall::InFlight),
        400..=499 => Class::Rejected,
        // 502 to 504 come from something in front of the provider, behind which the request may still be under way.
        // Neither informational nor redirect answers belong to this API: something else answered in its place.
        _ => Class::Stalled(Stall::Lost),
    }
}
