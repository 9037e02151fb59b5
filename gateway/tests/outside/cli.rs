//! The command line against a running gateway: results, forms, exit codes.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::client::{DROP, until};
use crate::house::{ADMIN_TOKEN, House, SKU};
use crate::program::{doorline, run, stderr, stdout};

/// Writes the configuration by which commands find the gateway.
pub(crate) fn write_config(house: &House) {
    let text = house.text.replacen(
        "[admin]\nlisten = \"127.0.0.1:0\"",
        &format!("[admin]\nlisten = \"{}\"", house.doorline.admin_address),
        1,
    );
    fs::write(house.folder.path().join("config.toml"), text).expect("a writable folder");
}

pub(crate) async fn command(house: &House, arguments: &[&str]) -> Output {
    let mut command = doorline(house.folder.path(), arguments);
    command.env("TEST_ADMIN_TOKEN", ADMIN_TOKEN);
    run(command).await
}

pub(crate) async fn answer(house: &House, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let output = command(house, &arguments).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}: {}",
        stderr(&output)
    );
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn commands_drive_a_running_gateway() {
    let house = House::usual().await;
    write_config(&house);
    let drops = answer(&house, &["status"]).await;
    assert_eq!(
        (&drops[0]["drop"], &drops[0]["phase"]),
        (&json!("aurora"), &json!("open"))
    );
    for (arguments, phase) in [
        (&["pause", "aurora"][..], "paused"),
        (&["status", "aurora"][..], "paused"),
        (&["resume", "aurora"][..], "open"),
        (&["queue-all", "aurora"][..], "paused"),
        (&["resume", "aurora"][..], "open"),
        (&["drain", "aurora"][..], "draining"),
        (&["end", "aurora"][..], "ended"),
    ] {
        let drops = answer(&house, arguments).await;
        assert_eq!(drops[0]["phase"], phase, "{arguments:?}");
    }
    let drops = answer(&house, &["rate", "aurora", "300"]).await;
    assert_eq!(drops[0]["limits"]["new_users_per_minute"], 300);
    let table = stdout(&command(&house, &["status"]).await);
    let mut lines = table.lines();
    assert!(
        lines.next().is_some_and(|head| head.starts_with("drop ")),
        "{table}"
    );
    assert!(
        lines.next().is_some_and(|row| row.starts_with("aurora ")),
        "{table}"
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn commands_look_into_orders_and_books() {
    let house = House::usual().await;
    write_config(&house);
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 1}], "payment_method": "pm_card_visa"});
    let order = browser.order("k-1", &body).await.expect(202).json();
    let id = order["order"].as_str().expect("an id").to_owned();
    browser.until_order(&id, "paid").await;
    let listed = answer(&house, &["orders", "list", "--drop", "aurora", "--state", "paid"]).await;
    assert_eq!(listed[0]["order"], id.as_str());
    let shown = answer(&house, &["orders", "show", &id]).await;
    assert_eq!(shown[0]["state"], "paid");
    assert_eq!(answer(&house, &["parked", "list"]).await, json!([]));
    let audit = answer(&house, &["audit"]).await;
    assert_eq!(
        (&audit["clean"], &audit["paid_orders"]),
        (&json!(true), &json!(1))
    );
    let reconciled = answer(&house, &["reconcile"]).await;
    assert_eq!(reconciled["clean"], true);
    let table = stdout(&command(&house, &["audit"]).await);
    assert!(table.contains("every unit and every charge adds up"), "{table}");
    let older = answer(&house, &["orders", "list", "--after", &id]).await;
    assert_eq!(older, json!([]));
    let refunded = answer(&house, &["orders", "refund", &id, "--restock"]).await;
    assert_eq!(refunded[0]["order"], id.as_str());
    browser.until_order(&id, "refunded").await;
    until("the unit is on sale again", async || {
        let state = house.browser().get(DROP).await.json();
        (state["stock"][SKU]["available"] == 50).then_some(())
    })
    .await;
    let late = command(&house, &["orders", "cancel", &id]).await;
    assert_eq!(late.status.code(), Some(1));
    assert!(stdout(&late).is_empty() && !stderr(&late).is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_failure_from_misuse() {
    let house = House::usual().await;
    write_config(&house);
    for (arguments, code) in [
        (&["status", "unheard-of"][..], 1),
        (&["orders", "show", "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e"][..], 1),
        (&["status", "--nonsense"][..], 2),
        (&["rate", "aurora", "0"][..], 2),
        (&["orders", "show", "7"][..], 2),
        (&["--config", "missing.toml", "status"][..], 2),
        (&["--version"][..], 0),
        (&["--help"][..], 0),
    ] {
        let output = command(&house, arguments).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        let silent = if code == 0 { &output.stderr } else { &output.stdout };
        assert!(
            silent.is_empty(),
            "{arguments:?}: results to stdout, complaints to stderr"
        );
    }
    let mut wrong = doorline(house.folder.path(), &["status"]);
    wrong.env("TEST_ADMIN_TOKEN", "another-token-of-some-length");
    let output = run(wrong).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("token"), "{}", stderr(&output));
    let folder = house.folder.path().to_owned();
    let House {
        doorline: gateway,
        folder: _kept,
        ..
    } = house;
    gateway.close().await;
    let mut gone = doorline(&folder, &["status"]);
    gone.env("TEST_ADMIN_TOKEN", ADMIN_TOKEN);
    let output = run(gone).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("doorline serve"),
        "it says what to do: {}",
        stderr(&output)
    );
}

#[tokio::test]
async fn every_mistake_of_a_configuration_is_shown_with_a_caret() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[server]\nlisten = \"nowhere\"\n[upstream]\nurl = \"http://127.0.0.1:1\"\n\
                [[drop]]\nid = \"aurora\"\npathes = [\"/x\"]\nevent_start_time = \"2026-11-27T10:00:00\"\n\
                total_active_users = 0\nnew_users_per_minute = 5\n";
    fs::write(folder.path().join("config.toml"), text).expect("a writable folder");
    for arguments in [&["check"][..], &["serve"][..]] {
        let output = run(doorline(folder.path(), arguments)).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stdout(&output) + &stderr(&output);
        for part in [
            "config.toml:2:",
            "config.toml:7:",
            "config.toml:8:",
            "config.toml:9:",
            "^",
            "paths",
            "mistakes",
        ] {
            assert!(said.contains(part), "{part} is missing in:\n{said}");
        }
    }
    let output = run(doorline(folder.path(), &["check", "--output", "json"])).await;
    let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!((output.status.code(), &answer["ok"]), (Some(2), &json!(false)));
    assert!(
        answer["mistakes"]
            .as_array()
            .is_some_and(|mistakes| mistakes.len() >= 4),
        "{answer}"
    );
}

#[tokio::test]
async fn a_secret_that_is_named_and_missing_is_a_mistake_of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                [upstream]\nurl = \"http://127.0.0.1:1\"\n[payment]\nprovider = \"stripe\"\n\
                [[drop]]\nid = \"aurora\"\npaths = [\"/x\"]\nevent_start_time = \"2026-11-27T10:00:00Z\"\n\
                total_active_users = 5\nnew_users_per_minute = 5\n";
    fs::write(folder.path().join("config.toml"), text).expect("a writable folder");
    // Any role: in one process there is but one.
    let mut serve = doorline(folder.path(), &["serve", "--role", "gateway"]);
    serve
        .env_remove("STRIPE_SECRET_KEY")
        .env_remove("STRIPE_WEBHOOK_SECRET");
    let output = run(serve).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("STRIPE_SECRET_KEY"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("takes every role"),
        "{}",
        stderr(&output)
    );
}
