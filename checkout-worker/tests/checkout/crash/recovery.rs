//! How a process goes on after a death: an operator opens what was left shut, jobs look for what is owed, and what messages
//! name is driven. Nothing is driven that no message names.

use checkout_worker::driver::Fed;
use checkout_worker::jobs::Timing;
use checkout_worker::ledger::{Channel, Pending};
use checkout_worker::switch::RESTORING;
use domain::saga::{ACTION_TIME, Why};
use domain::{Clock as _, OrderId, Span};

use super::Scene;
use super::outside::Shelf;
use crate::support::PAYMENTS;

/// Longer than any lease, any claim on a message and any backoff: whatever a dead process has kept for itself is free.
pub(super) const ROUND: Span = Span::from_secs(61);
/// Rounds in which everything must come to its end: twice what an order takes that is parked over a saved error, and more.
const ROUNDS_MAX: u32 = 15;
/// From this round on no shopper confirms with their bank any more.
const SHOPPERS_LEAVE: u32 = 3;
/// More messages than any story has.
const MESSAGES_MAX: u32 = 1_000;

impl Scene {
    /// All that a process does after a death.
    pub(super) async fn mend(&self) {
        self.unlock().await;
        self.settle(1).await;
    }

    /// An operator turns on again what may have been left shut, and brings a restore to its end.
    pub(super) async fn unlock(&self) {
        let switches = self.ledger.switches().await.unwrap();
        if switches.iter().any(|name| name == RESTORING) {
            self.restore().await;
        }
        self.checkout.resume(PAYMENTS, "test").await.unwrap();
    }

    /// Compares everything there is with the provider, as after a restore.
    pub(super) async fn restore(&self) {
        // As long as any story takes; not longer, because its payments are listed a quarter of an hour at a time.
        let since = self.clock.now() - Span::from_mins(15);
        let restored = Box::pin(self.checkout.restore(since, "test")).await.unwrap();
        assert!(restored.is_done(), "{restored:?}");
    }

    /// Rounds of recovery, each of them so many times over, until everything has come to its end; and another one, in
    /// which nothing moves any more.
    pub(super) async fn settle(&self, times: u32) {
        let mut complaints = Vec::new();
        for round in 1..=ROUNDS_MAX {
            self.round(round, times).await;
            complaints = self.complaints().await;
            if complaints.is_empty() {
                break;
            }
        }
        assert!(
            complaints.is_empty(),
            "after {ROUNDS_MAX} rounds: {complaints:#?}"
        );
        self.round(ROUNDS_MAX + 1, times).await;
        let complaints = self.complaints().await;
        assert!(
            complaints.is_empty(),
            "after all had come to its end: {complaints:#?}"
        );
    }

    /// The broker takes every message there is, says that it holds it, and loses it; and nobody hears of that.
    pub(super) async fn lose_messages(&self) {
        // The relay of a dead process has its messages to itself for a while.
        self.clock.advance(ROUND);
        let pending = self.pending().await;
        self.ledger.published(ids(&pending)).await.unwrap();
        if let Some(shelf) = &self.shelf {
            shelf.let_go(&shelf.waiting());
        }
        let patience = Timing::default().patience.as_millis();
        self.clock
            .advance(Span::from_millis(u64::try_from(patience).unwrap()));
    }

    async fn round(&self, number: u32, times: u32) {
        self.clock.advance(if number == SHOPPERS_LEAVE {
            ACTION_TIME
        } else {
            ROUND
        });
        let jobs = self.checkout.jobs();
        for _ in 0..times {
            jobs.sweep().await.unwrap();
            jobs.redrive().await.unwrap();
            self.carry(times).await;
            jobs.look_for_confirmations().await.unwrap();
            jobs.cancel().await.unwrap();
            jobs.reconcile_orders().await.unwrap();
            jobs.reconcile_with_provider().await.unwrap();
            while jobs.tell_now().await.unwrap() > 0 {}
        }
    }

    /// Relay, broker and worker by hand: each message so many times.
    async fn carry(&self, times: u32) {
        let pending = self.pending().await;
        let held = self.shelf.as_ref().map(Shelf::waiting).unwrap_or_default();
        let written = pending.iter().map(|message| message.order);
        for order in written.chain(held.iter().copied()) {
            for _ in 0..times {
                self.work_on(order).await;
            }
        }
        if !pending.is_empty() {
            self.ledger.delivered(ids(&pending)).await.unwrap();
        }
        if let Some(shelf) = &self.shelf {
            shelf.let_go(&held);
        }
    }

    /// What a worker does with a message.
    async fn work_on(&self, order: OrderId) {
        let fed = self.checkout.drive(order).await.unwrap();
        if matches!(&fed, Fed::Refused(refusal) if matches!(refusal.why, Why::NotYet | Why::Leased)) {
            self.ledger.postponed(order).await.unwrap();
        }
    }

    async fn pending(&self) -> Vec<Pending> {
        let pending = self.ledger.pending(Channel::Workers, MESSAGES_MAX).await;
        pending.unwrap()
    }
}

fn ids(messages: &[Pending]) -> Vec<i64> {
    messages.iter().map(|message| message.id).collect()
}
