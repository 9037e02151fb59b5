//! The kill switches as operators turn them and as shoppers meet them.

use serde_json::json;

use crate::cli::{answer, command, write_config};
use crate::client::{DROP, until};
use crate::house::{House, SKU};
use crate::program::stderr;

fn one(method: Option<&str>) -> serde_json::Value {
    let mut body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    if let Some(method) = method {
        body["payment_method"] = json!(method);
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_checkout_takes_no_new_orders_calls_nobody_and_finishes_what_is_begun() {
    let house = House::usual().await;
    write_config(&house);
    let (early, late) = (house.browser(), house.browser());
    early.enter().await;
    let begun = early.order("k-1", &one(None)).await.expect(201).json();
    let begun = begun["order"].as_str().expect("an id").to_owned();
    late.enter().await;
    let stopped = answer(&house, &["checkout", "pause", "aurora"]).await;
    assert_eq!(
        stopped,
        json!({"checkout": "paused", "drops": {"aurora": "paused"}})
    );
    let refused = late.order("k-2", &one(Some("pm_card_visa"))).await;
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    refused.problem(503, "checkout-paused");
    let metrics = house.operator().get("/metrics").await.expect(200).body;
    let of = |outcome| format!("doorline_requests_total{{outcome=\"{outcome}\",route=\"api\"}} ");
    let counted = |outcome| metrics.lines().find_map(|line| line.strip_prefix(&of(outcome)));
    assert_eq!(counted("held"), Some("1"), "{metrics}");
    assert!(
        counted("server_error").is_none_or(|count| count == "0"),
        "it is no failure"
    );
    let status = answer(&house, &["status", "aurora"]).await;
    assert_eq!(
        (&status[0]["checkout"], &status[0]["payments"]),
        (&json!("paused"), &json!("running"))
    );
    let path = format!("/.doorline/v1/orders/{begun}/payment");
    early
        .post(&path, &json!({"payment_method": "pm_card_visa"}))
        .await
        .expect(202);
    early.until_order(&begun, "paid").await;
    // Within a second the queue learns of it: from then on whoever comes has to wait.
    let waiting = until("nobody is called", async || {
        let newcomer = house.browser();
        (newcomer.join().await["state"] == "waiting").then_some(())?;
        let place = newcomer.get(&format!("{DROP}/ticket")).await.json();
        let drop = house.operator().get("/admin/v1/drops/aurora").await.json();
        let held = place["state"] == "waiting" && drop["outflow_bound"] == "backlog";
        held.then_some(newcomer)
    })
    .await;
    answer(&house, &["checkout", "resume", "aurora"]).await;
    waiting.until_place("called").await;
    late.order("k-2", &one(Some("pm_card_visa"))).await.expect(202);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_payments_of_one_drop_are_told_to_its_shoppers() {
    let house = House::usual().await;
    write_config(&house);
    let browser = house.browser();
    browser.enter().await;
    answer(&house, &["payments", "pause", "aurora"]).await;
    let order = browser
        .order("k-1", &one(Some("pm_card_visa")))
        .await
        .expect(202)
        .json();
    let id = order["order"].as_str().expect("an id");
    let path = format!("/.doorline/v1/orders/{id}");
    let told = browser.get(&path).await.json();
    assert_eq!(
        (&told["state"], &told["reason"]),
        (&json!("accepted"), &json!("payments_paused"))
    );
    let resumed = answer(&house, &["payments", "resume", "aurora"]).await;
    assert_eq!(resumed["drops"], json!({"aurora": "running"}));
    let paid = browser.until_order(id, "paid").await;
    assert_eq!(paid.get("reason"), None);
    let unknown = command(&house, &["payments", "pause", "unheard-of"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    house.close().await;
}
