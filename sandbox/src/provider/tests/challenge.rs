//! The shopper's bank, as a page and as a call.

use http::Method;
use serde_json::{Value, json};

use super::{Ask, RunningProvider, body, get, header, id, post, purchase, start};

async fn asked(provider: &RunningProvider, return_url: Option<&str>) -> Value {
    let mut form = purchase("pm_card_threeDSecure2Required", "o1");
    form.extend(return_url.map(|url| ("return_url", url)));
    post(provider, "/v1/payment_intents", &form).ok().await
}

fn address(intent: &Value) -> String {
    format!("/sandbox/authenticate/{}", id(intent))
}

fn secret(intent: &Value) -> &str {
    intent["client_secret"].as_str().unwrap()
}

/// Without the secret key: a shopper has none.
fn as_shopper(mut ask: Ask<'_>) -> Ask<'_> {
    ask.headers.retain(|(name, _)| *name != "authorization");
    ask
}

#[tokio::test]
async fn the_page_asks_with_the_amount_and_needs_no_script() {
    let provider = start().await;
    let intent = asked(&provider, None).await;
    let url = format!("{}?client_secret={}", address(&intent), secret(&intent));
    let answer = as_shopper(get(&provider, &url)).send().await;
    assert_eq!(answer.status, 200);
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    for part in [
        "129.00 EUR",
        "method=\"post\"",
        "value=\"succeed\"",
        "value=\"fail\"",
        secret(&intent),
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script"));
    let policy = header(&answer, "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn nobody_without_the_secret_sees_or_decides() {
    let provider = start().await;
    let intent = asked(&provider, None).await;
    for url in [
        address(&intent),
        format!("{}?client_secret=pi_x_secret_y", address(&intent)),
    ] {
        assert_eq!(as_shopper(get(&provider, &url)).send().await.status, 403, "{url}");
    }
    let missing = json!({ "outcome": "succeed" });
    assert_eq!(
        as_shopper(post(&provider, &address(&intent), &[]))
            .json(&missing)
            .send()
            .await
            .status,
        403
    );
    let still = get(&provider, &format!("/v1/payment_intents/{}", id(&intent)))
        .ok()
        .await;
    assert_eq!(still["status"], "requires_action");
}

#[tokio::test]
async fn the_form_leads_back_to_the_shop_with_the_outcome() {
    let provider = start().await;
    for (outcome, status) in [("succeed", "succeeded"), ("fail", "failed")] {
        for (url, joint) in [
            ("https://shop.example/back", '?'),
            ("https://shop.example/back?a=b", '&'),
        ] {
            let intent = asked(&provider, Some(url)).await;
            let form = [
                ("client_secret", secret(&intent)),
                ("outcome", outcome),
                ("page", "1"),
            ];
            let answer = as_shopper(post(&provider, &address(&intent), &form)).send().await;
            assert_eq!(answer.status, 303);
            let location = header(&answer, "location").unwrap();
            assert!(
                location.starts_with(&format!("{url}{joint}payment_intent=pi_")),
                "{location}"
            );
            assert!(
                location.ends_with(&format!("&redirect_status={status}")),
                "{location}"
            );
        }
    }
}

#[tokio::test]
async fn a_shops_page_on_another_origin_may_call() {
    let provider = start().await;
    let intent = asked(&provider, None).await;
    let mut preflight = as_shopper(post(&provider, &address(&intent), &[]));
    preflight.method = Method::OPTIONS;
    let answer = preflight.header("origin", "http://localhost:8080").send().await;
    assert_eq!(answer.status, 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(
        header(&answer, "access-control-allow-headers"),
        Some("content-type")
    );
    assert_eq!(
        header(&answer, "access-control-allow-credentials"),
        None,
        "no cookies are wanted here"
    );
}

#[tokio::test]
async fn bad_answers_are_refused_and_the_question_stays_open() {
    let provider = start().await;
    let intent = asked(&provider, None).await;
    for bad in [
        json!({ "client_secret": 5 }),
        json!({ "client_secret": secret(&intent), "outcome": "perhaps" }),
    ] {
        let answer = as_shopper(post(&provider, &address(&intent), &[]))
            .json(&bad)
            .send()
            .await;
        assert_eq!(answer.status, 400, "{bad}");
    }
    let mut put = as_shopper(post(&provider, &address(&intent), &[]));
    put.method = Method::PUT;
    assert_eq!(put.send().await.status, 405);
    assert_eq!(
        as_shopper(get(&provider, "/sandbox/authenticate/pi_none?client_secret=x"))
            .send()
            .await
            .status,
        404
    );
    let right = json!({ "client_secret": secret(&intent) });
    let answer = as_shopper(post(&provider, &address(&intent), &[]))
        .json(&right)
        .send()
        .await;
    assert_eq!(
        body(&answer)["status"],
        "requires_capture",
        "to confirm is the default"
    );
}

#[tokio::test]
async fn a_settled_question_says_how_it_ended() {
    let provider = start().await;
    for (outcome, words) in [("succeed", "that is settled"), ("fail", "was not confirmed")] {
        let intent = asked(&provider, None).await;
        let form = [("client_secret", secret(&intent)), ("outcome", outcome)];
        as_shopper(post(&provider, &address(&intent), &form)).ok().await;
        let url = format!("{}?client_secret={}", address(&intent), secret(&intent));
        let page = as_shopper(get(&provider, &url)).send().await;
        assert!(String::from_utf8_lossy(&page.body).contains(words), "{outcome}");
    }
}

#[tokio::test]
async fn currencies_without_minor_units_are_shown_whole() {
    let provider = start().await;
    let mut form = purchase("pm_card_threeDSecure2Required", "o1");
    form.retain(|(name, _)| *name != "currency");
    form.push(("currency", "jpy"));
    let intent = post(&provider, "/v1/payment_intents", &form).ok().await;
    let url = format!("{}?client_secret={}", address(&intent), secret(&intent));
    let page = as_shopper(get(&provider, &url)).send().await;
    assert!(String::from_utf8_lossy(&page.body).contains("12900 JPY"));
}
