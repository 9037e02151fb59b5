//! A new configuration for a program that runs: what it takes over, what it leaves, and what it says.

use std::fs;

use serde_json::{Value, json};

use crate::client::{Browser, DROP, until};
use crate::house::ADMIN_TOKEN;
use crate::origin::Origin;
use crate::program::Program;

const LIMIT: &str = "total_active_users = 500";
const STOCK: &str = "stock = 20";
const RATE: &str = "per_address = \"100000/s\"";

const SECOND: &str = r#"
[[drop]]
id = "borealis"
title = "Borealis"
paths = ["/products/borealis/*"]
event_start_time = "2020-01-01T00:00:00Z"
total_active_users = 7
new_users_per_minute = 600
[drop.checkout]
[[drop.item]]
sku = "BOR-1"
price = { amount = 500, currency = "eur" }
stock = 4
"#;

/// The program in front of a shop, with everything that the tests change.
async fn serve() -> (Program, Origin) {
    let origin = Origin::start().await;
    let rest = format!(
        r#"token_env = "TEST_ADMIN_TOKEN"
[upstream]
url = "http://{}"
[rate_limit]
{RATE}
joins_per_address = "100000/s"
[[drop]]
id = "aurora"
title = "Aurora"
paths = ["/products/aurora/*"]
event_start_time = "2020-01-01T00:00:00Z"
{LIMIT}
new_users_per_minute = 600
[drop.checkout]
[[drop.item]]
sku = "AUR-42"
price = {{ amount = 12900, currency = "eur" }}
{STOCK}
"#,
        origin.address
    );
    let token = [("TEST_ADMIN_TOKEN", ADMIN_TOKEN)];
    (Program::serve("", &rest, &token).await, origin)
}

fn operator(program: &Program) -> Browser {
    Browser::new(program.admin).always("authorization", &format!("Bearer {ADMIN_TOKEN}"))
}

/// Writes the file anew, with each of the pairs replaced.
fn rewrite(program: &Program, changes: &[(&str, &str)]) {
    let path = program.path("config.toml");
    let mut text = fs::read_to_string(&path).expect("a configuration");
    for (old, new) in changes {
        assert!(text.contains(old), "{old} is not in {text}");
        text = text.replacen(old, new, 1);
    }
    fs::write(&path, text).expect("a writable folder");
}

fn add(program: &Program, more: &str) {
    let path = program.path("config.toml");
    let text = fs::read_to_string(&path).expect("a configuration");
    fs::write(&path, text + more).expect("a writable folder");
}

async fn reloads(program: &Program, outcome: &str) -> u64 {
    let text = Browser::new(program.admin).get("/metrics").await.expect(200).body;
    let name = format!("doorline_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&name));
    count
        .expect("the series begins as zero")
        .parse()
        .expect("a count")
}

async fn until_reloads(program: &Program, outcome: &str, wanted: u64) {
    until(&format!("{outcome} {wanted} times"), async || {
        (reloads(program, outcome).await == wanted).then_some(())
    })
    .await;
}

async fn status(operator: &Browser, drop: &str) -> Value {
    let path = format!("/admin/v1/drops/{drop}");
    operator.get(&path).await.expect(200).json()
}

#[tokio::test]
async fn a_changed_file_lowers_limits_and_raises_stock_and_what_is_sold_stays_sold() {
    let (program, _origin) = serve().await;
    let operator = operator(&program);
    let buyer = Browser::new(program.address);
    buyer.enter().await;
    let units = json!({"items": [{"sku": "AUR-42", "quantity": 2}], "payment_method": "pm_card_visa"});
    let order = buyer.order("k-1", &units).await.expect(202).json();
    let order = order["order"].as_str().expect("an id").to_owned();
    buyer.until_order(&order, "paid").await;
    let public = Browser::new(program.address);
    rewrite(
        &program,
        &[
            (LIMIT, "total_active_users = 3\nnotice = \"Soon.\""),
            ("title = \"Aurora\"", "title = \"Aurora, again\""),
            (STOCK, "stock = 9"),
        ],
    );
    until_reloads(&program, "applied", 1).await;
    let drop = status(&operator, "aurora").await;
    assert_eq!(drop["limits"]["total_active_users"], 3);
    assert_eq!(drop["title"], "Aurora, again");
    until("the stock is read again", async || {
        let drop = status(&operator, "aurora").await;
        let stock = json!({"available": 7, "reserved": 0, "sold": 2});
        (drop["stock"]["AUR-42"] == stock).then_some(())
    })
    .await;
    let shown = public.get(DROP).await.expect(200).json();
    assert_eq!(
        (&shown["notice"], &shown["title"]),
        (&json!("Soon."), &json!("Aurora, again"))
    );
    let line = operator
        .get("/admin/v1/audit-log?limit=1")
        .await
        .expect(200)
        .json()[0]
        .clone();
    assert_eq!(
        (&line["action"], &line["by"]),
        (&json!("config.reload"), &json!("file"))
    );
    assert_eq!(line["subject"], "config.toml");
    let told = |side: &str, key: &str| line[side][key].clone();
    assert_eq!(told("before", "drop.aurora.total_active_users"), "500");
    assert_eq!(told("after", "drop.aurora.total_active_users"), "3");
    assert_eq!(told("before", "drop.aurora.notice"), Value::Null);
    program.stop().await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_every_mistake_is_logged_with_its_place() {
    let (program, _origin) = serve().await;
    let operator = operator(&program);
    rewrite(
        &program,
        &[
            (LIMIT, "total_active_users = 0"),
            ("title = \"Aurora\"", "titel = \"Aurora\""),
            (STOCK, "stock = 99"),
        ],
    );
    until_reloads(&program, "rejected", 1).await;
    let log = program.log();
    for part in ["config.toml:", "total_active_users", "titel", "nothing changes"] {
        assert!(log.contains(part), "{part} is missing in {log}");
    }
    let drop = status(&operator, "aurora").await;
    assert_eq!(drop["limits"]["total_active_users"], 500);
    assert_eq!(drop["stock"]["AUR-42"]["available"], 20);
    program.signal("HUP");
    until_reloads(&program, "rejected", 2).await;
    rewrite(
        &program,
        &[
            ("total_active_users = 0", "total_active_users = 4"),
            ("titel", "title"),
        ],
    );
    until_reloads(&program, "applied", 1).await;
    assert_eq!(
        status(&operator, "aurora").await["limits"]["total_active_users"],
        4
    );
    program.stop().await;
}

#[tokio::test]
async fn a_new_drop_is_protected_sells_and_one_that_is_gone_runs_on() {
    let (program, _origin) = serve().await;
    let shopper = Browser::new(program.address);
    let page = "/products/borealis/hat";
    assert!(
        !shopper.page(page).await.is_waiting_room(),
        "nobody protects it yet"
    );
    add(&program, SECOND);
    until_reloads(&program, "applied", 1).await;
    assert!(Browser::new(program.address).page(page).await.is_waiting_room());
    let operator = operator(&program);
    assert_eq!(
        status(&operator, "borealis").await["limits"]["total_active_users"],
        7
    );
    until("its stock is read", async || {
        let left = status(&operator, "borealis").await["stock"]["BOR-1"]["available"].clone();
        (left == 4).then_some(())
    })
    .await;
    rewrite(&program, &[(SECOND, "")]);
    until_reloads(&program, "applied", 2).await;
    assert!(Browser::new(program.address).page(page).await.is_waiting_room());
    assert_eq!(status(&operator, "borealis").await["drop"], "borealis");
    let log = program.log();
    assert!(
        log.contains("needs a restart: drop.borealis (no longer in the file"),
        "{log}"
    );
    program.stop().await;
}

#[tokio::test]
async fn a_hang_up_reads_at_once_and_names_what_needs_a_restart() {
    let (program, origin) = serve().await;
    program.signal("HUP");
    until_reloads(&program, "applied", 1).await;
    let shop = format!("url = \"http://{}\"", origin.address);
    rewrite(
        &program,
        &[
            (&shop, "url = \"http://127.0.0.1:9\""),
            (RATE, "per_address = \"1/min\""),
        ],
    );
    program.signal("HUP");
    until_reloads(&program, "applied", 2).await;
    let log = program.log();
    assert!(log.contains("needs a restart: upstream.url"), "{log}");
    assert!(log.contains("rate_limit.per_address"), "{log}");
    let eager = Browser::new(program.address);
    until("the new limit holds", async || {
        (eager.get(DROP).await.status == 429).then_some(())
    })
    .await;
    program.stop().await;
}

#[tokio::test]
async fn less_is_logged_from_the_moment_it_is_configured() {
    let (program, _origin) = serve().await;
    let in_force = "a new configuration is in force";
    add(&program, "\n[log]\nlevel = \"error\"\n");
    until_reloads(&program, "applied", 1).await;
    let told = |program: &Program| program.log().matches(in_force).count();
    assert_eq!(told(&program), 1);
    program.signal("HUP");
    until_reloads(&program, "applied", 2).await;
    assert_eq!(told(&program), 1, "that is no error");
    rewrite(&program, &[("level = \"error\"", "level = \"info\"")]);
    until_reloads(&program, "applied", 3).await;
    program.signal("HUP");
    until_reloads(&program, "applied", 4).await;
    assert_eq!(told(&program), 2);
    program.stop().await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_a_mistake_and_one_that_is_back_is_taken() {
    let (program, _origin) = serve().await;
    let path = program.path("config.toml");
    let text = fs::read_to_string(&path).expect("a configuration");
    // Named on no command line, a file that is not there means the defaults at the start, and never later.
    fs::remove_file(&path).expect("a writable folder");
    until_reloads(&program, "rejected", 1).await;
    let operator = operator(&program);
    assert_eq!(status(&operator, "aurora").await["title"], "Aurora");
    fs::write(&path, &text).expect("a writable folder");
    until_reloads(&program, "applied", 1).await;
    assert_eq!(status(&operator, "aurora").await["title"], "Aurora");
    program.stop().await;
}

#[tokio::test]
async fn an_operators_change_stands_unless_that_setting_is_configured_anew() {
    let (program, _origin) = serve().await;
    let operator = operator(&program);
    let change = json!({"total_active_users": 6, "new_users_per_minute": 8}).to_string();
    let header = ("content-type", "application/json");
    let path = "/admin/v1/drops/aurora";
    let changed = operator.ask("PATCH", path, &[header], Some(&change)).await;
    changed.expect(200);
    let add = json!({"sku": "AUR-42", "add": 5});
    operator
        .post("/admin/v1/drops/aurora/stock", &add)
        .await
        .expect(200);
    rewrite(&program, &[(LIMIT, "total_active_users = 400")]);
    until_reloads(&program, "applied", 1).await;
    let drop = status(&operator, "aurora").await;
    let limits = json!({"total_active_users": 400, "new_users_per_minute": 8});
    assert_eq!(drop["limits"], limits);
    let report = operator
        .get("/admin/v1/drops/aurora/report")
        .await
        .expect(200)
        .json();
    assert_eq!(report["stock"]["AUR-42"]["available"], 25);
    program.stop().await;
}

#[tokio::test]
async fn a_drop_that_cannot_be_taken_over_is_named_and_the_rest_is_put_in_force() {
    let (program, _origin) = serve().await;
    let operator = operator(&program);
    let buyer = Browser::new(program.address);
    buyer.enter().await;
    let units = json!({"items": [{"sku": "AUR-42", "quantity": 2}]});
    buyer.order("k-1", &units).await.expect(201);
    rewrite(
        &program,
        &[(STOCK, "stock = 1"), (LIMIT, "total_active_users = 9")],
    );
    add(&program, SECOND);
    until_reloads(&program, "partly", 1).await;
    let log = program.log();
    assert!(log.contains("2 units of AUR-42 held or sold"), "{log}");
    assert_eq!(
        status(&operator, "aurora").await["limits"]["total_active_users"],
        500
    );
    assert_eq!(status(&operator, "borealis").await["drop"], "borealis");
    program.stop().await;
}
