//! Tables for people and JSON for programs, whole.

use std::collections::BTreeMap;

use super::*;
use crate::admin::wire::{AuditedStock, Difference};

fn written(write: impl FnOnce(&mut Vec<u8>) -> anyhow::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn order() -> OrderStatus {
    OrderStatus {
        order: "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e".to_owned(),
        drop: "aurora".to_owned(),
        state: "authorising".to_owned(),
        items: BTreeMap::from([("AUR-42".to_owned(), 2), ("AUR-43".to_owned(), 1)]),
        amount: 38_700,
        currency: "eur".to_owned(),
        flag: None,
        flag_reason: None,
        reason: None,
        payment: None,
        created_at: "2026-11-27T09:00:00Z".to_owned(),
        changed_at: "2026-11-27T09:00:05Z".to_owned(),
        version: 3,
    }
}

fn audit_of(differences: Vec<Difference>) -> Audit {
    Audit {
        at: "2026-11-27T09:00:00Z".to_owned(),
        clean: differences.is_empty(),
        paid_orders: 2,
        paid_total: 25_800,
        captured_total: 25_800,
        stock: vec![AuditedStock {
            drop: "aurora".to_owned(),
            sku: "AUR-42".to_owned(),
            total: 200,
            held: 1,
            sold: 2,
        }],
        differences,
    }
}

#[test]
fn a_report_shows_each_figure_on_a_line_and_differences_in_capitals() {
    let text = r#"{
        "drop": "aurora", "title": "Aurora", "at": "2026-11-27T12:00:00Z", "phase": "ended",
        "joined": 9, "admitted": 8, "no_shows": 1, "left": 0, "max_active_users": 5, "max_admitted_in_60s": 7,
        "limits": {"total_active_users": 10, "new_users_per_minute": 60},
        "wait_seconds": {"p50": 5.012, "p90": 59.9, "p99": 60.0, "max": 61.25},
        "reserved": 3, "orders": {"paid": 1, "declined": 2}, "declined": {"insufficient_funds": 2}, "released": {},
        "stock": {"AUR-42": {"available": 4, "reserved": 0, "sold": 1}},
        "revenue": {"eur": {"captured": 12900, "refunded": 0}},
        "first_sale_at": "2026-11-27T10:00:07Z", "last_sale_at": null, "clean": false,
        "differences": [{"what": "sold_by_entries", "subject": "aurora AUR-42", "expected": 1, "found": 0}]
    }"#;
    let told: crate::admin::wire::report::Report = serde_json::from_str(text).unwrap();
    let shown = written(|out| report(&told, OutputForm::Table, out));
    assert_eq!(
        shown,
        "aurora (ended)                2026-11-27T12:00:00Z\n\
         joined                        9\n\
         let in                        8\n\
         did not turn up               1\n\
         left                          0\n\
         most inside at once           5 of 10\n\
         most let in within 60 s       7 of 60\n\
         waited                        p50 5.0 s, p90 59.9 s, p99 60.0 s, longest 61.2 s\n\
         orders                        3\n\
         orders declined               2\n\
         orders paid                   1\n\
         declined: insufficient_funds  2\n\
         units AUR-42                  1 sold, 0 held, 4 left\n\
         money eur                     12900 captured, 0 given back\n\
         first sale                    2026-11-27T10:00:07Z\n\
         last sale                     -\n\
         books                         something does not add up\n\
         DIFFERENCE sold_by_entries aurora AUR-42: 1 expected, 0 found\n"
    );
    let whole = written(|out| report(&told, OutputForm::Json, out));
    let (whole, given): (Value, Value) = (
        serde_json::from_str(&whole).unwrap(),
        serde_json::from_str(text).unwrap(),
    );
    assert_eq!(whole, given);
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let shown = written(|out| orders(&[order()], OutputForm::Table, out));
    assert_eq!(
        shown,
        "order                                 drop    state        items                   amount     why  payment  changed\n\
         018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e  aurora  authorising  2 × AUR-42, 1 × AUR-43  38700 eur                \
         2026-11-27T09:00:05Z\n"
    );
}

#[test]
fn why_an_order_stands_still_comes_before_why_it_ended() {
    let why = |flag: Option<&str>, reason: Option<&str>| {
        let order = OrderStatus {
            flag: flag.map(str::to_owned),
            reason: reason.map(str::to_owned),
            ..order()
        };
        written(|out| orders(&[order], OutputForm::Table, out))
    };
    assert!(why(Some("no_answer"), Some("card_declined")).contains("no_answer"));
    let refused = OrderStatus {
        flag: Some("rejected".to_owned()),
        flag_reason: Some("account_closed".to_owned()),
        ..order()
    };
    let shown = written(|out| orders(&[refused], OutputForm::Table, out));
    assert!(shown.contains("rejected: account_closed"), "{shown}");
    assert!(why(None, Some("card_declined")).contains("card_declined"));
}

#[test]
fn nothing_to_show_is_a_head_for_people_and_an_empty_list_for_programs() {
    let table = written(|out| orders(&[], OutputForm::Table, out));
    assert_eq!(
        table,
        "order  drop  state  items  amount  why  payment  changed\n"
    );
    assert_eq!(written(|out| orders(&[], OutputForm::Json, out)), "[]\n");
    assert_eq!(written(|out| drops(&[], OutputForm::Json, out)), "[]\n");
}

#[test]
fn an_audit_ends_with_its_verdict() {
    let clean = written(|out| audit(&audit_of(Vec::new()), OutputForm::Table, out));
    assert_eq!(
        clean,
        "drop    sku     units  held  sold\naurora  AUR-42  200    1     2\n\
         2 orders paid: 25800 due, 25800 captured\nevery unit and every charge adds up\n"
    );
    let difference = Difference {
        what: "captured_total".to_owned(),
        subject: String::new(),
        expected: 25_800,
        found: 12_900,
    };
    let report = audit_of(vec![difference]);
    let shown = written(|out| audit(&report, OutputForm::Table, out));
    assert!(shown.contains("DIFFERENCE captured_total : 25800 expected, 12900 found\n"));
    assert!(shown.ends_with("something does not add up\n"));
    let json = written(|out| audit(&report, OutputForm::Json, out));
    let read: Audit = serde_json::from_str(&json).unwrap();
    assert_eq!(read, report, "what is shown reads back as it was");
}

#[test]
fn events_that_were_not_taken_show_what_came_of_the_last_try() {
    let event = WebhookStatus {
        order: "018f5c2e".to_owned(),
        drop: "aurora".to_owned(),
        event: "order.paid".to_owned(),
        version: 5,
        at: "2026-11-27T10:00:00Z".to_owned(),
        state: "given_up".to_owned(),
        tries: 10,
        next_try_at: None,
        outcome: Some("status 503".to_owned()),
    };
    assert_eq!(
        written(|out| webhooks(std::slice::from_ref(&event), OutputForm::Table, out)),
        "order     event       version  state     tries  last outcome  next try  happened\n\
         018f5c2e  order.paid  5        given_up  10     status 503              2026-11-27T10:00:00Z\n"
    );
    let json = written(|out| webhooks(std::slice::from_ref(&event), OutputForm::Json, out));
    assert_eq!(
        serde_json::from_str::<Vec<WebhookStatus>>(&json).unwrap(),
        [event]
    );
    let said = |replayed| written(|out| super::replayed(Replayed { replayed }, OutputForm::Table, out));
    assert_eq!(said(1), "1 event is sent once more\n");
    assert_eq!(said(0), "0 events are sent once more\n");
}
