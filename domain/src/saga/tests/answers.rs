//! What answers mean, and what of them is never printed.

use super::*;

#[test]
fn answers_mean_what_the_protocol_says() {
    let of = |status, error_type, should_retry| {
        classify(Outcome {
            status,
            error_type,
            should_retry,
            retry_after: None,
        })
    };
    let again = Class::Stalled(Stall::Failed {
        repeat: Repeat::SameKey,
    });
    let never = Class::Stalled(Stall::Failed {
        repeat: Repeat::Never,
    });
    let lost = Class::Stalled(Stall::Lost);
    let in_flight = Class::Stalled(Stall::InFlight);
    let limited = Class::Stalled(Stall::RateLimited { retry_after: None });
    let forbidden = Class::Stalled(Stall::Forbidden);
    for (status, kind, retry, expected) in [
        (200, "", None, Class::Success),
        (402, "card_error", None, Class::Declined),
        (402, "card_error", Some(false), Class::Declined),
        (402, "card_error", Some(true), in_flight.clone()),
        (400, "idempotency_error", None, Class::KeyMismatch),
        (400, "idempotency_error", Some(true), Class::KeyMismatch),
        (400, "invalid_request_error", None, Class::Rejected),
        (404, "invalid_request_error", None, Class::Rejected),
        (404, "invalid_request_error", Some(true), in_flight.clone()),
        (401, "", None, forbidden.clone()),
        (403, "", Some(true), forbidden),
        (409, "", None, in_flight.clone()),
        (409, "", Some(true), in_flight),
        (409, "", Some(false), Class::Rejected),
        (429, "", None, limited.clone()),
        (429, "", Some(false), limited),
        (500, "api_error", None, again.clone()),
        (500, "api_error", Some(true), again),
        (500, "api_error", Some(false), never.clone()),
        (503, "", Some(false), never),
        (502, "", None, lost.clone()),
        (503, "", None, lost.clone()),
        (504, "", Some(true), lost.clone()),
        (302, "", None, lost),
    ] {
        assert_eq!(of(status, kind, retry), expected, "{status} {kind} {retry:?}");
    }
}

#[test]
fn secrets_and_methods_are_not_printed() {
    let shown = alloc::format!("{:?} {:?}", payment(PaymentStatus::RequiresAction), method());
    assert!(
        !shown.contains("pi_1_secret") && !shown.contains("pm_card_visa"),
        "{shown}"
    );
}
