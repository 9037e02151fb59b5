//! The log summed up: the second witness must count right.

use crate::provider::movement::{LogEntry, Movement, Tally};

fn entry(movement: Movement, intent: &str, order: Option<&str>, amount: u64) -> LogEntry {
    LogEntry {
        sequence: 0,
        at_ms: 0,
        movement,
        payment_intent: intent.to_owned(),
        order: order.map(str::to_owned),
        amount,
        currency: "eur".to_owned(),
    }
}

#[test]
fn nothing_adds_up_to_nothing() {
    let tally = Tally::of(&[]);
    assert!(tally.orders.is_empty() && tally.double_charged().is_empty());
    assert_eq!(tally.net_captured(), 0);
}

#[test]
fn movements_add_up_per_order() {
    let tally = Tally::of(&[
        entry(Movement::Declined, "pi_1", Some("o1"), 100),
        entry(Movement::Authorised, "pi_1", Some("o1"), 100),
        entry(Movement::Captured, "pi_1", Some("o1"), 70),
        entry(Movement::Released, "pi_1", Some("o1"), 30),
        entry(Movement::Refunded, "pi_1", Some("o1"), 20),
        entry(Movement::Authorised, "pi_2", Some("o2"), 50),
        entry(Movement::Authorised, "pi_3", None, 7),
    ]);
    let first = &tally.orders["o1"];
    assert_eq!(
        (first.authorised, first.captured, first.released, first.refunded),
        (100, 70, 30, 20)
    );
    assert_eq!(
        (
            first.authorisations,
            first.captures,
            first.declines,
            first.payment_intents
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(first.held(), 0);
    assert_eq!(tally.orders["o2"].held(), 50);
    assert_eq!(
        tally.orders[""].held(),
        7,
        "purchases without an order are not lost from sight"
    );
    assert_eq!(tally.net_captured(), 50);
}

#[test]
fn a_second_capture_is_a_double_charge_on_one_intent_or_on_two() {
    for second in ["pi_1", "pi_2"] {
        let tally = Tally::of(&[
            entry(Movement::Authorised, "pi_1", Some("o1"), 100),
            entry(Movement::Captured, "pi_1", Some("o1"), 100),
            entry(Movement::Authorised, second, Some("o1"), 100),
            entry(Movement::Captured, second, Some("o1"), 100),
            entry(Movement::Authorised, "pi_3", Some("o2"), 100),
            entry(Movement::Captured, "pi_3", Some("o2"), 100),
        ]);
        assert_eq!(tally.double_charged(), ["o1"]);
    }
}

#[test]
fn two_intents_for_one_order_are_seen_even_without_a_capture() {
    let tally = Tally::of(&[
        entry(Movement::Authorised, "pi_1", Some("o1"), 100),
        entry(Movement::Authorised, "pi_2", Some("o1"), 100),
    ]);
    assert_eq!(
        (tally.orders["o1"].payment_intents, tally.orders["o1"].held()),
        (2, 200)
    );
    assert!(tally.double_charged().is_empty());
}

#[test]
fn a_tally_survives_json() {
    let tally = Tally::of(&[entry(Movement::Authorised, "pi_1", Some("o1"), 100)]);
    let text = serde_json::to_string(&tally).unwrap();
    assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
    let log = entry(Movement::Refunded, "pi_1", None, 1);
    let text = serde_json::to_string(&log).unwrap();
    assert!(text.contains("\"movement\":\"refunded\""), "{text}");
    assert_eq!(serde_json::from_str::<LogEntry>(&text).unwrap(), log);
}
