//! The queue store of several gateways: queues in Redis, their durable record in Postgres.
//!
//! Each operation is one Lua script, so that it happens as a whole; the steps are those of
//! `domain::queue`, and random histories are replayed against it. What limits and promises depend
//! on is in the durable record before it is answered (see [`marks`]); Redis itself may lose
//! everything at any moment. A loss is noticed at the next script: the keys carry the era that
//! they belong to and the name of the server process that they were written to, so that a server
//! that was flushed, started anew or rolled back is found out. Until one of the gateways has
//! rebuilt the keys, everything else is answered with [`Unavailable`].

mod claim;
mod configure;
mod draw;
mod hint;
mod join;
mod journal;
mod keys;
mod link;
mod load;
pub mod marks;
mod outage;
mod rebuild;
mod reply;
mod script;
mod shelf;
mod shopper;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::draw::{Draw, Seed};
use domain::queue::{Advance, Claim, Claimant, Command, EndReason, JoinRefusal, Joined, Moment, Stale, View};
use domain::{
    AdmissionId, Control, DropId, DropRules, Entropy, Number, Rank, ShopperKey, Span, StockHint, StockState,
    Timestamp,
};

use moka::sync::Cache;

use self::journal::Journal;
pub use self::link::Watch;
use self::link::{Link, Words};
use self::marks::{Era, Marks, Row};
use self::reply::{Reply, nonsense};
use self::script::{Named, Scripts};
use self::shelf::{Known, Shelf};
use super::{Answer, Going, JoinRequest, QueueStore, Unavailable, Went};

/// How often a script is sent again because the drop had to be started first, or because ranks
/// were computed with another order: each happens once per start, so this is plenty.
const TRIES_MAX: u32 = 6;

/// Most admissions remembered as answered, and as not answered yet: 100 bytes each.
const REMEMBERED_MAX: u64 = 100_000;

/// Where Redis is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`: one server, or some nodes of a cluster.
    pub urls: Vec<String>,
    /// Whether the servers are a cluster.
    pub cluster: bool,
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RedisOpenError {
    /// No server is named.
    #[error("no Redis server is named")]
    NoServer,
    /// A server could not be reached, or its address is not one.
    #[error("cannot reach Redis")]
    Connect(#[from] redis::RedisError),
    /// A server throws keys away when its memory is full.
    #[error("Redis at {server} evicts keys (maxmemory-policy is {policy}): set it to noeviction")]
    Evicts {
        /// Which.
        server: String,
        /// How.
        policy: String,
    },
}

/// Queues in Redis.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    marks: Arc<dyn Marks>,
    journal: Journal,
    entropy: Arc<dyn Entropy>,
    shelves: RwLock<BTreeMap<DropId, Arc<Shelf>>>,
    /// Admissions that this gateway has answered: repeating one asks no database.
    answered: Cache<(DropId, AdmissionId), ()>,
    /// Admissions granted here whose answer has not left, and never did.
    owed: Cache<(DropId, AdmissionId), ()>,
}

/// What a script answered, and the era it did so in.
struct Done {
    era: Era,
    known: Known,
    reply: Reply,
}

/// What came of sending a script once.
enum Attempt {
    Done(Done),
    /// Ranks were computed with another order, which is known now; nothing was changed.
    Reordered,
    /// The drop has to be started first, with this cohort for the draw; nothing was changed.
    NotStarted(Era, Option<u64>),
}

impl RedisStore {
    /// Connects. `marks` is the durable record that all gateways share; to be called on the
    /// runtime that the store will be used on.
    ///
    /// # Errors
    /// If no server can be reached, or one of them evicts keys.
    pub async fn open(
        config: RedisConfig,
        marks: Arc<dyn Marks>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RedisOpenError> {
        Ok(Self {
            link: Link::open(&config).await?,
            scripts: Scripts::new(),
            journal: Journal::new(marks.clone()),
            marks,
            entropy,
            shelves: RwLock::default(),
            answered: Cache::new(REMEMBERED_MAX),
            owed: Cache::new(REMEMBERED_MAX),
        })
    }

    /// Tells `watch` of every command from here on.
    #[must_use]
    pub fn watched_by(mut self, watch: Arc<dyn Watch>) -> Self {
        self.link.watch = watch;
        self
    }

    fn shelf(&self, drop: &DropId) -> Result<Arc<Shelf>, Unavailable> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves
            .get(drop)
            .cloned()
            .ok_or_else(|| unavailable("the drop was never opened"))
    }

    fn all_shelves(&self) -> Vec<Arc<Shelf>> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.values().cloned().collect()
    }

    /// Runs an operation's script until it is carried out, starting the drop where it has to be
    /// started. Nothing is repeated that may have happened: every answer that leads to another
    /// try says that nothing was changed.
    async fn run(
        &self,
        shelf: &Shelf,
        script: &Named,
        at: Moment,
        words: impl Fn(&Known) -> Words + Send,
    ) -> Result<Done, Unavailable> {
        for _ in 0..TRIES_MAX {
            match self.attempt(shelf, script, at, &words).await? {
                Attempt::Done(done) => return Ok(done),
                Attempt::Reordered => {}
                Attempt::NotStarted(era, cohort) => self.start(shelf, era, cohort, at).await?,
            }
        }
        Err(unavailable("the drop's order changed too often"))
    }

    /// Sends a script once.
    async fn attempt(
        &self,
        shelf: &Shelf,
        script: &Named,
        at: Moment,
        words: &(impl Fn(&Known) -> Words + Send),
    ) -> Result<Attempt, Unavailable> {
        let known = shelf.known();
        let era = known.era.ok_or_else(lost)?;
        let sent = heading(&known, era, at).and(words(&known));
        let mut reply = self.link.run(script, &shelf.keys, &sent).await?;
        match reply.text()?.as_str() {
            "OK" => {
                shelf.note_beat(known.era, reply.number()?);
                note_passing(shelf, known.era, &mut reply)?;
                Ok(Attempt::Done(Done { era, known, reply }))
            }
            "ORDER" => {
                let (order, draw) = order_of(&mut reply)?;
                shelf.note_order(known.era, order, draw);
                Ok(Attempt::Reordered)
            }
            "START" => Ok(Attempt::NotStarted(era, reply.number_if_any()?)),
            "STALE" => {
                shelf.lose(known.era);
                Err(lost())
            }
            _ => Err(nonsense()),
        }
    }

    /// Writes rows down before an answer that depends on them.
    async fn write(&self, shelf: &Shelf, era: Era, rows: Vec<Row>) -> Result<(), Unavailable> {
        shelf.heed(era, self.journal.write(&shelf.drop, era, rows).await)
    }

    /// Writes down what the keys will not tell a second time: where it fails it follows later.
    async fn write_surely(&self, shelf: &Shelf, era: Era, rows: Vec<Row>) -> Result<(), Unavailable> {
        let written = self.write(shelf, era, rows.clone()).await;
        if written.is_err() {
            shelf.write_later(rows);
        }
        written
    }

    fn seed(&self) -> Seed {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        Seed(seed)
    }
}

/// The words that every script gets: see `scripts/shared/head.lua`.
fn heading(known: &Known, era: Era, at: Moment) -> Words {
    let stock = match at.stock {
        StockState::Left => "left",
        StockState::SoldOut => "gone",
    };
    Words::default()
        .number(era.0)
        .number(known.beat)
        .number(known.order)
        .number(at.now.as_millis())
        .text(stock)
}

/// What time did to the queue along the way follows into the durable record.
fn note_passing(shelf: &Shelf, era: Option<Era>, reply: &mut Reply) -> Result<(), Unavailable> {
    let (mut gone, mut ended) = (reply.list()?, reply.list()?);
    let mut rows = Vec::new();
    while gone.len() > 0 {
        rows.push(Row::MemberGone(ShopperKey(gone.id()?), Number(gone.number()?)));
    }
    while ended.len() > 0 {
        rows.push(Row::Over(AdmissionId(ended.id()?), None));
    }
    shelf.note_passing(era, rows);
    Ok(())
}

fn order_of(reply: &mut Reply) -> Result<(u64, Option<Draw>), Unavailable> {
    let (order, cohort) = (reply.number()?, reply.number_if_any()?);
    let seed = seed_of(reply.bytes()?)?;
    Ok((order, cohort.map(|cohort| Draw { seed, cohort })))
}

fn seed_of(bytes: Vec<u8>) -> Result<Seed, Unavailable> {
    bytes.try_into().map(Seed).map_err(|_| nonsense())
}

/// A refusal, and when to try again: by then a lost connection or lost keys are likely back.
pub(crate) fn unavailable(reason: &'static str) -> Unavailable {
    Unavailable {
        retry_after: Span::from_secs(1),
        reason,
    }
}

fn lost() -> Unavailable {
    unavailable("the queue's keys are lost and are being rebuilt")
}

/// What was decided in an era that is over counts for nothing.
pub(crate) fn superseded() -> Unavailable {
    unavailable("the queue's keys were lost and rebuilt meanwhile")
}

impl QueueStore for RedisStore {
    fn open<'a>(&'a self, rules: &'a DropRules, at: Moment) -> Answer<'a, Timestamp> {
        Box::pin(self.open_drop(rules, at))
    }

    fn join<'a>(
        &'a self,
        drop: &'a DropId,
        requests: Vec<JoinRequest>,
        at: Moment,
    ) -> Answer<'a, Vec<Result<Joined, JoinRefusal>>> {
        Box::pin(self.join_all(drop, requests, at))
    }

    fn view<'a>(&'a self, drop: &'a DropId, at: Moment) -> Answer<'a, View> {
        Box::pin(async move {
            let shelf = self.shelf(drop)?;
            self.heal(&shelf, at).await?;
            self.look(&shelf, at, view::Revoked::Named)
                .await
                .map(|looked| looked.view)
        })
    }

    fn advance<'a>(
        &'a self,
        drop: &'a DropId,
        advance: Advance,
        at: Moment,
    ) -> Answer<'a, Result<Rank, Stale>> {
        Box::pin(self.call(drop, advance, at))
    }

    fn claim<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, Claim> {
        Box::pin(self.claim_place(drop, claimant, at))
    }

    fn leave<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, ()> {
        Box::pin(self.give_up(drop, claimant, at))
    }

    fn renew<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<AdmissionId>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Option<Timestamp>>> {
        Box::pin(self.renew_all(drop, admissions, now))
    }

    fn end_session<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        reason: EndReason,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        let why = match reason {
            EndReason::Left | EndReason::Revoked => "end",
            EndReason::Completed => "completed",
        };
        Box::pin(self.end(drop, admission, why, now))
    }

    fn note_decided<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(self.end(drop, admission, "ordered", now))
    }

    fn control<'a>(&'a self, drop: &'a DropId, command: Command, at: Moment) -> Answer<'a, Control> {
        Box::pin(self.command(drop, command, at))
    }

    fn offer_stock<'a>(&'a self, drop: &'a DropId, reading: StockHint, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(self.offer(drop, reading, now))
    }

    fn stock_hint(&self, drop: &DropId) -> Option<Arc<StockHint>> {
        self.shelf(drop).ok()?.hint.load_full()
    }

    fn go_to_order<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<(AdmissionId, Going)>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Went>> {
        Box::pin(self.go(drop, admissions, now))
    }

    fn flush(&self, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut outcome = Ok(());
            for shelf in self.all_shelves() {
                outcome = self.write_behind(&shelf, now).await.and(outcome);
            }
            outcome
        })
    }
}

/// Nothing about stock matters where only time is told.
fn moment(now: Timestamp) -> Moment {
    Moment {
        now,
        stock: StockState::Left,
    }
}
