//! Which address and method leads where.

use http::Method;

use crate::provider::Operation;
use crate::provider::route::{Route, route};

#[test]
fn every_operation_has_its_address() {
    let id = Some("x_1".to_owned());
    for (method, path, operation, named) in [
        (Method::POST, "/v1/payment_intents", Operation::CreateIntent, None),
        (Method::GET, "/v1/payment_intents", Operation::ListIntents, None),
        (
            Method::GET,
            "/v1/payment_intents/x_1",
            Operation::RetrieveIntent,
            id.clone(),
        ),
        (
            Method::POST,
            "/v1/payment_intents/x_1/confirm",
            Operation::ConfirmIntent,
            id.clone(),
        ),
        (
            Method::POST,
            "/v1/payment_intents/x_1/capture",
            Operation::CaptureIntent,
            id.clone(),
        ),
        (
            Method::POST,
            "/v1/payment_intents/x_1/cancel",
            Operation::CancelIntent,
            id.clone(),
        ),
        (Method::POST, "/v1/refunds", Operation::CreateRefund, None),
        (Method::GET, "/v1/refunds", Operation::ListRefunds, None),
        (Method::GET, "/v1/refunds/x_1", Operation::RetrieveRefund, id),
    ] {
        assert_eq!(
            route(&method, path),
            Route::Api(operation, named),
            "{method} {path}"
        );
        assert_eq!(operation.is_write(), method == Method::POST, "{operation:?}");
    }
}

#[test]
fn the_sandboxs_own_addresses_stand_apart() {
    assert_eq!(
        route(&Method::GET, "/sandbox/authenticate/pi_1"),
        Route::Challenge("pi_1".to_owned())
    );
    assert_eq!(
        route(&Method::OPTIONS, "/sandbox/authenticate/pi_1"),
        Route::Challenge("pi_1".to_owned())
    );
    assert_eq!(route(&Method::POST, "/sandbox/faults"), Route::Faults);
    assert_eq!(route(&Method::GET, "/sandbox/log"), Route::Log);
    assert_eq!(route(&Method::GET, "/sandbox/tally"), Route::Tally);
}

#[test]
fn everything_else_is_unknown() {
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/v1"),
        (Method::DELETE, "/v1/payment_intents/x_1"),
        (Method::POST, "/v1/payment_intents/x_1"),
        (Method::POST, "/v1/payment_intents/x_1/refund"),
        (Method::GET, "/v1/payment_intents/x_1/capture"),
        (Method::GET, "/v1/payment_intents/"),
        (Method::POST, "/sandbox/log"),
        (Method::GET, "/v2/payment_intents"),
    ] {
        let found = route(&method, path);
        // An empty id is looked up and not found, like any other that does not exist.
        let empty_id = Route::Api(Operation::RetrieveIntent, Some(String::new()));
        assert!(
            found == Route::Unknown || found == empty_id,
            "{method} {path}: {found:?}"
        );
    }
}
