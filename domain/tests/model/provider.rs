//! The provider: payment objects, and keys under which a request has its effect once and its answer is repeated, saved
//! server errors included. Nothing here knows what an order is for.

use std::collections::BTreeMap;

use domain::saga::{
    Answer, Call, IdempotencyKey, KeySpace, Payment, PaymentId, PaymentStatus, Reason, Repeat, Stall,
};
use domain::{Money, OrderId};

use super::scene::Card;
use super::world::{drop_id, total};

/// What goes wrong with one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mishap {
    /// The request never arrives.
    Dropped,
    /// It takes effect; nobody hears the answer.
    AnswerLost,
    /// The sender gives up, and the request arrives at some later time.
    Late,
    /// A server error without an effect, saved under the key.
    Failed,
    /// A server error after the effect, saved under the key.
    FailedAfterEffect,
    /// A server error from in front of the provider: nothing happened, and nothing is saved.
    FailedBefore,
}

/// A request as the provider gets it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Request {
    pub(crate) order: OrderId,
    pub(crate) call: Call,
    /// Changes have one, reads have none.
    pub(crate) key: Option<IdempotencyKey>,
}

/// What the provider remembers of a key: what it was about, and the answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Saved {
    order: OrderId,
    /// Whether it is the kind of key that orders use after their end.
    stray: bool,
    about: Option<PaymentId>,
    answer: Answer,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Provider {
    pub(crate) payments: Vec<Payment>,
    keys: BTreeMap<IdempotencyKey, Saved>,
}

impl Mishap {
    /// Everything that can go wrong with a change; reads can only be lost.
    pub(crate) const OF_CHANGES: [Self; 6] = [
        Self::Dropped,
        Self::AnswerLost,
        Self::Late,
        Self::Failed,
        Self::FailedAfterEffect,
        Self::FailedBefore,
    ];
}

/// How the provider is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Capturing {
    /// By a call of its own, as the protocol wants it.
    Apart,
    /// Together with the authorisation.
    AtOnce,
}

impl Provider {
    /// Takes one request; `error` is a server error that it answers with, and whether the effect happens all the same.
    pub(crate) fn receive(
        &mut self,
        request: &Request,
        capturing: Capturing,
        error: Option<Mishap>,
    ) -> Answer {
        let Some(key) = &request.key else {
            return self.read(request);
        };
        let about = subject(&request.call);
        if let Some(saved) = self.keys.get(key) {
            if saved.about != about {
                return Answer::KeyMismatch;
            }
            return saved.answer.clone();
        }
        let failed = Answer::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        });
        let answer = match error {
            Some(Mishap::FailedBefore) => return failed,
            Some(Mishap::Failed) => failed,
            Some(Mishap::FailedAfterEffect) => {
                self.change(request, capturing);
                failed
            }
            Some(Mishap::Dropped | Mishap::AnswerLost | Mishap::Late) | None => {
                self.change(request, capturing)
            }
        };
        let saved = Saved {
            order: request.order,
            stray: matches!(
                request.call,
                Call::CancelStray { .. } | Call::RefundStray { .. } | Call::Refund { .. }
            ),
            about,
            answer: answer.clone(),
        };
        self.keys.insert(key.clone(), saved);
        answer
    }

    /// Whether `request` would make a payment if it arrived now.
    pub(crate) fn makes_a_payment_of(&self, request: &Request) -> bool {
        let unknown = |key: &IdempotencyKey| !self.keys.contains_key(key);
        matches!(request.call, Call::Authorise { .. }) && request.key.as_ref().is_some_and(unknown)
    }

    /// Whether there are keys of `order` that only the order itself, before its end, would use.
    pub(crate) fn has_keys_to_forget(&self, order: OrderId) -> bool {
        self.keys
            .values()
            .any(|saved| saved.order == order && !saved.stray)
    }

    /// Forgets them: nobody will ask again.
    pub(crate) fn forget_keys(&mut self, order: OrderId) {
        self.keys.retain(|_, saved| saved.order != order || saved.stray);
    }

    /// Forgets every key, as it may after a day.
    pub(crate) fn forget_all_keys(&mut self) {
        self.keys.clear();
    }

    fn read(&self, request: &Request) -> Answer {
        match &request.call {
            Call::Retrieve { payment } => {
                let known = self.payments.iter().find(|p| p.id == *payment);
                known.map_or_else(refused, |payment| Answer::Payment(payment.clone()))
            }
            Call::Find { .. } => {
                let ours = self.payments.iter().filter(|p| p.order == request.order);
                let newest = ours.max_by_key(|payment| payment.n);
                newest.map_or(Answer::Absent, |payment| Answer::Payment(payment.clone()))
            }
            Call::Authorise { .. }
            | Call::Capture { .. }
            | Call::Cancel { .. }
            | Call::Refund { .. }
            | Call::CancelStray { .. }
            | Call::RefundStray { .. } => unreachable!("changes go out under a key"),
        }
    }

    /// Does what is asked, whatever was asked before.
    pub(crate) fn change(&mut self, request: &Request, capturing: Capturing) -> Answer {
        match &request.call {
            Call::Authorise { attempt, method, .. } => {
                self.create(request.order, attempt.n, Card::of(method), capturing)
            }
            Call::Capture { payment, amount, .. } => self.alter(payment, |p| {
                (p.status == PaymentStatus::RequiresCapture).then(|| capture(p, *amount))
            }),
            Call::Cancel { payment, .. } | Call::CancelStray { payment, .. } => self.alter(payment, |p| {
                let fits = p.is_open() && p.status != PaymentStatus::Processing;
                fits.then(|| give_up(p))
            }),
            Call::Refund { payment, amount, .. } | Call::RefundStray { payment, amount, .. } => {
                let answer = self.alter(payment, |p| {
                    let fits = p.refunded + amount.amount <= p.captured;
                    fits.then(|| p.refunded += amount.amount)
                });
                if let Answer::Payment(_) = answer {
                    Answer::Refunded(amount.amount)
                } else {
                    answer
                }
            }
            Call::Retrieve { .. } | Call::Find { .. } => unreachable!("reads carry no key"),
        }
    }

    fn create(&mut self, order: OrderId, n: u32, card: Card, capturing: Capturing) -> Answer {
        let before = self.payments.iter().filter(|p| p.order == order).count();
        let id = PaymentId::new(&format!("pi_{}_{before}", order.0)).expect("a short id");
        let mut payment = Payment {
            id,
            drop: drop_id(),
            order,
            space: KeySpace::FIRST,
            n,
            status: PaymentStatus::Processing,
            amount: total(),
            capturable: 0,
            captured: 0,
            refunded: 0,
            client_secret: None,
            decline: None,
        };
        match card {
            Card::Good => authorise(&mut payment),
            Card::Bad => refuse(&mut payment),
            Card::Secure => payment.status = PaymentStatus::RequiresAction,
            Card::Slow => {}
        }
        if capturing == Capturing::AtOnce && payment.status == PaymentStatus::RequiresCapture {
            capture(&mut payment, total());
        }
        let answer = match &payment.decline {
            Some(reason) => Answer::Declined(reason.clone()),
            None => Answer::Payment(payment.clone()),
        };
        self.payments.push(payment);
        // Which order's payment was first is of no interest to anybody.
        self.payments.sort_by(|a, b| a.id.cmp(&b.id));
        answer
    }

    fn alter(&mut self, id: &PaymentId, change: impl FnOnce(&mut Payment) -> Option<()>) -> Answer {
        let payment = self.payments.iter_mut().find(|p| p.id == *id);
        match payment.and_then(|p| change(p).map(|()| p.clone())) {
            Some(payment) => Answer::Payment(payment),
            None => refused(),
        }
    }
}

/// The payment that a call is about; an authorisation makes its own.
fn subject(call: &Call) -> Option<PaymentId> {
    match call {
        Call::Capture { payment, .. }
        | Call::Cancel { payment, .. }
        | Call::Refund { payment, .. }
        | Call::CancelStray { payment, .. }
        | Call::RefundStray { payment, .. }
        | Call::Retrieve { payment } => Some(payment.clone()),
        Call::Authorise { .. } | Call::Find { .. } => None,
    }
}

pub(crate) fn authorise(payment: &mut Payment) {
    payment.capturable = payment.amount.amount;
    payment.status = PaymentStatus::RequiresCapture;
}

pub(crate) fn refuse(payment: &mut Payment) {
    payment.decline = Some(word("card_declined"));
    payment.status = PaymentStatus::RequiresMethod;
}

pub(crate) fn give_up(payment: &mut Payment) {
    payment.capturable = 0;
    payment.status = PaymentStatus::Cancelled;
}

fn capture(payment: &mut Payment, amount: Money) {
    (payment.captured, payment.capturable) = (amount.amount, 0);
    payment.status = PaymentStatus::Succeeded;
}

fn refused() -> Answer {
    Answer::Rejected(word("unexpected_state"))
}

fn word(text: &str) -> Reason {
    Reason::new(text).expect("a short word")
}
