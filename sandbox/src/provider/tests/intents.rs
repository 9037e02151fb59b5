//! Every state against every request: what is allowed, where it leads, and what moves.

use std::collections::BTreeMap;

use crate::provider::card::{Behaviour, find};
use crate::provider::event::EventKind;
use crate::provider::intent::{
    AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, CaptureMethod, Charge, Confirmed, Intent, Status,
    WrongState,
};
use crate::provider::movement::Movement;

const ALL: [Status; 6] = [
    Status::RequiresPaymentMethod,
    Status::RequiresConfirmation,
    Status::RequiresAction,
    Status::RequiresCapture,
    Status::Succeeded,
    Status::Canceled,
];

fn charge() -> Charge {
    Charge {
        id: "ch_1".to_owned(),
        created_s: 1,
        failure: None,
        captured: false,
    }
}

fn intent(status: Status, capture_method: CaptureMethod) -> Intent {
    let taken = status == Status::Succeeded;
    let authorised = taken || status == Status::RequiresCapture;
    Intent {
        id: "pi_1".to_owned(),
        client_secret: "pi_1_secret_s".to_owned(),
        created_s: 1,
        amount: 1_000,
        currency: "eur".to_owned(),
        capture_method,
        status,
        payment_method: Some("pm_card_visa".to_owned()),
        metadata: BTreeMap::new(),
        return_url: None,
        description: None,
        receipt_email: None,
        automatic_payment_methods: None,
        received: if taken { 1_000 } else { 0 },
        refunded: 0,
        charge: authorised.then(charge),
        last_error: None,
        canceled_at_s: None,
        cancellation_reason: None,
        after_action: None,
    }
}

fn behaviour(card: &str) -> Behaviour {
    find(card).unwrap().behaviour
}

#[test]
fn confirm_is_allowed_before_the_money_is_set_aside_and_never_after() {
    for status in ALL {
        let mut intent = intent(status, CaptureMethod::Manual);
        let confirmed = intent.confirm(behaviour("pm_card_visa"), false, charge());
        match status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
                let (confirmed, effects) = confirmed.unwrap();
                assert_eq!(confirmed, Confirmed::Accepted);
                assert_eq!(intent.status, Status::RequiresCapture);
                assert_eq!(effects.movements, [(Movement::Authorised, 1_000)]);
                assert_eq!(effects.events, [EventKind::AmountCapturableUpdated]);
            }
            Status::RequiresCapture | Status::Succeeded | Status::Canceled => {
                assert_eq!(confirmed.unwrap_err(), WrongState(status));
                assert_eq!(intent.status, status);
            }
        }
    }
}

#[test]
fn automatic_capture_authorises_and_takes_in_one_step() {
    for method in [CaptureMethod::Automatic, CaptureMethod::AutomaticAsync] {
        let mut intent = intent(Status::RequiresConfirmation, method);
        let (_, effects) = intent
            .confirm(behaviour("pm_card_visa"), false, charge())
            .unwrap();
        assert_eq!(
            effects.movements,
            [(Movement::Authorised, 1_000), (Movement::Captured, 1_000)]
        );
        assert_eq!((intent.status, intent.received), (Status::Succeeded, 1_000));
        assert!(intent.charge.unwrap().captured);
    }
}

#[test]
fn capture_is_allowed_once_and_only_with_an_authorisation() {
    for status in ALL {
        let mut intent = intent(status, CaptureMethod::Manual);
        let captured = intent.capture(600);
        if status == Status::RequiresCapture {
            let effects = captured.unwrap();
            assert_eq!(
                effects.movements,
                [(Movement::Captured, 600), (Movement::Released, 400)]
            );
            assert_eq!(
                (intent.status, intent.received, intent.capturable()),
                (Status::Succeeded, 600, 0)
            );
        } else {
            assert_eq!(captured.unwrap_err(), WrongState(status));
            assert_eq!(intent.status, status);
        }
    }
}

#[test]
fn cancel_is_allowed_until_money_was_taken_and_releases_what_was_held() {
    for status in ALL {
        let mut intent = intent(status, CaptureMethod::Manual);
        let canceled = intent.cancel(9, Some("abandoned".to_owned()));
        match status {
            Status::Succeeded | Status::Canceled => {
                assert_eq!(canceled.unwrap_err(), WrongState(status));
                assert_eq!((intent.status, intent.canceled_at_s), (status, None));
            }
            Status::RequiresCapture => {
                assert_eq!(canceled.unwrap().movements, [(Movement::Released, 1_000)]);
                assert_eq!((intent.status, intent.canceled_at_s), (Status::Canceled, Some(9)));
            }
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
                assert_eq!(canceled.unwrap().movements, []);
                assert_eq!(intent.status, Status::Canceled);
            }
        }
    }
}

#[test]
fn only_a_question_that_was_asked_can_be_answered() {
    for status in ALL {
        let mut intent = intent(status, CaptureMethod::Manual);
        let answered = intent.authenticate(true, charge());
        assert_eq!(answered.is_ok(), status == Status::RequiresAction, "{status:?}");
        if status != Status::RequiresAction {
            assert_eq!(intent.status, status);
        }
    }
}

#[test]
fn three_d_secure_ends_in_three_ways() {
    let asked = |card: &str| {
        let mut intent = intent(Status::RequiresConfirmation, CaptureMethod::Manual);
        let (confirmed, effects) = intent.confirm(behaviour(card), false, charge()).unwrap();
        assert_eq!(
            (confirmed, intent.status),
            (Confirmed::Accepted, Status::RequiresAction)
        );
        assert_eq!(
            (effects.movements, effects.events),
            (vec![], vec![EventKind::RequiresAction])
        );
        intent
    };
    let mut passed = asked("pm_card_threeDSecure2Required");
    passed.authenticate(true, charge()).unwrap();
    assert_eq!(
        (passed.status, passed.capturable()),
        (Status::RequiresCapture, 1_000)
    );

    let mut refused = asked("pm_card_threeDSecure2Required");
    refused.authenticate(false, charge()).unwrap();
    assert_eq!(refused.status, Status::RequiresPaymentMethod);
    assert_eq!(refused.last_error, Some(AUTHENTICATION_FAILED));

    let mut declined = asked("pm_card_threeDSecureRequiredChargeDeclined");
    let effects = declined.authenticate(true, charge()).unwrap();
    assert_eq!(effects.movements, [(Movement::Declined, 1_000)]);
    assert_eq!(declined.last_error.unwrap().code, "card_declined");
}

#[test]
fn a_caller_who_rules_questions_out_gets_a_decline() {
    let mut intent = intent(Status::RequiresConfirmation, CaptureMethod::Manual);
    let (confirmed, _) = intent
        .confirm(behaviour("pm_card_authenticationRequired"), true, charge())
        .unwrap();
    assert_eq!(confirmed, Confirmed::Declined(AUTHENTICATION_REQUIRED));
    assert_eq!(intent.status, Status::RequiresPaymentMethod);
}

#[test]
fn a_decline_keeps_the_failed_charge_and_a_success_clears_the_error() {
    let mut intent = intent(Status::RequiresConfirmation, CaptureMethod::Manual);
    let (confirmed, effects) = intent
        .confirm(behaviour("pm_card_chargeDeclined"), false, charge())
        .unwrap();
    assert!(matches!(confirmed, Confirmed::Declined(_)));
    assert_eq!(effects.events, [EventKind::PaymentFailed]);
    assert!(intent.payment_method.is_none() && intent.last_error.is_some());
    assert!(intent.charge.as_ref().unwrap().failure.is_some());
    intent
        .confirm(behaviour("pm_card_visa"), false, charge())
        .unwrap();
    assert!(intent.last_error.is_none() && intent.charge.unwrap().failure.is_none());
}

#[test]
fn refunds_add_up() {
    let mut intent = intent(Status::Succeeded, CaptureMethod::Manual);
    assert_eq!(intent.refundable(), 1_000);
    let effects = intent.refund(300);
    assert_eq!(effects.movements, [(Movement::Refunded, 300)]);
    assert_eq!(effects.events, [EventKind::ChargeRefunded]);
    intent.refund(700);
    assert_eq!((intent.refundable(), intent.refunded), (0, 1_000));
}
