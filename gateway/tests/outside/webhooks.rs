//! What the provider tells us: believed only where signed, and even then only as a hint.

use aws_lc_rs::hmac;
use serde_json::json;

use crate::client::{Answer, Browser, hex, raw};
use crate::house::{House, WEBHOOK_SECRET, now_seconds};

const PATH: &str = "/.doorline/v1/webhooks/stripe";

fn signature(secret: &str, at: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    hex(tag.as_ref())
}

fn event(id: &str) -> String {
    let object = json!({"id": "pi_of_nobody", "object": "payment_intent", "metadata": {}});
    json!({
        "id": id,
        "object": "event",
        "type": "payment_intent.succeeded",
        "livemode": false,
        "data": {"object": object},
    })
    .to_string()
}

/// How many events came to this end so far.
async fn counted(house: &House, outcome: &str) -> u32 {
    let metrics = house.operator().get("/metrics").await.expect(200).body;
    let line = format!("doorline_webhooks_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
    count.map_or(0, |count| count.parse().expect("a number"))
}

async fn deliver(browser: &Browser, header: &str, body: &str) -> Answer {
    let headers = [("stripe-signature", header), ("content-type", "application/json")];
    browser.ask("POST", PATH, &headers, Some(body)).await
}

#[tokio::test]
async fn a_signed_event_is_taken_and_may_come_again() {
    let house = House::usual().await;
    let browser = house.browser();
    let (body, now) = (event("evt_1"), now_seconds());
    let good = signature(WEBHOOK_SECRET, now, &body);
    for _ in 0..2 {
        deliver(&browser, &format!("t={now},v1={good}"), &body)
            .await
            .expect(200);
    }
    let rotated = format!("t={now},v1={},v1={good},v0=old", "0".repeat(64));
    deliver(&browser, &rotated, &body).await.expect(200);
    house.close().await;
}

#[tokio::test]
async fn whatever_is_not_signed_now_with_our_secret_is_refused() {
    let house = House::usual().await;
    let browser = house.browser();
    let (body, now) = (event("evt_2"), now_seconds());
    let good = signature(WEBHOOK_SECRET, now, &body);
    let old = now - 400;
    let future = now + 400;
    for header in [
        String::new(),
        "nonsense".to_owned(),
        format!("t={now}"),
        format!("v1={good}"),
        format!("t={now},v0={good}"),
        format!("t={now},v1={}", signature("whsec_of_somebody_else", now, &body)),
        format!("t={now},v1={}", &good[..62]),
        format!("t={},v1={good}", now - 1),
        format!("t={old},v1={}", signature(WEBHOOK_SECRET, old, &body)),
        format!("t={future},v1={}", signature(WEBHOOK_SECRET, future, &body)),
    ] {
        deliver(&browser, &header, &body)
            .await
            .problem(400, "webhook-refused");
    }
    let changed = body.replace("succeeded", "canceled");
    let header = format!("t={now},v1={good}");
    deliver(&browser, &header, &changed)
        .await
        .problem(400, "webhook-refused");
    // Forged: by somebody else, of another second, changed. Out of time: old, of the future.
    for (outcome, count) in [("malformed_header", 6), ("forged", 3), ("out_of_time", 2)] {
        assert_eq!(counted(&house, outcome).await, count, "{outcome}");
    }
    house.close().await;
}

#[tokio::test]
async fn an_event_of_the_other_mode_is_refused() {
    // The sandbox's key is one of the test mode, as the provider writes them.
    let house = House::usual().await;
    let browser = house.browser();
    let (body, now) = (event("evt_3").replace("false", "true"), now_seconds());
    let header = format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, &body));
    deliver(&browser, &header, &body)
        .await
        .problem(400, "webhook-refused");
    assert_eq!(counted(&house, "other_mode").await, 1);
    house.close().await;
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_or_too_large_is_refused() {
    let house = House::usual().await;
    let browser = house.browser();
    let now = now_seconds();
    let odd = "{\"hello\": 1}";
    let header = format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, odd));
    deliver(&browser, &header, odd)
        .await
        .problem(400, "webhook-refused");
    let before = counted(&house, "too_large").await;
    let huge = " ".repeat(256 * 1_024 + 1);
    let header = format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, &huge));
    deliver(&browser, &header, &huge)
        .await
        .problem(400, "webhook-refused");
    // One that is announced as far larger is answered before its body comes: sending it would meet a closed door.
    let announced = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nStripe-Signature: {header}\r\n\
         Content-Length: 3145728\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(house.doorline.address, &announced).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("webhook-refused"), "{answer}");
    assert_eq!(counted(&house, "too_large").await, before + 2);
    house.close().await;
}
