//! What operators change of a running drop: it survives restarts, gives way to a new configuration, and reaches every gateway.

use std::sync::Arc;

use gateway::assembly::{self, Doorline, Ground, Role};
use gateway::config::Environment;
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::engine::postgres::Postgres;
use sandbox::engine::redis::Redis;
use serde_json::{Value, json};

use crate::client::{Browser, until};
use crate::house::{ADMIN_TOKEN, House, Terms, WEBHOOK_SECRET};

const DROP: &str = "/admin/v1/drops/aurora";
const PUBLIC: &str = "/.doorline/v1/drops/aurora";

async fn limits(operator: &Browser) -> Value {
    operator.get(DROP).await.expect(200).json()["limits"].clone()
}

async fn notice(browser: &Browser) -> Value {
    browser.get(PUBLIC).await.expect(200).json()["notice"].clone()
}

#[tokio::test]
async fn everybody_is_held_as_configured_and_an_operator_has_the_last_word_over_restarts() {
    let held = || Terms {
        drop: "queue_all = true",
        ..Terms::default()
    };
    let is_held = async |house: &House| {
        house.operator().get(DROP).await.expect(200).json()["control"]["queue_all"] == true
    };
    let house = House::open(held()).await;
    assert!(is_held(&house).await);
    let house = house.reopen(Terms::default()).await;
    assert!(!is_held(&house).await, "it is not configured any more");
    let house = house.reopen(held()).await;
    house.command("resume").await.expect(200);
    let house = house.reopen(held()).await;
    assert!(!is_held(&house).await, "an operator let them go on since");
    house.close().await;
}

#[tokio::test]
async fn what_an_operator_paused_or_drained_stays_so_when_nobody_is_held_by_configuration_any_more() {
    let held = || Terms {
        drop: "queue_all = true",
        ..Terms::default()
    };
    let control =
        async |house: &House| house.operator().get(DROP).await.expect(200).json()["control"].clone();
    for (verb, switch) in [("pause", "paused"), ("drain", "draining")] {
        let house = House::open(held()).await;
        house.command("resume").await.expect(200);
        house.command(verb).await.expect(200);
        let house = house.reopen(Terms::default()).await;
        let now = control(&house).await;
        assert_eq!((&now[switch], &now["queue_all"]), (&json!(true), &json!(false)));
        house.close().await;
    }
    let house = House::open(held()).await;
    house.command("pause").await.expect(200);
    let house = house.reopen(Terms::default()).await;
    assert_eq!(
        control(&house).await["paused"],
        true,
        "the operator has not resumed it"
    );
    house.command("resume").await.expect(200);
    let now = control(&house).await;
    assert_eq!(
        (&now["paused"], &now["queue_all"]),
        (&json!(false), &json!(false))
    );
    let house = house.reopen(Terms::default()).await;
    assert_eq!(control(&house).await, now);
    house.close().await;
}

#[tokio::test]
async fn a_change_survives_restarts_until_something_else_is_configured() {
    let house = House::usual().await;
    let change =
        json!({"total_active_users": 3, "new_users_per_minute": 7, "drain_per_second": 2, "notice": "Soon."});
    house.change_drop(&change).await.expect(200);
    let later = json!({"total_active_users": 4});
    house.change_drop(&later).await.expect(200);
    let house = house.reopen(Terms::default()).await;
    let changed = json!({"total_active_users": 4, "new_users_per_minute": 7});
    assert_eq!(limits(&house.operator()).await, changed);
    assert_eq!(notice(&house.browser()).await, "Soon.");
    let drain = house.doorline.checkout.figures().await.expect("figures").drain;
    assert_eq!(drain[0].1, 2);
    let other = Terms {
        total_active_users: 400,
        checkout: "drain_per_second = 30",
        ..Terms::default()
    };
    let house = house.reopen(other).await;
    let changed = json!({"total_active_users": 400, "new_users_per_minute": 7});
    assert_eq!(
        limits(&house.operator()).await,
        changed,
        "what was configured anew holds"
    );
    let drain = house.doorline.checkout.figures().await.expect("figures").drain;
    assert_eq!(drain[0].1, 30);
    house.change_drop(&json!({"notice": ""})).await.expect(200);
    assert_eq!(notice(&house.browser()).await, Value::Null);
    house.close().await;
}

/// Redis and Postgres, and what a gateway on them is told.
pub(crate) struct Engines {
    redis: Redis,
    postgres: Postgres,
    pub(crate) text: String,
}

impl Engines {
    pub(crate) async fn start() -> Self {
        let text = Terms::default().text(
            "http://127.0.0.1:9",
            "http://127.0.0.1:9",
            std::path::Path::new("unused"),
        );
        let distributed = "mode = \"distributed\"\nredis_url_env = \"R\"\npostgres_url_env = \"P\"";
        Self {
            redis: Redis::start().await.expect("a Redis"),
            postgres: Postgres::start().await.expect("a Postgres"),
            text: text.replace("data_dir = \"unused\"", distributed),
        }
    }

    pub(crate) fn ground(&self) -> Ground {
        let environment: Environment = [
            ("TEST_ADMIN_TOKEN", ADMIN_TOKEN),
            ("TEST_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("R", &self.redis.url()),
            ("P", &self.postgres.url()),
            // Nobody is there: orders are driven without a broker.
            ("DOORLINE_RABBITMQ_URL", "amqp://127.0.0.1:9"),
        ]
        .into_iter()
        .collect();
        Ground {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            environment,
        }
    }

    pub(crate) async fn gateway(&self) -> Doorline {
        let ground = self.ground();
        let loaded = gateway::config::parse("config.toml", &self.text, &[], &ground.environment);
        let config = loaded.unwrap_or_else(|report| panic!("{report}")).config;
        assembly::migrate(&config, &ground).await.expect("tables");
        Doorline::open(&config, Role::Gateway, &ground)
            .await
            .expect("a gateway")
    }
}

fn operator(gateway: &Doorline) -> Browser {
    Browser::new(gateway.admin_address).always("authorization", &format!("Bearer {ADMIN_TOKEN}"))
}

#[tokio::test]
async fn a_change_at_one_gateway_reaches_the_others_and_those_that_start_later() {
    let engines = Engines::start().await;
    let (asked, other) = (engines.gateway().await, engines.gateway().await);
    let json_body = ("content-type", "application/json");
    let change = json!({"total_active_users": 2, "new_users_per_minute": 5, "notice": "Soon."}).to_string();
    operator(&asked)
        .ask("PATCH", DROP, &[json_body], Some(&change))
        .await
        .expect(200);
    let changed = json!({"total_active_users": 2, "new_users_per_minute": 5});
    assert_eq!(limits(&operator(&asked)).await, changed);
    until("the other gateway follows", async || {
        let told = notice(&Browser::new(other.address)).await == "Soon.";
        (told && limits(&operator(&other)).await == changed).then_some(())
    })
    .await;
    let later = engines.gateway().await;
    assert_eq!(limits(&operator(&later)).await, changed);
    assert_eq!(notice(&Browser::new(later.address)).await, "Soon.");
    for gateway in [asked, other, later] {
        gateway.close().await;
    }
}
