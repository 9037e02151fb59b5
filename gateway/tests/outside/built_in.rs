//! The sandbox that lives inside `serve`: it must find the gateway wherever that listens.

use serde_json::json;

use crate::client::{Browser, until};
use crate::house::{SKU, Terms, open};
use crate::origin::Origin;

#[tokio::test]
async fn the_built_in_sandbox_reports_to_a_gateway_on_any_port() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = Terms::default().text(
        &format!("http://{}", origin.address),
        "http://127.0.0.1:1",
        &folder.path().join("data"),
    );
    let text = text
        .replace("api_url = \"http://127.0.0.1:1\"\n", "")
        .replace("webhook_secret_env = \"TEST_WEBHOOK_SECRET\"\n", "");
    assert!(text.contains("listen = \"127.0.0.1:0\"") && !text.contains("api_url"));
    let doorline = open(&text).await;
    assert_ne!(doorline.address.port(), 0);
    let browser = Browser::new(doorline.address);
    browser.enter().await;
    let units = json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa"});
    let order = browser.order("k-1", &units).await.expect(202).json();
    browser
        .until_order(order["order"].as_str().expect("an id"), "paid")
        .await;
    let anybody = Browser::new(doorline.admin_address);
    until("an event of the sandbox was taken", async || {
        let metrics = anybody.get("/metrics").await.expect(200).body;
        let taken = metrics
            .lines()
            .filter(|line| line.starts_with("doorline_webhooks_total{"))
            .filter(|line| {
                ["applied", "ignored"]
                    .iter()
                    .any(|outcome| line.contains(outcome))
            })
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum::<u64>();
        (taken > 0).then_some(())
    })
    .await;
    doorline.close().await;
}
