//! What shoppers are told: by what was measured, and by nothing else.

use super::*;
use proptest::prelude::*;

/// An empty room in which the rate alone binds.
fn rate(ranks_per_minute: u64) -> Flow {
    Flow {
        speed: Some(Speed {
            calls_per_minute: ranks_per_minute,
            ranks_per_minute,
        }),
        free_calls: u64::MAX,
        is_full: false,
        turnover: None,
    }
}

/// A full room of which a slot comes free every `micros`, beyond doubt.
fn full(ranks_per_minute: u64, micros: u64) -> Flow {
    Flow {
        free_calls: 0,
        is_full: true,
        turnover: Some(SlotTime {
            micros,
            doubt_per_mille: 0,
        }),
        ..rate(ranks_per_minute)
    }
}

#[test]
fn nothing_moved_means_nothing_promised() {
    assert_eq!(Wait::estimate(10, &Flow::default()), None);
    assert_eq!(Wait::estimate(10, &rate(0)), None);
}

#[test]
fn ten_minutes_ahead_is_told_as_an_interval_around_ten_minutes() {
    let wait = Wait::estimate(6_000, &rate(600)).unwrap();
    assert_eq!((wait.min, wait.max), (Span::from_secs(450), Span::from_secs(750)));
    assert!(wait.holds(Span::from_mins(10)) && !wait.holds(Span::from_mins(13)));
}

#[test]
fn the_pace_at_which_a_room_fills_is_not_promised_beyond_its_last_slot() {
    let filling = Flow {
        free_calls: 100,
        ..rate(600)
    };
    assert_eq!(Wait::estimate(100, &filling), Wait::estimate(100, &rate(600)));
    assert_eq!(
        Wait::estimate(101, &filling),
        None,
        "nobody knows when a session ends"
    );
    // Known to end one a second: a hundred at once and a thousand one by one.
    let known = Flow {
        turnover: full(0, 1_000_000).turnover,
        ..filling
    };
    let wait = Wait::estimate(1_100, &known).unwrap();
    assert_eq!(
        (wait.min, wait.max),
        (Span::from_secs(750), Span::from_secs(1_250))
    );
}

#[test]
fn in_a_full_room_both_the_last_minute_and_the_long_run_may_come() {
    // Ten a second in a wave, one a second in the long run.
    let wait = Wait::estimate(100, &full(600, 1_000_000)).unwrap();
    assert_eq!((wait.min, wait.max), (Span::from_secs(5), Span::from_secs(125)));
    let unsure = Flow {
        turnover: Some(SlotTime {
            micros: 1_000_000,
            doubt_per_mille: 500,
        }),
        ..full(60, 0)
    };
    let wait = Wait::estimate(100, &unsure).unwrap();
    assert_eq!((wait.min, wait.max), (Span::from_secs(25), Span::from_secs(175)));
}

#[test]
fn numbers_that_belong_to_nobody_take_no_slot() {
    let thin = Flow {
        speed: Some(Speed {
            calls_per_minute: 60,
            ranks_per_minute: 600,
        }),
        ..full(0, 1_000_000)
    };
    let wait = Wait::estimate(1_000, &thin).unwrap();
    assert_eq!((wait.min, wait.max), (Span::from_secs(75), Span::from_secs(125)));
}

#[test]
fn gone_is_said_only_when_nothing_can_come_back() {
    let held = StockLevel {
        available: 0,
        reserved: 3,
        sold: 97,
    };
    assert_eq!(Chance::estimate(held, 10, 600, 1_000), Chance::Unlikely);
    let sold = StockLevel {
        available: 0,
        reserved: 0,
        sold: 100,
    };
    assert_eq!(Chance::estimate(sold, 0, 600, 1_000), Chance::Gone);
}

proptest! {
    #[test]
    fn more_shoppers_ahead_never_improve_the_chance(
        available in 0u64..1_000, reserved in 0u64..1_000, ahead in 0u64..5_000, more in 0u64..5_000,
    ) {
        let stock = StockLevel { available, reserved, sold: 0 };
        let near = Chance::estimate(stock, ahead, 600, 1_200);
        let far = Chance::estimate(stock, ahead + more, 600, 1_200);
        prop_assert!(far <= near);
    }

    #[test]
    fn the_middle_is_always_inside_the_interval(ahead in 0u64..1 << 40, pace in 1u64..1 << 20) {
        let wait = Wait::estimate(ahead, &rate(pace)).unwrap();
        let middle = u128::from(ahead) * 60_000 / u128::from(pace);
        prop_assert!(wait.holds(Span::from_millis(u64::try_from(middle).unwrap())));
    }

    /// Whatever binds: the rate, the room, or first the one and then the other.
    #[test]
    fn a_place_further_back_is_never_told_a_shorter_wait(
        ahead in 0u64..1 << 30, more in 0u64..1 << 30, pace in 1u64..1 << 20, calls in 1u64..1 << 20,
        free_calls in 0u64..1 << 20, is_full: bool, turnover in proptest::option::of((0u64..1 << 30, 0u64..600)),
    ) {
        let speed = Speed { calls_per_minute: calls.min(pace), ranks_per_minute: pace };
        let turnover = turnover.map(|(micros, doubt_per_mille)| SlotTime { micros, doubt_per_mille });
        let flow = Flow { speed: Some(speed), free_calls, is_full, turnover };
        let near = Wait::estimate(ahead, &flow);
        match Wait::estimate(ahead + more, &flow) {
            None => prop_assert!(turnover.is_none()),
            Some(far) => {
                let near = near.unwrap();
                prop_assert!(near.max <= far.max && near.min <= far.min, "{:?}, then {:?}", near, far);
            }
        }
    }

    /// A full room never promises more than its turnover, however fast it filled.
    #[test]
    fn a_full_room_is_told_at_the_pace_of_its_sessions(ahead in 1u64..1 << 20, pace in 1u64..1 << 20, micros in 1u64..1 << 30) {
        let wait = Wait::estimate(ahead, &full(pace, micros)).unwrap();
        let (by_slots, by_speed) = (ahead * micros / 1_000, ahead * 60_000 / pace);
        prop_assert!(wait.holds(Span::from_millis(by_slots)) && wait.holds(Span::from_millis(by_speed)));
    }

    #[test]
    fn enough_for_everybody_ahead_is_likely(available in 1u64..10_000, ahead in 0u64..10_000) {
        prop_assume!(ahead < available);
        let stock = StockLevel { available, reserved: 0, sold: 0 };
        prop_assert_eq!(Chance::estimate(stock, ahead, 1_000, 1_000), Chance::Likely);
    }
}
