//! A drop's rules and its start: what is decided once for all gateways is written down first, and
//! whoever writes first has decided.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use domain::queue::Moment;
use domain::{AfterOrder, DropRules, QueueingMethod, Renewal, Shuffle, Timestamp};

use super::marks::Era;
use super::shelf::{Known, Shelf};
use super::{Attempt, RedisStore, TRIES_MAX, Words, unavailable};
use crate::store::Unavailable;

/// While another gateway writes the keys of a drop that is being opened, it is looked again every
/// tenth of a second for five seconds.
const OPEN_EVERY: Duration = Duration::from_millis(100);
const OPEN_TRIES: u32 = 50;

impl RedisStore {
    /// Opens a drop, or gives an open one new rules.
    pub(super) async fn open_drop(&self, rules: &DropRules, at: Moment) -> Result<Timestamp, Unavailable> {
        let fresh = self.shelf(&rules.drop).is_err();
        let shelf = self.shelve(rules);
        let standing = self.marks.standing(&rules.drop).await?;
        if standing.is_none() {
            self.marks.create(&rules.drop, self.seed(), at.now).await?;
        }
        let alive_at = standing
            .filter(|_| fresh)
            .map_or(at.now, |standing| standing.alive_at);
        let at = Moment {
            now: alive_at.max(at.now),
            ..at
        };
        self.wait_until_there(&shelf, at).await?;
        self.configure(&shelf, rules, at).await?;
        Ok(at.now)
    }

    /// Of gateways that start at once one writes the keys; the others wait for it, for a while.
    async fn wait_until_there(&self, shelf: &Shelf, at: Moment) -> Result<(), Unavailable> {
        let mut outcome = self.heal(shelf, at).await;
        for _ in 0..OPEN_TRIES {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(OPEN_EVERY).await;
            outcome = self.heal(shelf, at).await;
        }
        outcome
    }

    fn shelve(&self, rules: &DropRules) -> Arc<Shelf> {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let shelf = shelves
            .entry(rules.drop.clone())
            .or_insert_with(|| Arc::new(Shelf::new(rules.clone())));
        shelf.rules.store(Arc::new(rules.clone()));
        shelf.clone()
    }

    async fn configure(&self, shelf: &Shelf, rules: &DropRules, at: Moment) -> Result<(), Unavailable> {
        let mut beforehand = Words::default().text("rules").text("").text("");
        for _ in 0..TRIES_MAX {
            let start = rules.schedule.event_start.as_millis();
            let words = |_: &Known| beforehand.clone().number(start).and(rule_words(rules));
            let mut done = self.run(shelf, &self.scripts.configure, at, words).await?;
            if done.reply.text()? == "done" {
                return Ok(());
            }
            let (what, epoch) = (done.reply.text()?, done.reply.number()?);
            let seed = (what == "draw").then(|| self.seed());
            let epoch = u32::try_from(epoch).unwrap_or(u32::MAX);
            let decided = self.marks.begin_epoch(&shelf.drop, done.era, epoch, seed).await;
            let decided = shelf.heed(done.era, decided)?;
            beforehand = Words::default()
                .text(&what)
                .number(decided.epoch.into())
                .bytes(&decided.seed.0);
        }
        Err(unavailable("the drop's rules changed too often"))
    }

    /// Starts the drop: the cohort is written down before anybody is shown the draw.
    pub(super) async fn start(
        &self,
        shelf: &Shelf,
        era: Era,
        cohort: Option<u64>,
        at: Moment,
    ) -> Result<(), Unavailable> {
        let decided = shelf.heed(era, self.marks.start(&shelf.drop, era, cohort).await)?;
        let words = |_: &Known| {
            Words::default()
                .number(decided.epoch.into())
                .number_if_any(decided.cohort)
        };
        for _ in 0..TRIES_MAX {
            match self.attempt(shelf, &self.scripts.start, at, &words).await? {
                Attempt::Done(done) if done.era == era => return Ok(()),
                Attempt::Done(_) => return Err(super::superseded()),
                Attempt::Reordered | Attempt::NotStarted(..) => {}
            }
        }
        Err(unavailable("the drop's order changed too often"))
    }
}

/// The rules as the scripts read them from the head.
pub(super) fn rule_words(rules: &DropRules) -> Words {
    let flag = |on: bool| u64::from(on);
    let schedule = rules.schedule;
    let shuffles = rules.shuffle == Shuffle::AtEventStart && rules.method == QueueingMethod::Fifo;
    let numbers = [
        ("prequeue_start", schedule.prequeue_start.as_millis()),
        ("event_start", schedule.event_start.as_millis()),
        ("limit_active", rules.limits.total_active_users.into()),
        ("limit_minute", rules.limits.new_users_per_minute.into()),
        ("session_ms", rules.session_duration.as_millis()),
        ("patience", rules.patience().as_millis()),
        ("grain", domain::calls::Calls::grain(rules.patience()).as_millis()),
        ("capacity", rules.queue_capacity.into()),
        ("shuffles", flag(shuffles)),
        ("sliding", flag(rules.renewal == Renewal::Sliding)),
        ("keep_session", flag(rules.after_order == AfterOrder::KeepSession)),
    ];
    let words = numbers
        .into_iter()
        .fold(Words::default(), |words, (name, value)| {
            words.text(name).number(value)
        });
    words
        .text("method")
        .text(rules.method.as_str())
        .text("event_end")
        .number_if_any(schedule.event_end.map(Timestamp::as_millis))
}
