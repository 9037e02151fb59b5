//! The report: its names are a contract, and one unit too many is not clean.

use super::*;

fn clean() -> Report {
    Report {
        drop: "aurora".to_owned(),
        seed: 7,
        shoppers: 100,
        joined: 100,
        admitted: 60,
        no_shows: 2,
        reserved: 31,
        orders_accepted: 30,
        paid: 25,
        declined: 4,
        released: 2,
        stock: 30,
        sold: 30,
        oversold: 0,
        double_charged: 0,
        charged_without_stock: 0,
        accepted_lost: 0,
        max_active_users: 20,
        max_admitted_in_60s: 60,
        limits: Limits {
            total_active_users: 20,
            new_users_per_minute: 60,
        },
        wait_seconds: Wait::default(),
        join_ms: Latency::default(),
        poll_ms: Latency::default(),
        duration_seconds: 41.5,
    }
}

#[test]
fn a_limit_that_is_reached_is_kept() {
    assert!(clean().is_clean());
}

#[test]
fn one_unit_one_charge_or_one_shopper_too_many_is_not_clean() {
    type Spoil = fn(&mut Report);
    let spoils: [(&str, Spoil); 6] = [
        ("oversold", |report| report.oversold = 1),
        ("double_charged", |report| report.double_charged = 1),
        ("charged_without_stock", |report| report.charged_without_stock = 1),
        ("accepted_lost", |report| report.accepted_lost = 1),
        ("max_active_users", |report| report.max_active_users += 1),
        ("max_admitted_in_60s", |report| report.max_admitted_in_60s += 1),
    ];
    for (name, spoil) in spoils {
        let mut report = clean();
        spoil(&mut report);
        assert!(!report.is_clean(), "{name}");
    }
}

#[test]
fn the_json_has_exactly_the_names_of_the_contract() {
    let json = serde_json::to_value(clean()).unwrap();
    let mut names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut contract = vec![
        "drop",
        "seed",
        "shoppers",
        "joined",
        "admitted",
        "no_shows",
        "reserved",
        "orders_accepted",
        "paid",
        "declined",
        "released",
        "stock",
        "sold",
        "oversold",
        "double_charged",
        "charged_without_stock",
        "accepted_lost",
        "max_active_users",
        "max_admitted_in_60s",
        "limits",
        "wait_seconds",
        "join_ms",
        "poll_ms",
        "duration_seconds",
    ];
    contract.sort_unstable();
    assert_eq!(names, contract);
    for (parent, children) in [
        ("limits", &["total_active_users", "new_users_per_minute"][..]),
        ("wait_seconds", &["p50", "p90", "p99", "max"][..]),
        ("join_ms", &["p50", "p99"][..]),
        ("poll_ms", &["p50", "p99"][..]),
    ] {
        for child in children {
            assert!(json[parent].get(child).is_some(), "{parent}.{child}");
        }
    }
}
