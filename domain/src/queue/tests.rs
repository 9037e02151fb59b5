//! Each rule of the queue, one example each; random histories are in `model`.

mod estimates;
mod inside;
mod model;
mod restart;
mod start;

use alloc::vec::Vec;

use super::*;
use crate::{DropId, Limits, Readings, Span};

/// A queue, a clock and shorthand for shoppers.
pub(super) struct Bench {
    pub(super) queue: Queue,
    pub(super) now: u64,
    pub(super) stock: StockState,
}

pub(super) fn rules(active: u32, per_minute: u32) -> DropRules {
    DropRules {
        limits: Limits {
            total_active_users: active,
            new_users_per_minute: per_minute,
        },
        ..DropRules::new(DropId::new("aurora").unwrap())
    }
}

pub(super) fn shopper(name: u64) -> ShopperKey {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&name.to_be_bytes());
    ShopperKey(key)
}

pub(super) fn secs(n: u64) -> Span {
    Span::from_secs(n)
}

impl Bench {
    pub(super) fn new(rules: DropRules) -> Self {
        let mut queue = Queue::new(rules, Seed([9; 32]));
        queue.settle(Timestamp::from_millis(1_000_000));
        Self {
            queue,
            now: 1_000_000,
            stock: StockState::Left,
        }
    }

    pub(super) fn at(&self) -> Moment {
        Moment {
            now: Timestamp::from_millis(self.now),
            stock: self.stock,
        }
    }

    pub(super) fn wait(&mut self, span: Span) -> &mut Self {
        self.now += span.as_millis();
        self
    }

    pub(super) fn join(&mut self, name: u64) -> Number {
        self.queue
            .join(shopper(name), name * 7_919, self.at())
            .unwrap()
            .number
    }

    pub(super) fn join_all(&mut self, names: core::ops::RangeInclusive<u64>) -> &mut Self {
        for name in names {
            self.join(name);
        }
        self
    }

    pub(super) fn claimant(&self, name: u64) -> Claimant {
        let member = self.queue.member(&shopper(name)).copied();
        let (number, drawn) = member.map_or((Number(name), None), |m| (m.number, m.drawn));
        self.ticket(name, number, drawn)
    }

    pub(super) fn ticket(&self, name: u64, number: Number, drawn: Option<Rank>) -> Claimant {
        let mut id = shopper(name).0;
        id[..8].copy_from_slice(&number.0.to_be_bytes());
        let joined_at = self.at().now;
        Claimant {
            shopper: shopper(name),
            number,
            drawn,
            joined_at,
            admission: AdmissionId(id),
        }
    }

    pub(super) fn claim(&mut self, name: u64) -> Claim {
        let claimant = self.claimant(name);
        self.queue.claim(&claimant, self.at())
    }

    pub(super) fn admit(&mut self, name: u64) -> AdmissionId {
        match self.claim(name) {
            Claim::Admitted { admission, .. } => admission,
            other => panic!("shopper {name} was not admitted: {other:?}"),
        }
    }

    pub(super) fn leave(&mut self, name: u64) {
        let claimant = self.claimant(name);
        self.queue.leave(&claimant, self.at());
    }

    pub(super) fn call(&mut self, calls: u64) -> Rank {
        let view = self.queue.view(self.at());
        let advance = Advance {
            version: view.version,
            calls,
            pace: view.pace,
        };
        self.queue.advance(advance, self.at()).unwrap()
    }

    /// One turn of the caller, as every store runs it.
    pub(super) fn tick(&mut self, readings: &Readings) -> crate::Outflow {
        let at = self.at();
        let (advance, outflow) = self.queue.view(at).next(self.queue.rules(), readings);
        self.queue.advance(advance, at).unwrap();
        outflow
    }
}

#[test]
fn joining_twice_gives_the_same_place() {
    let mut bench = Bench::new(rules(10, 10));
    assert_eq!(
        (bench.join(1), bench.join(2), bench.join(1)),
        (Number(1), Number(2), Number(1))
    );
    let again = bench.queue.join(shopper(2), 0, bench.at()).unwrap();
    assert!(again.repeated);
    assert_eq!(bench.queue.view(bench.at()).tally.joined, 2);
}

#[test]
fn leaving_gives_the_place_up_and_joining_again_starts_at_the_end() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=3).leave(1);
    assert_eq!(bench.claim(1), Claim::Left);
    assert_eq!(bench.join(1), Number(4));
    let old_ticket = bench.ticket(1, Number(1), None);
    bench.call(10);
    assert_eq!(bench.queue.claim(&old_ticket, bench.at()), Claim::Left);
    bench.admit(1);
}

#[test]
fn a_full_queue_refuses_new_shoppers_and_keeps_the_old() {
    let mut bench = Bench::new(DropRules {
        queue_capacity: 2,
        ..rules(10, 10)
    });
    bench.join_all(1..=2);
    assert_eq!(
        bench.queue.join(shopper(3), 0, bench.at()),
        Err(JoinRefusal::Full)
    );
    assert_eq!(bench.join(2), Number(2));
}

#[test]
fn nobody_joins_a_closed_draining_or_ended_drop() {
    let mut closed = Bench::new(DropRules {
        method: crate::QueueingMethod::Reject,
        ..rules(10, 10)
    });
    assert_eq!(
        closed.queue.join(shopper(1), 0, closed.at()),
        Err(JoinRefusal::Closed)
    );
    for (command, phase) in [(Command::Drain, Phase::Draining), (Command::End, Phase::Ended)] {
        let mut bench = Bench::new(rules(10, 10));
        bench.join(1);
        bench.queue.control(command, bench.at());
        assert_eq!(
            bench.queue.join(shopper(2), 0, bench.at()),
            Err(JoinRefusal::NotOpen(phase))
        );
        assert_eq!(bench.join(1), Number(1));
    }
}

#[test]
fn ranks_are_called_in_order_and_positions_only_shrink() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=5);
    assert_eq!(bench.claim(4), Claim::NotCalled { position: 4 });
    bench.call(2);
    assert_eq!(bench.claim(4), Claim::NotCalled { position: 2 });
    bench.admit(1);
    bench.admit(2);
    bench.call(2);
    bench.admit(4);
}

#[test]
fn numbers_that_belong_to_nobody_are_passed_over() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join(1);
    let far = bench.ticket(2, Number(4_000), None);
    assert!(bench.queue.relearn(&far, bench.at()));
    assert_eq!(bench.join(3), Number(4_001));
    bench.leave(1);
    assert_eq!(bench.call(1), Rank(4_001));
    assert_eq!(bench.queue.view(bench.at()).room.waiting, 1);
}

#[test]
fn an_advance_decided_on_an_older_version_is_refused() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=5);
    let view = bench.queue.view(bench.at());
    let advance = Advance {
        version: view.version,
        calls: 1,
        pace: view.pace,
    };
    assert_eq!(bench.queue.advance(advance, bench.at()), Ok(Rank(2)));
    let stale = bench.queue.advance(advance, bench.at());
    assert_eq!(
        stale,
        Err(Stale {
            version: view.version + 1
        })
    );
    assert_eq!(bench.queue.frontier(), Rank(2));
}

#[test]
fn claiming_again_gives_the_same_admission_and_counts_once() {
    let mut bench = Bench::new(rules(1, 1));
    bench.join(1);
    bench.call(1);
    let Claim::Admitted {
        admission,
        expires_at,
        repeated: false,
    } = bench.claim(1)
    else {
        panic!("not admitted")
    };
    bench.wait(secs(5));
    for _ in 0..10 {
        assert_eq!(
            bench.claim(1),
            Claim::Admitted {
                admission,
                expires_at,
                repeated: true
            }
        );
    }
    assert_eq!(bench.queue.view(bench.at()).tally.admitted, 1);
}

#[test]
fn the_room_is_never_fuller_than_its_limit() {
    let mut bench = Bench::new(rules(2, 100));
    bench.join_all(1..=4).call(4);
    let first = bench.admit(1);
    bench.admit(2);
    assert!(matches!(bench.claim(3), Claim::RoomFull { .. }));
    bench
        .queue
        .end_session(first, EndReason::Completed, bench.at().now);
    assert!(
        matches!(bench.claim(4), Claim::RoomFull { .. }),
        "the slot is kept for the lower rank"
    );
    bench.admit(3);
}

#[test]
fn the_rolling_minute_is_exact() {
    let mut bench = Bench::new(rules(100, 2));
    bench.join_all(1..=3).call(3);
    bench.admit(1);
    bench.wait(secs(30)).admit(2);
    assert_eq!(bench.claim(3), Claim::RoomFull { retry_after: secs(2) });
    bench.wait(Span::from_millis(29_750));
    assert_eq!(bench.claim(3), Claim::RoomFull { retry_after: secs(1) });
    bench.wait(Span::from_millis(499));
    assert!(matches!(bench.claim(3), Claim::RoomFull { .. }));
    bench.wait(Span::from_millis(1)).admit(3);
}

#[test]
fn whoever_met_a_full_room_goes_before_higher_ranks_but_not_for_ever() {
    let mut bench = Bench::new(rules(1, 100));
    bench.join_all(1..=3).call(3);
    let inside = bench.admit(3);
    let Claim::RoomFull { retry_after } = bench.claim(1) else {
        panic!("the room was full")
    };
    bench
        .queue
        .end_session(inside, EndReason::Revoked, bench.at().now);
    assert!(matches!(bench.claim(2), Claim::RoomFull { .. }));
    bench.wait(retry_after + secs(3)).admit(2);
}

#[test]
fn a_late_returner_is_let_in_within_the_grace_and_only_once() {
    let mut bench = Bench::new(DropRules {
        session_duration: secs(10),
        ..rules(10, 10)
    });
    bench.join_all(1..=2).call(2);
    bench.wait(Span::from_mins(11)).admit(1);
    bench.wait(secs(10));
    assert_eq!(bench.claim(1), Claim::Finished);
    bench.wait(Span::from_mins(1));
    assert_eq!(bench.claim(2), Claim::Lapsed);
    assert_eq!(bench.join(2), Number(3));
    assert_eq!(bench.queue.view(bench.at()).tally.no_shows, 1);
}

#[test]
fn whoever_stands_before_a_full_room_does_not_lapse() {
    let mut bench = Bench::new(DropRules {
        session_duration: Span::from_mins(60),
        ..rules(1, 10)
    });
    bench.join_all(1..=2).call(2);
    let inside = bench.admit(1);
    for _ in 0..700 {
        assert_eq!(bench.claim(2), Claim::RoomFull { retry_after: secs(2) });
        bench.wait(secs(2));
    }
    bench.queue.end_session(inside, EndReason::Left, bench.at().now);
    bench.admit(2);
}

#[test]
fn a_pause_stops_claims_and_the_clock_of_every_claim_window() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=3).call(2);
    bench.wait(Span::from_mins(11));
    bench.queue.control(Command::Pause, bench.at());
    assert_eq!(bench.claim(1), Claim::Paused);
    bench.wait(Span::from_mins(60));
    assert_eq!(bench.join(4), Number(4));
    bench.queue.control(Command::Resume, bench.at());
    bench.admit(1);
    bench.wait(secs(61));
    assert_eq!(bench.claim(2), Claim::Lapsed);
}

#[test]
fn an_ended_drop_is_not_resumed_and_sold_out_lets_nobody_in() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=2).call(2);
    bench.stock = StockState::SoldOut;
    assert_eq!(bench.claim(1), Claim::SoldOut);
    bench.queue.control(Command::End, bench.at());
    assert!(bench.queue.control(Command::Resume, bench.at()).ended);
    assert_eq!(bench.claim(1), Claim::Ended);
}

#[test]
fn draining_lets_the_called_in_and_calls_nobody() {
    let mut bench = Bench::new(rules(10, 10));
    bench.join_all(1..=2).call(1);
    bench.queue.control(Command::Drain, bench.at());
    bench.admit(1);
    assert_eq!(bench.claim(2), Claim::NotCalled { position: 1 });
    let view = bench.queue.view(bench.at());
    let advance = Advance {
        version: view.version,
        calls: 1,
        pace: view.pace,
    };
    assert!(bench.queue.advance(advance, bench.at()).is_err());
}

#[test]
fn an_empty_queue_and_a_free_room_let_a_joiner_straight_through() {
    let mut bench = Bench::new(rules(10, 60));
    bench.join(1);
    bench.tick(&Readings::default());
    bench.admit(1);
}

#[test]
fn the_caller_keeps_the_pace_and_fills_the_room() {
    let mut bench = Bench::new(rules(50, 600));
    bench.join_all(1..=500);
    let mut claims: Vec<u64> = Vec::new();
    for tick in 0..600u64 {
        bench.tick(&Readings::default());
        let frontier = bench.queue.frontier().0;
        let next = claims.len() as u64 + 1;
        for name in next..frontier {
            bench.admit(name);
            claims.push(tick);
        }
        bench.wait(Span::from_millis(200));
        if claims.len() as u64 >= 50 {
            break;
        }
    }
    assert_eq!(claims.len(), 50);
    // 20 at once, then ten a second: 30 more take three seconds, at five ticks a second.
    assert_eq!(*claims.last().unwrap(), 15);
}

#[test]
fn no_shows_idle_capacity_for_seconds_only() {
    let mut bench = Bench::new(rules(1_000, 600));
    bench.join_all(1..=2_000);
    // Nobody but every fourth shopper turns up.
    let (mut asked, mut admitted) = (1u64, 0u64);
    for _ in 0..600 {
        bench.tick(&Readings::default());
        for name in asked..bench.queue.frontier().0 {
            if name % 4 == 0 && matches!(bench.claim(name), Claim::Admitted { .. }) {
                admitted += 1;
            }
        }
        asked = bench.queue.frontier().0;
        bench.wait(Span::from_millis(200));
    }
    // Two minutes at 600 a minute would be 1,200; all 500 that turn up are in well before.
    assert_eq!((asked, admitted), (2_001, 500));
}
