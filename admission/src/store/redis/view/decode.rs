//! What the view's script answers, made into a view: the figures come from the keys, what they
//! mean from `domain`.

use std::collections::BTreeMap;

use domain::calls::{Call, Calls};
use domain::draw::{Draw, Seed};
use domain::estimate::Flow;
use domain::pace::Pace;
use domain::queue::{Moment, Tally, View};
use domain::turnover::Turnover;
use domain::{AdmissionId, Control, DropRules, Phase, Rank, Room, Span, Timestamp, outflow};

use crate::store::Unavailable;
use crate::store::redis::reply::{Reply, nonsense, parse};
use crate::store::redis::seed_of;
use crate::store::redis::view::Revoked;

/// The head's names and values.
pub(super) struct HeadWords(BTreeMap<String, Vec<u8>>);

impl HeadWords {
    pub(super) fn read(list: &mut Reply) -> Result<Self, Unavailable> {
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

    pub(super) fn number(&self, name: &str) -> Result<u64, Unavailable> {
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

/// The stretches of the call history.
pub(super) fn calls_of(list: &mut Reply) -> Result<Vec<Call>, Unavailable> {
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

/// Admissions that were ended early; and into `ends`, where that was asked, until when their tokens are to be refused.
pub(super) fn revoked_of(
    list: &mut Reply,
    asked: Revoked,
    ends: &mut Vec<(AdmissionId, Timestamp)>,
) -> Result<Vec<AdmissionId>, Unavailable> {
    let mut revoked = Vec::with_capacity(list.len());
    while list.len() > 0 {
        let admission = AdmissionId(list.id()?);
        revoked.push(admission);
        if asked == Revoked::Dated {
            ends.push((admission, list.time()?));
        }
    }
    Ok(revoked)
}

/// The whole view.
pub(super) fn view_of(
    head: &HeadWords,
    entries: &[Call],
    revoked: Vec<AdmissionId>,
    reply: &mut Reply,
    rules: &DropRules,
    at: Moment,
) -> Result<View, Unavailable> {
    let mut counts = reply.list()?;
    let joined_at = reply.number_if_any()?.map(Timestamp::from_millis);
    let lapsed_below = Rank(head.number("lapsed_below")?);
    let calls = Calls::restore(lapsed_below, entries.iter().copied());
    let speed = calls.speed(at.now);
    let (seed, control) = (head.seed()?, head.control()?);
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
        revoked,
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
