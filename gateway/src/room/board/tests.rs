//! The board: one write-up per snapshot, JSON that stays JSON whatever a merchant types.

use std::cell::Cell;

use admission::DrawView;
use domain::outflow::Bound;
use domain::{Control, Flow, Rank, Readings, Span, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Environment};

/// 2026-11-27T09:10:00Z, ten minutes after the start.
const NOW: Timestamp = Timestamp::from_millis(1_795_770_600_000);

fn config(more: &str) -> Config {
    let text = format!(
        "[[drop]]\nid = \"aurora\"\npaths = [\"/x\"]\ntotal_active_users = 5\nnew_users_per_minute = 5\n\
         event_start_time = \"2026-11-27T10:00:00+01:00\"\nclaim_window = \"2m\"\nlate_grace = \"10m\"\n{more}"
    );
    let loaded = crate::config::parse("config.toml", &text, &[], &Environment::default());
    loaded.unwrap_or_else(|report| panic!("{report}")).config
}

/// A board whose drop has `more` in its configuration.
pub(in crate::room) fn board(more: &str) -> Board {
    Board::new(Arc::new(config(more).drops[0].clone()))
}

/// An open drop with seven waiting, called up to rank 4.
pub(in crate::room) fn snapshot(board: &Board, phase: Phase) -> Snapshot {
    Snapshot {
        rules: Arc::new(board.config.rules()),
        taken_at: NOW,
        phase,
        control: Control::default(),
        epoch: 1,
        frontier: Rank(5),
        lapsed_below: Rank(1),
        calls: Arc::from([]),
        held_since: None,
        waiting: 7,
        active_users: 3,
        admitted_last_minute: 2,
        outflow_per_minute: Some(4),
        flow: Flow::default(),
        bound: Bound::Phase,
        revoked: Arc::default(),
        draw: DrawView {
            commitment: [0xab; 32],
            revealed: None,
        },
        readings: Readings::default(),
        oldest_wait: Span::ZERO,
        stale: false,
        trouble: None,
        showing: admission::snapshot::Showing::Alone,
    }
}

fn units(sku: &str) -> ItemStock {
    ItemStock {
        sku: sku.to_owned(),
        title: "EU 42".to_owned(),
        available: 3,
        reserved: 2,
        sold: 1,
    }
}

fn public(board: &Board, snapshot: Snapshot) -> Value {
    let posted = board.show(Arc::new(snapshot), || vec![units("AUR-42")]);
    serde_json::from_slice(&posted.public).expect("JSON")
}

#[test]
fn the_public_state_has_every_member_of_the_contract_and_no_other_of_a_person() {
    let board = board("notice = \"Soon.\"");
    assert_eq!(
        public(&board, snapshot(&board, Phase::Open)),
        json!({
            "drop": "aurora", "title": "aurora", "phase": "open", "now": "2026-11-27T09:10:00Z",
            "opens_at": "2026-11-27T09:00:00Z", "ends_at": null, "frontier": 5, "waiting": 7,
            "outflow_per_minute": 4, "notice": "Soon.", "stale": false, "poll_after_ms": 5_000,
            "stock": {"AUR-42": {"available": 3, "reserved": 2, "sold": 1}},
        })
    );
}

#[test]
fn whatever_a_merchant_types_the_shared_part_fits_into_every_poll() {
    // The configuration takes no control characters; an operator's notice comes another way.
    let config = DropConfig {
        title: "a\"}, \\ {<b>".to_owned(),
        notice: Some("line\nline \" \u{2028}".to_owned()),
        ..config("").drops[0].clone()
    };
    let board = Board::new(Arc::new(config));
    let posted = board.show(Arc::new(snapshot(&board, Phase::Open)), || vec![units("A\"B")]);
    let whole: Value = serde_json::from_str(&format!("{{\"first\":1{}}}", posted.shared)).expect("JSON");
    assert_eq!(whole["title"], "a\"}, \\ {<b>");
    assert_eq!(whole["notice"], "line\nline \" \u{2028}");
    assert_eq!(whole["stock"]["A\"B"]["sold"], 1);
}

#[test]
fn a_snapshot_is_written_up_once_and_the_next_one_anew() {
    let board = board("");
    let asked = Cell::new(0);
    let stock = || {
        asked.set(asked.get() + 1);
        Vec::new()
    };
    let first = Arc::new(snapshot(&board, Phase::Open));
    let shown = board.show(Arc::clone(&first), stock);
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&shown, &board.show(Arc::clone(&first), stock)));
    }
    assert_eq!(asked.get(), 1, "a poll costs no look at the stock");
    let mut next = snapshot(&board, Phase::Open);
    next.frontier = Rank(6);
    let next = board.show(Arc::new(next), stock);
    assert_eq!((asked.get(), next.snapshot.frontier), (2, Rank(6)));
}

#[test]
fn a_look_sees_what_is_shown_and_writes_up_what_is_new() {
    let board = board("");
    let asked = Cell::new(0);
    let stock = || {
        asked.set(asked.get() + 1);
        Vec::new()
    };
    let first = Arc::new(snapshot(&board, Phase::Open));
    let public = |posted: &Posted| posted.public.clone();
    let looked = board.read(&first, stock, public);
    assert_eq!(looked, board.show(Arc::clone(&first), stock).public);
    assert_eq!(board.read(&first, stock, public), looked);
    assert_eq!(asked.get(), 1, "only the first look wrote it up");
    let mut next = snapshot(&board, Phase::Open);
    next.frontier = Rank(6);
    let seen = board.read(&Arc::new(next), stock, |posted| posted.snapshot.frontier);
    assert_eq!((asked.get(), seen), (2, Rank(6)));
}

#[test]
fn who_has_no_ticket_sees_what_the_phase_means_to_them() {
    use QueueingMethod::{Fifo, Passthrough, Random, Reject};
    for (phase, state) in [
        (Phase::Scheduled, PageState::Scheduled),
        (Phase::Prequeue, PageState::Joining),
        (Phase::Open, PageState::Joining),
        (Phase::Paused, PageState::Joining),
        (Phase::Draining, PageState::Ended),
        (Phase::SoldOut, PageState::SoldOut),
        (Phase::Ended, PageState::Ended),
    ] {
        for method in [Fifo, Random, Passthrough] {
            assert_eq!(state_of_phase(phase, method), state, "{phase:?} {method:?}");
        }
        assert_eq!(state_of_phase(phase, Reject), PageState::Reject, "{phase:?}");
    }
}

#[test]
fn the_draw_is_shown_only_where_there_is_one_and_its_seed_only_once_revealed() {
    let fifo = board("");
    let shown = |board: &Board, revealed| {
        let mut snapshot = snapshot(board, Phase::Open);
        snapshot.draw.revealed = revealed;
        let posted = board.show(Arc::new(snapshot), Vec::new);
        posted.view.draw.clone()
    };
    assert_eq!(shown(&fifo, Some(([1; 32], 9))), None);
    let drawn = board("shuffle_at_event_start = true\nprequeue_start_time = \"2026-11-27T09:30:00+01:00\"");
    let before = shown(&drawn, None).expect("a commitment");
    assert_eq!((before.commitment, before.seed), ("ab".repeat(32), None));
    let after = shown(&drawn, Some(([0x0f; 32], 9))).expect("a draw");
    assert_eq!(after.seed, Some("0f".repeat(32)));
}
