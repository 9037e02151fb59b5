//! Test payment methods: Stripe's published ones, and our own that make one purchase go wrong.
//!
//! What each of them does is listed in this package's README.

use super::fault::Fault;
use super::route::Operation;

/// Why a card is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    /// Stripe's `decline_code`.
    pub(crate) reason: &'static str,
    pub(crate) message: &'static str,
}

/// What the card network does with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Approve,
    Decline(Decline),
    /// Asks for 3-D Secure first; then approves or declines.
    Authenticate(Option<Decline>),
}

/// A known payment method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    pub(crate) behaviour: Behaviour,
    /// A fault it carries: at which operation, which, and how many times.
    pub(crate) fault: Option<(Operation, Fault, u32)>,
}

const GENERIC: Decline = Decline {
    code: "card_declined",
    reason: "generic_decline",
    message: "Your card was declined.",
};
const INSUFFICIENT: Decline = Decline {
    code: "card_declined",
    reason: "insufficient_funds",
    message: "Your card has insufficient funds.",
};
const LOST: Decline = Decline {
    reason: "lost_card",
    ..GENERIC
};
const STOLEN: Decline = Decline {
    reason: "stolen_card",
    ..GENERIC
};
const EXPIRED: Decline = Decline {
    code: "expired_card",
    reason: "expired_card",
    message: "Your card has expired.",
};
const INCORRECT_CVC: Decline = Decline {
    code: "incorrect_cvc",
    reason: "incorrect_cvc",
    message: "Your card's security code is incorrect.",
};
const PROCESSING: Decline = Decline {
    code: "processing_error",
    reason: "processing_error",
    message: "An error occurred while processing your card. Try again in a little bit.",
};

/// Finds a payment method by its id; `None` when Stripe would not know it either.
pub(crate) fn find(id: &str) -> Option<Card> {
    if let Some(name) = id.strip_prefix("pm_sandbox_") {
        let fault = own_fault(name)?;
        return Some(Card {
            behaviour: Behaviour::Approve,
            fault: Some(fault),
        });
    }
    published(id.strip_prefix("pm_card_")?).map(|behaviour| Card {
        behaviour,
        fault: None,
    })
}

fn published(name: &str) -> Option<Behaviour> {
    let behaviour = match name {
        "visa" | "visa_debit" | "mastercard" | "mastercard_debit" | "amex" | "discover" | "de" | "fr"
        | "gb" | "us" => Behaviour::Approve,
        "chargeDeclined" | "visa_chargeDeclined" => Behaviour::Decline(GENERIC),
        "visa_chargeDeclinedInsufficientFunds" | "chargeDeclinedInsufficientFunds" => {
            Behaviour::Decline(INSUFFICIENT)
        }
        "visa_chargeDeclinedLostCard" => Behaviour::Decline(LOST),
        "visa_chargeDeclinedStolenCard" => Behaviour::Decline(STOLEN),
        "chargeDeclinedExpiredCard" => Behaviour::Decline(EXPIRED),
        "chargeDeclinedIncorrectCvc" => Behaviour::Decline(INCORRECT_CVC),
        "chargeDeclinedProcessingError" => Behaviour::Decline(PROCESSING),
        "threeDSecure2Required" | "threeDSecureRequired" | "authenticationRequired" => {
            Behaviour::Authenticate(None)
        }
        "threeDSecureRequiredChargeDeclined" => Behaviour::Authenticate(Some(GENERIC)),
        "authenticationRequiredChargeDeclinedInsufficientFunds" => {
            Behaviour::Authenticate(Some(INSUFFICIENT))
        }
        _ => return None,
    };
    Some(behaviour)
}

fn own_fault(name: &str) -> Option<(Operation, Fault, u32)> {
    use Operation::{CancelIntent, CaptureIntent, CreateIntent};
    let fault = match name {
        "slow" => (CreateIntent, Fault::Slow, u32::MAX),
        "lostAnswer" => (CreateIntent, Fault::LostAnswer, 1),
        "lostRequest" => (CreateIntent, Fault::LostRequest, 1),
        "saved500" => (CreateIntent, Fault::Saved500, 1),
        "saved500AfterEffect" => (CreateIntent, Fault::Saved500AfterEffect, 1),
        "unsaved500" => (CreateIntent, Fault::Unsaved500, 2),
        "rateLimited" => (CreateIntent, Fault::RateLimited, 2),
        "captureLostAnswer" => (CaptureIntent, Fault::LostAnswer, 1),
        "captureUnsaved500" => (CaptureIntent, Fault::Unsaved500, 2),
        "captureSaved500AfterEffect" => (CaptureIntent, Fault::Saved500AfterEffect, 1),
        "cancelLostAnswer" => (CancelIntent, Fault::LostAnswer, 1),
        _ => return None,
    };
    Some(fault)
}
