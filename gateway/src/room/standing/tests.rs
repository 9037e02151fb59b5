//! A place in words: the page and the poll must never disagree.

use std::sync::Arc;

use admission::Place;
use domain::estimate::{Chance, Wait};
use domain::{Number, Phase, Rank};
use serde_json::Value;

use super::super::board::tests::{board, snapshot};
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_770_600_000);

/// A clock that stands at [`NOW`].
struct Still;

impl domain::Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

const STATES: [PlaceState; 9] = [
    PlaceState::Prequeue,
    PlaceState::Waiting,
    PlaceState::Called,
    PlaceState::Admitted,
    PlaceState::Lapsed,
    PlaceState::Left,
    PlaceState::SoldOut,
    PlaceState::Ended,
    PlaceState::Paused,
];

fn posted() -> Arc<Posted> {
    let board = board("");
    board.show(Arc::new(snapshot(&board, Phase::Open)), Vec::new)
}

fn place(state: PlaceState) -> Place {
    Place {
        state,
        number: Number(12),
        rank: Some(Rank(9)),
        position: Some(5),
        chance: Some(Chance::Possible),
        wait: Some(Wait {
            min: Span::from_millis(60_001),
            max: Span::from_secs(120),
        }),
        poll_after: Span::from_millis(1_500),
        claim_within: None,
        shown: None,
    }
}

fn poll(place: &Place, ticket: Option<&str>) -> Value {
    serde_json::from_str(&poll_json(&posted(), place, ticket, &Still)).expect("a poll is JSON")
}

#[test]
fn page_and_poll_say_the_same_in_every_state() {
    for state in STATES {
        let place = place(state);
        let (page, poll) = (view(&posted(), &place, NOW), poll(&place, None));
        assert_eq!(poll["state"], page.state.name(), "{state:?}");
        assert_eq!(poll["number"], 12);
        assert_eq!(
            (page.number, page.rank, page.position),
            (Some(12), Some(9), Some(5))
        );
        assert_eq!((&poll["rank"], &poll["position"]), (&9.into(), &5.into()));
        let wait = page.wait.expect("a wait");
        assert_eq!(poll["wait"]["min_seconds"], wait.min_seconds);
        assert_eq!(
            (wait.min_seconds, wait.max_seconds),
            (61, 120),
            "never less than it is"
        );
        assert_eq!(poll["poll_after_ms"], page.poll_after_ms);
        assert_eq!(poll["chance"], "possible");
        assert_eq!(poll["drop"], "aurora", "what everybody shares is there as well");
    }
}

#[test]
fn what_is_not_known_is_null_and_never_left_out() {
    let unknown = Place {
        rank: None,
        position: None,
        chance: None,
        wait: None,
        ..place(PlaceState::Prequeue)
    };
    let poll = poll(&unknown, None);
    for name in ["rank", "position", "chance", "wait"] {
        assert_eq!(poll.get(name), Some(&Value::Null), "{name}");
    }
    for name in ["ticket", "claim_deadline", "late_until"] {
        assert!(poll.get(name).is_none(), "{name}");
    }
    let page = view(&posted(), &unknown, NOW);
    assert!(page.wait.is_none() && page.position.is_none() && page.claim_deadline_ms.is_none());
}

#[test]
fn the_claim_window_ends_before_the_grace_and_both_are_told() {
    // Two minutes of window and ten of grace; one minute is gone.
    let called = Place {
        claim_within: Some(Span::from_mins(11)),
        ..place(PlaceState::Called)
    };
    let told = poll(&called, Some("dGlja2V0"));
    assert_eq!(told["claim_deadline"], "2026-11-27T09:11:00Z");
    assert_eq!(told["late_until"], "2026-11-27T09:21:00Z");
    assert_eq!(told["ticket"], "dGlja2V0");
    let page = view(&posted(), &called, NOW);
    let after = |span: Span| Some((NOW + span).as_millis());
    assert_eq!(page.claim_deadline_ms, after(Span::from_mins(1)));
    assert_eq!(page.late_until_ms, after(Span::from_mins(11)));
}

#[test]
fn within_the_grace_only_its_own_end_is_told() {
    let late = Place {
        claim_within: Some(Span::from_mins(10)),
        ..place(PlaceState::Called)
    };
    let told = poll(&late, None);
    assert!(told.get("claim_deadline").is_none(), "{told}");
    assert_eq!(told["late_until"], "2026-11-27T09:20:00Z");
    assert_eq!(view(&posted(), &late, NOW).claim_deadline_ms, None);
}

#[test]
fn who_lost_the_place_is_told_whether_joining_again_leads_anywhere() {
    for (phase, joining) in [
        (Phase::Open, Joining::Open),
        (Phase::Paused, Joining::Open),
        (Phase::SoldOut, Joining::SoldOut),
        (Phase::Draining, Joining::Closed),
        (Phase::Ended, Joining::Closed),
    ] {
        let board = board("");
        let posted = board.show(Arc::new(snapshot(&board, phase)), Vec::new);
        assert_eq!(
            view(&posted, &place(PlaceState::Left), NOW).joining,
            joining,
            "{phase:?}"
        );
    }
}
