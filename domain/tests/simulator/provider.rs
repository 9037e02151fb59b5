//! A payment provider that behaves as Stripe documents: payment objects, and keys under which a request has its effect
//! once and its answer is repeated, saved server errors included.

use std::collections::BTreeMap;

use domain::saga::{
    Answer, Call, ClientSecret, KeySpace, Payment, PaymentId, PaymentStatus, Reason, Repeat, Stall,
};
use domain::{DropId, Money, OrderId};

use super::driver::Request;
use super::mutation::Mutation;

/// How long keys are remembered, in milliseconds.
const KEY_LIFE: u64 = 24 * 3_600_000;
/// Clocks differ by minutes at most; what is searched for is searched for from so much earlier.
const CLOCK_MARGIN: u64 = 600_000;

/// What goes wrong at the provider's end with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mishap {
    None,
    /// 429, before anything is looked at.
    Limited,
    /// 500, saved under the key; the effect may have happened.
    FailedSaved {
        effect: bool,
        repeat: Repeat,
    },
    /// 500 from in front of the API: nothing happened, nothing is saved.
    FailedUnsaved,
}

/// One payment object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) payment: Payment,
    pub(crate) method: String,
    pub(crate) created: u64,
}

#[derive(Clone, Debug)]
struct Saved {
    params: String,
    answer: Answer,
    at: u64,
    busy_until: u64,
}

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) objects: BTreeMap<PaymentId, Object>,
    pub(crate) outage: bool,
    /// Rises with every change to an object.
    pub(crate) revision: u64,
    keys: BTreeMap<String, Saved>,
    drop: DropId,
    mutation: Option<Mutation>,
}

impl Provider {
    pub(crate) fn new(drop: DropId, mutation: Option<Mutation>) -> Self {
        Self {
            objects: BTreeMap::new(),
            outage: false,
            revision: 0,
            keys: BTreeMap::new(),
            drop,
            mutation,
        }
    }

    /// Takes one request at `now` (true time); `busy` milliseconds long the same key answers "in flight".
    pub(crate) fn receive(&mut self, request: &Request, mishap: Mishap, now: u64, busy: u64) -> Answer {
        if mishap == Mishap::Limited {
            return Answer::Stalled(Stall::RateLimited { retry_after: None });
        }
        let Some(key) = &request.key else {
            return self.read(request);
        };
        if let Some(saved) = self.keys.get(key).filter(|saved| saved.at + KEY_LIFE > now) {
            if saved.params != request.params {
                return Answer::KeyMismatch;
            }
            if saved.busy_until > now {
                return Answer::Stalled(Stall::InFlight);
            }
            return saved.answer.clone();
        }
        let answer = match mishap {
            Mishap::None | Mishap::Limited => self.change(request, now),
            Mishap::FailedUnsaved => {
                return Answer::Stalled(Stall::Failed {
                    repeat: Repeat::SameKey,
                });
            }
            Mishap::FailedSaved { effect, repeat } => {
                if effect {
                    self.change(request, now);
                }
                Answer::Stalled(Stall::Failed { repeat })
            }
        };
        let saved = Saved {
            params: request.params.clone(),
            answer: answer.clone(),
            at: now,
            busy_until: now + busy,
        };
        self.keys.insert(key.clone(), saved);
        answer
    }

    fn read(&self, request: &Request) -> Answer {
        match &request.call {
            Call::Retrieve { payment } => self.snapshot(payment).map_or_else(refused, Answer::Payment),
            Call::Find { since, .. } => {
                let since = since.as_millis().saturating_sub(CLOCK_MARGIN);
                let mine = |o: &&Object| o.payment.order == request.order && o.created >= since;
                let newest = self.objects.values().filter(mine).max_by_key(|o| o.payment.n);
                newest.map_or(Answer::Absent, |o| Answer::Payment(o.payment.clone()))
            }
            Call::Authorise { .. }
            | Call::Capture { .. }
            | Call::Cancel { .. }
            | Call::Refund { .. }
            | Call::CancelStray { .. }
            | Call::RefundStray { .. } => unreachable!("changes go out under a key"),
        }
    }

    fn change(&mut self, request: &Request, now: u64) -> Answer {
        self.revision += 1;
        match &request.call {
            Call::Authorise {
                attempt,
                method,
                amount,
            } => self.create(request.order, attempt.n, method.as_str(), *amount, now),
            Call::Capture { payment, amount, .. } => self.alter(payment, |p| {
                let fits = p.status == PaymentStatus::RequiresCapture && amount.amount <= p.capturable;
                fits.then(|| {
                    (p.captured, p.capturable) = (amount.amount, 0);
                    p.status = PaymentStatus::Succeeded;
                })
            }),
            Call::Cancel { payment, .. } | Call::CancelStray { payment, .. } => self.alter(payment, |p| {
                let fits = p.is_open() && p.status != PaymentStatus::Processing;
                fits.then(|| {
                    p.capturable = 0;
                    p.status = PaymentStatus::Cancelled;
                })
            }),
            Call::Refund { payment, amount, .. } | Call::RefundStray { payment, amount, .. } => {
                let answer = self.alter(payment, |p| {
                    let fits =
                        p.status == PaymentStatus::Succeeded && p.refunded + amount.amount <= p.captured;
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

    fn create(&mut self, order: OrderId, n: u32, method: &str, amount: Money, now: u64) -> Answer {
        let id = PaymentId::new(&format!("pi_{:05}", self.objects.len() + 1)).expect("a short id");
        let mut payment = Payment {
            id: id.clone(),
            drop: self.drop.clone(),
            order,
            space: KeySpace::FIRST,
            n,
            status: PaymentStatus::RequiresConfirmation,
            amount,
            capturable: 0,
            captured: 0,
            refunded: 0,
            client_secret: Some(ClientSecret::new("secret").expect("a short secret")),
            decline: None,
        };
        match method {
            "pm_declined" => decline(&mut payment),
            "pm_3ds_good" | "pm_3ds_fails" | "pm_3ds_abandoned" => {
                payment.status = PaymentStatus::RequiresAction;
            }
            "pm_slow_good" | "pm_slow_declined" => payment.status = PaymentStatus::Processing,
            _ if self.mutation == Some(Mutation::AutomaticCapture) => {
                payment.status = PaymentStatus::Succeeded;
                payment.captured = amount.amount;
            }
            _ => authorise(&mut payment),
        }
        let answer = match &payment.decline {
            Some(reason) => Answer::Declined(reason.clone()),
            None => Answer::Payment(payment.clone()),
        };
        self.objects.insert(
            id,
            Object {
                payment,
                method: method.to_owned(),
                created: now,
            },
        );
        answer
    }

    fn alter(&mut self, id: &PaymentId, change: impl FnOnce(&mut Payment) -> Option<()>) -> Answer {
        let Some(object) = self.objects.get_mut(id) else {
            return refused();
        };
        match change(&mut object.payment) {
            Some(()) => Answer::Payment(object.payment.clone()),
            None => refused(),
        }
    }

    /// The payment as it stands.
    pub(crate) fn snapshot(&self, id: &PaymentId) -> Option<Payment> {
        self.objects.get(id).map(|object| object.payment.clone())
    }

    /// The provider finishes what it was processing.
    pub(crate) fn settle(&mut self, id: &PaymentId) -> bool {
        let object = self.objects.get_mut(id).expect("it was processing");
        if object.payment.status != PaymentStatus::Processing {
            return false;
        }
        self.revision += 1;
        if object.method == "pm_slow_good" {
            authorise(&mut object.payment);
        } else {
            decline(&mut object.payment);
        }
        true
    }

    /// The shopper answers the bank's question in their own browser, or tries another card there.
    pub(crate) fn bank(&mut self, id: &PaymentId) -> bool {
        let object = self.objects.get_mut(id).expect("the browser got its secret");
        match (object.payment.status, object.method.as_str()) {
            (PaymentStatus::RequiresAction, "pm_3ds_fails") => decline(&mut object.payment),
            (PaymentStatus::RequiresAction, "pm_3ds_good")
            | (PaymentStatus::RequiresMethod, "pm_3ds_fails") => {
                authorise(&mut object.payment);
            }
            _ => return false,
        }
        self.revision += 1;
        true
    }

    /// An authorisation runs out.
    pub(crate) fn lapse(&mut self, id: &PaymentId) -> bool {
        let object = self.objects.get_mut(id).expect("it was authorised");
        if object.payment.status != PaymentStatus::RequiresCapture {
            return false;
        }
        self.revision += 1;
        object.payment.capturable = 0;
        object.payment.status = PaymentStatus::Cancelled;
        true
    }
}

fn authorise(payment: &mut Payment) {
    payment.capturable = payment.amount.amount;
    payment.status = PaymentStatus::RequiresCapture;
}

fn decline(payment: &mut Payment) {
    payment.decline = Some(Reason::new("card_declined").expect("a short reason"));
    payment.status = PaymentStatus::RequiresMethod;
}

fn refused() -> Answer {
    Answer::Rejected(Reason::new("unexpected_state").expect("a short reason"))
}
