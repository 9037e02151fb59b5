//! What operators do to a drop that sells: stock that comes in or goes out, who did it, and what it all came to.

use serde_json::{Value, json};

use crate::cli::{answer, command, write_config};
use crate::client::{Answer, Browser};
use crate::house::{House, SKU, Terms};
use crate::program::{stderr, stdout};

const STOCK: &str = "/admin/v1/drops/aurora/stock";

async fn change(operator: &Browser, body: &Value) -> Answer {
    operator.post(STOCK, body).await
}

async fn log(house: &House, query: &str) -> Vec<Value> {
    let path = format!("/admin/v1/audit-log{query}");
    let lines = house.operator().get(&path).await.expect(200).json();
    lines.as_array().expect("a list").clone()
}

fn few() -> Terms {
    Terms {
        stock: 1,
        ..Terms::default()
    }
}

/// A shopper who bought `quantity` units, and the order.
async fn bought(house: &House, quantity: u32) -> (Browser, String) {
    let buyer = house.browser();
    buyer.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": quantity}], "payment_method": "pm_card_visa"});
    let order = buyer.order("k-1", &body).await.expect(202).json();
    let order = order["order"].as_str().expect("an id").to_owned();
    buyer.until_order(&order, "paid").await;
    (buyer, order)
}

#[tokio::test]
async fn added_units_are_sold_at_once_and_outlast_a_restart() {
    let house = House::open(few()).await;
    bought(&house, 1).await;
    let buyer = house.browser();
    let added = change(&house.operator(), &json!({"sku": SKU, "add": 2})).await;
    let stock = json!({"drop": "aurora", "stock": {SKU: {"available": 2, "reserved": 0, "sold": 1}}});
    assert_eq!(added.expect(200).json(), stock);
    buyer.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    buyer.order("k-2", &body).await.expect(201);
    let house = house.reopen(few()).await;
    let levels = house.doorline.checkout.levels().await.expect("levels");
    assert_eq!(
        levels[0].2.total, 3,
        "the configuration says 1, as it said before the change"
    );
    let other = Terms { stock: 5, ..few() };
    let house = house.reopen(other).await;
    let levels = house.doorline.checkout.levels().await.expect("levels");
    assert_eq!(levels[0].2.total, 5, "who configures has the last word");
    house.close().await;
}

#[tokio::test]
async fn no_more_is_withdrawn_than_is_free() {
    let house = House::usual().await;
    bought(&house, 2).await;
    let operator = house.operator();
    let refused = change(&operator, &json!({"sku": SKU, "withdraw": 49})).await;
    let detail = refused.problem(409, "conflict")["detail"].clone();
    assert_eq!(detail, "only 48 units of AUR-42 are free");
    let late = house.browser();
    late.join().await;
    let taken = change(&operator, &json!({"sku": SKU, "withdraw": 48})).await;
    let left = json!({"available": 0, "reserved": 0, "sold": 2});
    assert_eq!(taken.expect(200).json()["stock"][SKU], left);
    late.until_place("sold_out").await;
    house.close().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_understood_changes_nothing() {
    let house = House::usual().await;
    let operator = house.operator();
    for (body, status, slug) in [
        (json!({"sku": SKU}), 422, "unprocessable"),
        (json!({"sku": SKU, "add": 1, "withdraw": 1}), 422, "unprocessable"),
        (json!({"sku": SKU, "add": 0}), 422, "unprocessable"),
        (json!({"sku": SKU, "add": 1_000_000_001}), 422, "unprocessable"),
        (json!({"sku": SKU, "add": -1}), 422, "unprocessable"),
        (json!({"sku": "", "add": 1}), 422, "unprocessable"),
        (json!({"add": 1}), 422, "unprocessable"),
        (json!({"sku": SKU, "add": 1, "price": 1}), 422, "unprocessable"),
        (json!({"sku": "AUR-99", "add": 1}), 404, "not-found"),
        (json!({"sku": SKU, "add": 1_000_000_000}), 409, "conflict"),
    ] {
        change(&operator, &body).await.problem(status, slug);
    }
    let path = "/admin/v1/drops/unheard-of/stock";
    let body = json!({"sku": SKU, "add": 1});
    operator.post(path, &body).await.problem(404, "not-found");
    assert_eq!(log(&house, "").await, Vec::<Value>::new());
    house.close().await;
}

#[tokio::test]
async fn the_log_tells_who_did_what_and_how_it_was_before_and_after() {
    let house = House::usual().await;
    let (_, order) = bought(&house, 1).await;
    let named = house.operator().always("doorline-operator", "Ann O'Hara");
    change(&named, &json!({"sku": SKU, "add": 7})).await.expect(200);
    house
        .change_drop(&json!({"total_active_users": 9, "notice": "Soon."}))
        .await
        .expect(200);
    house
        .change_drop(&json!({"total_active_users": 8}))
        .await
        .expect(200);
    for path in [
        "drops/aurora/pause".to_owned(),
        "payments/pause".to_owned(),
        format!("orders/{order}/refund"),
        "keys/rotate".to_owned(),
    ] {
        let path = format!("/admin/v1/{path}");
        named.ask("POST", &path, &[], None).await.expect(200);
    }
    let lines = log(&house, "").await;
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line["action"].as_str().unwrap(), line["by"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("keys.rotate", "Ann O'Hara"),
            ("order.refund", "Ann O'Hara"),
            ("order.refund", "Ann O'Hara"),
            ("payments.pause", "Ann O'Hara"),
            ("drop.command", "Ann O'Hara"),
            ("drop.change", "admin"),
            ("drop.change", "admin"),
            ("stock.change", "Ann O'Hara"),
        ]
    );
    let change = |at: usize| (lines[at]["before"].clone(), lines[at]["after"].clone());
    let stock = |total: u32| json!({"total": total, "held": 0, "sold": 1});
    assert_eq!(lines[7]["subject"], "aurora AUR-42 add 7");
    assert_eq!(change(7), (stock(50), stock(57)));
    let limit = |users: &str, notice: &str| json!({"total_active_users": users, "notice": notice});
    assert_eq!(change(6), (limit("500", ""), limit("9", "Soon.")));
    let limit = |users: &str| json!({"total_active_users": users});
    assert_eq!(change(5), (limit("9"), limit("8")));
    let control =
        |paused: bool| json!({"paused": paused, "draining": false, "ended": false, "queue_all": false});
    assert_eq!(change(4), (control(false), control(true)));
    assert_eq!(change(3), (json!("running"), json!("paused")));
    assert_eq!(
        (&lines[2]["before"]["state"], &lines[2]["after"]),
        (&json!("paid"), &Value::Null)
    );
    assert_eq!(lines[1]["before"], lines[2]["before"]);
    assert!(lines[1]["after"]["version"].as_u64() > lines[1]["before"]["version"].as_u64());
    let (before, after) = change(0);
    let (before, after) = (
        before.as_array().expect("keys").clone(),
        after.as_array().expect("keys").clone(),
    );
    assert!(!after.is_empty() && before != after, "{before:?} and {after:?}");
    house.close().await;
}

#[tokio::test]
async fn the_log_is_bounded_and_asked_for_in_good_form() {
    let house = House::usual().await;
    for units in 1..=3 {
        change(&house.operator(), &json!({"sku": SKU, "add": units}))
            .await
            .expect(200);
    }
    assert_eq!(log(&house, "?limit=2").await.len(), 2);
    assert_eq!(log(&house, "?since=1h").await.len(), 3);
    let newest = log(&house, "?limit=1").await;
    assert_eq!(newest[0]["subject"], "aurora AUR-42 add 3");
    let operator = house.operator();
    for (query, status) in [
        ("?since=yesterday", 422),
        ("?limit=many", 400),
        ("?limit=-1", 400),
        ("?unheard=of", 400),
    ] {
        let refused = operator.get(&format!("/admin/v1/audit-log{query}")).await;
        assert_eq!(refused.status, status, "{query}: {refused:?}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    let long = "x".repeat(65);
    for name in ["", " ", long.as_str(), "J\u{fc}rgen"] {
        let header = [("doorline-operator", name)];
        let path = "/admin/v1/drops/aurora/pause";
        let refused = operator.ask("POST", path, &header, None).await;
        refused.problem(400, "bad-request");
    }
    assert_eq!(log(&house, "").await.len(), 3, "who cannot be named does nothing");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_changes_stock_under_a_name_and_shows_the_log() {
    let house = House::usual().await;
    write_config(&house);
    let added = answer(
        &house,
        &["stock", "aurora", "add", SKU, "10", "--operator", "ann"],
    )
    .await;
    assert_eq!(added["stock"][SKU]["available"], 60);
    let taken = answer(&house, &["stock", "aurora", "withdraw", SKU, "5"]).await;
    assert_eq!(taken["stock"][SKU]["available"], 55);
    let refused = command(&house, &["stock", "aurora", "withdraw", SKU, "56"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("only 55 units of AUR-42 are free"), "{said}");
    let lines = answer(&house, &["log", "--limit", "9", "--since", "1h"]).await;
    assert_eq!(lines.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&lines[1]["by"], &lines[1]["action"]),
        (&json!("ann"), &json!("stock.change"))
    );
    let table = stdout(&command(&house, &["log"]).await);
    for part in ["at ", "ann", "aurora AUR-42 withdraw 5", "\"total\":55"] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_counts_the_queue_the_orders_the_units_and_the_money() {
    let house = House::open(Terms {
        stock: 9,
        ..Terms::default()
    })
    .await;
    write_config(&house);
    let (_, order) = bought(&house, 2).await;
    bought(&house, 1).await;
    let declined = house.browser();
    declined.enter().await;
    let body =
        json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa_chargeDeclined"});
    let refused = declined.order("k-1", &body).await.expect(202).json();
    let refused = refused["order"].as_str().expect("an id");
    declined.until_order(refused, "declined").await;
    let cancels = house.browser();
    cancels.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let held = cancels.order("k-1", &body).await.expect(201).json();
    let held = held["order"].as_str().expect("an id");
    answer(&house, &["orders", "cancel", held]).await;
    answer(&house, &["orders", "refund", &order]).await;
    crate::client::until("the money is back", async || {
        let order = house.operator().get(&format!("/admin/v1/orders/{order}")).await;
        (order.json()["state"] == "refunded").then_some(())
    })
    .await;
    // The queue's own figures come with its next look, a fifth of a second away.
    crate::client::until("everybody who was let in is counted", async || {
        let report = house.operator().get("/admin/v1/drops/aurora/report").await;
        (report.json()["admitted"] == 4).then_some(())
    })
    .await;
    let report = answer(&house, &["report", "aurora"]).await;
    let figure = |name: &str| report[name].clone();
    assert_eq!((figure("joined"), figure("admitted")), (json!(4), json!(4)));
    assert_eq!((figure("no_shows"), figure("left")), (json!(0), json!(0)));
    assert_eq!(figure("reserved"), 4);
    let orders = json!({"paid": 1, "refunded": 1, "declined": 1, "released": 1});
    assert_eq!(figure("orders"), orders);
    assert_eq!(report["declined"].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(figure("released"), json!({"cancelled_by_shop": 1}));
    let units = json!({SKU: {"available": 6, "reserved": 0, "sold": 3}});
    assert_eq!(figure("stock"), units);
    let money = json!({"eur": {"captured": 38_700, "refunded": 25_800}});
    assert_eq!(figure("revenue"), money);
    assert_eq!((figure("clean"), figure("differences")), (json!(true), json!([])));
    assert!(figure("max_active_users").as_u64() >= Some(1));
    assert!(figure("max_admitted_in_60s").as_u64() >= Some(1));
    assert_eq!(figure("limits")["total_active_users"], 500);
    let waited = |name: &str| report["wait_seconds"][name].as_f64().expect("seconds");
    assert!(
        waited("p50") <= waited("p99") && waited("p99") <= waited("max"),
        "{report}"
    );
    assert!(figure("first_sale_at").as_str() <= figure("last_sale_at").as_str());
    assert!(figure("first_sale_at").is_string());
    let table = stdout(&command(&house, &["report", "aurora"]).await);
    for part in [
        "aurora (open)",
        "money eur",
        "3 sold, 0 held, 6 left",
        "38700 captured, 25800 given back",
    ] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    let operator = house.operator();
    let unknown = operator.get("/admin/v1/drops/unheard-of/report").await;
    unknown.problem(404, "not-found");
    house.close().await;
}
