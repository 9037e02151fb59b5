//! The reconcilers: what the provider knows, brought into the ledger.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use domain::saga::{Answer, Event, KeySpace, Payment, PaymentId, StateName};
use domain::{Span, Timestamp};
use tokio::time::Instant;

use crate::driver::{DriveError, Fed, outcome_word};
use crate::ledger::{LedgerError, OrderFilter};
use crate::provider::Window;
use crate::trail;

use super::disown::Captured;
use super::{Causes, JobError, Jobs};

/// Orders asked about per round. At the usual request rate a round of them takes a few seconds.
const BATCH: u32 = 128;
/// No payment that waits for its shopper goes longer than this without being read.
const BANK_PAUSE_MAX: Span = Span::from_mins(3);
/// Pages of 100 payments that are looked at in one go.
const PAGES_MAX: u32 = 1_000;
/// In how many slices a long time is compared. What is compared stays so when the provider fails at a later one; but each costs
/// a request, also where nothing was sold.
const SLICES: u64 = 4;
/// A time no longer than this is compared in one.
const SLICE: Span = Span::from_mins(60);
/// Where a slice holds more than is looked at in one go, those that follow are as short as this: [`PAGES_MAX`] pages of it are
/// 110 payments a second, several times what an ordinary account may make. Each try in vain costs as many requests, so the
/// way down is short.
const SLICE_SHORT: Span = Span::from_mins(15);
/// Where that is too long still, this is the end: with [`CLOCK_MARGIN`] on one side 150 payments a second.
const SLICE_MIN: Span = Span::from_mins(1);
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
    /// Payments of those whose money was given back, as the provider answered.
    pub given_back: u64,
    /// The newest space that any of the payments was made in, if there was one of a drop that is sold here.
    pub newest: Option<KeySpace>,
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
            states: vec![StateName::Paid],
            flagged: true,
            changed_before,
            limit: BATCH,
            ..OrderFilter::default()
        };
        orders.extend(self.driver.ledger.list(filter).await?);
        Ok(self.feed_all(orders, &Event::Look).await)
    }

    /// Lists the provider's payments since the last comparison and feeds each to its order. What nobody wants is given up;
    /// what was not settled in an earlier round is looked at again, however old it is.
    pub async fn reconcile_with_provider(&self) -> Result<Reconciled, JobError> {
        let now = self.driver.clock.now();
        if !self.driver.breaker.admits() {
            return Ok(Reconciled::default());
        }
        self.walk(self.since(now), now, Captured::Leave).await
    }

    /// The same for everything since `since`, after the ledger was restored: captured money whose order is lost goes back.
    pub(crate) async fn restore_from_provider(&self, since: Timestamp) -> Result<Reconciled, JobError> {
        self.walk(since, self.driver.clock.now(), Captured::GiveBack)
            .await
    }

    /// Compares the payments made between two instants, slice by slice, the oldest first.
    async fn walk(
        &self,
        since: Timestamp,
        until: Timestamp,
        captured: Captured,
    ) -> Result<Reconciled, JobError> {
        let (mut found, mut unsettled) = (Reconciled::default(), self.unsettled.all());
        let mut length = SLICE.max(Span::from_millis(until.since(since).as_millis() / SLICES));
        let mut from = since;
        loop {
            let to = (from + length).min(until);
            // Our clock cuts at the two ends only. Between two slices all is the provider's.
            let window = Window {
                since: if from == since { from - CLOCK_MARGIN } else { from },
                until: if to == until { to + CLOCK_MARGIN } else { to },
                after: None,
            };
            let walked = self.walk_slice(window, captured, &mut unsettled, &mut found);
            match walked.await {
                Ok(()) => {}
                Err(JobError::Endless(_)) if length > SLICE_MIN => {
                    length = if length > SLICE_SHORT {
                        SLICE_SHORT
                    } else {
                        SLICE_MIN
                    };
                    continue;
                }
                Err(failed) => return Err(failed),
            }
            self.set_compared_until(to);
            if to >= until {
                break;
            }
            from = to;
        }
        for payment in unsettled {
            self.look_again(&payment, captured, &mut found).await?;
        }
        Ok(found)
    }

    /// Compares the payments of one slice. Those are seen, and need not be looked at again.
    async fn walk_slice(
        &self,
        mut window: Window,
        captured: Captured,
        unsettled: &mut BTreeSet<PaymentId>,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        for _ in 0..PAGES_MAX {
            let start = Instant::now();
            let page = self.driver.provider.list(window.clone()).await;
            let answer = page
                .as_ref()
                .map_or_else(|stall| Answer::Stalled(*stall), |_| Answer::Absent);
            self.driver.took_note("list", &answer, start.elapsed());
            let page = page.map_err(JobError::Provider)?;
            for payment in page.payments {
                // A list need not take a refund off again that failed: such a payment is judged by reading it.
                if unsettled.remove(&payment.id) && payment.refunded > 0 {
                    self.look_again(&payment.id, captured, found).await?;
                } else {
                    self.compare(payment, captured, found).await?;
                }
            }
            window.after = page.next;
            if window.after.is_none() {
                return Ok(());
            }
        }
        Err(JobError::Endless(PAGES_MAX))
    }

    /// From when on to compare at `now`. A clock that went back has compared a future that is yet to come: it starts over.
    fn since(&self, now: Timestamp) -> Timestamp {
        let last = self.compared_until().filter(|until| *until <= now);
        last.unwrap_or_else(|| now - millis(self.timing.reconcile_window))
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
        let took = start.elapsed();
        let order = if let Answer::Payment(payment) = &answer {
            Some(payment.order)
        } else {
            None
        };
        trail::read(order, payment, outcome_word(&answer), took);
        self.driver.took_note("retrieve", &answer, took);
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
        if self.driver.drain.knows(&payment.drop) {
            found.newest = found.newest.max(Some(payment.space));
        }
        let id = payment.id.clone();
        let fed = self.driver.feed(payment.order, Event::Seen(payment.clone()));
        let fed = match fed.await {
            Ok(fed) => fed,
            Err(failed) if is_of_one_order(&failed) => {
                let (order, cause) = (payment.order, Causes(&failed));
                tracing::error!(order.id = %order, payment.id = %id, %cause, "a payment waits until its order is mended");
                self.unsettled.insert(id);
                return Ok(());
            }
            Err(failed) => return Err(failed.into()),
        };
        let settled = match fed {
            Fed::Rested(_) | Fed::Deferred(_) => {
                found.applied += 1;
                self.wake();
                false
            }
            Fed::Refused(_) => true,
            Fed::Unknown => {
                found.unknown += 1;
                self.disown(&payment, captured, found).await?;
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

/// Whether what failed is one order's own: its rows are not as they must be, or its answers go round. Others go on.
fn is_of_one_order(failed: &DriveError) -> bool {
    match failed {
        DriveError::Ledger { cause, .. } => match cause {
            LedgerError::Corrupt { .. } | LedgerError::AttemptChanged { .. } => true,
            LedgerError::Failed { .. } | LedgerError::Unsure { .. } | LedgerError::Unavailable { .. } => {
                false
            }
        },
        DriveError::Restless { .. } => true,
    }
}

pub(super) fn millis(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
