//! Reserving: what is held, what is refused, and how often a key may be used.

use futures_util::future::{join_all, select};
use serde_json::{Value, json};

use crate::client::{Browser, DROP, PAGE, until};
use crate::house::{House, SKU, Terms};

fn units(quantity: u32) -> Value {
    json!({"items": [{"sku": SKU, "quantity": quantity}]})
}

fn order_path(order: &Value) -> String {
    format!("/.doorline/v1/orders/{}", order["order"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_reservation_names_what_is_held_for_how_long_and_what_it_costs() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let reserved = browser.order("k-1", &units(2)).await.expect(201);
    assert_eq!(reserved.header("cache-control"), "no-store");
    let order = reserved.json();
    assert_eq!(reserved.header("location"), order_path(&order));
    assert_eq!(order["state"], "reserved");
    assert_eq!(
        (&order["items"][0]["sku"], &order["items"][0]["quantity"]),
        (&json!(SKU), &json!(2))
    );
    assert_eq!(order["total"], json!({"amount": 25_800, "currency": "eur"}));
    assert!(
        order["reserved_until"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z')),
        "{order}"
    );
    let shown = browser.get(&order_path(&order)).await.expect(200).json();
    assert_eq!(shown, order);
    let head = browser.ask("HEAD", &order_path(&order), &[], None).await;
    assert!(head.status == 200 && head.body.is_empty());
    house.close().await;
}

#[tokio::test]
async fn ordering_needs_an_admission_with_its_visitor() {
    let house = House::usual().await;
    let stranger = house.browser();
    stranger
        .order("k", &units(1))
        .await
        .problem(401, "admission-required");
    let waiting = house.browser();
    waiting.join().await;
    waiting
        .order("k", &units(1))
        .await
        .problem(401, "admission-required");
    let app = house.browser();
    let token = app.enter().await;
    app.forget_cookie("doorline-admission-aurora");
    let bearer = format!("Bearer {token}");
    let headers = [("idempotency-key", "k"), ("authorization", bearer.as_str())];
    let body = units(1).to_string();
    let orders = format!("{DROP}/orders");
    app.ask("POST", &orders, &headers, Some(&body)).await.expect(201);
    stranger
        .ask("POST", &orders, &headers, Some(&body))
        .await
        .problem(401, "admission-required");
    house.close().await;
}

#[tokio::test]
async fn a_key_is_needed_and_stands_for_one_request() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let orders = format!("{DROP}/orders");
    let body = units(1).to_string();
    let keyless = browser.ask("POST", &orders, &[], Some(&body)).await;
    keyless.problem(400, "idempotency-key-required");
    let long = "k".repeat(256);
    browser
        .order(&long, &units(1))
        .await
        .problem(400, "idempotency-key-required");
    let order = browser.order("k-1", &units(1)).await.expect(201).json();
    let again = browser.order("k-1", &units(1)).await.expect(201).json();
    assert_eq!(again["order"], order["order"]);
    let other = browser.order("k-1", &units(2)).await;
    let problem = other.problem(422, "idempotency-key-reused");
    assert_eq!(problem["order"], order["order"]);
    let spent = browser.order("k-2", &units(1)).await;
    assert_eq!(spent.problem(409, "admission-spent")["order"], order["order"]);
    let stock = house.browser().get(DROP).await.json();
    assert_ne!(stock["stock"][SKU]["reserved"], 2, "one unit is held, once");
    house.close().await;
}

#[tokio::test]
async fn twins_make_one_order() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = units(1);
    let twins = join_all((0..24).map(|_| browser.order("k-1", &body))).await;
    let mut order = None;
    for twin in &twins {
        if twin.status == 409 {
            twin.problem(409, "request-in-flight");
            continue;
        }
        let json = twin.clone().expect(201).json();
        let first = order.get_or_insert_with(|| json["order"].clone());
        assert_eq!(json["order"], *first);
    }
    assert!(order.is_some(), "one of them was taken");
    house.close().await;
}

#[tokio::test]
async fn a_twin_in_flight_is_told_to_wait_for_its_sibling() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    // Whoever writes to the ledger now waits for us: the first of the twins stays in flight.
    let ledger = house.ledger();
    ledger
        .execute_batch("BEGIN IMMEDIATE")
        .expect("our turn to write");
    let body = units(1);
    let twin = || Box::pin(browser.order("k-1", &body));
    let (told, sibling) = select(twin(), twin()).await.factor_first();
    let problem = told.problem(409, "request-in-flight");
    assert_eq!(problem["retry_after"], 1);
    ledger
        .execute_batch("ROLLBACK")
        .expect("the ledger is free again");
    let order = sibling.await.expect(201).json();
    let again = browser.order("k-1", &body).await.expect(201).json();
    assert_eq!(
        again["order"], order["order"],
        "the key stands for this one order"
    );
    house.close().await;
}

#[tokio::test]
async fn too_little_left_is_said_with_what_is_left() {
    let house = House::open(Terms {
        stock: 1,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.enter().await;
    let problem = browser.order("k-1", &units(2)).await.problem(409, "sold-out");
    assert_eq!(problem["left"], json!({SKU: 1}));
    browser.order("k-2", &units(1)).await.expect(201);
    house.close().await;
}

#[tokio::test]
async fn nobody_gets_more_than_their_share_or_something_else() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let problem = browser
        .order("k-1", &units(3))
        .await
        .problem(422, "limit-exceeded");
    assert_eq!((&problem["limit"], &problem["has"]), (&json!(2), &json!(0)));
    for items in [
        json!([]),
        json!([{"sku": SKU, "quantity": 0}]),
        json!([{"sku": "NOT-OURS", "quantity": 1}]),
        json!([{"sku": SKU, "quantity": 1}, {"sku": SKU, "quantity": 1}]),
        json!([{"sku": "", "quantity": 1}]),
    ] {
        let body = json!({"items": items});
        browser.order("k-2", &body).await.problem(422, "invalid-order");
    }
    for extra in [json!({"payment_method": ""}), json!({"email": "nobody"})] {
        let mut body = units(1);
        body.as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        browser.order("k-3", &body).await.problem(422, "invalid-order");
    }
    house.close().await;
}

#[tokio::test]
async fn cancelling_frees_units_and_admission_at_once() {
    let house = House::open(Terms {
        stock: 2,
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.enter().await;
    let order = browser.order("k-1", &units(2)).await.expect(201).json();
    let cancelled = browser.ask("DELETE", &order_path(&order), &[], None).await;
    assert_eq!(cancelled.expect(200).json()["state"], "released");
    let again = browser.ask("DELETE", &order_path(&order), &[], None).await;
    assert_eq!(
        again.expect(200).json()["state"],
        "released",
        "cancelling twice is one"
    );
    let pay = json!({"payment_method": "pm_card_visa"});
    let late = browser
        .post(&format!("{}/payment", order_path(&order)), &pay)
        .await;
    assert!(matches!(late.status, 409 | 410), "{late:?}");
    browser.order("k-2", &units(2)).await.expect(201);
    house.close().await;
}

#[tokio::test]
async fn a_reservation_that_runs_out_returns_its_units() {
    let house = House::open(Terms {
        stock: 2,
        checkout: "reserve_for = \"1s\"",
        ..Terms::default()
    })
    .await;
    let browser = house.browser();
    browser.enter().await;
    let order = browser.order("k-1", &units(2)).await.expect(201).json();
    let id = order["order"].as_str().expect("an id");
    let released = browser.until_order(id, "released").await;
    assert!(released["reason"].is_string(), "{released}");
    let pay = json!({"payment_method": "pm_card_visa"});
    let late = browser
        .post(&format!("{}/payment", order_path(&order)), &pay)
        .await;
    assert!(matches!(late.status, 409 | 410), "{late:?}");
    until("both units are free again", async || {
        let state = house.browser().get(DROP).await.json();
        (state["stock"][SKU]["available"] == 2).then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn paying_twice_with_one_method_is_paying_once_and_the_answer_stays_true() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let order = browser.order("k-1", &units(1)).await.expect(201).json();
    let (id, path) = (order["order"].as_str().expect("an id"), order_path(&order));
    let path = format!("{path}/payment");
    let declined = json!({"payment_method": "pm_card_visa_chargeDeclined"});
    browser.post(&path, &declined).await.expect(202);
    browser.until_order(id, "declined").await;
    let again = browser.post(&path, &declined).await.expect(202).json();
    assert_eq!(
        (&again["order"], &again["state"]),
        (&order["order"], &json!("declined"))
    );
    let other = browser
        .post(&path, &json!({"payment_method": "pm_card_visa"}))
        .await;
    let problem = other.problem(409, "order-has-moved-on");
    assert_eq!(problem["state"], "declined", "{problem}");
    assert_eq!(problem["reason"], again["reason"], "{problem}");
    house.close().await;
}

#[tokio::test]
async fn an_order_exists_for_its_shopper_alone() {
    let house = House::usual().await;
    let (mine, other) = (house.browser(), house.browser());
    mine.enter().await;
    other.enter().await;
    let order = mine.order("k-1", &units(1)).await.expect(201).json();
    let path = order_path(&order);
    let unknown = "/.doorline/v1/orders/018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
    let pay = json!({"payment_method": "pm_card_visa"});
    for (browser, path) in [
        (&other, path.as_str()),
        (&house.browser(), path.as_str()),
        (&mine, unknown),
    ] {
        browser.get(path).await.problem(404, "unknown-order");
        browser
            .get(&format!("{path}/events"))
            .await
            .problem(404, "unknown-order");
        browser
            .ask("DELETE", path, &[], None)
            .await
            .problem(404, "unknown-order");
        let paid = browser.post(&format!("{path}/payment"), &pay).await;
        paid.problem(404, "unknown-order");
    }
    assert_eq!(mine.get(&path).await.json()["state"], "reserved");
    house.close().await;
}

#[tokio::test]
async fn everything_sold_is_said_to_all_at_once() {
    let house = House::open(Terms {
        stock: 1,
        ..Terms::default()
    })
    .await;
    let buyer = house.browser();
    buyer.enter().await;
    let waiting: Vec<Browser> = (0..3).map(|_| house.browser()).collect();
    for browser in &waiting {
        browser.join().await;
    }
    let mut body = units(1);
    body["payment_method"] = json!("pm_card_visa");
    let order = buyer.order("k-1", &body).await.expect(202).json();
    let id = order["order"].as_str().expect("an id");
    buyer.until_order(id, "paid").await;
    for browser in &waiting {
        browser.until_place("sold_out").await;
        browser.claim().await.problem(410, "sold-out");
        let page = browser.page(PAGE).await.expect(200);
        assert!(page.is_waiting_room() && page.header("refresh").is_empty());
    }
    until("the public state says so", async || {
        (house.browser().get(DROP).await.json()["phase"] == "sold_out").then_some(())
    })
    .await;
    house.close().await;
}
