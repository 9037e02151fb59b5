//! Random histories against a model that keeps everything in plain lists and counts.

use proptest::prelude::*;

use super::*;
use crate::{DropRules, Span};

const PATIENCE: u64 = 60_000;
const SESSION: u64 = 20_000;

#[derive(Clone, Debug)]
enum Step {
    Join(u64),
    Claim(u64),
    Leave(u64),
    Call(u64),
    Renew(u64),
    End(u64),
    Wait(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..15).prop_map(Step::Join),
        6 => (0u64..15).prop_map(Step::Claim),
        1 => (0u64..15).prop_map(Step::Leave),
        3 => (1u64..4).prop_map(Step::Call),
        1 => (0u64..15).prop_map(Step::Renew),
        1 => (0u64..15).prop_map(Step::End),
        4 => (0u64..15_000).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Queued,
    Inside { until: u64 },
    Finished,
    Left,
}

struct Place {
    name: u64,
    number: u64,
    state: State,
    called_at: Option<u64>,
    back_until: u64,
}

/// Every place ever taken, every claim ever made.
#[derive(Default)]
struct Model {
    places: Vec<Place>,
    claims: Vec<u64>,
}

impl Model {
    fn expire(&mut self, now: u64) {
        for place in &mut self.places {
            if matches!(place.state, State::Inside { until } if until <= now) {
                place.state = State::Finished;
            }
        }
    }

    fn newest(&mut self, name: u64) -> Option<&mut Place> {
        self.places.iter_mut().rev().find(|place| place.name == name)
    }

    fn active(&self) -> usize {
        self.places
            .iter()
            .filter(|p| matches!(p.state, State::Inside { .. }))
            .count()
    }

    fn ahead(&self, number: u64, now: u64) -> usize {
        let waits = |p: &&Place| p.state == State::Queued && p.back_until > now && p.number < number;
        self.places.iter().filter(waits).count()
    }
}

/// What both sides say must be the same; where the history's grain (one second) leaves the queue
/// a choice between alive and lapsed, its choice is checked to be within the grain.
struct Pair {
    bench: Bench,
    model: Model,
    active: u64,
    per_minute: u64,
}

impl Pair {
    fn lapsed(&self, place: &Place) -> (bool, bool) {
        let age = place.called_at.map_or(0, |at| self.bench.now - at);
        let back = place.back_until > self.bench.now;
        (age >= PATIENCE + 1_000 && !back, age < PATIENCE || back)
    }

    fn join(&mut self, name: u64) {
        let next = self.model.places.iter().map(|p| p.number).max().unwrap_or(0) + 1;
        let number = self.bench.join(name).0;
        let now = self.bench.now;
        let old = self.model.places.iter().rev().find(|p| p.name == name);
        let (must_be_new, must_be_old) = match old {
            None => (true, false),
            Some(place) => match place.state {
                State::Queued => self.lapsed(place),
                State::Inside { until } => (until <= now, until > now),
                State::Finished | State::Left => (true, false),
            },
        };
        let is_new = old.is_none_or(|place| place.number != number);
        assert!(
            !(is_new && must_be_old) && (is_new || !must_be_new),
            "joining as {name}"
        );
        if is_new {
            assert_eq!(number, next);
            let place = Place {
                name,
                number,
                state: State::Queued,
                called_at: None,
                back_until: 0,
            };
            self.model.places.push(place);
        }
    }

    fn claim(&mut self, name: u64) {
        let now = self.bench.now;
        let Some(index) = self.model.places.iter().rposition(|p| p.name == name) else {
            return;
        };
        let number = self.model.places[index].number;
        let ticket = self.bench.ticket(name, Number(number), None);
        let outcome = self.bench.queue.claim(&ticket, self.bench.at());
        let place = &self.model.places[index];
        let (must_lapse, must_live) = self.lapsed(place);
        let recent = self.model.claims.iter().filter(|at| **at + 60_250 > now).count() as u64;
        let free = (self.active - self.active.min(self.model.active() as u64))
            .min(self.per_minute - self.per_minute.min(recent));
        let ahead = self.model.ahead(number, now) as u64;
        match outcome {
            Claim::Admitted {
                repeated: true,
                expires_at,
                ..
            } => {
                assert_eq!(
                    place.state,
                    State::Inside {
                        until: expires_at.as_millis()
                    }
                );
            }
            Claim::Admitted { repeated: false, .. } => {
                assert!(place.state == State::Queued && place.called_at.is_some() && !must_lapse);
                assert!(free > ahead, "free {free}, ahead {ahead}");
                self.model.claims.push(now);
                self.model.places[index].state = State::Inside { until: now + SESSION };
            }
            Claim::RoomFull { retry_after } => {
                assert!(place.state == State::Queued && place.called_at.is_some() && !must_lapse);
                assert!(free <= ahead);
                self.model.places[index].back_until = now + retry_after.as_millis() + 3_000;
            }
            Claim::NotCalled { position } => {
                assert_eq!((place.state, place.called_at), (State::Queued, None));
                assert_eq!(position, number - self.bench.queue.frontier().0 + 1);
            }
            Claim::Lapsed => assert!(!must_live || place.state != State::Queued),
            Claim::Left => assert_eq!(place.state, State::Left),
            Claim::Finished => assert_eq!(place.state, State::Finished),
            Claim::Paused | Claim::NotOpen | Claim::SoldOut | Claim::Ended => panic!("{outcome:?}"),
        }
    }

    fn leave(&mut self, name: u64) {
        let Some(number) = self.model.newest(name).map(|place| place.number) else {
            return;
        };
        let ticket = self.bench.ticket(name, Number(number), None);
        self.bench.queue.leave(&ticket, self.bench.at());
        if let Some(place) = self.model.newest(name).filter(|p| p.state != State::Finished) {
            place.state = State::Left;
            place.back_until = 0;
        }
    }

    fn call(&mut self, calls: u64) {
        let frontier = self.bench.call(calls).0;
        let now = self.bench.now;
        let uncalled = self.model.places.iter_mut().filter(|p| p.called_at.is_none());
        let mut called = 0;
        for place in uncalled.filter(|p| p.number < frontier) {
            place.called_at = Some(now);
            called += u64::from(place.state == State::Queued);
        }
        assert!(called <= calls);
    }

    fn touch(&mut self, name: u64, renew: bool) {
        let now = self.bench.at().now;
        let Some(place) = self.model.newest(name) else {
            return;
        };
        let State::Inside { .. } = place.state else { return };
        let number = place.number;
        place.state = if renew {
            State::Inside {
                until: now.as_millis() + SESSION,
            }
        } else {
            State::Finished
        };
        let id = self.bench.ticket(name, Number(number), None).admission;
        if renew {
            assert!(self.bench.queue.renew(id, now).is_some());
        } else {
            self.bench.queue.end_session(id, EndReason::Revoked, now);
        }
    }

    fn restart(&mut self) {
        let saved = self.bench.queue.save(self.bench.at().now);
        self.bench.queue = Queue::restore(self.bench.queue.rules().clone(), saved, self.bench.at().now);
        // Who was expected back is forgotten by a restart; the shopper asks again.
        self.model
            .places
            .iter_mut()
            .for_each(|place| place.back_until = 0);
    }

    fn apply(&mut self, step: &Step) {
        self.model.expire(self.bench.now);
        match step {
            Step::Join(name) => self.join(*name),
            Step::Claim(name) => self.claim(*name),
            Step::Leave(name) => self.leave(*name),
            Step::Call(calls) => self.call(*calls),
            Step::Renew(name) => self.touch(*name, true),
            Step::End(name) => self.touch(*name, false),
            Step::Wait(millis) => self.bench.now += millis,
            Step::Restart => self.restart(),
        }
        self.model.expire(self.bench.now);
        let view = self.bench.queue.view(self.bench.at());
        assert_eq!(view.room.active, self.model.active() as u64);
        let waiting = |p: &&Place| p.state == State::Queued && p.called_at.is_none();
        assert_eq!(
            view.room.waiting,
            self.model.places.iter().filter(waiting).count() as u64
        );
        assert!(view.room.active <= self.active);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_queue_agrees_with_a_model_of_plain_lists(
        steps in proptest::collection::vec(step(), 0..150), active in 1u32..5, per_minute in 1u32..8,
    ) {
        let rules = DropRules {
            session_duration: Span::from_millis(SESSION),
            claim_window: Span::from_millis(PATIENCE / 3),
            late_grace: Span::from_millis(PATIENCE - PATIENCE / 3),
            ..rules(active, per_minute)
        };
        let mut pair = Pair {
            bench: Bench::new(rules), model: Model::default(),
            active: u64::from(active), per_minute: u64::from(per_minute),
        };
        let mut frontier = Rank(0);
        for step in &steps {
            pair.apply(step);
            prop_assert!(pair.bench.queue.frontier() >= frontier);
            frontier = pair.bench.queue.frontier();
        }
        let claims = &pair.model.claims;
        for start in claims {
            let inside = claims.iter().filter(|at| **at >= *start && **at < start + 60_000).count();
            prop_assert!(inside <= per_minute as usize);
        }
    }
}
