//! `doorline demo` as a stranger runs it: it ends by itself and its report adds up.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::program::{doorline, run, stderr, stdout};

const FIELDS: [&str; 24] = [
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

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn a_whole_sale_ends_with_a_clean_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let file = file.to_str().expect("a readable path");
    let arguments = [
        "demo",
        "--shoppers",
        "150",
        "--stock",
        "15",
        "--seed",
        "7",
        "--exit",
        "--quiet",
        "--report",
        file,
        "--output",
        "json",
    ];
    let output = run(doorline(folder.path(), &arguments)).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed: Value = serde_json::from_str(&stdout(&output)).expect("JSON and nothing else");
    let report: Value = serde_json::from_str(&fs::read_to_string(file).expect("a report")).expect("JSON");
    assert_eq!(printed, report);
    let wanted: BTreeSet<&str> = FIELDS.into_iter().collect();
    assert_eq!(names(&report), wanted);
    assert_eq!(
        names(&report["limits"]),
        BTreeSet::from(["new_users_per_minute", "total_active_users"])
    );
    assert_eq!(
        names(&report["wait_seconds"]),
        BTreeSet::from(["max", "p50", "p90", "p99"])
    );
    for latency in ["join_ms", "poll_ms"] {
        assert_eq!(names(&report[latency]), BTreeSet::from(["p50", "p99"]));
    }
    for zero in [
        "oversold",
        "double_charged",
        "charged_without_stock",
        "accepted_lost",
    ] {
        assert_eq!(report[zero], 0, "{zero} in {report}");
    }
    let count = |name: &str| {
        report[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {report}"))
    };
    assert_eq!((count("shoppers"), count("stock"), count("seed")), (150, 15, 7));
    assert_eq!(report["drop"], "aurora");
    assert!(count("joined") <= 150 && count("joined") > 100, "{report}");
    assert!(
        count("paid") > 0 && count("sold") <= 15 && count("sold") == count("paid"),
        "{report}"
    );
    assert!(count("orders_accepted") >= count("paid") && count("reserved") >= count("orders_accepted"));
    let limit = |name: &str| report["limits"][name].as_u64().expect("a limit");
    assert!(count("max_active_users") <= limit("total_active_users"));
    assert!(count("max_admitted_in_60s") <= limit("new_users_per_minute"));
}
