//! What `/readyz` says of a gateway whose engines go away one at a time.

use std::time::Duration;

use serde_json::Value;

use crate::client::Browser;
use crate::house::Terms;
use crate::shared::SharedHouse;

/// Far more than an engine needs to be missed or to come back.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until `part` says what `fits`, and gives the whole answer.
async fn until(house: &SharedHouse, part: &str, fits: impl Fn(&str) -> bool) -> Value {
    let operator = Browser::new(house.gateways[0].admin_address);
    let asked = async {
        loop {
            let ready = operator.get("/readyz").await.json();
            if ready[part].as_str().is_some_and(&fits) {
                return ready;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, asked).await;
    told.unwrap_or_else(|_| panic!("{part} never said so"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_names_the_engine_that_is_missing() {
    let house = SharedHouse::open(1, Terms::default()).await;
    let fine = until(&house, "queue", |word| word == "ok").await;
    assert_eq!(fine["ready"], true, "{fine}");

    house.redis.kill();
    let without = until(&house, "queue", |words| words.contains("Redis")).await;
    assert_eq!(without["ready"], false, "{without}");
    assert_eq!(without["ledger"], "ok", "{without}");
    house.redis.restart().await.expect("Redis");
    until(&house, "queue", |word| word == "ok").await;

    house.postgres.kill();
    let without = until(&house, "ledger", |words| words.contains("Postgres")).await;
    assert_eq!(without["ready"], false, "{without}");
    house.postgres.restart().await.expect("Postgres");
    let fine = until(&house, "ledger", |word| word == "ok").await;
    assert_eq!(fine["queue"], "ok", "{fine}");
    house.close().await;
}
