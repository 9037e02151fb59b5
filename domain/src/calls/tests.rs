//! The call history against a list that forgets nothing.

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

const PATIENCE: Span = Span::from_mins(12);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_rank_lapses_when_its_stretch_is_as_old_as_the_patience() {
    let mut calls = Calls::default();
    calls.record(Rank(11), 10, at(0), PATIENCE);
    assert_eq!(calls.state_of(Rank(10)), CallState::Called(at(0)));
    assert_eq!(calls.state_of(Rank(11)), CallState::Waiting);
    assert_eq!(calls.forget(at(PATIENCE.as_millis() - 1), PATIENCE, None), 0);
    assert_eq!(calls.forget(at(PATIENCE.as_millis()), PATIENCE, None), 1);
    assert_eq!(calls.state_of(Rank(10)), CallState::Forgotten);
    assert_eq!((calls.frontier(), calls.lapsed_below()), (Rank(11), Rank(11)));
}

#[test]
fn whoever_is_kept_keeps_the_history_that_reaches_them() {
    let mut calls = Calls::default();
    calls.record(Rank(11), 10, at(0), PATIENCE);
    calls.record(Rank(21), 10, at(5_000), PATIENCE);
    let late = at(PATIENCE.as_millis() * 2);
    assert_eq!(calls.forget(late, PATIENCE, Some(Rank(11))), 1);
    assert_eq!(calls.lapsed_below(), Rank(11));
}

#[test]
fn lost_time_lapses_nobody() {
    let mut calls = Calls::default();
    calls.record(Rank(11), 10, at(0), PATIENCE);
    calls.shift(Span::from_mins(60));
    assert_eq!(calls.forget(at(PATIENCE.as_millis()), PATIENCE, None), 0);
    assert_eq!(calls.state_of(Rank(1)), CallState::Called(at(3_600_000)));
}

#[test]
fn calls_count_as_pending_for_the_horizon_only() {
    let mut calls = Calls::default();
    calls.record(Rank(101), 100, at(0), PATIENCE);
    for rank in 1..=40 {
        calls.note_shown(Rank(rank));
    }
    let horizon = Span::from_secs(10);
    assert_eq!(calls.pending(at(9_999), horizon), 60);
    assert_eq!(calls.pending(at(10_000), horizon), 0);
    // 40 of 100 with ten assumed: (40 + 10) / (100 + 10).
    assert_eq!(calls.show_per_mille(at(10_000), horizon), 454);
    assert_eq!(calls.show_per_mille(at(9_999), horizon), 1_000);
    assert_eq!(calls.show_per_mille(at(130_000), horizon), 1_000);
}

#[test]
fn speed_is_unknown_until_somebody_is_called_and_after_a_quiet_minute() {
    let mut calls = Calls::default();
    assert_eq!(calls.speed(at(0)), None);
    for second in 0..30u64 {
        calls.record(Rank(1 + (second + 1) * 20), 10, at(second * 1_000), PATIENCE);
    }
    let speed = calls.speed(at(30_000)).unwrap();
    assert_eq!(
        speed,
        Speed {
            calls_per_minute: 600,
            ranks_per_minute: 1_200
        }
    );
    assert_eq!(calls.speed(at(29_000 + 60_000)), None);
}

#[test]
fn a_restored_history_answers_alike_and_closes_gaps() {
    let mut calls = Calls::default();
    for second in 0..20u64 {
        calls.record(Rank(2 + second), 1, at(second * 2_000), PATIENCE);
    }
    let saved: Vec<Call> = calls.iter().copied().collect();
    assert_eq!(Calls::restore(calls.lapsed_below(), saved.clone()), calls);
    let holed = saved
        .into_iter()
        .enumerate()
        .filter(|(i, _)| *i != 5)
        .map(|(_, call)| call);
    let closed = Calls::restore(Rank(1), holed);
    assert_eq!(closed.frontier(), calls.frontier());
    assert_ne!(closed.state_of(Rank(6)), CallState::Waiting);
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Wait(u64),
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..50).prop_map(Step::Advance),
        (0u64..40_000).prop_map(Step::Wait),
        Just(Step::Forget)
    ]
}

proptest! {
    /// The naive model remembers the call of every single rank.
    #[test]
    fn nobody_lapses_early_and_nobody_much_too_late(steps in proptest::collection::vec(step(), 1..300)) {
        let mut calls = Calls::default();
        let (mut now, mut frontier) = (0u64, 1u64);
        let mut called: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now += millis,
                Step::Advance(by) => {
                    called.extend((frontier..frontier + by).map(|rank| (rank, now)));
                    frontier += by;
                    calls.record(Rank(frontier), by, at(now), PATIENCE);
                }
                Step::Forget => { calls.forget(at(now), PATIENCE, None); }
            }
            prop_assert_eq!(calls.frontier(), Rank(frontier));
            prop_assert_eq!(calls.state_of(Rank(frontier)), CallState::Waiting);
            let grain = PATIENCE.as_millis() / 512;
            for (rank, when) in &called {
                match calls.state_of(Rank(*rank)) {
                    CallState::Waiting => prop_assert!(false, "rank {} was called", rank),
                    CallState::Called(at) => {
                        prop_assert!((*when..=when + grain.max(1_000)).contains(&at.as_millis()));
                    }
                    CallState::Forgotten => prop_assert!(when + PATIENCE.as_millis() <= now),
                }
            }
            prop_assert!(calls.iter().count() as u64 <= 1 + now / 1_000);
        }
    }

    #[test]
    fn the_history_is_bounded(gaps in proptest::collection::vec(0u64..4_000, 2_000..3_000)) {
        let mut calls = Calls::default();
        let mut now = 0;
        for (i, gap) in gaps.into_iter().enumerate() {
            now += gap;
            calls.record(Rank(2 + i as u64), 1, at(now), PATIENCE);
            calls.forget(at(now), PATIENCE, None);
            prop_assert!(calls.iter().count() as u64 <= GRAINS_PER_PATIENCE + 2);
        }
    }
}
