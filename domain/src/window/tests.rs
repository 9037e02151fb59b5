//! The window against what it replaces: every stamp kept, and counted anew.

use super::*;
use alloc::vec::Vec;
use proptest::prelude::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_stamp_leaves_exactly_when_it_has_been_held() {
    let mut window = MinuteWindow::default();
    assert!(window.admit(at(1_000), 1));
    assert!(!window.admit(at(61_249), 1));
    assert_eq!(window.room_for(1, 1, at(61_249)), Some(at(61_250)));
    assert!(window.admit(at(61_250), 1));
}

#[test]
fn a_limit_of_nothing_admits_nobody_and_never_will() {
    let mut window = MinuteWindow::default();
    assert!(!window.admit(at(0), 0));
    assert_eq!(window.room_for(1, 0, at(0)), None);
}

#[test]
fn a_lowered_limit_holds_at_once() {
    let mut window = MinuteWindow::default();
    for t in 0..10 {
        assert!(window.admit(at(t), 10));
    }
    assert!(!window.admit(at(59_999), 5));
    assert_eq!(window.room_for(1, 5, at(59_999)), Some(at(60_255)));
}

#[test]
fn one_that_is_answered_late_counts_from_then() {
    let mut window = MinuteWindow::default();
    assert!(window.admit(at(0), 2) && window.admit(at(10), 2));
    assert!(
        window.restamp(at(0), at(2_000), 2),
        "its place in the count is its own"
    );
    assert_eq!(window.stamps().collect::<Vec<_>>(), [at(10), at(2_000)]);
    assert!(window.admit(at(60_260), 2));
    assert!(!window.admit(at(62_249), 2));
    assert!(
        !window.restamp(at(10), at(60_261), 2),
        "its stamp counts no longer, and it is full"
    );
    assert!(window.restamp(at(10), at(62_250), 2));
}

#[test]
fn a_restored_window_counts_on() {
    let window = MinuteWindow::restore([at(50_000), at(1), at(30_000)], at(60_500));
    assert_eq!(window.count(at(60_500)), 2);
    assert_eq!(window.stamps.len(), 2);
}

proptest! {
    /// The naive model keeps every stamp for ever and counts.
    #[test]
    fn it_counts_as_the_naive_model_and_no_interval_holds_more_than_the_limit(
        steps in proptest::collection::vec(0u64..9_000, 1..200), limit in 1u32..20,
    ) {
        let mut window = MinuteWindow::default();
        let (mut now, mut admitted) = (0u64, Vec::<u64>::new());
        for step in steps {
            now += step;
            let naive = admitted.iter().filter(|t| **t + 60_250 > now).count() as u64;
            prop_assert_eq!(window.count(at(now)), naive);
            let granted = window.admit(at(now), limit);
            prop_assert_eq!(granted, naive < u64::from(limit));
            if granted { admitted.push(now); }
            prop_assert!(window.stamps.len() <= limit as usize);
        }
        for start in &admitted {
            let inside = admitted.iter().filter(|t| **t >= *start && **t < start + 60_000).count();
            prop_assert!(inside <= limit as usize);
        }
    }

    /// Answers leave late, and sometimes never. Whoever counts them never counts more than the limit.
    #[test]
    fn no_interval_holds_more_answers_than_the_limit_however_late_they_are(
        steps in proptest::collection::vec((0u64..3_000, prop_oneof![0u64..400, 0u64..70_000]), 1..200), limit in 1u32..10,
    ) {
        let mut window = MinuteWindow::default();
        let (mut now, mut owed, mut answered) = (0u64, Vec::<(u64, u64)>::new(), Vec::<u64>::new());
        for (step, late) in steps {
            now += step;
            owed.sort_unstable();
            while let Some((due, stamp)) = owed.first().copied().filter(|(due, _)| *due <= now) {
                owed.remove(0);
                let in_time = at(due) <= at(stamp) + ANSWERED_WITHIN;
                if in_time || window.restamp(at(stamp), at(due), limit) { answered.push(due); }
            }
            if window.admit(at(now), limit) { owed.push((now + late, now)); }
        }
        for start in &answered {
            let inside = answered.iter().filter(|t| **t >= *start && **t < start + 60_000).count();
            prop_assert!(inside <= limit as usize);
        }
    }

    #[test]
    fn room_for_is_the_first_moment_with_room(stamps in proptest::collection::vec(0u64..50_000, 1..30), free in 1u64..10, limit in 1u32..20) {
        let window = MinuteWindow::restore(stamps.into_iter().map(at), at(50_000));
        if let Some(when) = window.room_for(free, limit, at(50_000)) {
            let room = |t| u64::from(limit).saturating_sub(window.count(t)) >= free;
            prop_assert!(room(when));
            prop_assert!(when == at(50_000) || !room(when - Span::from_millis(1)));
        } else {
            prop_assert!(free > u64::from(limit));
        }
    }
}
