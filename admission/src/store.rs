//! The port to whatever keeps the queues: memory with a journal, or later Redis.
//!
//! A store moves data and compares; it does not decide. Each operation has the meaning that
//! `domain::queue` gives it, applied atomically per drop, and every store must agree with it.
//!
//! What an answer promises: the effect is durable, and an admission counts against the rolling minute from
//! when it is answered, however long that took. `join` is the exception: the *number* is
//! never given twice, but who has it may be forgotten if the store dies within a second; the
//! shopper's ticket brings it back (see [`JoinRequest::held`]).
//!
//! Wrong answers that are harmless: a `view` that is a moment old (the frontier moves a tick
//! later; `advance` is refused by version), `NotCalled` or `RoomFull` a moment too long (the
//! shopper asks again), a join that is repeated or whose answer is lost (same shopper, same
//! place, or a number that belongs to nobody), an ending or leaving that is repeated.
//! Wrong answers that are not: a claim granted beyond a limit, a frontier that moves back, a
//! number given twice, a session forgotten while it runs. When in doubt a store refuses.
//!
//! Beside the queues a store keeps the **stock hint**: a reading of the ledger that one gateway made for
//! all. It is not durable and promises nothing; harmless is every wrong answer about it but one: an
//! admission that has gone to order must never be said not to have (see [`QueueStore::go_to_order`]).

mod asked;
#[cfg(test)]
pub(crate) mod contract;
pub mod embedded;
pub mod redis;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::queue::{Advance, Claim, Claimant, Command, EndReason, JoinRefusal, Joined, Moment, Stale, View};
use domain::{AdmissionId, Control, DropId, DropRules, Rank, ShopperKey, Span, StockHint, Timestamp};

/// An answer on its way. Boxed, so that the port can be used as `dyn`.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send + 'a>>;

/// The store did not answer, or could not make its answer durable. Try again later; what was
/// asked may or may not have happened, and asking again does it once.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue store is not available: {reason}")]
pub struct Unavailable {
    /// When to try again.
    pub retry_after: Span,
    /// What is wrong, for a log.
    pub reason: &'static str,
}

/// One shopper who wants a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinRequest {
    /// Who.
    pub shopper: ShopperKey,
    /// Decides the rank where the method draws one per shopper; must be unpredictable.
    pub random: u64,
    /// The place on the shopper's ticket, if there is one: taken up again if the store lost it.
    pub held: Option<Claimant>,
}

/// What somebody who is about to order says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Going {
    /// The ledger will be asked: whoever looks from now on is told so.
    Now,
    /// The ledger will be asked only if it may have been before.
    Perhaps,
}

/// Whether an admission went to order before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Went {
    /// Surely not, through any gateway.
    Never,
    /// It did, or nobody can tell.
    Perhaps,
}

/// Keeps the queues of all drops.
pub trait QueueStore: Send + Sync {
    /// Opens a drop, creating its queue or restoring it; or gives an open drop new rules.
    /// Answers with the latest instant the store knows of, which may lie ahead of `now` if the
    /// clock was set back.
    fn open<'a>(&'a self, rules: &'a DropRules, at: Moment) -> Answer<'a, Timestamp>;

    /// Gives places, all in one go, in the order of the requests.
    fn join<'a>(
        &'a self,
        drop: &'a DropId,
        requests: Vec<JoinRequest>,
        at: Moment,
    ) -> Answer<'a, Vec<Result<Joined, JoinRefusal>>>;

    /// The queue at this moment. Everything in it is durable.
    fn view<'a>(&'a self, drop: &'a DropId, at: Moment) -> Answer<'a, View>;

    /// Calls, if the queue is still at the version the decision was made on.
    fn advance<'a>(
        &'a self,
        drop: &'a DropId,
        advance: Advance,
        at: Moment,
    ) -> Answer<'a, Result<Rank, Stale>>;

    /// A shopper turns up.
    fn claim<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, Claim>;

    /// Gives a place up.
    fn leave<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, ()>;

    /// Signs of life, all in one go; the new expiry of each, or none where the session is over
    /// or is not renewed.
    fn renew<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<AdmissionId>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Option<Timestamp>>>;

    /// Ends a session.
    fn end_session<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        reason: EndReason,
        now: Timestamp,
    ) -> Answer<'a, ()>;

    /// Notes that a session has an order, or was told that nothing is left, without ending it.
    fn note_decided<'a>(&'a self, drop: &'a DropId, admission: AdmissionId, now: Timestamp)
    -> Answer<'a, ()>;

    /// Carries out an operator's command; gives the switches as they stand then.
    fn control<'a>(&'a self, drop: &'a DropId, command: Command, at: Moment) -> Answer<'a, Control>;

    /// Puts a reading of the stock in the hint's place, where [`StockHint::may_replace`] says so.
    fn offer_stock<'a>(&'a self, drop: &'a DropId, reading: StockHint, now: Timestamp) -> Answer<'a, ()>;

    /// The stock hint as it came with the latest view of this process, or with its own offer. From memory,
    /// at once; its age is for the caller to judge. None where there is none, or where it is not known here.
    fn stock_hint(&self, drop: &DropId) -> Option<Arc<StockHint>>;

    /// Whether admissions went to order before, all in one go. `Perhaps` is always a safe answer; `Never`
    /// is only given where whoever went before would have been seen. An admission that says [`Going::Now`]
    /// is `Perhaps` from then on, until its session ends.
    fn go_to_order<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<(AdmissionId, Going)>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Went>>;

    /// Makes durable what may lag behind. To be called about twice a second, and at the end.
    fn flush(&self, now: Timestamp) -> Answer<'_, ()>;
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the queue store at {path}")]
pub struct StoreOpenError {
    /// Where it is.
    pub path: std::path::PathBuf,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
