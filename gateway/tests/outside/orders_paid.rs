//! Paying: accepted, declined, confirmed with the bank, cancelled too late.

use sandbox::provider::{FaultPlan, Outage};
use serde_json::{Value, json};

use crate::client::{DROP, PAGE, until};
use crate::house::{House, SKU, Terms};
use crate::stream::Stream;

fn one_paid_with(method: &str) -> Value {
    json!({
        "items": [{"sku": SKU, "quantity": 1}],
        "payment_method": method,
        "email": "shopper@example.com",
    })
}

fn id(order: &Value) -> &str {
    order["order"].as_str().expect("an id")
}

#[tokio::test]
async fn an_order_with_a_payment_method_is_accepted_and_paid_once() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = one_paid_with("pm_card_visa");
    let accepted = browser.order("k-1", &body).await.expect(202).json();
    assert!(
        ["accepted", "paying", "paid"]
            .iter()
            .any(|state| accepted["state"] == *state),
        "{accepted}"
    );
    let paid = browser.until_order(id(&accepted), "paid").await;
    assert_eq!(paid["total"], json!({"amount": 12_900, "currency": "eur"}));
    let again = browser.order("k-1", &body).await;
    if again.status != 401 {
        assert_eq!(again.expect(202).json()["order"], accepted["order"]);
    }
    let tally = house.provider.tally();
    assert_eq!(tally.net_captured(), 12_900);
    assert!(tally.double_charged().is_empty());
    let late = browser
        .ask(
            "DELETE",
            &format!("/.doorline/v1/orders/{}", id(&paid)),
            &[],
            None,
        )
        .await;
    late.problem(409, "not-cancellable");
    house.close().await;
}

#[tokio::test]
async fn a_reserved_order_is_paid_later_and_its_stream_tells_each_step() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let order = browser.order("k-1", &body).await.expect(201).json();
    let path = format!("/.doorline/v1/orders/{}", id(&order));
    let mut stream = Stream::open(&browser, &format!("{path}/events")).await;
    assert_eq!(stream.state().await.expect("an order")["state"], "reserved");
    let pay = json!({"payment_method": "pm_card_visa"});
    browser.post(&format!("{path}/payment"), &pay).await.expect(202);
    let mut told = Vec::new();
    while let Some(state) = stream.state().await {
        told.push(state["state"].as_str().expect("a state").to_owned());
    }
    assert_eq!(told.last().map(String::as_str), Some("paid"), "{told:?}");
    let again = browser.post(&format!("{path}/payment"), &pay).await;
    assert!(matches!(again.status, 202 | 409), "{again:?}");
    assert_eq!(house.provider.tally().net_captured(), 12_900);
    house.close().await;
}

#[tokio::test]
async fn a_paid_order_ends_the_session() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    assert!(!browser.page(PAGE).await.is_waiting_room());
    let order = browser
        .order("k-1", &one_paid_with("pm_card_visa"))
        .await
        .expect(202)
        .json();
    browser.until_order(id(&order), "paid").await;
    until("the door is closed behind the buyer", async || {
        browser.page(PAGE).await.is_waiting_room().then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn a_decline_is_told_with_its_reason_and_frees_the_units() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let declined = one_paid_with("pm_card_visa_chargeDeclinedInsufficientFunds");
    let order = browser.order("k-1", &declined).await.expect(202).json();
    let order = browser.until_order(id(&order), "declined").await;
    assert!(
        order["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
        "{order}"
    );
    let state = until("the unit is free again", async || {
        let state = house.browser().get(DROP).await.json();
        (state["stock"][SKU]["available"] == 50).then_some(state)
    })
    .await;
    assert_eq!(state["stock"][SKU]["sold"], 0);
    let retry = browser
        .order("k-2", &one_paid_with("pm_card_visa"))
        .await
        .expect(202)
        .json();
    browser.until_order(id(&retry), "paid").await;
    assert_eq!(house.provider.tally().net_captured(), 12_900);
    house.close().await;
}

#[tokio::test]
async fn a_declined_unit_goes_to_the_next_in_the_queue() {
    let house = House::open(Terms {
        stock: 1,
        ..Terms::default()
    })
    .await;
    let (first, next) = (house.browser(), house.browser());
    first.enter().await;
    // One call for one unit: who comes next waits while it is at the checkout.
    next.join().await;
    let declined = one_paid_with("pm_card_visa_chargeDeclined");
    let order = first.order("k-1", &declined).await.expect(202).json();
    first.until_order(id(&order), "declined").await;
    next.until_place("called").await;
    next.claim().await.expect(200);
    let order = next
        .order("k-1", &one_paid_with("pm_card_visa"))
        .await
        .expect(202)
        .json();
    next.until_order(id(&order), "paid").await;
    assert_eq!(house.provider.tally().net_captured(), 12_900);
    house.close().await;
}

#[tokio::test]
async fn who_is_told_that_nothing_is_left_keeps_no_unit_from_those_who_wait() {
    let house = House::open(Terms {
        stock: 1,
        checkout: "overbooking_percent = 150",
        ..Terms::default()
    })
    .await;
    let [buyer, second, third, fourth] = [(); 4].map(|()| house.browser());
    let held = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let gives_up = async |order: &Value| {
        let path = format!("/.doorline/v1/orders/{}", id(order));
        buyer.ask("DELETE", &path, &[], None).await.expect(200);
    };
    // Two are called for one unit, and one comes too late for it.
    buyer.enter().await;
    second.enter().await;
    let order = buyer.order("k-1", &held).await.expect(201).json();
    second.order("k-1", &held).await.problem(409, "sold-out");
    third.join().await;
    gives_up(&order).await;
    third.until_place("called").await;
    third.claim().await.expect(200);
    let order = buyer.order("k-2", &held).await.expect(201).json();
    third.order("k-1", &held).await.problem(409, "sold-out");
    fourth.join().await;
    gives_up(&order).await;
    // The second and the third are still inside, as many as are called for one unit.
    fourth.until_place("called").await;
    fourth.claim().await.expect(200);
    fourth.order("k-1", &held).await.expect(201);
    house.close().await;
}

#[tokio::test]
async fn a_bank_that_asks_is_answered_and_the_order_goes_on() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let body = one_paid_with("pm_card_threeDSecure2Required");
    let order = browser.order("k-1", &body).await.expect(202).json();
    let asked = browser.until_order(id(&order), "action_required").await;
    let secret = asked["action"]["client_secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    let payment = secret.split("_secret_").next().expect("the payment's name");
    let bank = crate::client::Browser::new(house.provider.address());
    let path = format!("/sandbox/authenticate/{payment}");
    let confirmed = bank
        .post(&path, &json!({"client_secret": secret, "outcome": "succeed"}))
        .await;
    confirmed.expect(200);
    let paid = browser.until_order(id(&order), "paid").await;
    assert!(paid.get("action").is_none(), "{paid}");
    house.close().await;
}

#[tokio::test]
async fn whatever_the_provider_does_an_order_is_charged_once() {
    let house = House::usual().await;
    for method in [
        "pm_sandbox_lostAnswer",
        "pm_sandbox_captureLostAnswer",
        "pm_sandbox_unsaved500",
        "pm_sandbox_saved500AfterEffect",
    ] {
        let browser = house.browser();
        browser.enter().await;
        let order = browser
            .order("k-1", &one_paid_with(method))
            .await
            .expect(202)
            .json();
        browser.until_order(id(&order), "paid").await;
    }
    let tally = house.provider.tally();
    assert_eq!(tally.net_captured(), 4 * 12_900);
    assert!(tally.double_charged().is_empty());
    let audit = house.operator().get("/admin/v1/audit").await.expect(200).json();
    assert_eq!(
        (&audit["clean"], &audit["paid_orders"]),
        (&json!(true), &json!(4)),
        "{audit}"
    );
    house.close().await;
}

#[tokio::test]
async fn paused_payments_keep_orders_until_they_resume() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    let operator = house.operator();
    operator
        .ask("POST", "/admin/v1/payments/pause", &[], None)
        .await
        .expect(200);
    let order = browser
        .order("k-1", &one_paid_with("pm_card_visa"))
        .await
        .expect(202)
        .json();
    let path = format!("/.doorline/v1/orders/{}", id(&order));
    for _ in 0..5 {
        assert_eq!(browser.get(&path).await.json()["state"], "accepted");
    }
    assert_eq!(house.provider.tally().net_captured(), 0);
    operator
        .ask("POST", "/admin/v1/payments/resume", &[], None)
        .await
        .expect(200);
    browser.until_order(id(&order), "paid").await;
    house.close().await;
}

#[tokio::test]
async fn while_the_provider_is_away_shoppers_browse_keep_their_places_and_are_told_the_truth() {
    let terms = Terms {
        total_active_users: 2,
        ..Terms::default()
    };
    let house = House::open(terms).await;
    let (first, second, waiter) = (house.browser(), house.browser(), house.browser());
    first.enter().await;
    second.enter().await;
    let place = waiter.join().await;
    let away = |outage| FaultPlan {
        outage,
        ..FaultPlan::default()
    };
    house.provider.set_faults(away(Outage::Refuse)).expect("a plan");
    let mut orders = Vec::new();
    for buyer in [&first, &second] {
        let order = buyer.order("k-1", &one_paid_with("pm_card_visa")).await;
        orders.push(id(&order.expect(202).json()).to_owned());
    }
    let path = format!("/.doorline/v1/orders/{}", orders[0]);
    let held_up = until("the shopper is told what holds the order up", async || {
        let order = first.get(&path).await.expect(200).json();
        (order["reason"] == "provider_unavailable").then_some(order)
    })
    .await;
    assert!(
        held_up["state"] == "accepted" || held_up["state"] == "paying",
        "{held_up}"
    );
    assert!(
        !second.page(PAGE).await.is_waiting_room(),
        "who is inside browses on"
    );
    let still = waiter.get(&format!("{DROP}/ticket")).await.expect(200).json();
    assert_eq!(still["number"], place["number"], "who waits keeps the place");
    assert_eq!(house.provider.tally().net_captured(), 0);
    house.provider.set_faults(away(Outage::None)).expect("a plan");
    for (buyer, order) in [(&first, &orders[0]), (&second, &orders[1])] {
        buyer.until_order(order, "paid").await;
    }
    waiter.enter().await;
    assert_eq!(house.provider.tally().net_captured(), 2 * 12_900);
    house.close().await;
}
