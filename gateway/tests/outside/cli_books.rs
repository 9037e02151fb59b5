//! The command line where something is wrong, goes on for ever, or is for people to read.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli::{answer, command, write_config};
use crate::house::{ADMIN_TOKEN, House, SKU};
use crate::program::{doorline, run, stderr, stdout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_that_finds_a_difference_names_it_and_exits_with_1() {
    let house = House::usual().await;
    write_config(&house);
    assert_eq!(command(&house, &["audit"]).await.status.code(), Some(0));
    let changed = house
        .ledger()
        .execute("UPDATE stock SET sold = sold + 1 WHERE bucket = 0", [])
        .expect("the books can be tampered with from outside");
    assert_eq!(changed, 1);
    for name in ["audit", "reconcile"] {
        let output = command(&house, &[name]).await;
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        let table = stdout(&output);
        assert!(table.contains("DIFFERENCE sold_by_entries"), "{table}");
        assert!(table.contains("something does not add up"), "{table}");
    }
    let output = command(&house, &["audit", "--output", "json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let audit: Value = serde_json::from_str(&stdout(&output)).expect("JSON even then");
    assert_eq!(audit["clean"], false);
    let differences = audit["differences"].as_array().expect("differences");
    let by_entries = differences.iter().find(|one| one["what"] == "sold_by_entries");
    let by_entries = by_entries.unwrap_or_else(|| panic!("not among {differences:?}"));
    assert_eq!(by_entries["subject"], format!("aurora {SKU}"));
    assert_eq!(
        (&by_entries["expected"], &by_entries["found"]),
        (&json!(1), &json!(0))
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_shows_the_drops_again_and_again() {
    let house = House::usual().await;
    write_config(&house);
    let mut watching = doorline(house.folder.path(), &["status", "--watch"]);
    watching
        .env("TEST_ADMIN_TOKEN", ADMIN_TOKEN)
        .stdout(Stdio::piped());
    let mut watching = watching.spawn().expect("the program runs");
    let lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let heads = tokio::task::spawn_blocking(move || {
        lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("drop "))
            .take(2)
            .count()
    });
    let heads = tokio::time::timeout(crate::client::PATIENCE, heads).await;
    watching.kill().expect("it is still running");
    watching.wait().expect("a child of ours");
    assert_eq!(heads.expect("it goes on").expect("no panic"), 2);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_name_what_an_operator_looks_for() {
    let house = House::usual().await;
    write_config(&house);
    let browser = house.browser();
    browser.enter().await;
    let body = json!({"items": [{"sku": SKU, "quantity": 2}]});
    let order = browser.order("k-1", &body).await.expect(201).json();
    let id = order["order"].as_str().expect("an id");
    for (arguments, parts) in [
        (
            &["orders", "list"][..],
            &[id, "reserved", "2 × AUR-42", "25800 eur"][..],
        ),
        (&["orders", "show", id][..], &[id, "aurora", "reserved"][..]),
        (
            &["status", "aurora"][..],
            &["aurora", "open", "/500", "/60000"][..],
        ),
        (&["parked", "list"][..], &["order", "state", "why"][..]),
        (
            &["audit"][..],
            &["aurora", "AUR-42", "0 orders paid: 0 due, 0 captured"][..],
        ),
    ] {
        let output = command(&house, arguments).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            stderr(&output)
        );
        let table = stdout(&output);
        for part in parts {
            assert!(
                table.contains(part),
                "{part} is missing in {arguments:?}:\n{table}"
            );
        }
        assert!(
            table.lines().all(|line| line == line.trim_end()),
            "no trailing blanks"
        );
    }
    let cancelled = answer(&house, &["orders", "cancel", id]).await;
    assert_eq!(cancelled[0]["state"], "released");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mending_what_needs_no_mending_is_refused_with_the_reason() {
    let house = House::usual().await;
    write_config(&house);
    let unknown = "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
    for arguments in [
        &["parked", "retry", unknown][..],
        &["parked", "show", unknown][..],
        &["orders", "refund", unknown][..],
        &["pause", "unheard-of"][..],
        &["rate", "unheard-of", "5"][..],
    ] {
        for form in ["table", "json"] {
            let arguments = [arguments, &["--output", form]].concat();
            let output = command(&house, &arguments).await;
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            assert!(stdout(&output).is_empty(), "{arguments:?}: {}", stdout(&output));
            let said = stderr(&output);
            assert!(
                said.starts_with("doorline: ") && said.lines().count() == 1,
                "{said}"
            );
        }
    }
    house.close().await;
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[server]\nlisten = \"127.0.0.1:7001\"\n[upstream]\nurl = \"http://127.0.0.1:1\"\n";
    fs::write(folder.path().join("config.toml"), text).expect("a writable folder");
    let listen = async |variable: Option<&str>, flag: Option<&str>| {
        let mut arguments = vec!["config", "print"];
        arguments.extend(flag.map(|value| ["--set", value]).into_iter().flatten());
        let mut printing = doorline(folder.path(), &arguments);
        if let Some(value) = variable {
            printing.env("DOORLINE__SERVER__LISTEN", value);
        }
        let output = run(printing).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let printed: toml::Table = stdout(&output).parse().expect("it is a configuration itself");
        printed["server"]["listen"]
            .as_str()
            .expect("an address")
            .to_owned()
    };
    assert_eq!(listen(None, None).await, "127.0.0.1:7001");
    assert_eq!(listen(Some("127.0.0.1:7002"), None).await, "127.0.0.1:7002");
    let flag = Some("server.listen=127.0.0.1:7003");
    assert_eq!(listen(Some("127.0.0.1:7002"), flag).await, "127.0.0.1:7003");
}

#[tokio::test]
async fn no_command_prints_a_secret_wherever_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("stripe-key"), "sk_live_in_a_file\n").expect("a writable folder");
    let text = "[admin]\ntoken_env = \"OUR_TOKEN\"\n[upstream]\nurl = \"http://127.0.0.1:1\"\n\
                [payment]\nprovider = \"stripe\"\nsecret_key_file = \"stripe-key\"\n\
                webhook_secret_env = \"OUR_WEBHOOK\"\n";
    fs::write(folder.path().join("config.toml"), text).expect("a writable folder");
    for arguments in [
        &["config", "print"][..],
        &["config", "print", "--output", "json"][..],
        &["check"][..],
        &["check", "--output", "json"][..],
        &["--set", "server.listen=nowhere", "check"][..],
        &["status"][..],
    ] {
        let mut command = doorline(folder.path(), arguments);
        command
            .env("OUR_TOKEN", "a-very-secret-admin-token")
            .env("OUR_WEBHOOK", "whsec_very_secret");
        let output = run(command).await;
        let said = stdout(&output) + &stderr(&output);
        assert!(!said.is_empty(), "{arguments:?}");
        for secret in [
            "a-very-secret-admin-token",
            "whsec_very_secret",
            "sk_live_in_a_file",
        ] {
            assert!(!said.contains(secret), "{arguments:?} prints {secret}:\n{said}");
        }
    }
}
