//! Every verb of the admin API: guarded, written down, and clear about what it cannot do.

use serde_json::{Value, json};

use crate::client::{Browser, DROP, PAGE, until};
use crate::house::{ADMIN_TOKEN, House, SKU};

const UNKNOWN_ORDER: &str = "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";

/// Every address that does or tells something, with the method that it takes.
fn addresses() -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("GET", "drops".to_owned()),
        ("GET", "drops/aurora".to_owned()),
        ("PATCH", "drops/aurora".to_owned()),
        ("GET", "orders".to_owned()),
        ("GET", format!("orders/{UNKNOWN_ORDER}")),
        ("GET", "parked".to_owned()),
        ("GET", "audit".to_owned()),
        ("GET", "audit-log".to_owned()),
        ("GET", "drops/aurora/report".to_owned()),
        ("POST", "drops/aurora/stock".to_owned()),
        ("POST", "reconcile".to_owned()),
        ("POST", "keys/rotate".to_owned()),
        ("GET", "webhooks".to_owned()),
        ("POST", "webhooks/replay".to_owned()),
    ];
    for verb in ["pause", "resume", "drain", "end", "queue-all"] {
        all.push(("POST", format!("drops/aurora/{verb}")));
    }
    for what in ["payments", "checkout"] {
        for verb in ["pause", "resume"] {
            all.push(("POST", format!("{what}/{verb}")));
            all.push(("POST", format!("drops/aurora/{what}/{verb}")));
        }
    }
    for verb in ["cancel", "refund", "retry"] {
        all.push(("POST", format!("orders/{UNKNOWN_ORDER}/{verb}")));
    }
    let full = |(method, path): (_, String)| (method, format!("/admin/v1/{path}"));
    all.into_iter().map(full).collect()
}

/// What is sent along where something is to be changed.
fn body_for<'a>(method: &str, path: &str, change: &'a str) -> Option<&'a str> {
    if path.ends_with("/stock") {
        return Some("{\"sku\": \"AUR-42\", \"add\": 1}");
    }
    (method == "PATCH").then_some(change)
}

/// What the operators' log holds: action and subject, oldest first.
fn written_down(house: &House) -> Vec<(String, String)> {
    let ledger = house.ledger();
    let mut rows = ledger
        .prepare("SELECT action, subject FROM audit WHERE by = 'admin' ORDER BY id")
        .expect("the log is there");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("readable")
        .map(|row| row.expect("two texts"))
        .collect()
}

#[tokio::test]
async fn without_the_right_token_no_verb_does_or_tells_anything() {
    let house = House::usual().await;
    let stranger = Browser::new(house.doorline.admin_address);
    let before = house.operator().get("/admin/v1/drops").await.expect(200).json();
    let wrong = format!("Bearer {}", ADMIN_TOKEN.to_uppercase());
    let lower = format!("bearer{ADMIN_TOKEN}");
    for (method, path) in addresses() {
        let body = body_for(method, &path, "{\"total_active_users\": 1}");
        let json = ("content-type", "application/json");
        for header in [None, Some(&wrong), Some(&lower)] {
            let mut headers = vec![json];
            headers.extend(header.map(|value| ("authorization", value.as_str())));
            let refused = stranger.ask(method, &path, &headers, body).await;
            refused.problem(401, "admin-token-required");
        }
    }
    let after = house.operator().get("/admin/v1/drops").await.expect(200).json();
    assert_eq!(before[0]["control"], after[0]["control"]);
    assert_eq!(before[0]["limits"], after[0]["limits"]);
    assert_eq!(
        written_down(&house),
        [],
        "nothing was done, so nothing was written down"
    );
    house.close().await;
}

#[tokio::test]
async fn every_action_is_written_down_before_it_is_answered() {
    let house = House::usual().await;
    let operator = house.operator();
    let buyer = house.browser();
    buyer.enter().await;
    let units = json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa"});
    let order = buyer.order("k-1", &units).await.expect(202).json();
    let order = order["order"].as_str().expect("an id").to_owned();
    buyer.until_order(&order, "paid").await;
    let refund = format!("orders/{order}/refund");
    let order_subject = written_order(&order);
    for (path, action, subject) in [
        ("payments/pause", "payments.pause", "all drops"),
        ("payments/resume", "payments.resume", "all drops"),
        ("drops/aurora/payments/pause", "payments.pause", "aurora"),
        ("drops/aurora/payments/resume", "payments.resume", "aurora"),
        ("checkout/pause", "checkout.pause", "all drops"),
        ("checkout/resume", "checkout.resume", "all drops"),
        ("drops/aurora/checkout/pause", "checkout.pause", "aurora"),
        ("drops/aurora/checkout/resume", "checkout.resume", "aurora"),
        (refund.as_str(), "order.refund", order_subject.as_str()),
        ("reconcile", "reconcile", "provider"),
        ("keys/rotate", "keys.rotate", "keys"),
        ("drops/aurora/pause", "drop.command", "aurora pause"),
        ("drops/aurora/resume", "drop.command", "aurora resume"),
        ("drops/aurora/queue-all", "drop.command", "aurora queue-all"),
        ("drops/aurora/drain", "drop.command", "aurora drain"),
        ("drops/aurora/end", "drop.command", "aurora end"),
    ] {
        let path = format!("/admin/v1/{path}");
        operator.ask("POST", &path, &[], None).await.expect(200);
        let last = written_down(&house).pop().expect("a line");
        assert_eq!((last.0.as_str(), last.1.as_str()), (action, subject), "{path}");
    }
    house.change_drop(&json!({"notice": "Soon."})).await.expect(200);
    let (action, subject) = written_down(&house).pop().expect("a line");
    assert_eq!(action, "drop.change");
    assert!(
        subject.starts_with("aurora ") && subject.contains("Soon."),
        "{subject}"
    );
    house.close().await;
}

/// An order as the operators' log names it.
fn written_order(id: &str) -> String {
    let id = uuid::Uuid::parse_str(id).expect("an order's id is a UUID");
    domain::OrderId(id.as_u128()).to_string()
}

#[tokio::test]
async fn a_body_that_is_not_a_change_is_refused_with_the_reason() {
    let house = House::usual().await;
    let operator = house.operator();
    let json = ("content-type", "application/json");
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("{\"total_active_users\": 5", 400),
        ("[]", 422),
        ("7", 422),
        ("{\"total_active_users\": \"5\"}", 422),
        ("{\"total_active_users\": 4294967296}", 422),
        ("{\"notice\": 7}", 422),
    ] {
        let refused = operator
            .ask("PATCH", "/admin/v1/drops/aurora", &[json], Some(body))
            .await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(
            refused.json()["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty()),
            "{body}: {refused:?}"
        );
    }
    let large = json!({"notice": "x".repeat(3 << 20)}).to_string();
    let refused = operator
        .ask("PATCH", "/admin/v1/drops/aurora", &[json], Some(&large))
        .await;
    refused.problem(413, "body-too-large");
    assert_eq!(written_down(&house), []);
    house.close().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_any_verb() {
    let house = House::usual().await;
    let operator = house.operator();
    let json = ("content-type", "application/json");
    for (method, path) in addresses() {
        let path = path.replace("aurora", "unheard-of");
        let named = path.contains("unheard-of") || path.contains(UNKNOWN_ORDER);
        if named {
            let body = body_for(method, &path, "{\"notice\": \"x\"}");
            let refused = operator.ask(method, &path, &[json], body).await;
            refused.problem(404, "not-found");
        }
    }
    for path in [
        "payments/explode",
        "keys/forget",
        "orders/7/cancel",
        "drops/NOT%20A%20NAME/pause",
    ] {
        let refused = operator
            .ask("POST", &format!("/admin/v1/{path}"), &[], None)
            .await;
        assert_eq!(refused.status, 404, "{path}: {refused:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn limits_and_notice_change_for_everybody_at_once_and_one_by_one() {
    let house = House::usual().await;
    let changed = house.change_drop(&json!({"total_active_users": 7})).await;
    let limits = &changed.expect(200).json()["limits"];
    assert_eq!(
        *limits,
        json!({"total_active_users": 7, "new_users_per_minute": 60_000}),
        "what is not named stays"
    );
    house
        .change_drop(&json!({"notice": "Back at noon."}))
        .await
        .expect(200);
    until("shoppers read it", async || {
        let state = house.browser().get(DROP).await.expect(200).json();
        (state["notice"] == "Back at noon.").then_some(())
    })
    .await;
    assert!(house.browser().page(PAGE).await.body.contains("Back at noon."));
    house.change_drop(&json!({"notice": ""})).await.expect(200);
    until("it is taken down", async || {
        let state = house.browser().get(DROP).await.expect(200).json();
        state["notice"].is_null().then_some(())
    })
    .await;
    house.close().await;
}

fn key_ids(keys: &Value) -> Vec<String> {
    let keys = keys["keys"].as_array().expect("keys");
    let name = |key: &Value| key["kid"].as_str().expect("a name").to_owned();
    keys.iter().map(name).collect()
}

#[tokio::test]
async fn rotated_keys_keep_places_and_sessions_and_the_oldest_goes() {
    let house = House::usual().await;
    let (inside, waiting) = (house.browser(), house.browser());
    inside.enter().await;
    waiting.join().await;
    let jwks = "/.well-known/jwks.json";
    let first = key_ids(&house.browser().get(jwks).await.expect(200).json());
    let rotate = async || {
        let path = "/admin/v1/keys/rotate";
        house
            .operator()
            .ask("POST", path, &[], None)
            .await
            .expect(200)
            .json()
    };
    assert_eq!(rotate().await["rotated"], true);
    let second = key_ids(&house.browser().get(jwks).await.expect(200).json());
    assert!(
        first.iter().any(|key| second.contains(key)),
        "the old key still verifies"
    );
    assert!(
        second.iter().any(|key| !first.contains(key)),
        "and a new one signs"
    );
    assert!(!inside.page(PAGE).await.is_waiting_room(), "who is inside stays");
    let place = waiting.get(&format!("{DROP}/ticket")).await.expect(200).json();
    assert_eq!(place["number"], 2, "who waits keeps the place");
    house.browser().enter().await;
    rotate().await;
    let third = key_ids(&house.browser().get(jwks).await.expect(200).json());
    let signing: Vec<_> = second.iter().filter(|key| !first.contains(key)).collect();
    assert!(signing.iter().all(|key| third.contains(key)));
    assert!(
        third.len() <= second.len(),
        "the oldest is gone: {first:?} {second:?} {third:?}"
    );
    assert_ne!(third, second);
    house.close().await;
}
