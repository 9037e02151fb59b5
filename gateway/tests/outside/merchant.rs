//! What the merchant's own system hears of orders, over real sockets: signed, at least once, in order, and still owed after
//! it was away or we were.

mod email;

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli::{answer, command, write_config};
use crate::client::{Browser, until};
use crate::house::{House, MERCHANT_SECRET, SKU, Terms};
use crate::judges::judge;
use crate::program::{Program, free_port, stderr, stdout};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("visible characters")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn what(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }
}

/// How the receiver answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Takes,
    /// Refuses each event the first time it comes.
    SecondTime,
    /// Answers nothing for as long as anybody waits.
    Sleeps,
}

/// The merchant's own system.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    story: Arc<Story>,
    _serving: JoinSet<()>,
}

struct Story {
    heard: Mutex<Vec<Heard>>,
    mood: Mutex<Mood>,
}

async fn receive(State(story): State<Arc<Story>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let heard = Heard { headers, body };
    // The provider's events, which judges listen to as well, carry no such name.
    let name = |heard: &Heard| heard.headers.get("webhook-id").cloned();
    let id = name(&heard);
    let (mood, is_first) = {
        let mut all = story.heard.lock().expect("no panic before");
        let is_first = !all.iter().any(|before| name(before) == id);
        all.push(heard);
        (*story.mood.lock().expect("no panic before"), is_first)
    };
    match mood {
        Mood::SecondTime if is_first => StatusCode::SERVICE_UNAVAILABLE,
        Mood::Takes | Mood::SecondTime => StatusCode::OK,
        Mood::Sleeps => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            StatusCode::OK
        }
    }
}

impl Receiver {
    pub(crate) async fn start(port: u16, mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let story = Arc::new(Story {
            heard: Mutex::default(),
            mood: Mutex::new(mood),
        });
        let router = Router::new()
            .route("/events", post(receive))
            .with_state(Arc::clone(&story));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self {
            address,
            story,
            _serving: serving,
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.story.heard.lock().expect("no panic before").clone()
    }

    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        until(what, async || Some(self.heard()).filter(|heard| enough(heard))).await
    }
}

/// The section that names the receiver.
fn section(address: impl std::fmt::Display) -> &'static str {
    let text =
        format!("[webhooks]\nurl = \"http://{address}/events\"\nsecret_env = \"TEST_MERCHANT_SECRET\"\n");
    Box::leak(text.into_boxed_str())
}

async fn house_of(address: impl std::fmt::Display) -> House {
    House::open(Terms {
        more: section(address),
        ..Terms::default()
    })
    .await
}

/// Buys one unit and waits until it is paid; yields the order's name.
async fn bought(browser: &Browser) -> String {
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa", "email": "ada@example.org"});
    let order = browser.order("k-1", &body).await.expect(202).json();
    let order = order["order"].as_str().expect("an id").to_owned();
    browser.until_order(&order, "paid").await;
    order
}

fn of<'a>(heard: &'a [Heard], order: &str) -> Vec<&'a Heard> {
    heard
        .iter()
        .filter(|one| one.json()["data"]["order"] == *order)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_in_order_each_until_it_is_taken_and_always_the_same() {
    let receiver = Receiver::start(0, Mood::SecondTime).await;
    let house = house_of(receiver.address).await;
    let order = bought(&house.browser()).await;
    write_config(&house);
    answer(&house, &["orders", "refund", &order]).await;
    let heard = receiver
        .until("the refund is heard twice", |heard| heard.len() >= 4)
        .await;
    let told: Vec<String> = heard.iter().map(Heard::what).collect();
    assert_eq!(
        told,
        ["order.paid", "order.paid", "order.refunded", "order.refunded"]
    );
    for pair in heard.chunks(2) {
        assert_eq!(pair[0].body, pair[1].body, "repetitions say the same");
        assert_eq!(pair[0].header("webhook-id"), pair[1].header("webhook-id"));
        assert_ne!(
            pair[0].header("webhook-signature"),
            pair[1].header("webhook-signature"),
            "signed anew"
        );
    }
    let (paid, refunded) = (heard[0].json(), heard[2].json());
    assert_eq!(paid["data"]["order"], *order);
    assert_eq!(paid["data"]["drop"], "aurora");
    assert_eq!(paid["data"]["email"], "ada@example.org");
    assert_eq!(
        paid["data"]["total"],
        json!({"amount": 12_900, "currency": "eur"})
    );
    assert_eq!(
        paid["data"]["items"],
        json!([{"sku": SKU, "quantity": 1, "price": {"amount": 12_900, "currency": "eur"}}])
    );
    assert!(paid["data"]["version"].as_u64() < refunded["data"]["version"].as_u64());
    assert_eq!(
        (&paid["data"]["state"], &refunded["data"]["state"]),
        (&json!("paid"), &json!("refunded"))
    );
    // The last answer is noted a moment after it was given.
    until("all is counted", async || {
        let metrics = house.operator().get("/metrics").await.expect(200).body;
        let counted = |line: &str| metrics.lines().any(|one| one == line);
        let lines = [
            "doorline_merchant_webhooks_total{outcome=\"refused\"} 2",
            "doorline_merchant_webhooks_total{outcome=\"taken\"} 2",
            "doorline_merchant_webhooks_pending 0",
        ];
        lines.into_iter().all(counted).then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_receiver_holds_up_no_checkout_and_no_other_order() {
    let receiver = Receiver::start(0, Mood::Sleeps).await;
    let house = house_of(receiver.address).await;
    let first = bought(&house.browser()).await;
    receiver
        .until("the first is on its way", |heard| !heard.is_empty())
        .await;
    *receiver.story.mood.lock().expect("no panic before") = Mood::Takes;
    let second = bought(&house.browser()).await;
    let heard = receiver
        .until("the second is heard", |heard| !of(heard, &second).is_empty())
        .await;
    assert_eq!(
        of(&heard, &first).len(),
        1,
        "the first waits for its answer still"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_away_hears_what_it_missed_when_it_is_replayed() {
    let port = free_port();
    let house = house_of(format!("127.0.0.1:{port}")).await;
    let order = bought(&house.browser()).await;
    write_config(&house);
    // Twice, at once and after five seconds: it is not tried again within the next five minutes.
    let listed = until("it was tried in vain", async || {
        let listed = answer(&house, &["webhooks", "list"]).await;
        (listed[0]["tries"].as_u64() >= Some(2)).then_some(listed)
    })
    .await;
    let expected = json!({"order": order, "drop": "aurora", "event": "order.paid", "state": "pending", "outcome": "unreachable"});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&listed[0][name], value, "{name} of {listed}");
    }
    let table = stdout(&command(&house, &["webhooks", "list", "--state", "pending"]).await);
    for part in [order.as_str(), "order.paid", "pending", "unreachable"] {
        assert!(table.contains(part), "{part} is missing in:\n{table}");
    }
    assert_eq!(
        answer(&house, &["webhooks", "list", "--state", "given-up"]).await,
        json!([])
    );
    let metrics = house.operator().get("/metrics").await.expect(200).body;
    assert!(metrics.contains("doorline_merchant_webhooks_given_up 0"));
    let receiver = Receiver::start(port, Mood::Takes).await;
    let replayed = stdout(&command(&house, &["webhooks", "replay", "--since", "1h"]).await);
    assert!(replayed.starts_with("1 event is sent once more"), "{replayed}");
    let heard = receiver.until("it is heard", |heard| !heard.is_empty()).await;
    assert_eq!(heard[0].json()["data"]["order"], *order);
    until("nothing is owed", async || {
        (answer(&house, &["webhooks", "list"]).await == json!([])).then_some(())
    })
    .await;
    // What was taken is told again to whoever asks for it by name, or for everything.
    for (arguments, subject) in [
        (vec!["webhooks", "replay", &order], "order"),
        (
            vec!["webhooks", "replay", "--since", "1h", "--all"],
            "everything since 1h",
        ),
    ] {
        let before = receiver.heard().len();
        assert_eq!(answer(&house, &arguments).await, json!({"replayed": 1}));
        receiver
            .until("it is heard again", |heard| heard.len() > before)
            .await;
        let written: String = house
            .ledger()
            .query_row(
                "SELECT subject FROM audit WHERE action = 'webhooks.replay' AND by = 'admin' ORDER BY id DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .expect("a line in the operators' log");
        assert!(subject == "order" || written == subject, "{written}");
    }
    let ids: HashSet<String> = receiver
        .heard()
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "always under one name");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_cannot_be_is_refused_with_the_reason() {
    let house = house_of("127.0.0.1:9").await;
    let path = "/admin/v1/webhooks/replay";
    let json_type = ("content-type", "application/json");
    let unknown = "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
    for (body, status) in [
        (json!({}), 422),
        (json!({"order": unknown}), 404),
        (json!({"order": "7"}), 404),
        (json!({"since": "soon"}), 422),
        (json!({"since": "2h", "order": unknown}), 422),
        (json!({"sinse": "2h"}), 422),
        (json!(["2h"]), 422),
    ] {
        let refused = house
            .operator()
            .ask("POST", path, &[json_type], Some(&body.to_string()))
            .await;
        assert_eq!(refused.status, status, "{body}: {refused:?}");
    }
    let refused = house.operator().get("/admin/v1/webhooks?state=lost").await;
    assert_eq!(refused.status, 422);
    house.close().await;
    let house = House::usual().await;
    let body = json!({"since": "2h"}).to_string();
    let refused = house
        .operator()
        .ask("POST", path, &[json_type], Some(&body))
        .await;
    assert_eq!(refused.status, 409, "nobody is configured: {refused:?}");
    assert_eq!(
        house
            .operator()
            .get("/admin/v1/webhooks")
            .await
            .expect(200)
            .json(),
        json!([])
    );
    house.close().await;
}

/// The configuration of a program with a sandbox of its own.
fn alone(receiver: u16) -> String {
    format!(
        "[upstream]\nurl = \"http://127.0.0.1:9\"\n[rate_limit]\nper_address = \"100000/s\"\n\
         joins_per_address = \"100000/s\"\n{}[[drop]]\nid = \"aurora\"\npaths = [\"/drops/aurora\"]\n\
         event_start_time = \"2020-01-01T00:00:00Z\"\ntotal_active_users = 10\nnew_users_per_minute = 1000\n\
         [[drop.item]]\nsku = \"{SKU}\"\nprice = {{ amount = 12900, currency = \"eur\" }}\nstock = 5\n",
        section(format!("127.0.0.1:{receiver}"))
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_when_the_program_is_killed_is_told_by_the_next_one() {
    let port = free_port();
    let environment = [("TEST_MERCHANT_SECRET", MERCHANT_SECRET)];
    let mut program = Program::serve("", &alone(port), &environment).await;
    let order = bought(&Browser::new(program.address)).await;
    program.signal("KILL");
    program.end().await;
    let receiver = Receiver::start(port, Mood::Takes).await;
    let program = program.again(&environment).await;
    let heard = receiver.until("it is heard", |heard| !heard.is_empty()).await;
    assert_eq!(
        (heard[0].what().as_str(), &heard[0].json()["data"]["order"]),
        ("order.paid", &json!(order))
    );
    let log = program.log();
    let key = MERCHANT_SECRET.strip_prefix("whsec_").expect("a secret");
    assert!(!log.contains(key) && !log.contains("ada@example.org"), "{log}");
    program.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_none_keeps_the_program_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.toml"), alone(9)).expect("a writable folder");
    let listen = [
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        "admin.listen=127.0.0.1:0",
    ];
    let arguments = [&["serve"][..], &listen].concat();
    for (secret, said) in [
        (None, "TEST_MERCHANT_SECRET"),
        (Some("hunter2"), "whsec_"),
        (Some("whsec_aHVudGVyMg=="), "24 to 64 bytes"),
    ] {
        let mut serving = crate::program::doorline(folder.path(), &arguments);
        serving.envs(secret.map(|secret| ("TEST_MERCHANT_SECRET", secret)));
        let output = crate::program::run(serving).await;
        assert_eq!(output.status.code(), Some(2));
        let words = stderr(&output);
        assert!(words.contains(said) && !words.contains("hunter2"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_library_believes_us_and_nothing_that_was_changed() {
    let receiver = Receiver::start(0, Mood::Takes).await;
    let house = house_of(receiver.address).await;
    bought(&house.browser()).await;
    let heard = receiver.until("it is heard", |heard| !heard.is_empty()).await;
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(heard[0].header(name))))
        .collect();
    let case = json!({"secret": MERCHANT_SECRET, "headers": headers, "body": heard[0].body});
    assert_eq!(judge("webhook.py", &[], case).await, "order.paid");
    house.close().await;
}
