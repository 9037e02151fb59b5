//! Whole objects as clients receive them.

use serde_json::{Value, json};

use super::{authorise, buy, get, id, path, post, start};

/// Puts stable words in place of drawn ids and of the clock.
fn stable(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        for (name, prefix) in [
            ("id", "ID"),
            ("client_secret", "SECRET"),
            ("latest_charge", "CHARGE"),
            ("charge", "CHARGE"),
            ("created", "NOW"),
        ] {
            if let Some(value) = fields.get_mut(name).filter(|value| !value.is_null()) {
                *value = json!(prefix);
            }
        }
    }
    object
}

fn expected_intent() -> Value {
    json!({
        "id": "ID",
        "object": "payment_intent",
        "amount": 12_900,
        "amount_capturable": 12_900,
        "amount_details": { "tip": {} },
        "amount_received": 0,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": null,
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": "manual",
        "client_secret": "SECRET",
        "confirmation_method": "automatic",
        "created": "NOW",
        "currency": "eur",
        "customer": null,
        "description": null,
        "last_payment_error": null,
        "latest_charge": "CHARGE",
        "livemode": false,
        "metadata": { "order": "o1" },
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": "pm_card_visa",
        "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": "requires_capture",
        "transfer_data": null,
        "transfer_group": null,
    })
}

#[tokio::test]
async fn an_authorised_intent_shows_every_field() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let shown = get(&provider, &format!("/v1/payment_intents/{intent}"))
        .ok()
        .await;
    assert!(intent.starts_with("pi_3") && intent.len() == 27, "{intent}");
    assert!(
        shown["client_secret"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{intent}_secret_"))
    );
    assert_eq!(stable(shown), expected_intent());
}

#[tokio::test]
async fn each_step_changes_only_what_it_should() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let captured = post(&provider, &path(&intent, "capture"), &[]).ok().await;
    let mut expected = expected_intent();
    expected["status"] = json!("succeeded");
    expected["amount_capturable"] = json!(0);
    expected["amount_received"] = json!(12_900);
    assert_eq!(stable(captured), expected);

    let other = authorise(&provider, "o1").await;
    let mut canceled = stable(post(&provider, &path(&other, "cancel"), &[]).ok().await);
    assert!(canceled["canceled_at"].is_u64());
    canceled["canceled_at"] = Value::Null;
    let mut expected = expected_intent();
    expected["status"] = json!("canceled");
    expected["amount_capturable"] = json!(0);
    assert_eq!(canceled, expected);
}

#[tokio::test]
async fn a_declined_intent_tells_its_error_twice() {
    let provider = start().await;
    let (_, error) = buy(&provider, "pm_card_visa_chargeDeclinedLostCard", "o1")
        .error()
        .await;
    let last = &error["payment_intent"]["last_payment_error"];
    let expected = json!({
        "type": "card_error",
        "code": "card_declined",
        "decline_code": "lost_card",
        "message": "Your card was declined.",
        "charge": error["charge"],
    });
    assert_eq!(*last, expected);
    assert_eq!(error["payment_intent"]["latest_charge"], error["charge"]);
    assert_eq!(error["payment_intent"]["payment_method"], Value::Null);
    assert_eq!(
        error["doc_url"],
        "https://stripe.com/docs/error-codes/card-declined"
    );
}

#[tokio::test]
async fn an_action_without_a_way_back_is_for_the_sdk() {
    let provider = start().await;
    let intent = buy(&provider, "pm_card_threeDSecure2Required", "o1").ok().await;
    let action = &intent["next_action"];
    assert_eq!(action["type"], "use_stripe_sdk");
    let page = action["use_stripe_sdk"]["stripe_js"].as_str().unwrap();
    assert!(
        page.starts_with(&format!(
            "{}/sandbox/authenticate/{}?",
            provider.url(),
            id(&intent)
        )),
        "{page}"
    );
}

#[tokio::test]
async fn what_was_said_at_creation_is_repeated() {
    let provider = start().await;
    let form = [
        ("amount", "500"),
        ("currency", "GBP"),
        ("description", "Aurora"),
        ("receipt_email", "shopper@shop.example"),
        ("metadata[drop]", "aurora"),
        ("metadata[n]", "1"),
        ("automatic_payment_methods[enabled]", "true"),
    ];
    let intent = post(&provider, "/v1/payment_intents", &form).ok().await;
    assert_eq!(intent["status"], "requires_payment_method");
    assert_eq!(
        (&intent["currency"], &intent["description"]),
        (&json!("gbp"), &json!("Aurora"))
    );
    assert_eq!(intent["receipt_email"], "shopper@shop.example");
    assert_eq!(intent["metadata"], json!({ "drop": "aurora", "n": "1" }));
    assert_eq!(
        intent["automatic_payment_methods"],
        json!({ "enabled": true, "allow_redirects": "always" })
    );
    assert_eq!(intent["capture_method"], "automatic_async");
    assert_eq!(intent["latest_charge"], Value::Null);
}

#[tokio::test]
async fn a_refund_shows_what_it_belongs_to() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    post(&provider, &path(&intent, "capture"), &[]).ok().await;
    let form = [
        ("payment_intent", intent.as_str()),
        ("amount", "900"),
        ("reason", "requested_by_customer"),
        ("metadata[by]", "ops"),
    ];
    let refund = post(&provider, "/v1/refunds", &form).ok().await;
    let expected = json!({
        "id": "ID",
        "object": "refund",
        "amount": 900,
        "charge": "CHARGE",
        "created": "NOW",
        "currency": "eur",
        "metadata": { "by": "ops" },
        "payment_intent": intent,
        "reason": "requested_by_customer",
        "receipt_number": null,
        "status": "succeeded",
    });
    assert_eq!(stable(refund), expected);
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let provider = start().await;
    for url in ["/v1/payment_intents", "/v1/refunds"] {
        let list = get(&provider, url).ok().await;
        assert_eq!(
            list,
            json!({ "object": "list", "url": url, "has_more": false, "data": [] })
        );
    }
}
