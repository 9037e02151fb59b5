//! Places worked out from ticket and snapshot, state by state.

use std::sync::Arc;

use domain::calls::Speed;
use domain::turnover::SlotTime;
use domain::{DropId, DropRules, Flow, Readings, Schedule, StockLevel};

use super::*;
use crate::shown::Shown;
use crate::snapshot::{DrawView, Showing};

const NOW: Timestamp = Timestamp::from_millis(10_000_000);

fn rules() -> DropRules {
    DropRules::new(DropId::new("aurora").unwrap())
}

/// A room with slots for everybody, filled at one a second.
fn flow() -> Flow {
    Flow {
        speed: Some(Speed {
            calls_per_minute: 60,
            ranks_per_minute: 60,
        }),
        free_calls: u64::MAX,
        ..Flow::default()
    }
}

/// Ranks 1 to 9 lapsed, 10 to 19 called ten seconds ago, the rest waiting; 60 ranks a minute.
fn snapshot() -> Snapshot {
    Snapshot {
        phase: Phase::Open,
        frontier: Rank(20),
        lapsed_below: Rank(10),
        calls: Arc::from([(Rank(20), NOW - Span::from_secs(10))]),
        waiting: 100,
        flow: flow(),
        draw: DrawView {
            commitment: [0; 32],
            revealed: None,
        },
        ..Snapshot::empty(Arc::new(rules()), NOW)
    }
}

fn ticket(number: u64) -> Ticket {
    Ticket {
        epoch: 1,
        number: Number(number),
        drawn: None,
        joined_at: NOW,
        told: None,
    }
}

fn place(number: u64, snapshot: &Snapshot) -> Place {
    Place::of(&ticket(number), None, snapshot, NOW)
}

/// The queue as one of several gateways knows it.
fn known(epoch: u32, frontier: u64) -> Snapshot {
    Snapshot {
        epoch,
        frontier: Rank(frontier),
        showing: Showing::Among,
        ..snapshot()
    }
}

#[test]
fn a_position_never_goes_back_whichever_gateway_is_asked_next() {
    // Gateways that are ahead and behind, in any order; one was rebuilt and knows of nothing.
    let (mut carried, mut before) = (None, u64::MAX);
    for frontier in [20, 25, 22, 40, 20, 41, 20] {
        let place = place(50, &known(1, frontier)).not_behind(carried);
        let position = place.position.unwrap();
        assert!(position <= before, "{before} became {position} at {frontier}");
        (carried, before) = (place.shown, position);
    }
    assert_eq!(before, 10, "it is the furthest that anybody knew");
}

#[test]
fn what_was_shown_of_a_queue_that_started_anew_does_not_count() {
    let before = place(50, &known(1, 40)).shown;
    let anew = place(50, &known(2, 20)).not_behind(before);
    assert_eq!(
        (anew.position, anew.shown),
        (Some(31), place(50, &known(2, 20)).shown)
    );
}

#[test]
fn who_says_to_be_beyond_the_own_rank_is_shown_as_next() {
    let told = place(50, &known(1, 20)).not_behind(Shown::parse("1-18446744073709551615"));
    assert_eq!((told.position, told.state), (Some(1), PlaceState::Waiting));
}

#[test]
fn the_only_gateway_has_nothing_carried_and_believes_nothing() {
    let place = place(50, &snapshot());
    assert_eq!(place.shown, None);
    assert_eq!(place.not_behind(Shown::parse("0-45")), place);
}

#[test]
fn a_place_is_lapsed_called_or_waiting_by_its_rank() {
    let states = [9, 10, 19, 20].map(|number| place(number, &snapshot()).state);
    assert_eq!(
        states,
        [
            PlaceState::Lapsed,
            PlaceState::Called,
            PlaceState::Called,
            PlaceState::Waiting
        ]
    );
}

#[test]
fn whom_the_store_has_lost_is_sent_to_claim_the_place_back() {
    let given = ticket(25);
    let at = |seconds: u64, waiting: u64| Snapshot {
        taken_at: NOW + Span::from_secs(seconds),
        waiting,
        stale: false,
        ..snapshot()
    };
    let state = |seen: Option<Sighting>, snapshot: &Snapshot| Place::of(&given, seen, snapshot, NOW).state;
    assert_eq!(
        state(None, &at(1, 0)),
        PlaceState::Waiting,
        "it may just not be counted yet"
    );
    assert_eq!(state(None, &at(5, 0)), PlaceState::Called);
    assert_eq!(
        state(None, &at(5, 1)),
        PlaceState::Waiting,
        "somebody is in line: the call comes"
    );
    assert_eq!(state(Some(Sighting::Gone), &at(5, 0)), PlaceState::Left);
    let stale = Snapshot {
        stale: true,
        ..at(5, 0)
    };
    assert_eq!(state(None, &stale), PlaceState::Waiting);
}

#[test]
fn the_position_counts_from_the_frontier_and_the_wait_from_the_pace() {
    let place = place(79, &snapshot());
    assert_eq!((place.position, place.rank), (Some(60), Some(Rank(79))));
    let wait = place.wait.unwrap();
    assert_eq!((wait.min, wait.max), (Span::from_secs(45), Span::from_secs(75)));
}

#[test]
fn an_unknown_pace_promises_nothing() {
    let quiet = Snapshot {
        flow: Flow::default(),
        ..snapshot()
    };
    assert_eq!(place(79, &quiet).wait, None);
    let paused = Snapshot {
        phase: Phase::Paused,
        ..snapshot()
    };
    let held = place(79, &paused);
    assert_eq!(
        (held.state, held.wait, held.position),
        (PlaceState::Paused, None, Some(60))
    );
}

#[test]
fn beyond_the_last_free_slot_the_wait_is_that_for_sessions_to_end() {
    let filling = Snapshot {
        flow: Flow {
            free_calls: 10,
            ..flow()
        },
        ..snapshot()
    };
    assert!(place(29, &filling).wait.is_some());
    assert_eq!(place(30, &filling).wait, None, "no session has ended yet");
    let turnover = Some(SlotTime {
        micros: 30_000_000,
        doubt_per_mille: 0,
    });
    let full = Snapshot {
        flow: Flow {
            free_calls: 0,
            is_full: true,
            turnover,
            ..flow()
        },
        ..snapshot()
    };
    // Sixty are called before, as fast as in the last minute or each when a session ends.
    let wait = place(79, &full).wait.unwrap();
    assert_eq!(
        (wait.min, wait.max),
        (Span::from_secs(45), Span::from_secs(2_250))
    );
}

#[test]
fn a_called_place_says_how_long_it_is_good_for() {
    let place = place(15, &snapshot());
    assert_eq!(
        place.claim_within,
        Some(Span::from_mins(12) - Span::from_secs(10))
    );
    let late = Place::of(&ticket(15), None, &snapshot(), NOW + Span::from_mins(12));
    assert_eq!(late.state, PlaceState::Lapsed);
}

#[test]
fn what_the_desk_saw_itself_outranks_the_snapshot() {
    let seen = |sighting| Place::of(&ticket(15), Some(sighting), &snapshot(), NOW).state;
    let later = NOW + Span::from_secs(1);
    assert_eq!(seen(Sighting::Admitted(later)), PlaceState::Admitted);
    assert_eq!(seen(Sighting::Admitted(NOW)), PlaceState::Left);
    assert_eq!(seen(Sighting::Gone), PlaceState::Left);
    let long_after = NOW + Span::from_mins(30);
    let back = Some(Sighting::RoomFull(long_after + Span::from_secs(1)));
    assert_eq!(
        Place::of(&ticket(15), back, &snapshot(), long_after).state,
        PlaceState::Called
    );
}

#[test]
fn before_the_draw_nobody_has_a_rank() {
    let start = NOW + Span::from_mins(10);
    let schedule = Schedule {
        prequeue_start: NOW,
        event_start: start,
        event_end: None,
    };
    let gathering = Snapshot {
        phase: Phase::Prequeue,
        ..snapshot()
    };
    let shuffled = Snapshot {
        rules: Arc::new(DropRules { schedule, ..rules() }),
        ..gathering.clone()
    };
    let before = place(7, &shuffled);
    assert_eq!(
        (before.state, before.rank, before.position),
        (PlaceState::Prequeue, None, None)
    );
    let fifo = DropRules {
        schedule,
        shuffle: Shuffle::Never,
        ..rules()
    };
    assert_eq!(
        place(
            7,
            &Snapshot {
                rules: Arc::new(fifo),
                ..gathering
            }
        )
        .rank,
        Some(Rank(7))
    );
}

#[test]
fn the_published_draw_gives_the_rank() {
    let draw = Draw {
        seed: Seed([3; 32]),
        cohort: 50,
    };
    let view = DrawView {
        commitment: [0; 32],
        revealed: Some(([3; 32], 50)),
    };
    let drawn = Snapshot {
        draw: view,
        ..snapshot()
    };
    assert_eq!(place(30, &drawn).rank, Some(draw.rank(Number(30))));
    assert_eq!(place(51, &drawn).rank, Some(Rank(51)));
}

#[test]
fn the_chance_is_told_only_where_something_is_sold() {
    assert_eq!(place(79, &snapshot()).chance, None);
    let stock = Some(StockLevel {
        available: 1_000,
        reserved: 0,
        sold: 0,
    });
    let selling = Snapshot {
        readings: Readings {
            stock,
            ..Readings::default()
        },
        ..snapshot()
    };
    assert_eq!(place(79, &selling).chance, Some(Chance::Likely));
    let draining = Snapshot {
        phase: Phase::Draining,
        ..selling
    };
    assert_eq!(place(79, &draining).chance, Some(Chance::Gone));
}

#[test]
fn those_in_line_are_counted_by_the_chance_each_of_them_is_told() {
    assert!(chances(&snapshot()).is_empty(), "nothing is sold");
    for (available, reserved, waiting) in [(10, 40, 1_000), (0, 40, 7), (1_000, 0, 20), (0, 0, 5), (3, 0, 0)]
    {
        let selling = Snapshot {
            waiting,
            readings: Readings {
                stock: Some(StockLevel {
                    available,
                    reserved,
                    sold: 0,
                }),
                ..Readings::default()
            },
            ..snapshot()
        };
        for (told, count) in chances(&selling) {
            let one_by_one = (1..=waiting).filter(|at| chance(*at, &selling) == Some(told));
            assert_eq!(
                count,
                one_by_one.count() as u64,
                "{told:?} of {available}, {reserved}"
            );
        }
        let early = Snapshot {
            phase: Phase::Prequeue,
            ..selling
        };
        assert!(chances(&early).iter().all(|(_, count)| *count == 0));
    }
}

#[test]
fn sold_out_and_ended_are_said_to_everybody_who_is_not_inside() {
    let sold_out = Snapshot {
        phase: Phase::SoldOut,
        ..snapshot()
    };
    assert_eq!(place(79, &sold_out).state, PlaceState::SoldOut);
    let inside = Some(Sighting::Admitted(NOW + Span::from_secs(9)));
    assert_eq!(
        Place::of(&ticket(15), inside, &sold_out, NOW).state,
        PlaceState::Admitted
    );
    let ended = Snapshot {
        phase: Phase::Ended,
        ..snapshot()
    };
    assert_eq!(
        Place::of(&ticket(15), inside, &ended, NOW).state,
        PlaceState::Ended
    );
}

#[test]
fn the_nearer_the_turn_the_sooner_the_next_look() {
    let snapshot = Snapshot {
        waiting: 100_000,
        ..snapshot()
    };
    let looks: Vec<u64> = [15, 20, 200, 5_000]
        .map(|n| place(n, &snapshot).poll_after.as_millis())
        .to_vec();
    assert!(looks[0] <= 1_200 && looks[1] <= 1_200);
    assert!(looks.is_sorted_by(|a, b| *a <= b + b / 2), "{looks:?}");
    assert!(looks[3] <= 18_000);
}

#[test]
fn a_crowd_does_not_come_back_in_one_moment() {
    let mut looks: Vec<u64> = (5_000..6_000)
        .map(|n| place(n, &snapshot()).poll_after.as_millis())
        .collect();
    looks.sort_unstable();
    looks.dedup();
    assert!(looks.len() > 300, "{} different instants", looks.len());
    assert!(looks[0] >= 12_000 && looks[looks.len() - 1] <= 18_000);
}
