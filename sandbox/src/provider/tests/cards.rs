//! The test payment methods.

use crate::provider::card::{Behaviour, find};
use crate::provider::{Fault, Operation};

#[test]
fn approved_cards_approve() {
    for card in [
        "visa",
        "visa_debit",
        "mastercard",
        "mastercard_debit",
        "amex",
        "discover",
        "de",
        "us",
    ] {
        let found = find(&format!("pm_card_{card}")).unwrap();
        assert_eq!(
            (found.behaviour, found.fault.is_none()),
            (Behaviour::Approve, true),
            "{card}"
        );
    }
}

#[test]
fn declined_cards_give_stripes_codes() {
    for (card, code, reason) in [
        ("chargeDeclined", "card_declined", "generic_decline"),
        ("visa_chargeDeclined", "card_declined", "generic_decline"),
        (
            "visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
        ("visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        (
            "chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
        ),
    ] {
        let found = find(&format!("pm_card_{card}")).unwrap();
        let Behaviour::Decline(decline) = found.behaviour else {
            panic!("{card} is declined")
        };
        assert_eq!((decline.code, decline.reason), (code, reason), "{card}");
        assert!(decline.message.ends_with('.'), "{card} says why in a sentence");
    }
}

#[test]
fn cautious_cards_ask_and_some_are_declined_after_it() {
    for card in [
        "threeDSecure2Required",
        "threeDSecureRequired",
        "authenticationRequired",
    ] {
        assert_eq!(
            find(&format!("pm_card_{card}")).unwrap().behaviour,
            Behaviour::Authenticate(None),
            "{card}"
        );
    }
    for (card, reason) in [
        ("threeDSecureRequiredChargeDeclined", "generic_decline"),
        (
            "authenticationRequiredChargeDeclinedInsufficientFunds",
            "insufficient_funds",
        ),
    ] {
        let Behaviour::Authenticate(Some(decline)) = find(&format!("pm_card_{card}")).unwrap().behaviour
        else {
            panic!("{card} is declined after the question")
        };
        assert_eq!(decline.reason, reason);
    }
}

#[test]
fn our_own_cards_approve_and_carry_one_fault() {
    for (card, operation, fault) in [
        ("slow", Operation::CreateIntent, Fault::Slow),
        ("lostAnswer", Operation::CreateIntent, Fault::LostAnswer),
        ("lostRequest", Operation::CreateIntent, Fault::LostRequest),
        ("saved500", Operation::CreateIntent, Fault::Saved500),
        (
            "saved500AfterEffect",
            Operation::CreateIntent,
            Fault::Saved500AfterEffect,
        ),
        ("unsaved500", Operation::CreateIntent, Fault::Unsaved500),
        ("rateLimited", Operation::CreateIntent, Fault::RateLimited),
        ("captureLostAnswer", Operation::CaptureIntent, Fault::LostAnswer),
        ("captureUnsaved500", Operation::CaptureIntent, Fault::Unsaved500),
        (
            "captureSaved500AfterEffect",
            Operation::CaptureIntent,
            Fault::Saved500AfterEffect,
        ),
        ("cancelLostAnswer", Operation::CancelIntent, Fault::LostAnswer),
    ] {
        let found = find(&format!("pm_sandbox_{card}")).unwrap();
        assert_eq!(found.behaviour, Behaviour::Approve, "{card}");
        let (at, what, times) = found.fault.unwrap();
        assert_eq!((at, what), (operation, fault), "{card}");
        assert!(times > 0, "{card}");
    }
}

#[test]
fn other_names_are_unknown() {
    for name in [
        "",
        "visa",
        "pm_",
        "pm_card_",
        "pm_card_VISA",
        "pm_sandbox_",
        "pm_sandbox_visa",
        "pm_1Abc",
        "card_1",
    ] {
        assert!(find(name).is_none(), "{name}");
    }
}
