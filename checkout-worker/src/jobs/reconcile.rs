//! The reconcilers: what the provider knows, brought into the ledger.

use std::sync::PoisonError;
use std::time::Duration;

use domain::saga::{Answer, Event, Payment, PaymentId, StateName};
use domain::{Span, Timestamp};
use tokio::time::Instant;

use crate::driver::Fed;
use crate::ledger::{LedgerError, OrderFilter};
use crate::provider::Window;

use super::disown::Captured;
use super::{JobError, Jobs};

/// Orders asked about per round. At the usual request rate a round of them takes a few seconds.
const BATCH: u32 = 128;
/// No payment that waits for its shopper goes longer than this without being read.
const BANK_PAUSE_MAX: Span = Span::from_mins(3);
/// Pages of 100 payments that one round looks at.
const PAGES_MAX: u32 = 1_000;
/// How far windows reach beyond what they are about, on both sides. A payment's creation is stamped by the provider's
/// clock and the window is cut by ours: one made a moment before the last comparison may be stamped after it, and one made
/// just now may be stamped in our future. The list may also trail the provider's own answers. Looking at a payment twice
/// costs nothing; one that falls between two windows is looked at by nobody.
pub const CLOCK_MARGIN: Span = Span::from_mins(10);

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
        // Shoppers at their bank are read about at times of their own, ever more rarely. Stood still have those alone that
        // no time was kept for; the others would fill the batch.
        let filter = OrderFilter {
            states: vec![StateName::ActionRequired],
            changed_before: changed_before.map(|at| at - BANK_PAUSE_MAX),
            limit: BATCH,
            ..OrderFilter::default()
        };
        orders.extend(self.driver.ledger.list(filter).await?);
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

    /// Lists the provider's payments since the last comparison and feeds each to its order. What nobody wants is given up;
    /// what was not settled in an earlier round is looked at again, however old it is.
    pub async fn reconcile_with_provider(&self) -> Result<Reconciled, JobError> {
        let now = self.driver.clock.now();
        if !self.driver.breaker.admits() {
            return Ok(Reconciled::default());
        }
        let found = self.walk(self.window(now), Captured::Leave).await?;
        self.set_compared_until(now);
        Ok(found)
    }

    /// The same for everything since `since`, after the ledger was restored: captured money whose order is lost goes back.
    pub(crate) async fn restore_from_provider(&self, since: Timestamp) -> Result<Reconciled, JobError> {
        let window = between(since, self.driver.clock.now());
        self.walk(window, Captured::GiveBack).await
    }

    async fn walk(&self, mut window: Window, captured: Captured) -> Result<Reconciled, JobError> {
        let mut found = Reconciled::default();
        let mut unsettled = self.unsettled.all();
        for _ in 0..PAGES_MAX {
            let start = Instant::now();
            let page = self.driver.provider.list(window.clone()).await;
            let answer = page
                .as_ref()
                .map_or_else(|stall| Answer::Stalled(*stall), |_| Answer::Absent);
            self.driver.took_note("list", &answer, start.elapsed());
            let page = page.map_err(JobError::Provider)?;
            for payment in page.payments {
                unsettled.remove(&payment.id);
                self.compare(payment, captured, &mut found).await?;
            }
            window.after = page.next;
            if window.after.is_none() {
                for payment in unsettled {
                    self.look_again(&payment, captured, &mut found).await?;
                }
                return Ok(found);
            }
        }
        Err(JobError::Endless(PAGES_MAX))
    }

    /// What to list at `now`. A clock that went back has compared a future that is yet to come: it starts over.
    fn window(&self, now: Timestamp) -> Window {
        let last = self.compared_until().filter(|until| *until <= now);
        let since = last.unwrap_or_else(|| now - millis(self.timing.reconcile_window));
        between(since, now)
    }

    async fn look_again(
        &self,
        payment: &PaymentId,
        captured: Captured,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        if !self.driver.breaker.admits() {
            return Ok(());
        }
        let start = Instant::now();
        let answer = self.driver.provider.retrieve(payment).await;
        self.driver.took_note("retrieve", &answer, start.elapsed());
        match answer {
            Answer::Payment(payment) => self.compare(payment, captured, found).await,
            Answer::Stalled(_) => Ok(()),
            // Not there, or none of ours any more.
            Answer::Refunded(_)
            | Answer::Absent
            | Answer::Declined(_)
            | Answer::Rejected(_)
            | Answer::KeyMismatch => {
                self.unsettled.remove(payment);
                Ok(())
            }
        }
    }

    async fn compare(
        &self,
        payment: Payment,
        captured: Captured,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        found.seen += 1;
        let id = payment.id.clone();
        let fed = self
            .driver
            .feed(payment.order, Event::Seen(payment.clone()))
            .await?;
        let settled = match fed {
            Fed::Rested(_) | Fed::Deferred(_) => {
                found.applied += 1;
                self.wake();
                false
            }
            Fed::Refused(_) => true,
            Fed::Unknown => {
                found.unknown += 1;
                self.disown(&payment, captured).await?;
                self.undoing(&payment, captured).is_none()
            }
        };
        if settled {
            self.unsettled.remove(&id);
        } else {
            self.unsettled.insert(id);
        }
        Ok(())
    }

    /// Payments whose end was not seen yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.all().len()
    }

    fn compared_until(&self) -> Option<Timestamp> {
        *self.compared_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_compared_until(&self, until: Timestamp) {
        *self.compared_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// The payments made between two instants, and those that may have been.
fn between(since: Timestamp, until: Timestamp) -> Window {
    Window {
        since: since - CLOCK_MARGIN,
        until: until + CLOCK_MARGIN,
        after: None,
    }
}

pub(super) fn millis(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
