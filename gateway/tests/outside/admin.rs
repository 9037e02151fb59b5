//! The admin listener: token, health, metrics, and the API that drives a running gateway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::client::{Browser, DROP, PAGE, until};
use crate::house::{ADMIN_TOKEN, House, SKU};

const DROPS: &str = "/admin/v1/drops";

#[tokio::test]
async fn nothing_is_told_or_done_without_the_token() {
    let house = House::usual().await;
    let stranger = Browser::new(house.doorline.admin_address);
    let rows = [
        ("GET", DROPS),
        ("GET", "/admin/v1/drops/aurora"),
        ("POST", "/admin/v1/drops/aurora/pause"),
        ("PATCH", "/admin/v1/drops/aurora"),
        ("GET", "/admin/v1/orders"),
        ("GET", "/admin/v1/parked"),
        ("GET", "/admin/v1/audit"),
        ("POST", "/admin/v1/reconcile"),
        ("POST", "/admin/v1/payments/pause"),
    ];
    let wrong = format!("Bearer {ADMIN_TOKEN}x");
    let short = format!("Bearer {}", &ADMIN_TOKEN[1..]);
    let basic = format!("Basic {ADMIN_TOKEN}");
    for (method, path) in rows {
        let refused = stranger.ask(method, path, &[], None).await;
        refused.problem(401, "admin-token-required");
        assert!(
            refused.header("www-authenticate").starts_with("Bearer"),
            "{refused:?}"
        );
        for value in [&wrong, &short, &basic, &String::from("Bearer ")] {
            let refused = stranger
                .ask(method, path, &[("authorization", value)], None)
                .await;
            refused.problem(401, "admin-token-required");
        }
    }
    let drops = house.operator().get(DROPS).await.expect(200).json();
    assert_eq!(drops[0]["control"]["paused"], false, "nothing was done");
    let query = format!("{DROPS}?token={ADMIN_TOKEN}");
    stranger.get(&query).await.problem(401, "admin-token-required");
    house.close().await;
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let house = House::usual().await;
    let anybody = Browser::new(house.doorline.admin_address);
    anybody.get("/healthz").await.expect(200);
    let ready = anybody.get("/readyz").await.expect(200).json();
    assert_eq!(
        (&ready["ready"], &ready["ledger"], &ready["queue"]),
        (&json!(true), &json!("ok"), &json!("ok"))
    );
    house.close().await;
}

#[tokio::test]
async fn refusals_are_problems_here_as_well() {
    let house = House::usual().await;
    let operator = house.operator();
    operator.get("/nothing").await.problem(404, "not-found");
    operator.get("/admin/v1/nothing").await.problem(404, "not-found");
    operator
        .get("/admin/v1/drops/unheard-of")
        .await
        .problem(404, "not-found");
    operator.get("/admin/v1/orders/7").await.problem(404, "not-found");
    for path in [
        "/admin/v1/drops/aurora/explode",
        "/admin/v1/drops/unheard-of/pause",
    ] {
        operator
            .ask("POST", path, &[], None)
            .await
            .problem(404, "not-found");
    }
    for (method, path) in [
        ("DELETE", DROPS),
        ("GET", "/admin/v1/drops/aurora/pause"),
        ("POST", "/admin/v1/audit"),
        ("POST", "/metrics"),
    ] {
        let refused = operator.ask(method, path, &[], None).await;
        refused.problem(405, "method-not-allowed");
        assert!(!refused.header("allow").is_empty());
    }
    for (change, named) in [
        (json!({"total_active_users": 0}), "1 or more"),
        (json!({"colour": "red"}), "colour"),
        (json!({"new_users_per_minute": -3}), "new_users_per_minute"),
    ] {
        let problem = house.change_drop(&change).await.problem(422, "unprocessable");
        let detail = problem["detail"].as_str().expect("a reason");
        assert!(detail.contains(named), "{detail}");
    }
    let bad = operator.get("/admin/v1/orders?state=confused").await;
    assert!(
        bad.problem(422, "unprocessable")["detail"]
            .as_str()
            .expect("why")
            .contains("confused")
    );
    let text = [("content-type", "text/plain")];
    let form = operator
        .ask("PATCH", "/admin/v1/drops/aurora", &text, Some("{}"))
        .await;
    form.problem(415, "unsupported-media-type");
    house.close().await;
}

#[tokio::test]
async fn an_operator_drives_a_drop() {
    let house = House::usual().await;
    let operator = house.operator();
    let drop = operator.get("/admin/v1/drops/aurora").await.expect(200).json();
    assert_eq!(
        (&drop["drop"], &drop["phase"]),
        (&json!("aurora"), &json!("open"))
    );
    assert_eq!(
        drop["stock"][SKU],
        json!({"available": 50, "reserved": 0, "sold": 0})
    );
    assert_eq!(
        operator
            .get(DROPS)
            .await
            .expect(200)
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let command = async |verb: &str| {
        let path = format!("/admin/v1/drops/aurora/{verb}");
        operator.ask("POST", &path, &[], None).await.expect(200).json()
    };
    assert_eq!(command("pause").await["phase"], "paused");
    assert_eq!(command("resume").await["phase"], "open");
    let changed = house
        .change_drop(&json!({"new_users_per_minute": 7, "total_active_users": 3, "drain_per_second": 2}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        changed["limits"],
        json!({"total_active_users": 3, "new_users_per_minute": 7})
    );
    let browser = house.browser();
    browser.enter().await;
    assert_eq!(command("queue-all").await["control"]["queue_all"], true);
    browser
        .ask("POST", PAGE, &[], None)
        .await
        .problem(429, "admission-required");
    let held = browser.page(PAGE).await.expect(200);
    assert!(held.is_waiting_room(), "who is inside is held too: {held:?}");
    let place = browser.get(&format!("{DROP}/ticket")).await.expect(200).json();
    assert_eq!(place["state"], "paused");
    assert_eq!(command("resume").await["control"]["queue_all"], false);
    assert_eq!(command("drain").await["phase"], "draining");
    assert!(
        !browser.ask("POST", PAGE, &[], None).await.is_waiting_room(),
        "who is inside stays"
    );
    let late = house.browser();
    late.ask("POST", &format!("{DROP}/ticket"), &[], None).await;
    let refused = late.ask("POST", &format!("{DROP}/ticket"), &[], None).await;
    refused.problem(409, "not-open");
    assert_eq!(command("end").await["phase"], "ended");
    browser.claim().await;
    until("everybody is told", async || {
        (house.browser().get(DROP).await.json()["phase"] == "ended").then_some(())
    })
    .await;
    house.close().await;
}

#[tokio::test]
async fn an_operator_looks_into_orders_and_mends_them() {
    let house = House::usual().await;
    let operator = house.operator();
    let (buyer, holder) = (house.browser(), house.browser());
    buyer.enter().await;
    holder.enter().await;
    let units = json!({"items": [{"sku": SKU, "quantity": 2}], "payment_method": "pm_card_visa"});
    let paid = buyer.order("k-1", &units).await.expect(202).json();
    let paid = paid["order"].as_str().expect("an id");
    buyer.until_order(paid, "paid").await;
    let held = json!({"items": [{"sku": SKU, "quantity": 1}]});
    let held = holder.order("k-1", &held).await.expect(201).json();
    let held = held["order"].as_str().expect("an id");

    let all = operator.get("/admin/v1/orders").await.expect(200).json();
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    assert_eq!(
        (&all[0]["order"], &all[1]["order"]),
        (&json!(held), &json!(paid)),
        "the newest first"
    );
    let page = format!("/admin/v1/orders?limit=1&after={held}");
    let next = operator.get(&page).await.expect(200).json();
    assert_eq!(
        (next.as_array().map(Vec::len), &next[0]["order"]),
        (Some(1), &json!(paid))
    );
    let some = operator
        .get("/admin/v1/orders?drop=aurora&state=paid&limit=5")
        .await
        .json();
    assert_eq!(
        (some.as_array().map(Vec::len), &some[0]["order"]),
        (Some(1), &json!(paid))
    );
    let one = operator
        .get(&format!("/admin/v1/orders/{paid}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&one["state"], &one["amount"], &one["items"][SKU]),
        (&json!("paid"), &json!(25_800), &json!(2))
    );

    let verb = async |order: &str, verb: &str| {
        let path = format!("/admin/v1/orders/{order}/{verb}");
        operator.ask("POST", &path, &[], None).await
    };
    let cancelled = verb(held, "cancel").await.expect(200).json();
    assert_eq!(cancelled["state"], "released");
    assert_eq!(verb(paid, "cancel").await.status, 409);
    let restocked = json!({"restock": true});
    let path = format!("/admin/v1/orders/{held}/cancel");
    operator
        .post(&path, &restocked)
        .await
        .problem(422, "unprocessable");
    verb(paid, "refund").await.expect(200);
    buyer.until_order(paid, "refunded").await;
    assert_eq!(house.provider.tally().net_captured(), 0);
    assert_eq!(
        operator.get("/admin/v1/parked").await.expect(200).json(),
        json!([])
    );
    let reconciled = operator.ask("POST", "/admin/v1/reconcile", &[], None).await;
    assert_eq!(reconciled.expect(200).json()["clean"], true);
    let audit = operator.get("/admin/v1/audit").await.expect(200).json();
    assert_eq!(
        (&audit["clean"], &audit["differences"]),
        (&json!(true), &json!([]))
    );
    house.close().await;
}

/// Every name of the contract that a gateway in one process can have something to say about.
const METRICS: [&str; 40] = [
    "requests_total",
    "request_duration_seconds",
    "proxied_requests_total",
    "proxied_duration_seconds",
    "queue_joined_total",
    "queue_waiting",
    "queue_frontier",
    "queue_oldest_wait_seconds",
    "admitted_total",
    "active_users",
    "no_shows_total",
    "wait_seconds",
    "estimate_hits_total",
    "outflow_bound",
    "stock_units",
    "orders",
    "order_transitions_total",
    "checkout_duration_seconds",
    "drain_per_second",
    "provider_requests_total",
    "provider_duration_seconds",
    "breaker_open",
    "outbox_pending",
    "outbox_oldest_seconds",
    "parked_orders",
    "audit_difference",
    "audit_finished_timestamp_seconds",
    "store_duration_seconds",
    "rate_limited_total",
    "shed_total",
    "build_info",
    "event_streams",
    "connections",
    "panics_total",
    "ready",
    "drop_phase",
    "active_users_limit",
    "admitted_last_minute",
    "admitted_last_minute_limit",
    "payments_shut",
];

#[tokio::test]
async fn metrics_are_well_formed_complete_and_true() {
    let house = House::usual().await;
    let browser = house.browser();
    browser.enter().await;
    browser.page(PAGE).await;
    let units = json!({"items": [{"sku": SKU, "quantity": 2}], "payment_method": "pm_card_visa"});
    let order = browser.order("k-1", &units).await.expect(202).json();
    browser
        .until_order(order["order"].as_str().expect("an id"), "paid")
        .await;
    let anybody = Browser::new(house.doorline.admin_address);
    let metrics = until("the sale shows", async || {
        let answer = anybody.get("/metrics").await.expect(200);
        assert!(
            answer
                .header("content-type")
                .starts_with("text/plain; version=0.0.4")
        );
        let metrics = parse(&answer.body);
        // Stock and orders are read at different paces.
        let all = [
            (
                "doorline_stock_units{drop=\"aurora\",sku=\"AUR-42\",state=\"sold\"}",
                2.0,
            ),
            ("doorline_orders{drop=\"aurora\",state=\"paid\"}", 1.0),
        ];
        let shows = |(series, value): &(&str, f64)| metrics.series.get(*series) == Some(value);
        all.iter().all(shows).then_some(metrics)
    })
    .await;
    let missing: Vec<_> = METRICS
        .iter()
        .filter(|name| !metrics.families.contains(&format!("doorline_{name}")))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
    for (series, value) in [
        ("doorline_queue_joined_total{drop=\"aurora\"}", 1.0),
        ("doorline_admitted_total{drop=\"aurora\"}", 1.0),
        ("doorline_wait_seconds_count{drop=\"aurora\"}", 1.0),
        ("doorline_orders{drop=\"aurora\",state=\"paid\"}", 1.0),
        ("doorline_breaker_open{target=\"provider\"}", 0.0),
        ("doorline_payments_shut{why=\"paused\"}", 0.0),
        ("doorline_drop_phase{drop=\"aurora\",phase=\"open\"}", 1.0),
        ("doorline_drop_phase{drop=\"aurora\",phase=\"ended\"}", 0.0),
        ("doorline_admitted_last_minute{drop=\"aurora\"}", 1.0),
        ("doorline_ready{part=\"ledger\"}", 1.0),
        ("doorline_ready{part=\"queue\"}", 1.0),
    ] {
        assert_eq!(metrics.series.get(series), Some(&value), "{series}");
    }
    for (series, value) in &metrics.series {
        let must_be_zero = series.starts_with("doorline_audit_difference")
            || series.starts_with("doorline_parked_orders")
            || series.starts_with("doorline_panics_total");
        assert!(!must_be_zero || *value == 0.0, "{series} is {value}");
    }
    house.close().await;
}

struct Scrape {
    families: BTreeSet<String>,
    series: BTreeMap<String, f64>,
}

/// Reads the text format 0.0.4 and checks what every scraper relies on.
fn parse(text: &str) -> Scrape {
    let (mut helped, mut kinds) = (BTreeSet::new(), BTreeMap::new());
    let (mut series, mut open) = (BTreeMap::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a text");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(
                ["counter", "gauge", "histogram"].contains(&kind) && helped.contains(name),
                "{line}"
            );
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} comes twice"
            );
            name.clone_into(&mut open);
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let bare = name.split('{').next().expect("a name");
        let suffix = bare
            .strip_prefix(&open)
            .unwrap_or_else(|| panic!("{line} stands below {open}"));
        match kinds[&open].as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            "counter" => assert!(
                suffix.is_empty() && value >= 0.0 && bare.ends_with("_total"),
                "{line}"
            ),
            _ => assert!(suffix.is_empty(), "{line}"),
        }
        let ours = bare.starts_with("doorline_") || bare.starts_with("process_");
        assert!(ours, "{line}");
        assert!(
            series.insert(name.to_owned(), value).is_none(),
            "{name} comes twice"
        );
    }
    Scrape {
        families: kinds.into_keys().collect(),
        series,
    }
}

#[tokio::test]
async fn the_public_listener_knows_nothing_of_the_admins() {
    let house = House::usual().await;
    let token = format!("Bearer {ADMIN_TOKEN}");
    for path in ["/metrics", "/admin/v1/drops", "/healthz"] {
        let answer = house
            .browser()
            .ask("GET", path, &[("authorization", &token)], None)
            .await;
        assert!(!answer.is_waiting_room(), "{path} is the shop's: {answer:?}");
    }
    let admin = Browser::new(house.doorline.admin_address);
    admin.get(DROP).await.problem(404, "not-found");
    let _: Value = admin.get("/readyz").await.json();
    house.close().await;
}
