//! The example, the printed configuration and the JSON Schema agree with what is accepted.

use std::collections::BTreeSet;
use std::path::Path;

use domain::saga::Notice;
use domain::{AfterOrder, QueueingMethod, Renewal, Shuffle, Span, Timestamp};
use serde_json::Value;

use super::{DROP, good, read};
use crate::config::{Environment, QUEUEING_METHODS, example, json_schema, parse};

#[test]
fn the_example_passes_without_a_warning_and_is_the_config_of_a_fresh_clone() {
    let loaded = read(&example()).expect("the example is good");
    assert!(loaded.warnings.findings().is_empty(), "{}", loaded.warnings);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config.toml");
    let committed = std::fs::read_to_string(top).expect("config.toml at the top");
    assert!(
        committed == example(),
        "renew it: cargo run -q -- config example > config.toml"
    );
}

#[test]
fn the_example_and_the_printed_configuration_say_the_same() {
    let all_set = "
[server]
tls = { cert_file = \"c.pem\", key_file = 'k\\.pem' }
return_hosts = [\"Shop.example:8443\"]
[admin]
token_file = \"/t\"
[webhooks]
url = \"https://shop.example:8443/events/?of=doorline\"
secret_file = \"/s\"
events = [\"order.refunded\"]
[[drop]]
id = \"b\"
title = \"a \\\"quoted\\\" title \\\\ über\"
notice = \"n\"
paths = [\"/b\"]
prequeue_start_time = 2026-11-27T09:00:00Z
event_start_time = \"2026-11-27T10:00:00.5-03:30\"
event_end_time = \"2027-07-01T10:00:00[America/New_York]\"
total_active_users = 0x10
new_users_per_minute = 1_000
disable_session_renewal = true
queueing_status_code = 429
";
    let environment = Environment::default();
    for text in [
        String::new(),
        example(),
        DROP.to_owned(),
        format!("{all_set}{DROP}"),
    ] {
        let first = read(&text).unwrap_or_else(|report| panic!("{report}"));
        let printed = first.to_toml(&environment);
        let second = parse("printed.toml", &printed, &[], &environment).unwrap_or_else(|r| panic!("{r}"));
        assert_eq!(first.config, second.config, "{printed}");
        assert_eq!(printed, second.to_toml(&environment));
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = good(DROP);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.public_url, "http://localhost:8080");
    assert!(!config.server.is_https());
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9180");
    assert_eq!(config.upstream.url, "http://127.0.0.1:3000");
    assert_eq!(config.rate_limit.per_address.to_string(), "20/s");
    assert_eq!(config.rate_limit.joins_per_address.to_string(), "30/min");
    assert_eq!(config.payment.max_requests_per_second, 20);
    let drop = &config.drops[0];
    assert_eq!(
        (drop.title.as_str(), drop.queueing_method),
        ("aurora", QueueingMethod::Fifo)
    );
    assert_eq!(drop.renewal, Renewal::Sliding);
    assert_eq!(
        (drop.claim_window, drop.late_grace),
        (Span::from_mins(2), Span::from_mins(10))
    );
    assert_eq!(drop.queueing_status_code.as_u16(), 200);
    let checkout = drop.checkout.as_ref().expect("items are sold");
    assert_eq!(
        (checkout.reserve_for, checkout.per_shopper),
        (Span::from_mins(5), 2)
    );
    assert_eq!(
        (checkout.drain_per_second, checkout.currency.as_str()),
        (20, "eur")
    );
    assert_eq!(checkout.items[0].title, "AUR-42");
}

#[test]
fn what_follows_from_other_keys_follows() {
    let config = good("[server]\nlisten = \"0.0.0.0:9000\"\nmax_connections = 10\n");
    assert_eq!(config.server.public_url, "http://localhost:9000");
    assert_eq!(config.server.max_connections_per_address, 10);
    let short = DROP.replace("[[drop.item]]", "session_duration = \"30s\"\n[[drop.item]]");
    let checkout = good(&short).drops[0].checkout.clone().expect("items are sold");
    assert_eq!(checkout.reserve_for, Span::from_secs(30));
    let alone = DROP.split("[[drop.item]]").next().expect("the drop");
    assert_eq!(good(alone).drops[0].checkout, None, "a waiting room alone");
}

#[test]
fn every_word_of_the_schema_means_something() {
    for (word, method) in QUEUEING_METHODS {
        let line = format!(
            "queueing_method = \"{word}\"
[[drop.item]]"
        );
        assert_eq!(
            good(&DROP.replace("[[drop.item]]", &line)).drops[0].queueing_method,
            method
        );
    }
    for level in ["error", "warn", "info", "debug", "trace"] {
        assert_eq!(
            good(&format!("log.level = \"{level}\"")).log.level.as_str(),
            level
        );
    }
    for text in [
        "log.format = \"json\"",
        "payment.provider = \"stripe\"",
        "log.format = \"text\"",
    ] {
        good(text);
    }
}

#[test]
fn the_merchants_endpoint_keeps_its_path_and_may_be_plain_on_this_machine_only() {
    let set = |url: &str| read(&format!("[webhooks]\nurl = \"{url}\"\n"));
    for url in [
        "https://shop.example/events/",
        "https://shop.example:8443/e?a=b",
        "http://127.0.0.1:9/events",
        "http://localhost/",
        "http://[::1]:9/x",
    ] {
        let loaded = set(url).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(loaded.config.webhooks.url.expect("an address"), url);
    }
    for url in [
        "http://shop.example/events",
        "http://10.0.0.1/",
        "http://localhost.example/",
        "ftp://shop.example/",
        "https://user:word@shop.example/",
        "https://shop.example/#x",
        "/events",
    ] {
        assert!(set(url).is_err(), "{url}");
    }
    let silent = good("");
    assert_eq!(
        (silent.webhooks.url, silent.webhooks.events),
        (None, Notice::ALL.to_vec())
    );
}

/// All `section.key` of a JSON Schema.
fn keys_of(schema: &Value, prefix: &str, keys: &mut BTreeSet<String>) {
    let inner = if schema["type"] == "array" {
        &schema["items"]
    } else {
        schema
    };
    let Some(properties) = inner["properties"].as_object() else {
        keys.insert(prefix.to_owned());
        return;
    };
    assert_eq!(inner["additionalProperties"], false, "{prefix}");
    for (name, property) in properties {
        keys_of(property, &format!("{prefix}.{name}"), keys);
    }
}

#[test]
fn the_json_schema_knows_the_keys_of_the_contract() {
    let mut keys = BTreeSet::new();
    keys_of(&json_schema(), "", &mut keys);
    for key in [
        ".server.listen",
        ".server.tls.cert_file",
        ".admin.token_env",
        ".upstream.url",
        ".backend.data_dir",
        ".rate_limit.joins_per_address",
        ".payment.webhook_secret_env",
        ".webhooks.url",
        ".webhooks.events",
        ".drop.paths",
        ".drop.claim_window",
        ".drop.checkout.per_shopper",
        ".drop.item.price.currency",
    ] {
        assert!(keys.contains(key), "{key} is not among {keys:?}");
    }
    assert_eq!(
        json_schema()["properties"]["server"]["properties"]["max_connections"]["default"],
        20_000
    );
    assert_eq!(json_schema()["properties"]["drop"]["items"]["required"][0], "id");
}

#[test]
fn the_rules_of_the_queue_are_those_of_the_file() {
    let text = "
shuffle_at_event_start = true
prequeue_start_time = \"2026-11-27T09:30:00[Europe/Berlin]\"
event_end_time = \"2026-11-27T12:00:00[Europe/Berlin]\"
session_duration = \"20m\"
disable_session_renewal = true
session_ends_on_completed_order = false
claim_window = \"90s\"
late_grace = \"0s\"
queue_capacity = 1000
[drop.checkout]
reserve_for = \"3m\"
overbooking_percent = 150
[[drop.item]]";
    let drop = good(&DROP.replace("[[drop.item]]", text)).drops.remove(0);
    let rules = drop.rules();
    let at = |minutes: u64| Timestamp::from_millis(1_795_768_200_000 + minutes * 60_000);
    assert_eq!(rules.drop, drop.id);
    assert_eq!(
        (rules.schedule.prequeue_start, rules.schedule.event_start),
        (at(0), at(30))
    );
    assert_eq!(rules.schedule.event_end, Some(at(150)));
    assert_eq!(
        (rules.limits.total_active_users, rules.limits.new_users_per_minute),
        (500, 600)
    );
    assert_eq!(
        (rules.shuffle, rules.renewal),
        (Shuffle::AtEventStart, Renewal::Fixed)
    );
    assert_eq!(rules.after_order, AfterOrder::KeepSession);
    assert_eq!(
        (rules.session_duration, rules.claim_window),
        (Span::from_mins(20), Span::from_secs(90))
    );
    assert_eq!(
        (rules.late_grace, rules.reserve_for),
        (Span::ZERO, Span::from_mins(3))
    );
    assert_eq!(
        (rules.overbooking_per_mille, rules.queue_capacity),
        (1_500, 1_000)
    );
    let plain = good(DROP).drops.remove(0).rules();
    assert_eq!(
        plain.schedule.prequeue_start, plain.schedule.event_start,
        "no pre-queue"
    );
    assert_eq!((plain.shuffle, plain.schedule.event_end), (Shuffle::Never, None));
}
