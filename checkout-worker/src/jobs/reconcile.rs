//! The reconcilers: what the provider knows, brought into the ledger.

use std::sync::PoisonError;
use std::time::Duration;

use domain::saga::{Alarm, Answer, Call, Event, Operation, Payment, PaymentStatus, StateName};
use domain::{Span, Timestamp};
use tokio::time::Instant;

use crate::driver::Fed;
use crate::ledger::{LedgerError, OrderFilter};
use crate::provider::{ProviderCall, Window};

use super::{JobError, Jobs};

/// Orders asked about per round. At the usual request rate a round of them takes a few seconds.
const BATCH: u32 = 128;
/// Pages of 100 payments that one round looks at.
const PAGES_MAX: u32 = 1_000;
/// Windows overlap by this much: clocks differ, and the provider's list may trail its own answers.
const OVERLAP: Span = Span::from_mins(10);

/// What comparing the provider's payments with the ledger found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Reconciled {
    /// Payments looked at.
    pub seen: u64,
    /// Payments that told the ledger something, or were got rid of.
    pub applied: u64,
    /// Payments whose order the ledger does not know.
    pub unknown: u64,
}

impl Jobs {
    /// Asks about orders that stand still, and about parked ones. Says how many moved.
    pub async fn reconcile_orders(&self) -> Result<usize, LedgerError> {
        let stale = millis(self.timing.stale_after);
        let changed_before = Some(self.driver.clock.now() - stale);
        let states = vec![
            StateName::Authorising,
            StateName::ActionRequired,
            StateName::Cancelling,
            StateName::Committed,
        ];
        let filter = OrderFilter {
            states,
            changed_before,
            limit: BATCH,
            ..OrderFilter::default()
        };
        let mut orders = self.driver.ledger.list(filter).await?;
        // A refund that is parked sits in PAID, where nothing else would look.
        let filter = OrderFilter {
            flagged: true,
            changed_before,
            limit: BATCH,
            ..OrderFilter::default()
        };
        let parked = self.driver.ledger.list(filter).await?;
        orders.extend(
            parked
                .into_iter()
                .filter(|record| record.order.state.name() == StateName::Paid),
        );
        Ok(self.feed_all(orders, &Event::Look).await)
    }

    /// Lists the provider's payments since the last comparison and feeds each to its order. What nobody wants is given up.
    pub async fn reconcile_with_provider(&self) -> Result<Reconciled, JobError> {
        let now = self.driver.clock.now();
        let mut found = Reconciled::default();
        if !self.driver.breaker.admits() {
            return Ok(found);
        }
        let first = now - millis(self.timing.reconcile_window);
        let since = self.compared_until().map_or(first, |until| until - OVERLAP);
        let mut window = Window {
            since,
            until: now + OVERLAP,
            after: None,
        };
        for _ in 0..PAGES_MAX {
            let start = Instant::now();
            let page = self.driver.provider.list(window.clone()).await;
            let answer = page
                .as_ref()
                .map_or_else(|stall| Answer::Stalled(*stall), |_| Answer::Absent);
            self.driver.took_note("list", &answer, start.elapsed());
            let page = page.map_err(JobError::Provider)?;
            for payment in page.payments {
                self.compare(payment, &mut found).await?;
            }
            window.after = page.next;
            if window.after.is_none() {
                self.set_compared_until(now);
                return Ok(found);
            }
        }
        Err(JobError::Endless(PAGES_MAX))
    }

    async fn compare(&self, payment: Payment, found: &mut Reconciled) -> Result<(), JobError> {
        found.seen += 1;
        let fed = self
            .driver
            .feed(payment.order, Event::Seen(payment.clone()))
            .await?;
        match fed {
            Fed::Rested(_) | Fed::Deferred(_) => {
                found.applied += 1;
                self.wake();
            }
            Fed::Refused(_) => {}
            Fed::Unknown => {
                found.unknown += 1;
                self.disown(&payment).await;
            }
        }
        Ok(())
    }

    /// A payment that carries a drop of ours and an order that the ledger does not have. An authorisation is given up;
    /// captured money is a person's business, because giving it back cannot be undone.
    async fn disown(&self, payment: &Payment) {
        let ours = self.driver.drain.knows(&payment.drop);
        let (order, status) = (payment.order, payment.status);
        if payment.is_kept() || payment.status == PaymentStatus::RequiresCapture {
            tracing::error!(order.id = %order, payment.id = %payment.id, status = ?status, "a payment has no order");
            self.driver.observer.alarm(Alarm::Stray, order);
        }
        if !ours || !payment.is_open() {
            return;
        }
        let attempt = domain::saga::Attempt::numbered(payment.n, Timestamp::EPOCH);
        let key =
            domain::saga::IdempotencyKey::derive(&payment.drop, order, Operation::CancelStray, payment.n);
        let call = Call::CancelStray {
            attempt,
            payment: payment.id.clone(),
        };
        let call = ProviderCall {
            drop: payment.drop.clone(),
            order,
            key: Some(key),
            email: None,
            call,
        };
        let start = Instant::now();
        let answer = self.driver.provider.perform(&call).await;
        self.driver
            .took_note(Operation::CancelStray.as_str(), &answer, start.elapsed());
    }

    fn compared_until(&self) -> Option<Timestamp> {
        *self.compared_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_compared_until(&self, until: Timestamp) {
        *self.compared_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

pub(super) fn millis(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
