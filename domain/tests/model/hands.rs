//! The two processes of the model: each has one order in hand at a time, and can die, dawdle or meet the other at any
//! point between reading, storing and calling.
//!
//! Reading an order, deciding and storing is one move. A decision that lost the compare-and-set is made again, so that
//! nobody could tell it from one that was made later in the first place. The exception is a process that falls asleep in
//! between, which is a fault: then the ledger has to notice.

use std::sync::Arc;

use domain::OrderId;
use domain::saga::{Answer, Asked, Call, Event, KeySpace, Moment, Operation, Stall, StateName, Step};

use super::ledger::Applied;
use super::mutation::Mutation;
use super::provider::{Capturing, Mishap, Provider, Request};
use super::scene::Scene;
use super::world::{NOW, World};

/// What a process has in hand. The two stand for workers, recovery jobs and webhook handlers alike.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Hand {
    Free,
    /// It stored a step and owes the call that follows.
    Owing(usize, Arc<Call>),
    /// It heard from the provider and has not yet looked at the ledger: an answer, or a payment that it read by itself.
    Told(usize, Arc<Event>),
    /// It decided and has not stored it. `stale` says that the order has moved on since it was read.
    Drowsy {
        order: usize,
        event: Arc<Event>,
        step: Arc<Step>,
        stale: bool,
    },
}

impl Hand {
    pub(crate) fn order(&self) -> Option<usize> {
        match self {
            Self::Free => None,
            Self::Owing(order, _) | Self::Told(order, _) | Self::Drowsy { order, .. } => Some(*order),
        }
    }

    fn drowsy(order: usize, event: Arc<Event>, step: Step) -> Self {
        let (step, stale) = (Arc::new(step), false);
        Self::Drowsy {
            order,
            event,
            step,
            stale,
        }
    }

    /// Whether it makes a call for order `at`, or has heard the answer and not stored what follows.
    pub(crate) fn waits_for(&self, at: usize) -> bool {
        match self {
            Self::Owing(order, _) => *order == at,
            Self::Told(order, event) | Self::Drowsy { order, event, .. } => {
                *order == at && answered(event).is_some()
            }
            Self::Free => false,
        }
    }

    /// Whether it heard an answer that order `at`, which is at its end, has no use for.
    pub(crate) fn is_idle_talk(&self, at: usize) -> bool {
        let Self::Told(order, event) = self else {
            return false;
        };
        let about_a_stray = |asked| {
            matches!(
                asked,
                Asked::Change(Operation::CancelStray | Operation::RefundStray, _)
            )
        };
        *order == at && answered(event).is_some_and(|asked| !about_a_stray(asked))
    }

    /// The place of a hand among hands. Two that rank the same may still differ; then their order stays as it is, and the
    /// checker sees two states where one would do.
    pub(crate) fn rank(&self) -> (u8, usize, Option<Asked>, bool) {
        match self {
            Self::Free => (0, 0, None, false),
            Self::Owing(order, call) => (1, *order, Some(call.asked()), false),
            Self::Told(order, event) => (2, *order, answered(event), false),
            Self::Drowsy { order, stale, .. } => (3, *order, None, *stale),
        }
    }
}

impl World {
    /// A hand that has nothing in it.
    pub(crate) fn free_hand(&self) -> Option<usize> {
        self.hands.iter().position(|hand| *hand == Hand::Free)
    }

    /// Makes the call that `hand` owes, and lets something go wrong with it.
    pub(crate) fn call(&mut self, scene: &Scene, hand: usize, mishap: Option<Mishap>) -> Option<()> {
        let Hand::Owing(at, call) = self.hands[hand].clone() else {
            return None;
        };
        let request = self.request(at, &call);
        let answer = match mishap {
            None | Some(Mishap::Failed | Mishap::FailedAfterEffect | Mishap::FailedBefore) => {
                self.send(scene, &request, mishap)
            }
            Some(Mishap::AnswerLost) => {
                self.send(scene, &request, None);
                Answer::Stalled(Stall::Lost)
            }
            Some(Mishap::Late) => {
                self.late.push(Arc::new(request));
                Answer::Stalled(Stall::Lost)
            }
            Some(Mishap::Dropped) => Answer::Stalled(Stall::Lost),
        };
        self.hands[hand] = Hand::Told(at, Arc::new(Event::Answered(call.asked(), answer)));
        Some(())
    }

    fn request(&self, at: usize, call: &Call) -> Request {
        let order = &self.row(at).order;
        let key = call
            .attempt()
            .map(|(operation, attempt)| order.key(KeySpace::FIRST, operation, attempt.n));
        Request {
            order: order.id,
            call: call.clone(),
            key,
        }
    }

    /// Whether a request for `order` is on its way, or about to be made, that would make a payment.
    pub(crate) fn may_still_pay(&self, order: OrderId) -> bool {
        let owed = self.hands.iter().filter_map(|hand| match hand {
            Hand::Owing(at, call) => Some(self.request(*at, call)),
            Hand::Free | Hand::Told(..) | Hand::Drowsy { .. } => None,
        });
        let late = self.late.iter().map(|request| (**request).clone());
        owed.chain(late)
            .any(|request| request.order == order && self.provider.makes_a_payment_of(&request))
    }

    pub(crate) fn send(&mut self, scene: &Scene, request: &Request, error: Option<Mishap>) -> Answer {
        let provider: &mut Provider = Arc::make_mut(&mut self.provider);
        if scene.has(Mutation::NewKeyOnRetry) && request.key.is_some() {
            return provider.change(request, capturing(scene));
        }
        provider.receive(request, capturing(scene), error)
    }

    /// Lets `hand` go on with what it heard or decided.
    pub(crate) fn go_on(&mut self, scene: &Scene, hand: usize) {
        let went_on = match std::mem::replace(&mut self.hands[hand], Hand::Free) {
            Hand::Told(at, event) => self.decide_and_store(scene, at, event),
            Hand::Drowsy {
                order,
                event,
                step,
                stale,
            } => match self.store(scene, order, &step, stale) {
                Applied::Done(call) => owing(order, call),
                // Somebody was faster: it reads again and decides anew.
                Applied::Conflict => Hand::Told(order, event),
                Applied::Refused => Hand::Free,
            },
            idle @ (Hand::Free | Hand::Owing(..)) => idle,
        };
        self.hands[hand] = went_on;
    }

    /// What a process has in hand after it looked at what it heard.
    fn decide_and_store(&mut self, scene: &Scene, at: usize, event: Arc<Event>) -> Hand {
        let Some(step) = self.decide(scene, at, (*event).clone(), Moment::at(NOW)) else {
            // An answer that no longer applies: somebody else has moved the order on, and it is theirs.
            return Hand::Free;
        };
        if let Some(call) = early_capture(scene, &step) {
            let request = self.request(at, call);
            self.send(scene, &request, None);
            return Hand::drowsy(at, event, step);
        }
        match self.store(scene, at, &step, false) {
            Applied::Done(call) => owing(at, call),
            Applied::Conflict | Applied::Refused => Hand::Free,
        }
    }

    /// Lets `hand` decide on what it heard, and fall asleep.
    pub(crate) fn doze(&mut self, scene: &Scene, hand: usize) -> Option<()> {
        let Hand::Told(order, event) = self.hands[hand].clone() else {
            return None;
        };
        let step = self.decide(scene, order, (*event).clone(), Moment::at(NOW))?;
        self.hands[hand] = Hand::drowsy(order, event, step);
        Some(())
    }

    /// Lets a free hand decide on an event, and fall asleep.
    pub(crate) fn doze_over(&mut self, scene: &Scene, at: usize, event: Event, moment: Moment) -> Option<()> {
        let step = self.decide(scene, at, event.clone(), moment)?;
        let hand = self.free_hand()?;
        self.hands[hand] = Hand::drowsy(at, Arc::new(event), step);
        Some(())
    }
}

/// Which call an event is the answer to.
const fn answered(event: &Event) -> Option<Asked> {
    let Event::Answered(asked, _) = event else {
        return None;
    };
    Some(*asked)
}

pub(crate) fn owing(at: usize, call: Option<Call>) -> Hand {
    call.map_or(Hand::Free, |call| Hand::Owing(at, Arc::new(call)))
}

pub(crate) fn capturing(scene: &Scene) -> Capturing {
    if scene.has(Mutation::AutomaticCapture) {
        Capturing::AtOnce
    } else {
        Capturing::Apart
    }
}

fn early_capture<'a>(scene: &Scene, step: &'a Step) -> Option<&'a Call> {
    let early = scene.has(Mutation::CaptureBeforeCommit) && step.from != StateName::Committed;
    step.call()
        .filter(|call| early && matches!(call, Call::Capture { .. }))
}
