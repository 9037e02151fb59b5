//! Waiting costs no engine anything, and the metrics show it.

use std::collections::BTreeMap;

use crate::client::{DROP, until};
use crate::house::Terms;
use crate::shared::SharedHouse;

/// What a gateway asks Redis for by itself, whoever waits or not.
const OF_THE_TICK: [&str; 6] = ["view", "advance", "offer_stock", "scan", "members", "rank"];

async fn asked_for_shoppers(house: &SharedHouse) -> BTreeMap<String, u64> {
    let mut asked = house.asked_of_redis(0).await;
    asked.retain(|op, _| !OF_THE_TICK.contains(&op.as_str()));
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_ask_redis_for_nothing() {
    let terms = Terms {
        total_active_users: 1,
        ..Terms::default()
    };
    let house = SharedHouse::open(1, terms).await;
    let (first, browser) = (house.browser(0), house.browser(0));
    first.enter().await;
    browser.join().await;
    until("the place is waiting", async || {
        let place = browser.get(&format!("{DROP}/ticket")).await.expect(200).json();
        (place["state"] == "waiting").then_some(())
    })
    .await;
    let before = asked_for_shoppers(&house).await;
    assert!(before["join"] > 0 && before["claim"] > 0, "{before:?}");
    for _ in 0..500 {
        browser.get(&format!("{DROP}/ticket")).await.expect(200);
        browser.get(DROP).await.expect(200);
    }
    assert_eq!(asked_for_shoppers(&house).await, before);
    house.close().await;
}
