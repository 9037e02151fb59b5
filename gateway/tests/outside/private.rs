//! What concerns one shopper is kept by nobody on the way, and what anybody types stays text.

use serde_json::json;

use crate::client::{Answer, Browser, DROP, PAGE};
use crate::house::{House, SKU, Terms};

#[track_caller]
fn is_private(what: &str, answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store", "{what}: {answer:?}");
    assert!(
        answer.header("etag").is_empty() && answer.header("expires").is_empty(),
        "{what}"
    );
}

/// A shopper inside with a reserved order; yields the order's address.
async fn with_an_order(house: &House) -> (Browser, String) {
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let order = browser.order("k-1", &body).await.expect(201);
    is_private("reserving", &order);
    let id = order.json()["order"].as_str().expect("an id").to_owned();
    (browser, format!("/.doorline/v1/orders/{id}"))
}

#[tokio::test]
async fn every_personal_answer_and_every_refusal_is_kept_by_nobody() {
    let house = House::with_room_for(1).await;
    let (browser, order) = with_an_order(&house).await;
    let ticket = format!("{DROP}/ticket");
    let stranger = house.browser();
    for (who, method, path) in [
        (&stranger, "GET", PAGE),
        (&stranger, "HEAD", PAGE),
        (&stranger, "POST", PAGE),
        (&stranger, "GET", ticket.as_str()),
        (&stranger, "GET", order.as_str()),
        (&stranger, "GET", "/.doorline/v1/nothing"),
        (&browser, "GET", ticket.as_str()),
        (&browser, "POST", ticket.as_str()),
        (&browser, "GET", order.as_str()),
        (&browser, "DELETE", order.as_str()),
        (&browser, "DELETE", ticket.as_str()),
    ] {
        is_private(
            &format!("{method} {path}"),
            &who.ask(method, path, &[], None).await,
        );
    }
    house.close().await;
}

#[tokio::test]
async fn an_open_stream_is_private_and_not_held_back_by_proxies() {
    let house = House::usual().await;
    let (browser, order) = with_an_order(&house).await;
    for path in [format!("{DROP}/ticket/events"), format!("{order}/events")] {
        let stream = browser.open("GET", &path, &[], None).await;
        assert_eq!(stream.status(), 200, "{path}");
        let header = |name: &str| stream.headers().get(name).and_then(|v| v.to_str().ok());
        assert!(header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
        assert!(
            header("cache-control").is_some_and(|rule| rule.contains("no-store")),
            "{path}"
        );
    }
    house.close().await;
}

#[tokio::test]
async fn only_what_is_the_same_for_everybody_may_be_kept() {
    let house = House::usual().await;
    let one = house.browser().get(DROP).await.expect(200);
    assert_eq!(one.header("cache-control"), "public, max-age=1");
    assert!(
        one.header("set-cookie").is_empty(),
        "a cookie would be kept with it"
    );
    let (browser, _) = with_an_order(&house).await;
    let known = browser.get(DROP).await.expect(200);
    assert!(known.header("set-cookie").is_empty());
    for secret in ["ticket", "number", "position", "admission"] {
        assert!(
            known.json().get(secret).is_none(),
            "{secret} is one shopper's own"
        );
    }
    house.close().await;
}

#[tokio::test]
async fn what_anybody_typed_is_text_on_the_page() {
    let house = House::open(Terms {
        drop: "notice = \"<script>alert(1)</script><img src=x onerror=alert(2)>\"",
        ..Terms::default()
    })
    .await;
    let hostile = [
        ("accept", "text/html"),
        ("accept-language", "\"><script>alert(3)</script>"),
        ("user-agent", "<script>alert(4)</script>"),
        ("referer", "javascript:alert(5)"),
    ];
    for query in [
        "",
        "?lang=%22%3E%3Cscript%3Ealert(6)%3C/script%3E",
        "?return_to=javascript:alert(7)",
        "?%3C/title%3E%3Csvg%20onload=alert(8)%3E",
    ] {
        let page = house
            .browser()
            .ask("GET", &format!("{PAGE}{query}"), &hostile, None)
            .await
            .expect(200);
        for markup in [
            "<script>alert",
            "<img src=x",
            "<svg onload",
            "onerror=alert(2)>",
            "href=\"javascript:",
        ] {
            assert!(!page.body.contains(markup), "{query}: {markup}");
        }
        assert!(
            page.body.contains("&#60;script&#62;alert(1)"),
            "and it is still readable"
        );
    }
    house.close().await;
}

#[tokio::test]
async fn where_the_shop_points_is_for_the_browser_to_follow() {
    let house = House::usual().await;
    let answer = house.browser().page("/open?do=redirect").await.expect(302);
    assert_eq!(answer.header("location"), "http://192.0.2.1/elsewhere");
    assert_eq!(house.origin.seen().len(), 1, "asked once, followed nowhere");
    house.close().await;
}

#[tokio::test]
async fn a_token_in_an_address_opens_nothing_and_is_not_passed_on_as_ours() {
    let house = House::with_room_for(1).await;
    let browser = house.browser();
    let token = browser.enter().await;
    let stranger = house.browser();
    for query in [
        "token",
        "admission_token",
        "doorline-admission-aurora",
        "access_token",
    ] {
        let page = stranger.page(&format!("{PAGE}?{query}={token}")).await;
        assert!(page.is_waiting_room(), "{query}");
    }
    let admitted = browser.page(PAGE).await.expect(200);
    assert!(!admitted.header("location").contains(&token));
    let seen = house.origin.last(PAGE);
    assert!(!seen.target.contains(&token), "the shop is told in a header");
    house.close().await;
}
