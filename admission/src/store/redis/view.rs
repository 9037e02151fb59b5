//! The queue as a whole: looked at, called from, commanded, and written down.

mod decode;

use std::sync::Arc;

use domain::calls::Call;
use domain::queue::{Advance, CLAIM_DELAY, Command, Moment, Stale, View};
use domain::window::HELD;
use domain::{AdmissionId, Control, DropId, Rank, Timestamp};

use super::hint::hint_of;
use super::journal::{WRITTEN_WITHIN, late};
use super::marks::{Era, Row, Switches};
use super::reply::{Reply, nonsense};
use super::shelf::{Known, Shelf, Written};
use super::{RedisStore, Words, lost, moment, unavailable};
use crate::store::Unavailable;
use decode::{HeadWords, calls_of, revoked_of, view_of};

/// Rows written in one transaction: a tenth of a second.
const ROWS_TOGETHER: usize = 10_000;

/// Sessions that are looked at in one script before they get their time back.
const SESSIONS_TOGETHER: u64 = 2_000;

/// A view, and what of it is written down.
pub(super) struct Looked {
    pub(super) view: View,
    era: Era,
    calls: Vec<Call>,
    /// Where it was asked for.
    ends: Vec<(AdmissionId, Timestamp)>,
}

/// What is asked about admissions that were ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Revoked {
    /// Which they are: all that requests are judged by.
    Named,
    /// Also until when their tokens are to be refused, for the record.
    Dated,
}

impl RedisStore {
    /// The queue at this moment. Ranks places first if the draw is not in the keys yet.
    pub(super) async fn look(
        &self,
        shelf: &Shelf,
        at: Moment,
        asked: Revoked,
    ) -> Result<Looked, Unavailable> {
        let (looked, ranked) = self.look_once(shelf, at, asked).await?;
        if ranked || !self.rank_places(shelf, at).await? {
            return Ok(looked);
        }
        Ok(self.look_once(shelf, at, asked).await?.0)
    }

    async fn look_once(
        &self,
        shelf: &Shelf,
        at: Moment,
        asked: Revoked,
    ) -> Result<(Looked, bool), Unavailable> {
        let words = |_: &Known| {
            Words::default()
                .number(HELD.as_millis())
                .number(CLAIM_DELAY.as_millis())
                .text(if asked == Revoked::Dated { "1" } else { "" })
        };
        let mut done = self.run(shelf, &self.scripts.view, at, words).await?;
        let head = HeadWords::read(&mut done.reply.list()?)?;
        let calls = calls_of(&mut done.reply.list()?)?;
        let mut ends = Vec::new();
        let revoked = revoked_of(&mut done.reply.list()?, asked, &mut ends)?;
        let view = view_of(&head, &calls, revoked, &mut done.reply, &shelf.rules(), at)?;
        shelf.hint.store(hint_of(&mut done.reply.list()?)?.map(Arc::new));
        let ranked = head.number("ranked")? == head.number("order")?;
        let looked = Looked {
            view,
            era: done.era,
            calls,
            ends,
        };
        Ok((looked, ranked))
    }

    /// Calls. The frontier is written down before it is moved, so that it is never behind what
    /// anybody was shown.
    pub(super) async fn call(
        &self,
        drop: &DropId,
        advance: Advance,
        at: Moment,
    ) -> Result<Result<Rank, Stale>, Unavailable> {
        let shelf = self.shelf(drop)?;
        let (era, to) = match self.advance_once(&shelf, advance, None, at).await? {
            Ok(asked) => asked,
            Err(stale) => return Ok(Err(stale)),
        };
        if advance.calls > 0 {
            shelf.heed(era, self.marks.raise_frontier(drop, era, to).await)?;
        }
        match self.advance_once(&shelf, advance, Some(to), at).await? {
            Ok((moved_in, _)) if moved_in != era => Err(lost()),
            Ok((_, frontier)) => Ok(Ok(frontier)),
            Err(stale) => Ok(Err(stale)),
        }
    }

    async fn advance_once(
        &self,
        shelf: &Shelf,
        advance: Advance,
        to: Option<Rank>,
        at: Moment,
    ) -> Result<Result<(Era, Rank), Stale>, Unavailable> {
        let words = |_: &Known| {
            Words::default()
                .number(advance.version)
                .number(advance.calls)
                .number_if_any(to.map(|rank| rank.0))
                .number(advance.pace.credit())
                .number(advance.pace.earned_until().as_millis())
        };
        let mut done = self.run(shelf, &self.scripts.advance, at, words).await?;
        let mut answer = done.reply.text()?;
        if answer == "unranked" && self.rank_places(shelf, at).await? {
            done = self.run(shelf, &self.scripts.advance, at, words).await?;
            answer = done.reply.text()?;
        }
        match answer.as_str() {
            "to" | "moved" => Ok(Ok((done.era, done.reply.rank()?))),
            "stale" => Ok(Err(Stale {
                version: done.reply.number()?,
            })),
            "unranked" => Err(unavailable("the draw is being put in place")),
            _ => Err(nonsense()),
        }
    }

    /// Carries out an operator's command and writes the switches down.
    pub(super) async fn command(
        &self,
        drop: &DropId,
        command: Command,
        at: Moment,
    ) -> Result<Control, Unavailable> {
        let shelf = self.shelf(drop)?;
        let word = match command {
            Command::Pause => "pause",
            Command::Resume => "resume",
            Command::Drain => "drain",
            Command::End => "end",
            Command::QueueAll => "queue_all",
        };
        if command == Command::Resume {
            self.write_ahead(&shelf, at).await?;
        }
        let words = |_: &Known| Words::default().text(word);
        let mut done = self.run(&shelf, &self.scripts.control, at, words).await?;
        let reply = &mut done.reply;
        let control = Control {
            paused: reply.number()? == 1,
            draining: reply.number()? == 1,
            ended: reply.number()? == 1,
            queue_all: reply.number()? == 1,
        };
        let mut rows = vec![Row::Switches(Switches {
            control,
            version: reply.number()?,
            held_since: reply.number_if_any()?.map(Timestamp::from_millis),
        })];
        rows.append(&mut extended(&mut reply.list()?)?);
        // Carried out a second time it gives nothing back, so that these rows come once.
        self.write_surely(&shelf, done.era, rows).await?;
        Ok(control)
    }

    /// Writes down the time that sessions are about to get back, where they stood still: the answer that says it may
    /// be lost, and carried out a second time it gives nothing back. Written down and not carried out it keeps a
    /// session longer than it ran, over a loss of the keys, and no limit is broken by that.
    pub(super) async fn write_ahead(&self, shelf: &Shelf, at: Moment) -> Result<(), Unavailable> {
        let mut seen = 0;
        loop {
            let words = |_: &Known| Words::default().number(seen).number(SESSIONS_TOGETHER);
            let mut done = self.run(shelf, &self.scripts.held, at, words).await?;
            let rows = extended(&mut done.reply.list()?)?;
            if rows.is_empty() {
                return Ok(());
            }
            self.write(shelf, done.era, rows).await?;
            seen += SESSIONS_TOGETHER;
        }
    }

    /// Writes down what follows: who joined, the call history, that somebody works here. And what ended early, though
    /// whoever ended it has done so: the answer that says it may have been lost.
    pub(super) async fn write_behind(&self, shelf: &Shelf, now: Timestamp) -> Result<(), Unavailable> {
        let looked = self.look(shelf, moment(now), Revoked::Dated).await?;
        let view = &looked.view;
        let switches = Switches {
            version: view.version,
            control: view.control,
            held_since: view.held_since,
        };
        let now_written = Written {
            switches: Some(switches),
            revoked: looked.ends.iter().copied().collect(),
            calls: looked.calls,
        };
        let mut rows: Vec<Row> = changed(&shelf.written(), switches, &now_written);
        rows.push(Row::Alive(now, view.lapsed_below));
        let read_now = rows.len();
        rows.extend(shelf.take_behind());
        if let Err((done, error)) = self.write_in_steps(shelf, looked.era, &rows).await {
            // What was read just now is read again the next time.
            shelf.put_back(rows.split_off(done.max(read_now)));
            return Err(error);
        }
        *shelf.written() = now_written;
        Ok(())
    }

    /// Writes rows in steps that fit into the deadline, so that a great deal is written as well. If one of them
    /// fails it says how many rows were written before.
    pub(super) async fn write_in_steps(
        &self,
        shelf: &Shelf,
        era: Era,
        rows: &[Row],
    ) -> Result<(), (usize, Unavailable)> {
        let mut done = 0;
        for some in rows.chunks(ROWS_TOGETHER) {
            let writing = self.marks.write(&shelf.drop, era, some.to_vec());
            let outcome = tokio::time::timeout(WRITTEN_WITHIN, writing).await;
            let outcome = outcome.unwrap_or_else(|_| Err(late()));
            shelf.heed(era, outcome).map_err(|error| (done, error))?;
            done += some.len();
        }
        Ok(())
    }
}

/// What differs from what was written last.
fn changed(written: &Written, switches: Switches, now: &Written) -> Vec<Row> {
    let known = written
        .switches
        .is_some_and(|known| (known.control, known.held_since) == (switches.control, switches.held_since));
    let calls = now.calls.iter().filter(|call| !written.calls.contains(call));
    let revoked = now.revoked.difference(&written.revoked);
    let switches = (!known).then_some(Row::Switches(switches));
    switches
        .into_iter()
        .chain(calls.copied().map(Row::Call))
        .chain(revoked.map(|(admission, until)| Row::Over(*admission, Some(*until))))
        .collect()
}

/// Sessions and when they end now, as scripts say it.
fn extended(list: &mut Reply) -> Result<Vec<Row>, Unavailable> {
    let mut rows = Vec::with_capacity(list.len() / 2);
    while list.len() > 0 {
        rows.push(Row::Extended(AdmissionId(list.id()?), list.time()?));
    }
    Ok(rows)
}
