//! Which request is allowed in which state, and who may ask at all.

use serde_json::json;

use super::{authorise, body, get, header, id, path, post, purchase, start};

#[tokio::test]
async fn authorise_then_capture_moves_the_money_once() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let captured = post(&provider, &path(&intent, "capture"), &[]).ok().await;
    assert_eq!(captured["status"], "succeeded");
    assert_eq!(captured["amount_received"], 12_900);
    let (status, again) = post(&provider, &path(&intent, "capture"), &[]).error().await;
    assert_eq!(
        (status, &again["code"]),
        (400, &json!("payment_intent_unexpected_state"))
    );
    assert_eq!(again["payment_intent"]["status"], "succeeded");
    let tally = provider.tally();
    let order = &tally.orders["o1"];
    assert_eq!(
        (order.authorised, order.captured, order.captures, order.held()),
        (12_900, 12_900, 1, 0)
    );
    provider.shutdown().await;
}

#[tokio::test]
async fn automatic_capture_takes_the_money_at_once() {
    let provider = start().await;
    let mut form = purchase("pm_card_mastercard", "o1");
    form.retain(|(name, _)| *name != "capture_method");
    let intent = post(&provider, "/v1/payment_intents", &form).ok().await;
    assert_eq!(intent["status"], "succeeded");
    assert_eq!(provider.tally().orders["o1"].captured, 12_900);
}

#[tokio::test]
async fn cancel_releases_an_authorisation_and_is_refused_after_capture() {
    let provider = start().await;
    let first = authorise(&provider, "o1").await;
    let reason = [("cancellation_reason", "abandoned")];
    let canceled = post(&provider, &path(&first, "cancel"), &reason).ok().await;
    assert_eq!(
        (&canceled["status"], &canceled["cancellation_reason"]),
        (&json!("canceled"), &json!("abandoned"))
    );
    assert_eq!(provider.tally().orders["o1"].held(), 0);
    let (status, _) = post(&provider, &path(&first, "capture"), &[]).error().await;
    assert_eq!(status, 400);

    let second = authorise(&provider, "o2").await;
    post(&provider, &path(&second, "capture"), &[]).ok().await;
    let (status, error) = post(&provider, &path(&second, "cancel"), &[]).error().await;
    assert_eq!(
        (status, &error["code"]),
        (400, &json!("payment_intent_unexpected_state"))
    );
    assert_eq!(provider.tally().orders["o2"].captured, 12_900);
}

#[tokio::test]
async fn capture_takes_no_more_than_authorised_and_releases_the_rest() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    let capture = path(&intent, "capture");
    let (status, error) = post(&provider, &capture, &[("amount_to_capture", "12901")])
        .error()
        .await;
    assert_eq!((status, &error["code"]), (400, &json!("amount_too_large")));
    let captured = post(&provider, &capture, &[("amount_to_capture", "900")])
        .ok()
        .await;
    assert_eq!(captured["amount_received"], 900);
    let order = provider.tally().orders["o1"].clone();
    assert_eq!((order.captured, order.released, order.held()), (900, 12_000, 0));
}

#[tokio::test]
async fn a_decline_says_why_and_another_card_may_follow() {
    let provider = start().await;
    let form = purchase("pm_card_visa_chargeDeclinedInsufficientFunds", "o1");
    let (status, error) = post(&provider, "/v1/payment_intents", &form).error().await;
    assert_eq!(status, 402);
    assert_eq!(error["type"], "card_error");
    assert_eq!(error["code"], "card_declined");
    assert_eq!(error["decline_code"], "insufficient_funds");
    assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
    let intent = id(&error["payment_intent"]);
    let confirm = path(&intent, "confirm");
    let (status, _) = post(&provider, &confirm, &[]).error().await;
    assert_eq!(status, 400, "the refused card is detached");
    let paid = post(&provider, &confirm, &[("payment_method", "pm_card_visa")])
        .ok()
        .await;
    assert_eq!(paid["status"], "requires_capture");
    let order = provider.tally().orders["o1"].clone();
    assert_eq!((order.declines, order.authorisations), (1, 1));
}

#[tokio::test]
async fn three_d_secure_waits_for_the_shopper() {
    let provider = start().await;
    let mut form = purchase("pm_card_threeDSecure2Required", "o1");
    form.push(("return_url", "https://shop.example/back"));
    let intent = post(&provider, "/v1/payment_intents", &form).ok().await;
    assert_eq!(intent["status"], "requires_action");
    let url = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    let page = url
        .strip_prefix(&provider.url())
        .expect("the page is the provider's own");
    let shown = get(&provider, page).send().await;
    assert!(String::from_utf8_lossy(&shown.body).contains("129.00 EUR"));

    let authenticate = format!("/sandbox/authenticate/{}", id(&intent));
    let wrong = json!({ "client_secret": "guess", "outcome": "succeed" });
    assert_eq!(
        post(&provider, &authenticate, &[])
            .json(&wrong)
            .send()
            .await
            .status,
        403
    );
    let right = json!({ "client_secret": intent["client_secret"], "outcome": "succeed" });
    let done = post(&provider, &authenticate, &[]).json(&right).send().await;
    assert_eq!(body(&done)["status"], "requires_capture");
    assert_eq!(header(&done, "access-control-allow-origin"), Some("*"));
    let (status, _) = post(&provider, &authenticate, &[]).json(&right).error().await;
    assert_eq!(status, 400, "the question is asked once");
}

#[tokio::test]
async fn a_refused_3d_secure_charges_nothing() {
    let provider = start().await;
    let form = purchase("pm_card_authenticationRequired", "o1");
    let intent = post(&provider, "/v1/payment_intents", &form).ok().await;
    let secret = intent["client_secret"].as_str().unwrap();
    let answer = [("client_secret", secret), ("outcome", "fail"), ("page", "1")];
    let page = post(
        &provider,
        &format!("/sandbox/authenticate/{}", id(&intent)),
        &answer,
    )
    .send()
    .await;
    assert!(String::from_utf8_lossy(&page.body).contains("Nothing was charged"));
    let now = get(&provider, &format!("/v1/payment_intents/{}", id(&intent)))
        .ok()
        .await;
    assert_eq!(now["status"], "requires_payment_method");
    assert_eq!(
        now["last_payment_error"]["code"],
        "payment_intent_authentication_failure"
    );
    assert_eq!(provider.tally().orders["o1"].authorised, 0);
}

#[tokio::test]
async fn error_on_requires_action_declines_instead_of_asking() {
    let provider = start().await;
    let mut form = purchase("pm_card_threeDSecure2Required", "o1");
    form.push(("error_on_requires_action", "true"));
    let (status, error) = post(&provider, "/v1/payment_intents", &form).error().await;
    assert_eq!((status, &error["code"]), (402, &json!("authentication_required")));
}

#[tokio::test]
async fn redirects_need_a_way_back_unless_ruled_out() {
    let provider = start().await;
    let mut form = purchase("pm_card_visa", "o1");
    form.retain(|(name, _)| *name != "payment_method_types[]");
    let (status, error) = post(&provider, "/v1/payment_intents", &form).error().await;
    assert_eq!((status, &error["param"]), (400, &json!("return_url")));
    assert!(provider.log_after(0).is_empty());
    form.push(("automatic_payment_methods[enabled]", "true"));
    form.push(("automatic_payment_methods[allow_redirects]", "never"));
    post(&provider, "/v1/payment_intents", &form).ok().await;
}

#[tokio::test]
async fn malformed_requests_are_refused_with_the_parameter_named() {
    let provider = start().await;
    for (change, param, code) in [
        (("amount", ""), "amount", "parameter_missing"),
        (("amount", "12"), "amount", "amount_too_small"),
        (("amount", "1e4"), "amount", "parameter_invalid_integer"),
        (
            ("payment_method", "pm_card_unheard_of"),
            "payment_method",
            "resource_missing",
        ),
        (("colour", "red"), "colour", "parameter_unknown"),
    ] {
        let mut form = purchase("pm_card_visa", "o1");
        form.retain(|(name, _)| *name != change.0);
        form.push(change);
        let (status, error) = post(&provider, "/v1/payment_intents", &form).error().await;
        assert!(status == 400 || status == 404, "{change:?}");
        assert_eq!(
            (&error["param"], &error["code"]),
            (&json!(param), &json!(code)),
            "{change:?}"
        );
    }
    assert!(provider.log_after(0).is_empty());
}

#[tokio::test]
async fn only_the_secret_key_opens_the_api() {
    let provider = start().await;
    for authorization in ["Bearer sk_test_other", "Basic c2tfdGVzdF9vdGhlcjo=", "nonsense"] {
        for ask in [
            get(&provider, "/v1/payment_intents"),
            get(&provider, "/sandbox/tally"),
        ] {
            let answer = ask.header("authorization", authorization).send().await;
            assert_eq!(answer.status, 401, "{authorization}");
        }
    }
    // "sk_test_sandbox:" as curl -u sends it.
    let basic =
        get(&provider, "/v1/payment_intents").header("authorization", "Basic c2tfdGVzdF9zYW5kYm94Og==");
    let answer = basic.send().await;
    assert_eq!(answer.status, 200);
    assert!(header(&answer, "request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn unknown_objects_and_paths_are_404() {
    let provider = start().await;
    let (status, error) = get(&provider, "/v1/payment_intents/pi_none").error().await;
    assert_eq!((status, &error["code"]), (404, &json!("resource_missing")));
    let (status, _) = get(&provider, "/v1/customers").error().await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_authorisation_lapses_after_seven_days() {
    let provider = start().await;
    let intent = authorise(&provider, "o1").await;
    provider.clock().advance(std::time::Duration::from_hours(7 * 24));
    let now = get(&provider, &format!("/v1/payment_intents/{intent}"))
        .ok()
        .await;
    assert_eq!(
        (&now["status"], &now["cancellation_reason"]),
        (&json!("canceled"), &json!("automatic"))
    );
    assert_eq!(provider.tally().orders["o1"].held(), 0);
}
