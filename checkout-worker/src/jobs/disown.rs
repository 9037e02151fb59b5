//! Payments that carry a drop of ours and an order that the ledger does not have: made by a ledger that was lost.
//!
//! There is no order to keep the tries with, so what a key came to is recorded as events are: once, under a name derived
//! from the key. Any process finds the same next key. A cancellation that takes effect twice is still one. Money that goes
//! back is named in the operators' log, before and after: nothing else of its order is left.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::saga::{
    Alarm, Answer, Attempt, Call, IdempotencyKey, Operation, Payment, PaymentId, PaymentStatus, Repeat, Stall,
};
use domain::{Money, Span, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use crate::driver::outcome_word;
use crate::ledger::{AuditEntry, LedgerError};
use crate::provider::ProviderCall;
use crate::trail;

use super::{Jobs, Reconciled};

/// Keys that one such payment may use up, two failures or one refusal each: at a round every five minutes more than five
/// hours. After that only people can help, and they are told every time it is seen.
const KEYS_MAX: u32 = 64;
/// Payments that are remembered to be looked at again; a restart looks at a whole day anyway.
const UNSETTLED_MAX: usize = 1_000;

/// What becomes of captured money that no order knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Captured {
    /// It is a person's business, because giving it back cannot be undone.
    Leave,
    /// A person has said so: the ledger was restored, and the order is lost for good.
    GiveBack,
}

/// Payments whose end was not seen yet: the window moves on, they stay.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<BTreeSet<PaymentId>>);

impl Unsettled {
    pub(super) fn all(&self) -> BTreeSet<PaymentId> {
        self.lock().clone()
    }

    pub(super) fn insert(&self, payment: PaymentId) {
        let mut payments = self.lock();
        if payments.len() < UNSETTLED_MAX {
            payments.insert(payment);
        } else if !payments.contains(&payment) {
            tracing::warn!(payment.id = %payment, "too many payments to look at again; the next start looks at all");
        }
    }

    pub(super) fn remove(&self, payment: &PaymentId) {
        self.lock().remove(payment);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PaymentId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// What is to be done with such a payment, if anything is and its drop is sold here.
    pub(super) fn undoing(&self, payment: &Payment, captured: Captured) -> Option<Operation> {
        if !self.driver.drain.knows(&payment.drop) {
            return None;
        }
        if payment.is_open() {
            return Some(Operation::CancelStray);
        }
        (payment.is_kept() && captured == Captured::GiveBack).then_some(Operation::RefundStray)
    }

    /// Gives up an authorisation that no order knows, and gives captured money back where that was asked for.
    pub(super) async fn disown(
        &self,
        payment: &Payment,
        captured: Captured,
        found: &mut Reconciled,
    ) -> Result<(), LedgerError> {
        let (order, status) = (payment.order, payment.status);
        if payment.is_kept() || payment.status == PaymentStatus::RequiresCapture {
            tracing::error!(order.id = %order, payment.id = %payment.id, status = ?status, "a payment has no order");
            self.driver.observer.alarm(Alarm::Stray, order);
        }
        let Some(operation) = self.undoing(payment, captured) else {
            return Ok(());
        };
        if !self.driver.breaker.admits() {
            return Ok(());
        }
        let Some((key, n)) = self.usable_key(payment, operation).await? else {
            return Ok(());
        };
        let call = self.undo(payment, operation, key.clone(), n);
        let line = giving_back(&call);
        if let Some(line) = &line {
            self.driver.ledger.note(line.clone()).await?;
        }
        let start = Instant::now();
        let answer = self.driver.provider.perform(&call).await;
        let (took, word) = (start.elapsed(), outcome_word(&answer));
        trail::asked(&call, word, took);
        self.driver.took_note(operation.as_str(), &answer, took);
        if let Some(line) = line {
            found.given_back += u64::from(matches!(answer, Answer::Refunded(_)));
            let ended = line.ended(json!(word).to_string());
            self.driver.ledger.note(ended).await?;
        }
        self.remember(payment, &key, answer).await
    }

    /// The call that undoes such a payment.
    fn undo(&self, payment: &Payment, operation: Operation, key: IdempotencyKey, n: u32) -> ProviderCall {
        let (attempt, id) = (Attempt::numbered(n, Timestamp::EPOCH), payment.id.clone());
        let call = if operation == Operation::RefundStray {
            let kept = payment.captured.saturating_sub(payment.refunded);
            Call::RefundStray {
                attempt,
                payment: id,
                amount: Money::new(kept, payment.amount.currency),
            }
        } else {
            Call::CancelStray { attempt, payment: id }
        };
        ProviderCall {
            drop: payment.drop.clone(),
            order: payment.order,
            space: self.driver.keys.space(),
            key: Some(key),
            email: None,
            call,
        }
    }

    /// The first key of this payment that is not used up. Each payment of the lost order has a range of its own.
    async fn usable_key(
        &self,
        payment: &Payment,
        operation: Operation,
    ) -> Result<Option<(IdempotencyKey, u32)>, LedgerError> {
        let space = self.driver.keys.space();
        let first = payment.n.saturating_sub(1).saturating_mul(KEYS_MAX);
        for n in (1..=KEYS_MAX).map(|at| first.saturating_add(at)) {
            let key = IdempotencyKey::derive(space, &payment.drop, payment.order, operation, n);
            if !self.driver.ledger.event_known(spent(&key)).await? {
                return Ok(Some((key, n)));
            }
        }
        Ok(None)
    }

    /// Records what a key came to. It is used up by a definite answer, or by two server errors: the provider saves them.
    async fn remember(
        &self,
        payment: &Payment,
        key: &IdempotencyKey,
        answer: Answer,
    ) -> Result<(), LedgerError> {
        let (driver, kind) = (&self.driver, || "stray".to_owned());
        let used_up = match answer {
            Answer::Payment(after) => after.is_open(),
            Answer::Declined(_)
            | Answer::Rejected(_)
            | Answer::Refunded(_)
            | Answer::Absent
            | Answer::Stalled(Stall::Failed {
                repeat: Repeat::Never,
            }) => true,
            Answer::Stalled(Stall::Failed {
                repeat: Repeat::SameKey,
            }) => !driver.ledger.record_event(failed(key), kind()).await?,
            Answer::KeyMismatch => {
                driver.observer.alarm(Alarm::Frozen, payment.order);
                false
            }
            Answer::Stalled(Stall::RateLimited { retry_after }) => {
                driver
                    .drain
                    .slow_down(&payment.drop, retry_after.map(Span::as_duration))
                    .await;
                false
            }
            Answer::Stalled(Stall::Forbidden) => {
                driver.observer.alarm(Alarm::Forbidden, payment.order);
                driver.valve.halt();
                false
            }
            Answer::Stalled(Stall::InFlight | Stall::Lost) => false,
        };
        if used_up {
            driver.ledger.record_event(spent(key), kind()).await?;
        }
        Ok(())
    }
}

/// The operators' line of money that goes back. Only a restore sends it back, and a person has begun that.
fn giving_back(call: &ProviderCall) -> Option<AuditEntry> {
    let Call::RefundStray { payment, amount, .. } = &call.call else {
        return None;
    };
    let subject = format!("{} {payment} {} {}", call.order, amount.amount, amount.currency);
    Some(AuditEntry::new("restore.give_back", &subject, "restore"))
}

/// Names that no event of the provider's has.
fn spent(key: &IdempotencyKey) -> String {
    format!("{key}#spent")
}

fn failed(key: &IdempotencyKey) -> String {
    format!("{key}#failed")
}
