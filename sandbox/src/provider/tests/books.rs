//! The provider's memory: bounds, expiry, and the events it owes.

use serde_json::Value;

use crate::provider::book::Book;
use crate::provider::event::Cause;
use crate::provider::movement::Movement;
use crate::provider::operations::{Call, perform};
use crate::provider::params::Params;
use crate::provider::route::Operation;

const DAY_MS: u64 = 24 * 3_600_000;

fn book(capacity: usize) -> Book {
    Book::new(1, "order".to_owned(), 7 * DAY_MS, capacity)
}

fn call(operation: Operation, id: Option<&str>, form: &str) -> Call {
    let params = Params::parse(form.as_bytes()).unwrap();
    let cause = Cause {
        request_id: Some("req_1".to_owned()),
        idempotency_key: Some("k1".to_owned()),
    };
    Call {
        operation,
        id: id.map(str::to_owned),
        params,
        cause,
    }
}

const PURCHASE: &str = "amount=1000&currency=eur&payment_method=pm_card_visa&confirm=true&capture_method=manual\
                        &payment_method_types[]=card&metadata[order]=o1";

fn authorise(book: &mut Book, now_ms: u64) -> String {
    let intent = perform(book, &call(Operation::CreateIntent, None, PURCHASE), now_ms).unwrap();
    intent["id"].as_str().unwrap().to_owned()
}

#[test]
fn authorisations_lapse_one_by_one_as_their_time_comes() {
    let mut book = book(100);
    let first = authorise(&mut book, 0);
    let second = authorise(&mut book, DAY_MS);
    book.expire(7 * DAY_MS - 1);
    assert_eq!(book.log().len(), 2);
    book.expire(7 * DAY_MS);
    assert_eq!(book.log().len(), 3);
    assert_eq!(
        (&book.log()[2].payment_intent, book.log()[2].movement),
        (&first, Movement::Released)
    );
    book.expire(8 * DAY_MS);
    assert_eq!(
        (&book.log()[3].payment_intent, book.log()[3].at_ms),
        (&second, 8 * DAY_MS)
    );
    book.expire(100 * DAY_MS);
    assert_eq!(book.log().len(), 4, "each lapses once");
}

#[test]
fn what_was_captured_or_cancelled_does_not_lapse() {
    let mut book = book(100);
    let captured = authorise(&mut book, 0);
    let cancelled = authorise(&mut book, 0);
    perform(&mut book, &call(Operation::CaptureIntent, Some(&captured), ""), 1).unwrap();
    perform(&mut book, &call(Operation::CancelIntent, Some(&cancelled), ""), 1).unwrap();
    let before = book.log().to_vec();
    book.expire(100 * DAY_MS);
    assert_eq!(book.log(), before);
}

#[test]
fn a_full_book_refuses_what_would_grow_it() {
    let mut book = book(1);
    let intent = authorise(&mut book, 0);
    let refused = perform(&mut book, &call(Operation::CreateIntent, None, PURCHASE), 0).unwrap_err();
    assert_eq!((refused.status.as_u16(), refused.saved), (500, false));
    perform(&mut book, &call(Operation::RetrieveIntent, Some(&intent), ""), 0).unwrap();
    perform(&mut book, &call(Operation::CancelIntent, Some(&intent), ""), 0).unwrap();
}

#[test]
fn events_are_owed_once_and_name_their_cause() {
    let mut book = book(100);
    authorise(&mut book, 5_000);
    let events = book.take_events();
    assert!(book.take_events().is_empty());
    let bodies: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_str(&event.body).unwrap())
        .collect();
    let kinds: Vec<&str> = bodies.iter().map(|body| body["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "payment_intent.created",
            "payment_intent.amount_capturable_updated"
        ]
    );
    for (event, body) in events.iter().zip(&bodies) {
        assert_eq!(body["id"], event.id.as_str());
        assert_eq!(body["object"], "event");
        assert_eq!(body["created"], 5);
        assert_eq!(body["livemode"], false);
        assert_eq!(body["request"]["id"], "req_1");
        assert_eq!(body["request"]["idempotency_key"], "k1");
    }
    assert_eq!(bodies[0]["data"]["object"]["status"], "requires_confirmation");
    assert_eq!(bodies[1]["data"]["object"]["status"], "requires_capture");
}

#[test]
fn a_lapse_is_nobodys_request() {
    let mut book = book(100);
    authorise(&mut book, 0);
    book.take_events();
    book.expire(7 * DAY_MS);
    let events = book.take_events();
    let body: Value = serde_json::from_str(&events[0].body).unwrap();
    assert_eq!(body["type"], "payment_intent.canceled");
    assert_eq!(body["data"]["object"]["cancellation_reason"], "automatic");
    assert!(body["request"]["id"].is_null() && body["request"]["idempotency_key"].is_null());
}

#[test]
fn addresses_in_objects_begin_with_the_base() {
    let mut book = book(100);
    book.set_base("http://127.0.0.1:9".to_owned());
    let form =
        PURCHASE.replace("pm_card_visa", "pm_card_threeDSecure2Required") + "&return_url=https://s.example/";
    let intent = perform(&mut book, &call(Operation::CreateIntent, None, &form), 0).unwrap();
    let url = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:9/sandbox/authenticate/pi_"),
        "{url}"
    );
    let events = book.take_events();
    assert!(
        events.last().unwrap().body.contains(url),
        "the event tells the same address"
    );
}

#[test]
fn the_same_seed_gives_the_same_ids() {
    let ids = |seed| {
        let mut book = Book::new(seed, "order".to_owned(), DAY_MS, 10);
        (0..3).map(|_| authorise(&mut book, 0)).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
}

#[test]
fn a_refused_creation_leaves_no_intent_behind() {
    let mut book = book(100);
    for form in [
        PURCHASE.replace("pm_card_visa", "pm_card_nobody"),
        PURCHASE.replace("&payment_method_types[]=card", ""),
        PURCHASE.replace("&payment_method=pm_card_visa", ""),
        PURCHASE.replace("currency=eur", "currency=euro"),
        PURCHASE.replace("capture_method=manual", "capture_method=later"),
        format!("{PURCHASE}&error_on_requires_action=maybe"),
        format!("{PURCHASE}&metadata[{}]=x", "k".repeat(41)),
        PURCHASE.replace("types[]=card", "types[]=cash"),
        PURCHASE.replace("confirm=true", "error_on_requires_action=true"),
        PURCHASE.replace("amount=1000", "amount=100000000"),
        format!("{PURCHASE}&automatic_payment_methods[enabled]=true"),
    ] {
        assert!(
            perform(&mut book, &call(Operation::CreateIntent, None, &form), 0).is_err(),
            "{form}"
        );
        assert!(book.intents.is_empty() && book.log().is_empty(), "{form}");
    }
}

#[test]
fn the_client_secret_may_be_shown_and_must_then_be_right() {
    let mut book = book(100);
    let intent = authorise(&mut book, 0);
    let secret = book.intents[0].client_secret.clone();
    for (form, fine) in [
        (String::new(), true),
        (format!("client_secret={secret}"), true),
        ("client_secret=x".to_owned(), false),
    ] {
        let shown = perform(
            &mut book,
            &call(Operation::RetrieveIntent, Some(&intent), &form),
            0,
        );
        assert_eq!(shown.is_ok(), fine, "{form}");
    }
}
