//! Re-drive, sweeper, canceller, auditor, and who reads about shoppers at their bank.

use std::sync::Arc;

use domain::Span;
use domain::saga::{Event, StateName};

use crate::audit::AuditReport;
use crate::driver::{DriveError, Fed};
use crate::ledger::{AuditEntry, LedgerError, OrderFilter, OrderRecord};
use crate::switch::{HALTED, Switches};
use crate::trail;

use super::reconcile::millis;
use super::{Causes, Jobs};

/// Orders taken per round and query; a round goes on until it finds fewer.
const BATCH: u32 = 256;
/// Rounds of one query within one tick: bounded, so that a job never starves the others.
const BATCHES_MAX: u32 = 64;
/// Orders at the provider at once for one recovery job.
const AT_ONCE: usize = 8;

impl Jobs {
    /// Writes a message for every order that is due, that nobody has in hand, and that no message is on its way to. Says
    /// how many.
    pub async fn redrive(&self) -> Result<u32, LedgerError> {
        let paused = self.driver.valve.paused_drops();
        let due = self.driver.ledger.due_drops().await?;
        let going = due.iter().filter(|(drop, _)| !paused.contains(drop));
        let counts: Vec<u64> = going.map(|(_, count)| *count).collect();
        self.crowd.divide(&counts);
        let limit = self.crowd.room_for(BATCH);
        let redriven = self.driver.ledger.redrive(limit, self.patience(), paused);
        let written = redriven.await?;
        if written > 0 {
            self.wake();
        }
        Ok(written)
    }

    /// How long ago a message must have been published to be taken for lost.
    fn patience(&self) -> Span {
        let standing = self.broker.standing();
        if !standing.takes_messages {
            // What it holds cannot be had now, and may never be.
            return Span::ZERO;
        }
        let usual = self.timing.patience;
        millis(standing.emptied.map_or(usual, |ago| usual.min(ago)))
    }

    /// Releases reservations past their time. Says how many.
    pub async fn sweep(&self) -> Result<u32, LedgerError> {
        let mut swept = 0;
        for _ in 0..BATCHES_MAX {
            let released = self.driver.ledger.expire(BATCH).await?;
            for record in &released {
                self.tell_released(record);
            }
            let count = u32::try_from(released.len()).unwrap_or(BATCH);
            swept += count;
            if count < BATCH {
                break;
            }
        }
        if swept > 0 {
            self.wake();
        }
        Ok(swept)
    }

    /// Gives up at the provider what was given up here. Says how many orders were looked at.
    pub async fn cancel(&self) -> Result<usize, LedgerError> {
        self.drive_due(StateName::Cancelling).await
    }

    /// Reads about shoppers at their bank whose time for it has come. Says how many were looked at. They take no turns of a
    /// drain, which are for orders that are taken to payment, and do not queue behind those in the broker. While payments are
    /// shut they wait, as everybody does: where credentials are refused, reading would be refused too.
    pub async fn look_for_confirmations(&self) -> Result<usize, LedgerError> {
        if self.driver.valve.shut_everywhere().is_some() {
            return Ok(0);
        }
        self.drive_due(StateName::ActionRequired).await
    }

    /// Drives the orders of a state that are due, page after page: those that wait for a person are due as well, and may
    /// not hide the others. While the provider does not answer, all stay as they are.
    async fn drive_due(&self, state: StateName) -> Result<usize, LedgerError> {
        let due_by = Some(self.driver.clock.now());
        let (mut after, mut count) = (None, 0);
        for _ in 0..BATCHES_MAX {
            if !self.driver.breaker.is_worth_trying() {
                break;
            }
            let filter = OrderFilter {
                states: vec![state],
                due_by,
                after,
                limit: BATCH,
                ..OrderFilter::default()
            };
            let mut orders = self.driver.ledger.list(filter).await?;
            after = orders.last().map(|record| record.order.id);
            if after.is_none() {
                break;
            }
            orders.retain(|record| {
                let order = &record.order;
                // Giving up goes on while payments are paused.
                let goes_on = state == StateName::Cancelling || self.driver.valve.shut(&order.drop).is_none();
                order.flag.is_none() && goes_on
            });
            count += orders.len();
            self.feed_all(orders, &Event::Drive).await;
        }
        Ok(count)
    }

    /// Does what the durable switches and changed drain rates say, and draws keys from the space that is in force. Refused
    /// credentials are made a switch of their own that every process sees and a restart keeps, so that an operator may end it
    /// at any of them.
    pub async fn follow_switches(&self) -> Result<(), LedgerError> {
        let (ledger, valve) = (&self.driver.ledger, &self.driver.valve);
        self.driver.drain.follow_ledger(ledger.as_ref()).await?;
        if valve.is_halted_here() {
            let why = "the provider refused our credentials";
            let entry = AuditEntry::new("payments.halt", why, "worker");
            ledger.set_switch(HALTED.to_owned(), true, entry).await?;
            valve.halt_is_kept();
        }
        // A process that stood still through a restore goes on when that has ended, and must then not draw keys from the space
        // before: the switches are read first, and what they open is opened last.
        let reading = valve.reading();
        let switches = Switches::of_names(ledger.switches().await?);
        self.driver.keys.move_to(ledger.key_space().await?);
        if valve.follow(reading, switches) {
            // Whoever waits for an order is told that it waits, or that it goes on.
            self.driver.hub.wake_all();
        }
        Ok(())
    }

    /// Compares all books and tells the house.
    pub async fn audit(&self) -> Result<AuditReport, LedgerError> {
        let report = AuditReport::of(self.driver.ledger.audit().await?, self.driver.clock.now());
        for difference in &report.differences {
            tracing::error!(
                what = difference.what,
                subject = %difference.subject,
                expected = difference.expected,
                found = difference.found,
                "the books differ"
            );
        }
        self.driver.observer.audited(&report);
        Ok(report)
    }

    /// Feeds one event to many orders, a few at a time. While the breaker is open they are left for the next round.
    pub(super) async fn feed_all(&self, orders: Vec<OrderRecord>, event: &Event) -> usize {
        let mut running = tokio::task::JoinSet::new();
        let mut moved = 0;
        let count = |ended: Option<Result<Result<Fed, DriveError>, tokio::task::JoinError>>| match ended {
            Some(Ok(Ok(Fed::Rested(_) | Fed::Deferred(_)))) => 1,
            Some(Ok(Ok(Fed::Refused(_) | Fed::Unknown))) | None => 0,
            Some(Ok(Err(failed))) => {
                tracing::warn!(cause = %Causes(&failed), "an order waits for the next round");
                0
            }
            Some(Err(died)) => {
                tracing::error!(cause = %died, "driving an order died");
                0
            }
        };
        for record in orders {
            if !self.driver.breaker.is_worth_trying() {
                break;
            }
            if running.len() >= AT_ONCE {
                moved += count(running.join_next().await);
            }
            let (driver, event) = (Arc::clone(&self.driver), event.clone());
            running.spawn(async move { driver.feed(record.order.id, event).await });
        }
        while let Some(ended) = running.join_next().await {
            moved += count(Some(ended));
        }
        if moved > 0 {
            self.wake();
        }
        moved
    }

    fn tell_released(&self, record: &OrderRecord) {
        trail::went_on(&record.order, StateName::Reserved);
        let (drop, observer) = (&record.order.drop, &self.driver.observer);
        observer.transition(drop, Some(StateName::Reserved), StateName::Released);
        observer.finished(
            drop,
            StateName::Released,
            self.driver.clock.now().since(record.waits_since()),
        );
        self.driver.hub.wake(record.order.id);
    }
}
