//! The promise of shared turns: no second sees more than the rate and its tenth, however many ask, however late they come.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

const NOON: u64 = 1_700_000_000_000_000;

fn ask(per_second: u32, turns: u32) -> Ask {
    Ask {
        per_second,
        turns,
        late: SLACK,
    }
}

fn granted(lease: Lease) -> Block {
    match lease {
        Lease::Granted(block) => block,
        Lease::Later { ask_in } => panic!("nothing for {ask_in:?}"),
    }
}

#[test]
fn the_first_turn_of_an_idle_lane_is_now_and_the_rest_follow_one_by_one() {
    let (lane, lease) = Lane::default().lease(Micros(NOON), ask(20, 3));
    let block = granted(lease);
    assert_eq!(
        (block.first_in, block.interval, block.turns),
        (Micros(0), Micros(50_000), 3)
    );
    let (_, next) = lane.lease(Micros(NOON), ask(20, 1));
    assert_eq!(granted(next).first_in, Micros(150_000));
}

#[test]
fn a_block_is_what_is_asked_for_up_to_a_quarter_of_a_second_and_at_least_one_turn() {
    for (rate, asked, given) in [
        (20, 2, 2),
        (20, 50, 5),
        (20, 0, 1),
        (1, 9, 1),
        (0, 9, 1),
        (4, 9, 1),
    ] {
        let (_, lease) = Lane::default().lease(Micros(NOON), ask(rate, asked));
        assert_eq!(granted(lease).turns, given, "{asked} at {rate}/s");
    }
}

#[test]
fn time_that_nobody_used_is_not_saved_up() {
    let (lane, _) = Lane::default().lease(Micros(NOON), ask(20, 1));
    let later = Micros(NOON + 60_000_000);
    let (lane, first) = lane.lease(later, ask(20, 5));
    let (_, second) = lane.lease(later, ask(20, 5));
    assert_eq!(granted(first).first_in, Micros(0));
    assert_eq!(granted(second).first_in, Micros(250_000));
}

#[test]
fn nobody_gets_turns_far_ahead_and_is_told_when_to_ask_again() {
    let (lane, _) = Lane::default().lease(Micros(NOON), ask(1, 1));
    let (same, lease) = lane.lease(Micros(NOON + 100_000), ask(1, 1));
    let ask_in = Micros(400_000);
    assert_eq!((same, lease), (lane, Lease::Later { ask_in }));
    let (_, lease) = lane.lease(Micros(NOON + 500_000), ask(1, 1));
    assert_eq!(granted(lease).first_in, Micros(500_000));
}

#[test]
fn a_new_rate_holds_from_the_next_turn_on() {
    let (lane, _) = Lane::default().lease(Micros(NOON), ask(1, 1));
    let (_, lease) = lane.lease(Micros(NOON), ask(100, 1));
    assert_eq!(granted(lease).first_in, Micros(10_000));
}

#[test]
fn whoever_comes_late_keeps_the_lane_for_as_much_longer() {
    let late = Ask {
        late: Micros(400_000),
        ..ask(20, 1)
    };
    let (lane, _) = Lane::default().lease(Micros(NOON), late);
    let (_, next) = lane.lease(Micros(NOON), ask(20, 1));
    assert_eq!(granted(next).first_in, Micros(300_000 + 50_000));
}

#[test]
fn giving_way_halves_the_rate_once_a_second_and_never_to_nothing() {
    let mut lane = Lane::default();
    for millis in [0, 10, 900, 1_000, 1_500, 2_000] {
        lane = lane.slowed(Micros(NOON + millis * 1_000), 64, Micros(0));
    }
    assert_eq!(lane.rate(64), 8);
    assert_eq!(Lane::default().slowed(Micros(NOON), 1, Micros(0)).rate(1), 1);
}

#[test]
fn a_lowered_rate_comes_back_a_tenth_every_five_seconds() {
    let slowed = Lane::default().slowed(Micros(NOON), 20, Micros(0));
    for (seconds, rate) in [(0, 10), (4, 10), (5, 12), (11, 14), (24, 18), (25, 20), (900, 20)] {
        let (lane, _) = slowed.lease(Micros(NOON + seconds * 1_000_000), ask(20, 1));
        assert_eq!(lane.rate(20), rate, "after {seconds} s");
    }
}

#[test]
fn a_keep_away_holds_everybody_and_a_shorter_one_does_not_cut_it() {
    let lane = Lane::default().slowed(Micros(NOON), 20, Micros(7_000_000));
    let lane = lane.slowed(Micros(NOON), 20, Micros(2_000_000));
    let (lane, lease) = lane.lease(Micros(NOON), ask(20, 1));
    let ask_in = Micros(6_500_000);
    assert_eq!(lease, Lease::Later { ask_in });
    let (_, lease) = lane.lease(Micros(NOON + 6_900_000), ask(20, 1));
    assert_eq!(granted(lease).first_in, Micros(100_000));
}

#[test]
fn a_clock_that_was_set_back_stops_nobody_for_long() {
    let (lane, _) = Lane::default()
        .slowed(Micros(NOON), 20, HOLD_MAX)
        .lease(Micros(NOON), ask(20, 5));
    let before = Micros(NOON - 3_600_000_000);
    let (lane, lease) = lane.lease(before, ask(20, 1));
    assert!(matches!(lease, Lease::Later { ask_in } if ask_in <= HOLD_MAX));
    assert!(lane.not_before <= before.plus(HOLD_MAX));
}

#[derive(Clone, Debug)]
struct Visit {
    after: u64,
    wanted: u32,
    /// How long the answer is on its way, and where within that time the lane was asked.
    way: u64,
    asked_at: u64,
    /// How late within what is allowed each turn is taken, in thousandths.
    tardy: u64,
    slows: bool,
}

fn visit() -> impl Strategy<Value = Visit> {
    let slows = prop_oneof![9 => Just(false), 1 => Just(true)];
    (
        0u64..400_000,
        1u32..60,
        0u64..900_000,
        0u64..=1_000,
        0u64..=1_000,
        slows,
    )
        .prop_map(|(after, wanted, way, asked_at, tardy, slows)| Visit {
            after,
            wanted,
            way,
            asked_at,
            tardy,
            slows,
        })
}

proptest! {
    /// Anybody may ask at any time, be any way away, and use a turn at any moment that is allowed: no stretch of one second
    /// sees more than the rate, its tenth, and one.
    #[test]
    fn no_second_sees_more_than_the_rate_and_its_tenth(
        visits in proptest::collection::vec(visit(), 1..60), rate in 1u32..400,
    ) {
        let (mut lane, mut now, mut taken) = (Lane::default(), NOON, Vec::new());
        for visit in visits {
            now += visit.after;
            if visit.slows {
                lane = lane.slowed(Micros(now), rate, Micros(0));
            }
            let late = visit.way.max(SLACK.0);
            let ask = Ask { per_second: rate, turns: visit.wanted, late: Micros(late) };
            let (next, lease) = lane.lease(Micros(now), ask);
            lane = next;
            let Lease::Granted(block) = lease else { continue };
            prop_assert!(block.first_in <= AHEAD_MAX);
            // The asker knows only that the lane's `now` lies between its question and the answer.
            let asked = now - visit.way * visit.asked_at / 1_000;
            let answered = asked + visit.way;
            for count in 0..block.turns {
                let nominal = block.first_in.plus(block.interval.times(count)).0;
                let (from, until) = (answered + nominal, asked + nominal + late);
                taken.push(from + (until - from) * visit.tardy / 1_000);
            }
        }
        taken.sort_unstable();
        let most = usize::try_from(rate + rate / 10 + 1).unwrap();
        for (at, from) in taken.iter().enumerate() {
            let within = taken[at..].iter().take_while(|turn| **turn < from + 1_000_000).count();
            prop_assert!(within <= most, "{within} turns within a second at {rate}/s");
        }
    }

    /// Several who ask again as soon as their turns are used get the rate between them, all of it.
    #[test]
    fn a_busy_lane_is_used_to_the_full(rate in 1u32..2_000, askers in 1usize..6) {
        let (mut lane, mut given) = (Lane::default(), 0u32);
        let mut next = alloc::vec![NOON; askers];
        for step in 0..10_000u64 {
            let now = NOON + step * 1_000;
            for at in next.iter_mut().filter(|at| **at <= now) {
                let (after, lease) = lane.lease(Micros(now), ask(rate, u32::MAX));
                lane = after;
                *at = match lease {
                    Lease::Granted(block) => {
                        given += block.turns;
                        now + block.first_in.plus(block.interval.times(block.turns)).0 - 100_000.min(block.first_in.0)
                    }
                    Lease::Later { ask_in } => now + ask_in.0,
                };
            }
        }
        prop_assert!(given >= rate * 9, "{given} turns in ten seconds at {rate}/s");
    }
}
