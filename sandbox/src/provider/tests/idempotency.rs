//! One execution per key, whatever the network does.

use serde_json::json;

use super::{FaultPlan, body, buy, header, id, path, post, purchase, start, start_with};
use crate::provider::{Fault, FaultRule, Operation};

#[tokio::test]
async fn the_same_key_repeats_the_same_answer() {
    let provider = start().await;
    let form = purchase("pm_card_visa", "o1");
    let first = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .send()
        .await;
    assert_eq!(header(&first, "idempotent-replayed"), None);
    let second = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .send()
        .await;
    assert_eq!(header(&second, "idempotent-replayed"), Some("true"));
    assert_eq!(header(&second, "original-request"), header(&first, "request-id"));
    assert_eq!(first.body, second.body);
    assert_eq!(provider.tally().orders["o1"].authorisations, 1);
}

#[tokio::test]
async fn the_order_of_parameters_does_not_matter_but_their_values_do() {
    let provider = start().await;
    let mut form = purchase("pm_card_visa", "o1");
    post(&provider, "/v1/payment_intents", &form).key("k1").ok().await;
    form.reverse();
    post(&provider, "/v1/payment_intents", &form).key("k1").ok().await;
    let other = purchase("pm_card_mastercard", "o1");
    let (status, error) = post(&provider, "/v1/payment_intents", &other)
        .key("k1")
        .error()
        .await;
    assert_eq!((status, &error["type"]), (400, &json!("idempotency_error")));
    assert_eq!(provider.tally().orders["o1"].authorisations, 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_endpoint() {
    let provider = start().await;
    let intent = buy(&provider, "pm_card_visa", "o1").key("k1").ok().await;
    let (status, error) = post(&provider, &path(&id(&intent), "capture"), &[])
        .key("k1")
        .error()
        .await;
    assert_eq!((status, &error["type"]), (400, &json!("idempotency_error")));
    assert_eq!(provider.tally().orders["o1"].captures, 0);
}

#[tokio::test]
async fn a_twin_in_flight_is_a_conflict() {
    let slow = FaultRule::next(Operation::CreateIntent, Fault::Slow, 1);
    let provider = start_with(FaultPlan {
        slow_ms: 60_000,
        rules: vec![slow],
        ..FaultPlan::default()
    })
    .await;
    let form = purchase("pm_card_visa", "o1");
    let send = || post(&provider, "/v1/payment_intents", &form).key("k1").send();
    // Whichever arrives first is being worked on for a minute; the other is answered at once.
    let twin = tokio::select! {
        twin = send() => twin,
        twin = send() => twin,
    };
    assert_eq!(twin.status, 409);
    assert_eq!(body(&twin)["error"]["code"], "idempotency_key_in_use");
    assert_eq!(header(&twin, "stripe-should-retry"), Some("true"));
    // Stopping cuts the wait short; what was begun still takes effect, once.
    let books = (*provider).clone();
    provider.shutdown().await;
    assert_eq!(books.tally().orders["o1"].authorisations, 1);
}

#[tokio::test]
async fn a_decline_is_saved_too() {
    let provider = start().await;
    let form = purchase("pm_card_chargeDeclined", "o1");
    let first = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .send()
        .await;
    let second = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .send()
        .await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (402, 402));
    assert_eq!(first.body, second.body);
    assert_eq!(provider.tally().orders["o1"].declines, 1);
}

#[tokio::test]
async fn malformed_requests_leave_the_key_free() {
    let provider = start().await;
    let (status, _) = post(&provider, "/v1/payment_intents", &[("currency", "eur")])
        .key("k1")
        .error()
        .await;
    assert_eq!(status, 400);
    buy(&provider, "pm_card_visa", "o1").key("k1").ok().await;
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let provider = start().await;
    let form = purchase("pm_card_visa", "o1");
    let first = post(&provider, "/v1/payment_intents", &form).key("k1").ok().await;
    provider.clock().advance(std::time::Duration::from_hours(23));
    let same = post(&provider, "/v1/payment_intents", &form).key("k1").ok().await;
    assert_eq!(id(&first), id(&same));
    provider.clock().advance(std::time::Duration::from_hours(1));
    let other = post(&provider, "/v1/payment_intents", &form).key("k1").ok().await;
    assert_ne!(id(&first), id(&other));
}

#[tokio::test]
async fn keys_of_unreasonable_length_are_refused() {
    let provider = start().await;
    let form = purchase("pm_card_visa", "o1");
    let (status, _) = post(&provider, "/v1/payment_intents", &form)
        .key(&"k".repeat(256))
        .error()
        .await;
    assert_eq!(status, 400);
    post(&provider, "/v1/payment_intents", &form)
        .key(&"k".repeat(255))
        .ok()
        .await;
}
