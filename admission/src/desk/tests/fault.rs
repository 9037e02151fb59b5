//! A store that can be held, taken away and overtaken, and that notes what it was asked.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::queue::{Advance, Claim, Claimant, EndReason, JoinRefusal, Moment, Stale, View};
use domain::{Control, Rank, StockHint};
use tokio::sync::RwLock;

use super::*;
use crate::store::{Answer, Going, JoinRequest, Went};

/// Passes everything on to another store, unless told otherwise.
pub(super) struct Faulty {
    store: Arc<dyn QueueStore>,
    /// Nothing is answered but refusals.
    pub(super) away: AtomicBool,
    /// Before each call of ours, another process makes the same.
    pub(super) overtaken: AtomicBool,
    /// Joins, renewals and orders wait while somebody writes.
    pub(super) gate: RwLock<()>,
    pub(super) joins: Mutex<Vec<Vec<ShopperKey>>>,
    pub(super) renewals: Mutex<Vec<usize>>,
    pub(super) orders: Mutex<Vec<usize>>,
    /// Calls that came too late.
    pub(super) stale: Mutex<Vec<Stale>>,
}

impl Faulty {
    pub(super) fn over(store: Arc<dyn QueueStore>) -> Self {
        Self {
            store,
            away: AtomicBool::new(false),
            overtaken: AtomicBool::new(false),
            gate: RwLock::new(()),
            joins: Mutex::default(),
            renewals: Mutex::default(),
            orders: Mutex::default(),
            stale: Mutex::default(),
        }
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn answer<'a, T: Send + 'a>(&'a self, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            if self.away.load(Ordering::SeqCst) {
                return Err(Unavailable {
                    retry_after: Span::from_secs(1),
                    reason: "taken away by the test",
                });
            }
            answer.await
        })
    }
}

impl QueueStore for Faulty {
    fn open<'a>(&'a self, rules: &'a DropRules, at: Moment) -> Answer<'a, Timestamp> {
        self.answer(self.store.open(rules, at))
    }

    fn join<'a>(
        &'a self,
        drop: &'a DropId,
        requests: Vec<JoinRequest>,
        at: Moment,
    ) -> Answer<'a, Vec<Result<domain::queue::Joined, JoinRefusal>>> {
        let names = requests.iter().map(|request| request.shopper).collect();
        self.joins.lock().unwrap().push(names);
        Box::pin(async move {
            drop_guard(self.gate.read().await);
            self.answer(self.store.join(drop, requests, at)).await
        })
    }

    fn view<'a>(&'a self, drop: &'a DropId, at: Moment) -> Answer<'a, View> {
        self.answer(self.store.view(drop, at))
    }

    fn advance<'a>(
        &'a self,
        drop: &'a DropId,
        advance: Advance,
        at: Moment,
    ) -> Answer<'a, Result<Rank, Stale>> {
        Box::pin(async move {
            if self.overtaken.load(Ordering::SeqCst) {
                self.store.advance(drop, advance, at).await?.unwrap();
            }
            let outcome = self.answer(self.store.advance(drop, advance, at)).await?;
            self.stale.lock().unwrap().extend(outcome.err());
            Ok(outcome)
        })
    }

    fn claim<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, Claim> {
        self.answer(self.store.claim(drop, claimant, at))
    }

    fn leave<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, ()> {
        self.answer(self.store.leave(drop, claimant, at))
    }

    fn renew<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<AdmissionId>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Option<Timestamp>>> {
        self.renewals.lock().unwrap().push(admissions.len());
        Box::pin(async move {
            drop_guard(self.gate.read().await);
            self.answer(self.store.renew(drop, admissions, now)).await
        })
    }

    fn end_session<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        reason: EndReason,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        self.answer(self.store.end_session(drop, admission, reason, now))
    }

    fn note_decided<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        self.answer(self.store.note_decided(drop, admission, now))
    }

    fn control<'a>(&'a self, drop: &'a DropId, command: Command, at: Moment) -> Answer<'a, Control> {
        self.answer(self.store.control(drop, command, at))
    }

    fn offer_stock<'a>(&'a self, drop: &'a DropId, reading: StockHint, now: Timestamp) -> Answer<'a, ()> {
        self.answer(self.store.offer_stock(drop, reading, now))
    }

    fn stock_hint(&self, drop: &DropId) -> Option<Arc<StockHint>> {
        self.store.stock_hint(drop)
    }

    fn go_to_order<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<(AdmissionId, Going)>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Went>> {
        self.orders.lock().unwrap().push(admissions.len());
        Box::pin(async move {
            drop_guard(self.gate.read().await);
            self.answer(self.store.go_to_order(drop, admissions, now)).await
        })
    }

    fn flush(&self, now: Timestamp) -> Answer<'_, ()> {
        self.answer(self.store.flush(now))
    }
}

/// Having passed the gate is all that was wanted of it.
fn drop_guard(_passed: tokio::sync::RwLockReadGuard<'_, ()>) {}
