//! The crowd's notebook: counts, bounds, and what the report makes of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::crowd::client::Destination;
use crate::crowd::observer::{Measure, Observer};
use crate::crowd::{CrowdConfig, CrowdReport, Mix, address, shopper};
use crate::link::LinkError;

fn observer() -> Observer {
    Observer::new(Arc::default())
}

#[test]
fn latencies_come_out_in_the_reports_units() {
    let observer = observer();
    for ms in 1..=100 {
        observer.took(Measure::Join, Duration::from_millis(ms));
        observer.took(Measure::Wait, Duration::from_secs(ms));
    }
    observer.took(Measure::Poll(Duration::ZERO), Duration::from_micros(250));
    let report = CrowdReport::of(&observer, 0);
    let near = |value: f64, expected: f64| (value - expected).abs() <= expected / 100.0;
    assert_eq!(
        (report.join_ms.count, report.poll_ms.count, report.claim_ms.count),
        (100, 1, 0)
    );
    assert!(
        near(report.join_ms.p50, 50.0) && near(report.join_ms.p99, 99.0),
        "{:?}",
        report.join_ms
    );
    assert!(near(report.wait_seconds.p90, 90.0) && near(report.wait_seconds.max, 100.0));
    assert!(near(report.poll_ms.p50, 0.25), "{:?}", report.poll_ms);
}

#[test]
fn polls_that_a_slow_answer_held_up_are_counted_as_slow_too() {
    let observer = observer();
    let every = Duration::from_secs(1);
    for _ in 0..90 {
        observer.took(Measure::Poll(every), Duration::from_millis(1));
    }
    observer.took(Measure::Poll(every), Duration::from_secs(10));
    let report = CrowdReport::of(&observer, 0);
    assert_eq!(
        report.poll_ms.count, 100,
        "nine more would have been sent meanwhile"
    );
    assert!(report.poll_ms.p99 > 8_000.0, "{:?}", report.poll_ms);
}

#[test]
fn an_absurd_latency_is_kept_at_the_edge_of_the_scale() {
    let observer = observer();
    observer.took(Measure::Order, Duration::from_hours(48));
    let report = CrowdReport::of(&observer, 0);
    assert!(
        report.order_ms.count == 1 && report.order_ms.max >= 3_600_000.0,
        "{:?}",
        report.order_ms
    );
}

#[test]
fn an_orders_state_is_news_once_and_acceptance_is_never_taken_back() {
    let observer = observer();
    assert!(observer.order("o1", 3, "reserved", false));
    assert!(observer.order("o1", 3, "accepted", true));
    assert!(!observer.order("o1", 3, "accepted", false));
    assert!(observer.order("o1", 3, "paid", false));
    assert!(observer.order("o2", 4, "reserved", false));
    let report = CrowdReport::of(&observer, 5);
    assert_eq!(report.orders.len(), 2);
    let first = &report.orders[0];
    assert_eq!(
        (
            first.order.as_str(),
            first.shopper,
            first.accepted,
            first.state.as_str()
        ),
        ("o1", 3, true, "paid")
    );
    assert!(!report.orders[1].accepted);
    assert_eq!(report.unfinished, 5);
}

#[test]
fn kinds_of_problems_are_bounded_and_nothing_is_lost() {
    let observer = observer();
    for index in 0..150 {
        observer.problem(&format!("kind-{index}"));
    }
    observer.problem("kind-7");
    observer.broken(&LinkError::Closed);
    let problems = CrowdReport::of(&observer, 0).problems;
    assert_eq!(problems.len(), 101);
    assert_eq!((problems["kind-7"], problems["other"]), (2, 51));
    assert_eq!(problems.values().sum::<u64>(), 152);
}

#[test]
fn violations_are_counted_beyond_those_that_are_told() {
    let observer = observer();
    for index in 0..120 {
        observer.violation(format!("number {index}"));
    }
    let report = CrowdReport::of(&observer, 0);
    assert_eq!((report.violations.len(), report.counts.violations), (100, 120));
    assert_eq!(report.violations[0], "number 0");
}

#[test]
fn those_inside_at_once_are_counted_from_claim_to_payment() {
    let observer = observer();
    for _ in 0..3 {
        observer.admitted(0);
    }
    observer
        .seen()
        .active
        .iter_mut()
        .enumerate()
        .for_each(|(index, change)| {
            change.0 = u64::try_from(index).unwrap();
        });
    observer.seen().active.push((1, -1));
    let report = CrowdReport::of(&observer, 0);
    assert_eq!((report.max_active_seen, report.max_admitted_in_60s), (2, 3));
    assert_eq!(report.counts.admitted, 3);
}

#[test]
fn a_report_is_json_with_flat_counts() {
    let report = CrowdReport::of(&observer(), 2_000);
    let json = serde_json::to_value(&report).unwrap();
    for field in [
        "shoppers",
        "joined",
        "admitted",
        "no_shows",
        "reserved",
        "accepted",
        "paid",
        "declined",
        "released",
        "unfinished",
        "max_admitted_in_60s",
        "max_active_seen",
        "wait_seconds",
        "join_ms",
        "poll_ms",
        "problems",
        "violations",
        "duration_seconds",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
    assert_eq!(json["shoppers"], 2_000);
}

#[test]
fn addresses_are_private_and_apart() {
    let all: BTreeSet<_> = (0..70_000).map(address).collect();
    assert_eq!(all.len(), 70_000);
    assert!(all.iter().all(|address| address.octets()[0] == 10));
    assert_eq!(address(255).to_string(), "10.0.1.0");
}

#[test]
fn the_same_seed_sends_the_same_people() {
    let people = |seed| {
        let config = CrowdConfig {
            mix: Mix::default(),
            ..CrowdConfig::new(([127, 0, 0, 1], 1).into(), 200, seed)
        };
        let config = Arc::new(config);
        let observer = Arc::new(observer());
        let destination = Arc::new(Destination {
            connect: String::new(),
            host: String::new(),
            origin: String::new(),
        });
        (0..200)
            .map(|index| shopper(index, &config, &observer, &destination).behaviour)
            .collect::<Vec<_>>()
    };
    assert_eq!(people(1), people(1));
    assert_ne!(people(1), people(2));
    let kinds: BTreeSet<_> = people(1).into_iter().collect();
    assert!(kinds.len() >= 7, "a crowd is a mix: {kinds:?}");
}
