//! The start: cohort, draw, epochs, and ranks drawn per shopper.

use alloc::collections::BTreeSet;

use super::*;
use crate::{QueueingMethod, Schedule, Shuffle};

fn scheduled() -> DropRules {
    let schedule = Schedule {
        prequeue_start: Timestamp::from_millis(1_000_000),
        event_start: Timestamp::from_millis(1_100_000),
        event_end: None,
    };
    DropRules {
        schedule,
        ..rules(100, 100)
    }
}

#[test]
fn nobody_is_let_in_before_the_start() {
    let mut bench = Bench::new(scheduled());
    bench.join(1);
    assert_eq!(bench.claim(1), Claim::NotOpen);
    let view = bench.queue.view(bench.at());
    let advance = Advance {
        version: view.version,
        calls: 1,
        pace: view.pace,
    };
    assert!(bench.queue.advance(advance, bench.at()).is_err());
    assert_eq!((view.draw, view.started), (None, false));
}

#[test]
fn early_joiners_are_drawn_and_late_ones_follow_in_order() {
    let mut bench = Bench::new(scheduled());
    bench.join_all(1..=50);
    let promised = bench.queue.view(bench.at()).commitment;
    bench.wait(secs(100)).join_all(51..=60);
    let view = bench.queue.view(bench.at());
    let draw = view.draw.unwrap();
    assert_eq!((draw.cohort, draw.seed.commitment()), (50, promised));
    let order: Vec<u64> = bench.queue.waiting_line().map(|(rank, _)| rank.0).collect();
    assert_eq!(order, (1..=60).collect::<Vec<u64>>());
    let served: Vec<ShopperKey> = bench.queue.waiting_line().map(|(_, shopper)| shopper).collect();
    assert_ne!(served[..50], (1..=50).map(shopper).collect::<Vec<_>>());
    assert_eq!(served[50..], (51..=60).map(shopper).collect::<Vec<_>>());
}

#[test]
fn the_start_begins_a_new_epoch_once() {
    let mut bench = Bench::new(scheduled());
    let before = bench.queue.view(bench.at()).epoch;
    bench.wait(secs(100));
    let started = bench.queue.view(bench.at());
    assert_eq!((started.epoch, started.started), (before + 1, true));
    bench.wait(secs(100));
    assert_eq!(bench.queue.view(bench.at()).epoch, before + 1);
}

#[test]
fn without_a_shuffle_the_order_of_joining_holds() {
    let mut bench = Bench::new(DropRules {
        shuffle: Shuffle::Never,
        ..scheduled()
    });
    bench.join_all(1..=20).wait(secs(100)).call(20);
    assert_eq!(bench.queue.view(bench.at()).draw, None);
    let order: Vec<ShopperKey> = bench.queue.line.iter().map(|(_, shopper)| *shopper).collect();
    assert_eq!(order, (1..=20).map(shopper).collect::<Vec<_>>());
}

#[test]
fn moving_the_start_ahead_voids_sessions_and_draws_anew() {
    let mut bench = Bench::new(DropRules {
        schedule: Schedule::ALWAYS,
        ..scheduled()
    });
    bench.join_all(1..=9);
    let before = bench.queue.view(bench.at());
    bench.queue.reconfigure(scheduled(), Seed([4; 32]), bench.at());
    let after = bench.queue.view(bench.at());
    assert_eq!(after.phase, Phase::Prequeue);
    assert!(after.epoch > before.epoch && after.commitment != before.commitment);
    bench.wait(secs(100));
    assert_eq!(bench.queue.view(bench.at()).draw.unwrap().cohort, 9);
}

#[test]
fn moving_the_start_ahead_after_calls_voids_sessions_and_keeps_the_order() {
    let mut bench = Bench::new(DropRules {
        schedule: Schedule::ALWAYS,
        ..scheduled()
    });
    bench.join_all(1..=9).call(3);
    bench.admit(1);
    bench.queue.reconfigure(scheduled(), Seed([4; 32]), bench.at());
    let view = bench.queue.view(bench.at());
    assert_eq!((view.room.active, view.frontier), (0, Rank(4)));
    bench.wait(secs(100));
    assert_eq!(bench.claim(1), Claim::Finished);
    bench.admit(2);
}

#[test]
fn drawn_ranks_serve_a_random_waiting_shopper() {
    let mut bench = Bench::new(DropRules {
        method: QueueingMethod::Random,
        ..rules(100, 100)
    });
    for name in 1..=200u64 {
        let random = name.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bench.queue.join(shopper(name), random >> 16, bench.at()).unwrap();
    }
    let first: BTreeSet<ShopperKey> = bench.queue.waiting_line().take(20).map(|(_, s)| s).collect();
    assert_ne!(first, (1..=20).map(shopper).collect());
    bench.call(20);
    assert_eq!(bench.queue.view(bench.at()).room.waiting, 180);
    for (_, called) in bench.queue.line.iter().take(20) {
        assert!(first.contains(called));
    }
    let late = bench.queue.join(shopper(999), 5, bench.at()).unwrap();
    assert!(late.drawn.unwrap() >= bench.queue.frontier());
}

#[test]
fn the_expected_position_of_a_drawn_rank_is_its_share_of_the_line() {
    let middle = Rank(1 + RANDOM_HALF);
    assert_eq!(position(QueueingMethod::Random, middle, Rank(1), 100), 51);
    assert_eq!(position(QueueingMethod::Fifo, Rank(30), Rank(21), 5), 10);
    assert_eq!(position(QueueingMethod::Fifo, Rank(3), Rank(21), 5), 1);
}

const RANDOM_HALF: u64 = crate::queue::order::RANDOM_WIDTH / 2;

#[test]
fn passthrough_counts_and_holds_nobody() {
    let mut bench = Bench::new(DropRules {
        method: QueueingMethod::Passthrough,
        ..rules(1, 1)
    });
    bench.join_all(1..=5);
    for name in 1..=5 {
        bench.admit(name);
    }
    assert_eq!(bench.queue.view(bench.at()).room.active, 5);
}
