//! Several gateways read the stock once between them, and turn away at their own door who asks for what
//! is gone.

use serde_json::{Value, json};

use crate::client::{Answer, Browser, DROP, until};
use crate::house::{SKU, Terms};
use crate::shared::SharedHouse;

fn one_unit() -> Terms {
    Terms {
        stock: 1,
        checkout: "overbooking_percent = 10000",
        ..Terms::default()
    }
}

fn basket() -> Value {
    json!({"items": [{"sku": SKU, "quantity": 1}]})
}

async fn until_stock(browser: &Browser, stock: &Value) {
    until("the stock shows", async || {
        let state = browser.get(DROP).await.json();
        (state["stock"][SKU] == *stock).then_some(())
    })
    .await;
}

impl SharedHouse {
    /// How often each gateway has read the stock.
    async fn readings(&self) -> Vec<u64> {
        let mut readings = Vec::new();
        for gateway in 0..self.gateways.len() {
            readings.push(self.asked(gateway, "ledger", "stock").await);
        }
        readings
    }

    /// Waits until the stock was read `more` times; gives how often by each gateway.
    async fn after_readings(&self, more: u64) -> Vec<u64> {
        let before = self.readings().await;
        until("the stock was read", async || {
            let now = self.readings().await;
            let each: Vec<u64> = now.iter().zip(&before).map(|(now, then)| now - then).collect();
            (each.iter().sum::<u64>() >= more).then_some(each)
        })
        .await
    }

    /// Waits until one gateway reads for all; gives which.
    async fn keeper(&self) -> usize {
        until("one gateway reads for all", async || {
            let each = self.after_readings(8).await;
            let mut reading = each.iter().enumerate().filter(|(_, count)| **count > 0);
            let keeper = reading.next().map(|(gateway, _)| gateway);
            keeper.filter(|_| reading.next().is_none())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_reads_the_stock_and_all_show_it() {
    let house = SharedHouse::open(3, Terms::default()).await;
    let keeper = house.keeper().await;
    let other = (keeper + 1) % 3;
    let browser = house.browser(other);
    browser.enter().await;
    browser.order("mine", &basket()).await.expect(201);
    for gateway in 0..3 {
        let expected = json!({"available": 49, "reserved": 1, "sold": 0});
        until_stock(&house.browser(gateway), &expected).await;
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_reader_goes_another_reads() {
    let mut house = SharedHouse::open(2, Terms::default()).await;
    let keeper = house.keeper().await;
    house.gateways.remove(keeper).close().await;
    assert!(house.after_readings(4).await[0] >= 4);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_every_gateway_reads_for_itself_and_afterwards_one_again() {
    let house = SharedHouse::open(2, Terms::default()).await;
    house.keeper().await;
    house.redis.freeze();
    until("both read", async || {
        let each = house.after_readings(4).await;
        each.iter().all(|count| *count > 0).then_some(())
    })
    .await;
    house.redis.thaw();
    house.keeper().await;
    assert!(house.redis.flush().await);
    house.keeper().await;
    house.close().await;
}

/// A gateway's answer to an order for the unit that is gone.
fn told_that_nothing_is_left(answer: &Answer) {
    assert_eq!(answer.problem(409, "sold-out")["left"], json!({SKU: 0}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_refused_without_the_ledger_until_it_comes_back() {
    let house = SharedHouse::open(2, one_unit()).await;
    let (buyer, late, greedy) = (house.browser(0), house.browser(1), house.browser(1));
    // Once nothing is left nobody is called any more.
    for browser in [&buyer, &late, &greedy] {
        browser.enter().await;
    }
    let order = buyer.order("first", &basket()).await.expect(201).json();
    let gone = json!({"available": 0, "reserved": 1, "sold": 0});
    until_stock(&late, &gone).await;
    let before = house.asked(1, "ledger", "reserve").await;
    for attempt in 0..5 {
        told_that_nothing_is_left(&late.order(&format!("late-{attempt}"), &basket()).await);
    }
    assert_eq!(house.asked(1, "ledger", "reserve").await, before);
    let three = json!({"items": [{"sku": SKU, "quantity": 3}]});
    let answer = greedy.order("three", &three).await;
    answer.problem(422, "limit-exceeded");
    let order = order["order"].as_str().expect("an id");
    let path = format!("/.doorline/v1/orders/{order}");
    buyer.ask("DELETE", &path, &[], None).await.expect(200);
    until("the unit is back", async || {
        let answer = late.order("at-last", &basket()).await;
        if answer.status == 201 {
            return Some(());
        }
        told_that_nothing_is_left(&answer);
        None
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_last_unit_is_told_so_again_by_whichever_gateway_is_asked() {
    let house = SharedHouse::open(2, one_unit()).await;
    let here = house.browser(0);
    here.enter().await;
    let first = here.order("lost-answer", &basket()).await.expect(201).json();
    let there = house.browser(1);
    for (name, value) in here.cookies() {
        there.set_cookie(&name, &value);
    }
    until_stock(&there, &json!({"available": 0, "reserved": 1, "sold": 0})).await;
    let again = there.order("lost-answer", &basket()).await.expect(201).json();
    assert_eq!(again["order"], first["order"]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_the_last_unit_back_may_take_it_again_at_once() {
    let house = SharedHouse::open(1, one_unit()).await;
    let browser = house.browser(0);
    browser.enter().await;
    for turn in 0..3 {
        let order = browser.order(&format!("turn-{turn}"), &basket()).await;
        let order = order.expect(201).json();
        until_stock(&browser, &json!({"available": 0, "reserved": 1, "sold": 0})).await;
        let path = format!("/.doorline/v1/orders/{}", order["order"].as_str().expect("an id"));
        browser.ask("DELETE", &path, &[], None).await.expect(200);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_the_ledger_itself_refuses() {
    let house = SharedHouse::open(1, one_unit()).await;
    let (buyer, late) = (house.browser(0), house.browser(0));
    buyer.enter().await;
    late.enter().await;
    buyer.order("first", &basket()).await.expect(201);
    until_stock(&late, &json!({"available": 0, "reserved": 1, "sold": 0})).await;
    let before = house.asked(0, "ledger", "reserve").await;
    house.redis.freeze();
    told_that_nothing_is_left(&late.order("late", &basket()).await);
    assert_eq!(house.asked(0, "ledger", "reserve").await, before + 1);
    house.redis.thaw();
    house.close().await;
}
