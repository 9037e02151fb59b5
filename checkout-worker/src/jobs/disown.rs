//! Payments that carry a drop of ours and an order that the ledger does not have: made by a ledger that was lost.
//!
//! There is no order to keep the tries with, so what a key came to is recorded as events are: once, under a name derived
//! from the key. Any process finds the same next key. A cancellation that takes effect twice is still one.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Span;
use domain::Timestamp;
use domain::saga::{
    Alarm, Answer, Attempt, Call, IdempotencyKey, Operation, Payment, PaymentId, PaymentStatus, Repeat, Stall,
};
use tokio::time::Instant;

use crate::ledger::LedgerError;
use crate::provider::ProviderCall;

use super::Jobs;

/// Keys that one such payment may use up, two failures or one refusal each: at a round every five minutes more than five
/// hours. After that only people can help, and they are told every time it is seen.
const KEYS_MAX: u32 = 64;
/// Payments that are remembered to be looked at again; a restart looks at a whole day anyway.
const UNSETTLED_MAX: usize = 1_000;

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
    /// Whether such a payment is open and of a drop that is sold here.
    pub(super) fn is_ours_to_give_up(&self, payment: &Payment) -> bool {
        payment.is_open() && self.driver.drain.knows(&payment.drop)
    }

    /// Gives up an authorisation that no order knows. Captured money is a person's business, because giving it back cannot
    /// be undone.
    pub(super) async fn disown(&self, payment: &Payment) -> Result<(), LedgerError> {
        let (order, status) = (payment.order, payment.status);
        if payment.is_kept() || payment.status == PaymentStatus::RequiresCapture {
            tracing::error!(order.id = %order, payment.id = %payment.id, status = ?status, "a payment has no order");
            self.driver.observer.alarm(Alarm::Stray, order);
        }
        if !self.is_ours_to_give_up(payment) || !self.driver.breaker.admits() {
            return Ok(());
        }
        let Some((key, n)) = self.usable_key(payment).await? else {
            return Ok(());
        };
        let call = Call::CancelStray {
            attempt: Attempt::numbered(n, Timestamp::EPOCH),
            payment: payment.id.clone(),
        };
        let call = ProviderCall {
            drop: payment.drop.clone(),
            order,
            key: Some(key.clone()),
            email: None,
            call,
        };
        let start = Instant::now();
        let answer = self.driver.provider.perform(&call).await;
        self.driver
            .took_note(Operation::CancelStray.as_str(), &answer, start.elapsed());
        self.remember(payment, &key, answer).await
    }

    /// The first key of this payment that is not used up. Each payment of the lost order has a range of its own.
    async fn usable_key(&self, payment: &Payment) -> Result<Option<(IdempotencyKey, u32)>, LedgerError> {
        let first = payment.n.saturating_sub(1).saturating_mul(KEYS_MAX);
        for n in (1..=KEYS_MAX).map(|at| first.saturating_add(at)) {
            let key = IdempotencyKey::derive(&payment.drop, payment.order, Operation::CancelStray, n);
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

/// Names that no event of the provider's has.
fn spent(key: &IdempotencyKey) -> String {
    format!("{key}#spent")
}

fn failed(key: &IdempotencyKey) -> String {
    format!("{key}#failed")
}
