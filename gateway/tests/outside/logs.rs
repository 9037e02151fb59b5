//! What the log of a whole purchase tells, what it may not contain (tokens, keys, addresses), and how long it may become.

use serde_json::{Value, json};

use crate::client::{Browser, DROP, PAGE};
use crate::origin::Origin;
use crate::program::Program;

const CLIENT: &str = "203.0.113.77";
const EMAIL: &str = "somebody.private@example.com";
const KEY: &str = "idempotency-key-of-the-test";

/// A gateway in front of `origin` that logs at `level`.
async fn logging(origin: &Origin, level: &str) -> Program {
    let rest = format!(
        r#"
[upstream]
url = "http://{}"
[log]
level = "{level}"
format = "json"
[[drop]]
id = "aurora"
paths = ["/products/aurora/*"]
event_start_time = "2020-01-01T00:00:00Z"
total_active_users = 500
new_users_per_minute = 600
[drop.checkout]
[[drop.item]]
sku = "AUR-42"
price = {{ amount = 12900, currency = "eur" }}
stock = 20
"#,
        origin.address
    );
    Program::serve("trusted_proxies = [\"127.0.0.0/8\"]", &rest, &[]).await
}

/// Every line of a program's log, once it has ended.
async fn log_of(mut program: Program) -> Vec<Value> {
    program.signal("TERM");
    program.end().await;
    let log = program.log();
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(read).collect()
}

#[tokio::test]
async fn the_log_of_a_purchase_names_no_token_no_key_and_no_person() {
    let origin = Origin::start().await;
    let program = logging(&origin, "trace").await;
    let browser = Browser::new(program.address).always("x-forwarded-for", CLIENT);
    let token = browser.enter().await;
    assert!(!browser.page(PAGE).await.is_waiting_room());
    let body = json!({
        "items": [{"sku": "AUR-42", "quantity": 1}],
        "payment_method": "pm_card_threeDSecure2Required",
        "email": EMAIL,
    });
    let order = browser.order(KEY, &body).await.expect(202).json();
    let id = order["order"].as_str().expect("an id");
    let asked = browser.until_order(id, "action_required").await;
    let secret = asked["action"]["client_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    browser.ask("DELETE", &format!("{DROP}/ticket"), &[], None).await;
    let cookies = browser.cookies();
    let admin_token = std::fs::read_to_string(program.path("doorline-data/admin-token")).expect("a token");
    let log = log_of(program).await;
    assert!(log.len() > 10, "there is something to look at: {log:?}");
    let mut private = vec![token, secret, CLIENT.to_owned(), EMAIL.to_owned(), KEY.to_owned()];
    private.extend(cookies.into_values());
    private.push(admin_token.trim().to_owned());
    private.extend(["sk_test_sandbox", "whsec_"].map(str::to_owned));
    for text in private {
        let line = log.iter().find(|line| line.to_string().contains(&text));
        assert_eq!(line, None, "the log tells {text}");
    }
}

#[tokio::test]
async fn one_id_follows_a_purchase_from_the_edge_to_the_provider_and_back() {
    let origin = Origin::start().await;
    let program = logging(&origin, "info").await;
    let browser = Browser::new(program.address).always("x-forwarded-for", CLIENT);
    browser.enter().await;
    let body = json!({"items": [{"sku": "AUR-42", "quantity": 1}], "payment_method": "pm_card_visa"});
    let placed = browser.order(KEY, &body).await.expect(202);
    let request = placed.header("x-request-id").to_owned();
    let order = placed.json()["order"].as_str().expect("an id").to_owned();
    browser.until_order(&order, "paid").await;
    let id = order.replace('-', "");
    let told = |lines: &[Value], message: &str, field: &str, value: &str| {
        let found = lines
            .iter()
            .any(|line| line["message"] == message && line[field] == value);
        assert!(found, "no line says {message:?} with {field} {value}: {lines:#?}");
    };
    crate::client::until("the provider tells of it", async || {
        let log = program.log();
        log.contains("payment_intent.succeeded").then_some(())
    })
    .await;
    let log = log_of(program).await;
    let trail: Vec<Value> = log
        .into_iter()
        .filter(|line| line["order.id"] == id.as_str())
        .collect();
    told(&trail, "an order was placed", "request.id", &request);
    told(&trail, "an order went on", "to", "authorising");
    told(&trail, "the provider was asked", "operation", "authorise");
    told(&trail, "the provider was asked", "operation", "capture");
    told(
        &trail,
        "the provider told of an order",
        "event.kind",
        "payment_intent.succeeded",
    );
    told(&trail, "an order went on", "to", "paid");
    assert!(
        trail.len() <= 12,
        "{} lines for one purchase: {trail:#?}",
        trail.len()
    );
}

#[tokio::test]
async fn an_attack_does_not_fill_the_disk_with_log() {
    let origin = Origin::start().await;
    let program = logging(&origin, "info").await;
    let before = program.log().len();
    for round in 0..60 {
        let browser = Browser::new(program.address).always("x-forwarded-for", &format!("198.51.100.{round}"));
        browser.set_cookie("doorline-visitor", "forged");
        browser.set_cookie("doorline-admission-aurora", "eyJ.forged.token");
        for path in [
            PAGE,
            "/.doorline/v1/nothing",
            "/products/aurora/%2e%2e/secret",
            "/.doorline/v1/orders/none",
        ] {
            browser.get(path).await;
        }
        browser
            .order(KEY, &json!({"items": [{"sku": "none", "quantity": 0}]}))
            .await;
        browser
            .post("/.doorline/v1/webhooks/stripe", &json!({"id": "evt_forged"}))
            .await
            .expect(400);
        crate::client::raw(program.address, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
        crate::client::raw(program.address, "\x16\x03\x01 not http at all\r\n\r\n").await;
    }
    let log = program.log();
    let grown = &log[before..];
    assert!(
        grown.len() < 2_000,
        "{} bytes for 480 bad requests:\n{grown}",
        grown.len()
    );
}
