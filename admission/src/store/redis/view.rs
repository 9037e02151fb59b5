//! The queue as a whole: looked at, called from, commanded, and written down.

use std::collections::BTreeMap;

use domain::calls::{Call, Calls};
use domain::draw::{Draw, Seed};
use domain::estimate::Flow;
use domain::pace::Pace;
use domain::queue::{Advance, CLAIM_DELAY, Command, Moment, Stale, Tally, View};
use domain::turnover::Turnover;
use domain::window::HELD;
use domain::{AdmissionId, Control, DropId, DropRules, Phase, Rank, Room, Span, Timestamp, outflow};

use super::journal::{WRITTEN_WITHIN, late};
use super::marks::{Era, Row, Switches};
use super::reply::{Reply, nonsense, parse};
use super::shelf::{Known, Shelf, Written};
use super::{RedisStore, Words, lost, moment, seed_of, unavailable};
use crate::store::Unavailable;

/// Rows written in one transaction: a tenth of a second.
const ROWS_TOGETHER: usize = 10_000;

/// A view, and what of it is written down.
pub(super) struct Looked {
    pub(super) view: View,
    era: Era,
    calls: Vec<Call>,
}

impl RedisStore {
    /// The queue at this moment. Ranks places first if the draw is not in the keys yet.
    pub(super) async fn look(&self, shelf: &Shelf, at: Moment) -> Result<Looked, Unavailable> {
        let (looked, ranked) = self.look_once(shelf, at).await?;
        if ranked || !self.rank_places(shelf, at).await? {
            return Ok(looked);
        }
        Ok(self.look_once(shelf, at).await?.0)
    }

    async fn look_once(&self, shelf: &Shelf, at: Moment) -> Result<(Looked, bool), Unavailable> {
        let words = |_: &Known| {
            Words::default()
                .number(HELD.as_millis())
                .number(CLAIM_DELAY.as_millis())
        };
        let mut done = self.run(shelf, &self.scripts.view, at, words).await?;
        let head = HeadWords::read(&mut done.reply.list()?)?;
        let calls = calls_of(&mut done.reply.list()?)?;
        let view = view_of(&head, &calls, &mut done.reply, &shelf.rules(), at)?;
        let ranked = head.number("ranked")? == head.number("order")?;
        let era = done.era;
        Ok((Looked { view, era, calls }, ranked))
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
            self.marks.raise_frontier(drop, era, to).await?;
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
        let mut shifted = reply.list()?;
        while shifted.len() > 0 {
            rows.push(Row::Extended(AdmissionId(shifted.id()?), shifted.time()?));
        }
        self.write(&shelf, done.era, rows).await?;
        Ok(control)
    }

    /// Writes down what follows: who joined, the call history, that somebody works here.
    pub(super) async fn write_behind(&self, shelf: &Shelf, now: Timestamp) -> Result<(), Unavailable> {
        let looked = self.look(shelf, moment(now)).await?;
        let view = &looked.view;
        let switches = Switches {
            version: view.version,
            control: view.control,
            held_since: view.held_since,
        };
        let behind = shelf.take_behind();
        let mut rows: Vec<Row> = changed(&shelf.written(), switches, &looked.calls);
        rows.push(Row::Alive(now, view.lapsed_below));
        let mut done = 0;
        // All of it in steps that fit into the deadline, so that a great deal is written as well.
        while let Some(some) = behind
            .get(done..)
            .filter(|some| !some.is_empty() || !rows.is_empty())
        {
            let some = &some[..some.len().min(ROWS_TOGETHER)];
            rows.extend_from_slice(some);
            let writing = self
                .marks
                .write(&shelf.drop, looked.era, std::mem::take(&mut rows));
            let outcome = tokio::time::timeout(WRITTEN_WITHIN, writing).await;
            if let Err(error) = outcome.unwrap_or_else(|_| Err(late())) {
                shelf.put_back(behind[done..].to_vec());
                return Err(error);
            }
            done += some.len();
        }
        *shelf.written() = Written {
            switches: Some(switches),
            calls: looked.calls,
        };
        Ok(())
    }
}

/// What differs from what was written last.
fn changed(written: &Written, switches: Switches, calls: &[Call]) -> Vec<Row> {
    let known = written
        .switches
        .is_some_and(|known| (known.control, known.held_since) == (switches.control, switches.held_since));
    let calls = calls.iter().filter(|call| !written.calls.contains(call));
    let switches = (!known).then_some(Row::Switches(switches));
    switches
        .into_iter()
        .chain(calls.copied().map(Row::Call))
        .collect()
}

/// The head's names and values.
struct HeadWords(BTreeMap<String, Vec<u8>>);

impl HeadWords {
    fn read(list: &mut Reply) -> Result<Self, Unavailable> {
        let mut words = BTreeMap::new();
        while list.len() > 0 {
            words.insert(list.text()?, list.bytes()?);
        }
        Ok(Self(words))
    }

    fn bytes(&self, name: &str) -> Result<&[u8], Unavailable> {
        self.0.get(name).map(Vec::as_slice).ok_or_else(nonsense)
    }

    fn number_if_any(&self, name: &str) -> Result<Option<u64>, Unavailable> {
        let text = std::str::from_utf8(self.bytes(name)?).map_err(|_| nonsense())?;
        if text.is_empty() {
            Ok(None)
        } else {
            parse(text).map(Some)
        }
    }

    fn number(&self, name: &str) -> Result<u64, Unavailable> {
        self.number_if_any(name)?.ok_or_else(nonsense)
    }

    fn flag(&self, name: &str) -> Result<bool, Unavailable> {
        self.number(name).map(|value| value == 1)
    }

    fn seed(&self) -> Result<Seed, Unavailable> {
        seed_of(self.bytes("seed")?.to_vec())
    }

    fn control(&self) -> Result<Control, Unavailable> {
        Ok(Control {
            paused: self.flag("paused")?,
            draining: self.flag("draining")?,
            ended: self.flag("ended")?,
            queue_all: self.flag("queue_all")?,
        })
    }

    fn turnover(&self) -> Result<Turnover, Unavailable> {
        Ok(Turnover::restore(
            self.number("turned")?,
            Span::from_millis(self.number("ran")?),
            Timestamp::from_millis(self.number("looked_at")?),
        ))
    }

    fn tally(&self) -> Result<Tally, Unavailable> {
        Ok(Tally {
            joined: self.number("joined")?,
            admitted: self.number("admitted")?,
            no_shows: self.number("no_shows")?,
            left: self.number("left")?,
            room_full: self.number("room_full")?,
            active_max: self.number("active_max")?,
            claims_in_minute_max: self.number("claims_max")?,
        })
    }
}

fn calls_of(list: &mut Reply) -> Result<Vec<Call>, Unavailable> {
    let mut calls = Vec::new();
    while list.len() > 0 {
        let (from, to, record) = (list.rank()?, list.rank()?, list.text()?);
        let parts: Vec<u64> = record.split(':').map(parse).collect::<Result<_, _>>()?;
        let [opened_at, called_at, called, shown] = parts[..] else {
            return Err(nonsense());
        };
        calls.push(Call {
            from,
            to,
            opened_at: Timestamp::from_millis(opened_at),
            called_at: Timestamp::from_millis(called_at),
            called,
            shown,
        });
    }
    Ok(calls)
}

fn view_of(
    head: &HeadWords,
    entries: &[Call],
    reply: &mut Reply,
    rules: &DropRules,
    at: Moment,
) -> Result<View, Unavailable> {
    let mut counts = reply.list()?;
    let mut revoked = reply.list()?;
    let joined_at = reply.number_if_any()?.map(Timestamp::from_millis);
    let lapsed_below = Rank(head.number("lapsed_below")?);
    let calls = Calls::restore(lapsed_below, entries.iter().copied());
    let speed = calls.speed(at.now);
    let (seed, control) = (head.seed()?, head.control()?);
    let mut ids = Vec::with_capacity(revoked.len());
    while revoked.len() > 0 {
        ids.push(AdmissionId(revoked.id()?));
    }
    let room = room_of(&mut counts, &calls, rules, at)?;
    let since = |joined_at: Timestamp| at.now.since(joined_at.max(rules.schedule.event_start));
    Ok(View {
        now: at.now,
        version: head.number("version")?,
        epoch: u32::try_from(head.number("epoch")?).map_err(|_| nonsense())?,
        phase: Phase::at(&rules.schedule, control, at.stock, at.now),
        control,
        held_since: head.number_if_any("held_since")?.map(Timestamp::from_millis),
        frontier: Rank(head.number("frontier")?),
        lapsed_below,
        calls: calls.iter().map(|call| (call.to, call.called_at)).collect(),
        room,
        pace: Pace::restore(
            head.number("credit")?,
            Timestamp::from_millis(head.number("earned_until")?),
        ),
        calls_per_minute: speed.map(|speed| speed.calls_per_minute),
        flow: Flow::of(speed, &room, &head.turnover()?, rules.limits.total_active_users),
        commitment: seed.commitment(),
        draw: head.number_if_any("cohort")?.map(|cohort| Draw { seed, cohort }),
        started: head.flag("started")?,
        revoked: ids,
        oldest_wait: joined_at.map_or(domain::Span::ZERO, since),
        tally: head.tally()?,
    })
}

fn room_of(counts: &mut Reply, calls: &Calls, rules: &DropRules, at: Moment) -> Result<Room, Unavailable> {
    let horizon = rules.show_horizon;
    let (waiting, active, ordered) = (counts.number()?, counts.number()?, counts.number()?);
    Ok(Room {
        waiting,
        active,
        undecided: active.saturating_sub(ordered),
        claims_last_minute: counts.number()?,
        returning: counts.number()?,
        pending_calls: calls.pending(at.now, horizon),
        show_per_mille: calls
            .show_per_mille(at.now, horizon)
            .max(outflow::SHOW_PER_MILLE_MIN),
        pace_milli_claims: 0,
    })
}
