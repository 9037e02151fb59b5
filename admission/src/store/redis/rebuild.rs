//! Writing a drop's keys anew from the durable record, after Redis lost them or went back to an
//! older state of them.
//!
//! One gateway does it, under the record's lock. It begins a new era first: from then on nothing
//! that was decided on the lost keys can become durable, so nothing of it is ever answered. Then
//! the queue is put together as after any stop (`domain::queue::Queue::restore`) and written key
//! by key, the era last. All that was answered was durable, so limits and places hold exactly; and
//! what the rebuild itself gives back becomes durable before anybody is answered by it.

use domain::queue::{Moment, Queue, Saved};
use domain::{DropRules, Timestamp};

use super::marks::{Era, Row};
use super::shelf::{Known, Shelf};
use super::shopper::ticket_words;
use super::{Attempt, RedisStore, Words, lost, unavailable};
use crate::store::Unavailable;

/// Places, or admissions, brought back in one script.
const TOGETHER: usize = 500;

impl RedisStore {
    /// Finds the era of the keys if this gateway does not know it, rebuilding them if they are
    /// lost. Not done by every operation: the caller's tick is soon enough, and one of them does.
    pub(super) async fn heal(&self, shelf: &Shelf, at: Moment) -> Result<(), Unavailable> {
        if shelf.known().era.is_some() {
            return Ok(());
        }
        let _chore = shelf.chores.lock().await;
        if shelf.known().era.is_some() {
            return Ok(());
        }
        if self.is_there(shelf, at).await? {
            return self.bring_back(shelf, at).await;
        }
        let Some(_guard) = self.marks.lock(&shelf.drop).await? else {
            return Err(lost());
        };
        // Somebody may have done it before the lock was ours.
        if self.is_there(shelf, at).await? {
            return self.bring_back(shelf, at).await;
        }
        // An era is begun only where it can be written: begun anew at each tick by one gateway that cannot, it
        // would stop all those that can.
        self.link.probe(&shelf.keys).await?;
        self.write_rest(shelf).await?;
        let (era, saved) = self.marks.begin_era(&shelf.drop, at.now).await?;
        let mut queue = restore(DropRules::clone(&shelf.rules()), saved, at.now).await?;
        self.write_given_back(shelf, era, &mut queue, at.now).await?;
        let places = self.load(shelf, era, &queue, at.now).await?;
        shelf.adopt(era);
        tracing::info!(drop.id = %shelf.drop, era = era.0, places, "the queue's keys were written from the durable record");
        Ok(())
    }

    /// Writes what was to follow later, in the era that it happened in: it is part of what is read back then. Who
    /// is last in line has nobody behind whom the queue would move past the gap.
    async fn write_rest(&self, shelf: &Shelf) -> Result<(), Unavailable> {
        let standing = self.marks.standing(&shelf.drop).await?.ok_or_else(lost)?;
        let mut taken = shelf.take_for_now();
        if let Err((done, error)) = self.write_in_steps(shelf, standing.era, &taken.rows).await {
            taken.rows.drain(..done);
            return Err(error);
        }
        taken.rows.clear();
        Ok(())
    }

    /// Brings back what another gateway could not know of when it wrote the keys, because it was to be written down
    /// later here.
    async fn bring_back(&self, shelf: &Shelf, at: Moment) -> Result<(), Unavailable> {
        let era = shelf.known().era;
        let brought = self.bring_rows_back(shelf, at).await;
        if brought.is_err() {
            // The rows are still there: it is tried again as after a loss.
            shelf.lose(era);
        }
        brought
    }

    /// Takes places up again, or the queue would wait for their tickets to be shown; and counts late answers from when
    /// they left, or the rolling minute would be over too early for them.
    async fn bring_rows_back(&self, shelf: &Shelf, at: Moment) -> Result<(), Unavailable> {
        for places in shelf.places_behind().chunks(TOGETHER) {
            let words = |known: &Known| {
                let words = places.iter().map(|claimant| ticket_words(known, claimant));
                words.fold(Words::default(), Words::and)
            };
            self.run(shelf, &self.scripts.relearn, at, words).await?;
        }
        for answered in shelf.answers_behind(at.now).chunks(TOGETHER) {
            self.count_answered(shelf, answered, at).await?;
        }
        Ok(())
    }

    /// Writes down the time that sessions and calls got back. From now on shoppers are told of it, and their tokens
    /// hold for as long; a second loss must not end their sessions as if they had not been given it. That we are
    /// alive comes with the last rows: before it the time would be given back once more, after it never again.
    async fn write_given_back(
        &self,
        shelf: &Shelf,
        era: Era,
        queue: &mut Queue,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let changes = queue.take_changes();
        let sessions = changes.sessions.iter();
        let extended = sessions.filter_map(|id| Some(Row::Extended(*id, queue.session(id)?.expires_at)));
        let calls = changes.calls.iter().filter_map(|from| queue.call(*from));
        let mut rows: Vec<Row> = extended.chain(calls.map(Row::Call)).collect();
        rows.push(Row::Alive(now, queue.head().lapsed_below));
        let written = self.write_in_steps(shelf, era, &rows).await;
        written.map_err(|(_, error)| error)
    }

    /// Whether the keys of the era that the record knows are there and whole; then they are
    /// worked on from here on.
    async fn is_there(&self, shelf: &Shelf, at: Moment) -> Result<bool, Unavailable> {
        let Some(standing) = self.marks.standing(&shelf.drop).await? else {
            return Ok(false);
        };
        shelf.adopt(standing.era);
        let nothing = |_: &Known| Words::default().text("some");
        match self.attempt(shelf, &self.scripts.rank, at, &nothing).await {
            Ok(Attempt::Done(_) | Attempt::Reordered | Attempt::NotStarted(..)) => Ok(true),
            Err(error) => {
                // Lost keys are forgotten again by the attempt itself; a server that cannot be
                // reached says nothing about its keys, and nothing is rebuilt on it.
                let is_lost = shelf.known().era.is_none();
                shelf.lose(Some(standing.era));
                if is_lost { Ok(false) } else { Err(error) }
            }
        }
    }
}

/// Puts the queue together, beside the runtime: with millions of places that takes seconds, in which this thread would
/// serve nobody, nor say that the right to rebuild is still made use of.
async fn restore(rules: DropRules, saved: Saved, now: Timestamp) -> Result<Queue, Unavailable> {
    let restoring = tokio::task::spawn_blocking(move || Queue::restore(rules, saved, now));
    restoring.await.map_err(|error| match error.try_into_panic() {
        // A broken law stops whoever asked, as it would have here.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unavailable("the program is stopping"),
    })
}
