//! A provider in memory, for tests and for the whole-shop simulator: honest books behind a line that loses, repeats and
//! fails as it is told.
//!
//! It keeps keys as the real one does (the first answer under a key is saved and repeated, also a 500) and knows the same
//! test payment methods by their names.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::saga::{Answer, Call, ClientSecret, Payment, PaymentId, PaymentStatus, Reason, Repeat, Stall};
use domain::{Clock, Span, Timestamp};

use crate::ledger::Reply;

use super::{Page, Provider, ProviderCall, Window, fingerprint};

/// How long a key is remembered.
const KEY_MEMORY: Span = Span::from_secs(24 * 3_600);
/// Payments per page of a list.
const PAGE: usize = 100;

/// How one request goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does not.
    None,
    /// It never arrives.
    RequestLost,
    /// It takes effect and nobody hears of it.
    AnswerLost,
    /// Nothing happens, and a 500 is saved under the key.
    SavedError,
    /// It takes effect, and a 500 is saved under the key all the same.
    SavedErrorAfterEffect,
    /// Too many requests.
    RateLimited,
    /// The credentials are refused.
    Forbidden,
}

/// What the provider's own books say.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Books {
    /// Every payment, in the order of creation.
    pub payments: Vec<Payment>,
    /// Captures that took effect, per payment: more than one is a double charge.
    pub captures: BTreeMap<PaymentId, u32>,
    /// Requests that arrived.
    pub requests: u64,
}

/// A provider in memory. Clones share their books.
#[derive(Clone)]
pub struct MemoryProvider {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    books: Books,
    created: Vec<Timestamp>,
    keys: BTreeMap<String, Saved>,
    faults: VecDeque<Fault>,
}

struct Saved {
    params: [u8; 32],
    answer: Answer,
    at: Timestamp,
}

impl MemoryProvider {
    /// An honest provider with empty books.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
        }
    }

    /// What will go wrong with the coming requests, one after the other; after the last one nothing does.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults = faults.into_iter().collect();
    }

    /// The books.
    pub fn books(&self) -> Books {
        self.lock().books.clone()
    }

    /// Lets the shopper finish (or fail) what the bank asked for. Says whether any payment waited for it.
    pub fn confirm(&self, payment: &PaymentId, approved: bool) -> bool {
        self.change(payment, |payment| {
            if payment.status != PaymentStatus::RequiresAction {
                return false;
            }
            if approved {
                payment.status = PaymentStatus::RequiresCapture;
                payment.capturable = payment.amount.amount;
            } else {
                payment.status = PaymentStatus::RequiresMethod;
                payment.decline = Reason::new("authentication_failed").ok();
            }
            true
        })
    }

    /// Lets an authorisation expire. Says whether there was one.
    pub fn expire(&self, payment: &PaymentId) -> bool {
        self.change(payment, |payment| {
            let held = payment.status == PaymentStatus::RequiresCapture;
            if held {
                payment.status = PaymentStatus::Cancelled;
                payment.capturable = 0;
            }
            held
        })
    }

    /// Somebody gives so much back in the provider's own dashboard. Says whether there was so much.
    pub fn refund(&self, payment: &PaymentId, amount: u64) -> bool {
        matches!(self.lock().refund(payment, amount), Answer::Refunded(_))
    }

    /// Lets all refunds of a payment fail, as banks do days later.
    pub fn fail_refunds(&self, payment: &PaymentId) -> bool {
        self.change(payment, |payment| std::mem::take(&mut payment.refunded) > 0)
    }

    fn change(&self, id: &PaymentId, change: impl FnOnce(&mut Payment) -> bool) -> bool {
        let mut state = self.lock();
        state
            .books
            .payments
            .iter_mut()
            .find(|payment| payment.id == *id)
            .is_some_and(change)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for MemoryProvider {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        let now = self.clock.now();
        let answer = self.lock().take(call, now);
        Box::pin(std::future::ready(answer))
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        let page = self.lock().page(&window);
        Box::pin(std::future::ready(Ok(page)))
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        let answer = self.lock().read(payment);
        Box::pin(std::future::ready(answer))
    }
}

impl State {
    fn take(&mut self, call: &ProviderCall, now: Timestamp) -> Answer {
        let failed = Answer::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        });
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::RequestLost => return Answer::Stalled(Stall::Lost),
            Fault::RateLimited => return Answer::Stalled(Stall::RateLimited { retry_after: None }),
            Fault::Forbidden => return Answer::Stalled(Stall::Forbidden),
            Fault::None | Fault::AnswerLost | Fault::SavedError | Fault::SavedErrorAfterEffect => {}
        }
        self.books.requests += 1;
        let params = fingerprint(call);
        self.keys.retain(|_, saved| now.since(saved.at) < KEY_MEMORY);
        if let Some(saved) = call.key.as_ref().and_then(|key| self.keys.get(key.as_str())) {
            let answer = if saved.params == params {
                saved.answer.clone()
            } else {
                Answer::KeyMismatch
            };
            return if fault == Fault::AnswerLost {
                Answer::Stalled(Stall::Lost)
            } else {
                answer
            };
        }
        let answer = match fault {
            Fault::SavedError => failed.clone(),
            Fault::None
            | Fault::AnswerLost
            | Fault::SavedErrorAfterEffect
            | Fault::RequestLost
            | Fault::RateLimited
            | Fault::Forbidden => self.perform(call, now),
        };
        let saved = if fault == Fault::SavedErrorAfterEffect {
            failed
        } else {
            answer
        };
        if let Some(key) = &call.key {
            let saved = Saved {
                params,
                answer: saved.clone(),
                at: now,
            };
            self.keys.insert(key.as_str().to_owned(), saved);
        }
        if fault == Fault::AnswerLost {
            Answer::Stalled(Stall::Lost)
        } else {
            saved
        }
    }

    fn perform(&mut self, call: &ProviderCall, now: Timestamp) -> Answer {
        match &call.call {
            Call::Authorise { .. } => self.authorise(call, now),
            Call::Capture { payment, .. } => self.capture(payment),
            Call::Cancel { payment, .. } | Call::CancelStray { payment, .. } => self.cancel(payment),
            Call::Refund { payment, amount, .. } | Call::RefundStray { payment, amount, .. } => {
                self.refund(payment, amount.amount)
            }
            Call::Retrieve { payment } => self.read(payment),
            Call::Find { .. } => {
                let ours = self
                    .books
                    .payments
                    .iter()
                    .filter(|payment| payment.order == call.order);
                let found = ours.max_by_key(|payment| (payment.space, payment.n));
                found.map_or(Answer::Absent, |payment| Answer::Payment(payment.clone()))
            }
        }
    }

    fn authorise(&mut self, call: &ProviderCall, now: Timestamp) -> Answer {
        let Call::Authorise {
            attempt,
            method,
            amount,
        } = &call.call
        else {
            return Answer::Absent;
        };
        let number = self.books.payments.len() + 1;
        let id = PaymentId::new(&format!("pi_{number}")).expect("a short name");
        let mut payment = Payment {
            id,
            drop: call.drop.clone(),
            order: call.order,
            space: attempt.space,
            n: attempt.n,
            status: PaymentStatus::RequiresCapture,
            amount: *amount,
            capturable: amount.amount,
            captured: 0,
            refunded: 0,
            client_secret: ClientSecret::new(&format!("pi_{number}_secret")).ok(),
            decline: None,
        };
        let name = method.as_str();
        if name.contains("hallengeRequired")
            || name.contains("SecureRequired")
            || name.contains("Secure2Required")
        {
            (payment.status, payment.capturable) = (PaymentStatus::RequiresAction, 0);
        } else if name.contains("Declined") {
            (payment.status, payment.capturable) = (PaymentStatus::RequiresMethod, 0);
            payment.decline = Reason::new("card_declined").ok();
        }
        let declined = payment.decline.clone();
        self.books.payments.push(payment.clone());
        self.created.push(now);
        declined.map_or(Answer::Payment(payment), Answer::Declined)
    }

    fn capture(&mut self, id: &PaymentId) -> Answer {
        let Some(payment) = self.find(id) else {
            return rejected("resource_missing");
        };
        if payment.status != PaymentStatus::RequiresCapture {
            return rejected("payment_intent_unexpected_state");
        }
        payment.status = PaymentStatus::Succeeded;
        (payment.captured, payment.capturable) = (payment.amount.amount, 0);
        let payment = payment.clone();
        *self.books.captures.entry(id.clone()).or_default() += 1;
        Answer::Payment(payment)
    }

    fn cancel(&mut self, id: &PaymentId) -> Answer {
        match self.find(id) {
            None => rejected("resource_missing"),
            Some(payment) if payment.is_open() && payment.status != PaymentStatus::Processing => {
                payment.status = PaymentStatus::Cancelled;
                payment.capturable = 0;
                Answer::Payment(payment.clone())
            }
            Some(_) => rejected("payment_intent_unexpected_state"),
        }
    }

    fn refund(&mut self, id: &PaymentId, amount: u64) -> Answer {
        match self.find(id) {
            None => rejected("resource_missing"),
            Some(payment) if payment.refunded + amount <= payment.captured => {
                payment.refunded += amount;
                Answer::Refunded(amount)
            }
            Some(_) => rejected("charge_already_refunded"),
        }
    }

    fn read(&mut self, id: &PaymentId) -> Answer {
        self.find(id).map_or_else(
            || rejected("resource_missing"),
            |payment| Answer::Payment(payment.clone()),
        )
    }

    fn find(&mut self, id: &PaymentId) -> Option<&mut Payment> {
        self.books.payments.iter_mut().find(|payment| payment.id == *id)
    }

    fn page(&self, window: &Window) -> Page {
        let all = self.books.payments.iter().zip(&self.created).rev();
        let after =
            all.skip_while(|(payment, _)| window.after.as_ref().is_some_and(|after| *after != payment.id));
        let within = after
            .filter(|(payment, _)| Some(&payment.id) != window.after.as_ref())
            .filter(|(_, created)| (window.since..=window.until).contains(*created));
        let mut payments: Vec<Payment> = within
            .map(|(payment, _)| payment.clone())
            .take(PAGE + 1)
            .collect();
        let more = payments.len() > PAGE;
        payments.truncate(PAGE);
        let next = payments.last().filter(|_| more).map(|payment| payment.id.clone());
        Page { payments, next }
    }
}

fn rejected(word: &str) -> Answer {
    Answer::Rejected(Reason::new(word).expect("our own words are short ASCII without space"))
}

impl std::fmt::Debug for MemoryProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryProvider({} payments)", self.lock().books.payments.len())
    }
}
