//! The queue store of one process: `domain::queue` in memory, a journal in SQLite.
//!
//! Operations on a drop take turns under its lock, which is never held while waiting. What an
//! operation changed is handed to the journal under the same lock, so the journal receives
//! changes in the order they were made, and the answer waits until they are on disk. Joins do
//! not wait: numbers come from a block whose end is on disk already, and who has which number
//! follows within half a second.

mod block;
mod hint;
mod journal;
mod rows;
mod schema;
mod shelf;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use domain::draw::Seed;
use domain::queue::{Advance, Claim, Claimant, Command, EndReason, JoinRefusal, Joined, Moment, Stale, View};
use domain::{AdmissionId, Control, DropId, DropRules, Entropy, Rank, Span, StockHint, Timestamp};

use super::asked::Asked;
use super::{Answer, Going, JoinRequest, QueueStore, StoreOpenError, Unavailable, Went};
use journal::Journal;
use shelf::{Settled, Shelf};

/// Queues in memory with a durable journal.
pub struct EmbeddedStore {
    journal: Journal,
    entropy: Arc<dyn Entropy>,
    shelves: RwLock<BTreeMap<DropId, Arc<Shelf>>>,
}

impl EmbeddedStore {
    /// Opens `queue.db` in `data_dir`, creating or migrating it. Queues in it are restored when
    /// their drop is opened.
    pub fn open(data_dir: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, StoreOpenError> {
        let path = data_dir.join("queue.db");
        let journal = Journal::open(&path).map_err(|source| StoreOpenError { path, source })?;
        Ok(Self {
            journal,
            entropy,
            shelves: RwLock::default(),
        })
    }

    fn queue_of(&self, drop: &DropId) -> Result<Arc<Shelf>, Unavailable> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves
            .get(drop)
            .cloned()
            .ok_or_else(|| unavailable("the drop was never opened"))
    }

    /// Does something to a queue and waits until what it changed is on disk.
    fn apply<'a, T: Send + 'a>(
        &'a self,
        drop: &'a DropId,
        operation: impl FnOnce(&Shelf, &Journal) -> Settled<T> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            let queue = self.queue_of(drop)?;
            self.journal.check()?;
            let Settled { answer, durable } = operation(&queue, &self.journal);
            if let Some(durable) = durable {
                durable.wait().await?;
            }
            Ok(answer)
        })
    }

    fn seed(&self) -> Seed {
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        Seed(seed)
    }
}

impl QueueStore for EmbeddedStore {
    fn open<'a>(&'a self, rules: &'a DropRules, at: Moment) -> Answer<'a, Timestamp> {
        Box::pin(async move {
            let (seed, fresh) = (self.seed(), self.queue_of(&rules.drop).is_err());
            if fresh {
                let saved = self.journal.load(&rules.drop).await?;
                let latest = saved.as_ref().map_or(at.now, |saved| saved.alive_at.max(at.now));
                let opened = Arc::new(Shelf::new(rules.clone(), saved, seed, latest));
                let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
                shelves.entry(rules.drop.clone()).or_insert(opened);
            }
            let configure =
                |shelf: &Shelf, journal: &Journal| shelf.reconfigure(rules.clone(), seed, at, journal);
            self.apply(&rules.drop, configure).await
        })
    }

    fn join<'a>(
        &'a self,
        drop: &'a DropId,
        requests: Vec<JoinRequest>,
        at: Moment,
    ) -> Answer<'a, Vec<Result<Joined, JoinRefusal>>> {
        self.apply(drop, move |shelf, journal| shelf.join(&requests, at, journal))
    }

    fn view<'a>(&'a self, drop: &'a DropId, at: Moment) -> Answer<'a, View> {
        self.apply(drop, move |shelf, journal| shelf.view(at, journal))
    }

    fn advance<'a>(
        &'a self,
        drop: &'a DropId,
        advance: Advance,
        at: Moment,
    ) -> Answer<'a, Result<Rank, Stale>> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(at.now, journal, |queue, now| {
                queue.advance(advance, Moment { now, ..at })
            })
        })
    }

    fn claim<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, Claim> {
        Box::pin(async move {
            let asked = Asked::at(at);
            let claim = self
                .apply(drop, move |shelf, journal| shelf.claim(&claimant, at, journal))
                .await?;
            let shelf = self.queue_of(drop)?;
            Ok(shelf.answer(claim, asked.moment().now, &self.journal))
        })
    }

    fn leave<'a>(&'a self, drop: &'a DropId, claimant: Claimant, at: Moment) -> Answer<'a, ()> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(at.now, journal, |queue, now| {
                queue.leave(&claimant, Moment { now, ..at });
            })
        })
    }

    fn renew<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<AdmissionId>,
        now: Timestamp,
    ) -> Answer<'a, Vec<Option<Timestamp>>> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(now, journal, |queue, now| {
                admissions.iter().map(|id| queue.renew(*id, now)).collect()
            })
        })
    }

    fn end_session<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        reason: EndReason,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(now, journal, |queue, now| {
                queue.end_session(admission, reason, now);
            })
        })
    }

    fn note_decided<'a>(
        &'a self,
        drop: &'a DropId,
        admission: AdmissionId,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(now, journal, |queue, now| queue.note_decided(admission, now))
        })
    }

    fn control<'a>(&'a self, drop: &'a DropId, command: Command, at: Moment) -> Answer<'a, Control> {
        self.apply(drop, move |shelf, journal| {
            shelf.durably(at.now, journal, |queue, now| {
                queue.control(command, Moment { now, ..at })
            })
        })
    }

    fn offer_stock<'a>(&'a self, drop: &'a DropId, reading: StockHint, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            self.queue_of(drop)?.hints.offer(reading, now);
            Ok(())
        })
    }

    fn stock_hint(&self, drop: &DropId) -> Option<Arc<StockHint>> {
        self.queue_of(drop).ok()?.hints.latest()
    }

    fn go_to_order<'a>(
        &'a self,
        drop: &'a DropId,
        admissions: Vec<(AdmissionId, Going)>,
        _now: Timestamp,
    ) -> Answer<'a, Vec<Went>> {
        Box::pin(async move { Ok(self.queue_of(drop)?.go_to_order(&admissions)) })
    }

    fn flush(&self, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let shelves: Vec<Arc<Shelf>> = {
                let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
                shelves.values().cloned().collect()
            };
            let written: Vec<_> = shelves
                .iter()
                .map(|shelf| shelf.flush(now, &self.journal))
                .collect();
            for durable in written {
                durable.wait().await?;
            }
            Ok(())
        })
    }
}

/// A refusal with the pause after which the journal will have tried again.
fn unavailable(reason: &'static str) -> Unavailable {
    Unavailable {
        retry_after: Span::from_secs(1),
        reason,
    }
}
