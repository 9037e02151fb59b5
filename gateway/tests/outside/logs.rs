//! What the log of a whole purchase may not contain: tokens, keys, addresses.

use serde_json::json;

use crate::client::{Browser, DROP, PAGE};
use crate::origin::Origin;
use crate::program::Program;

const CLIENT: &str = "203.0.113.77";
const EMAIL: &str = "somebody.private@example.com";
const KEY: &str = "idempotency-key-of-the-test";

#[tokio::test]
async fn the_log_of_a_purchase_names_no_token_no_key_and_no_person() {
    let origin = Origin::start().await;
    let rest = format!(
        r#"
[upstream]
url = "http://{}"
[log]
level = "trace"
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
    let program = Program::serve("trusted_proxies = [\"127.0.0.0/8\"]", &rest, &[]).await;
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
    program.signal("TERM");
    let mut program = program;
    program.end().await;

    let log = program.log();
    assert!(log.lines().count() > 10, "there is something to look at: {log}");
    for line in log.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    let mut private = vec![token, secret, CLIENT.to_owned(), EMAIL.to_owned(), KEY.to_owned()];
    private.extend(cookies.into_values());
    private.push(admin_token.trim().to_owned());
    private.extend(["sk_test_sandbox", "whsec_"].map(str::to_owned));
    for text in private {
        let line = log.lines().find(|line| line.contains(&text));
        assert_eq!(line, None, "the log tells {text}");
    }
}
