//! Writing a queue key by key, in steps that are short enough that nobody else waits. The era comes
//! last, so that nobody ever works on half of the keys.

use std::collections::BTreeMap;

use domain::queue::{MemberState, Queue, Saved};
use domain::sessions::Session;
use domain::{AdmissionId, Rank, Timestamp};

use super::configure::rule_words;
use super::keys::Key;
use super::marks::Era;
use super::script::Named;
use super::shelf::Shelf;
use super::{RedisStore, Words, lost};
use crate::store::Unavailable;

/// Pairs written in one step: short enough that nobody else waits, long enough to be few.
const PAIRS: usize = 500;

impl RedisStore {
    /// Writes every key, the era last. How many places were written.
    pub(super) async fn load(
        &self,
        shelf: &Shelf,
        era: Era,
        queue: &Queue,
        now: Timestamp,
    ) -> Result<usize, Unavailable> {
        let saved = queue.save(now);
        let scripts = &self.scripts;
        self.step(shelf, &scripts.begin, Words::default().number(era.0))
            .await?;
        let rank = |member: &domain::queue::Member| queue.rank_of(member.number, member.drawn);
        let (mut members, mut queued, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for (shopper, member) in &saved.members {
            let (state, admission): (_, &[u8]) = match &member.state {
                MemberState::Queued => ("Q", &[]),
                MemberState::Inside(admission) => ("I", &admission.0),
                MemberState::Finished => ("F", &[]),
                MemberState::Left => ("L", &[]),
            };
            let drawn = member.drawn.map_or(String::new(), |Rank(rank)| rank.to_string());
            let (number, joined_at) = (member.number.0, member.joined_at.as_millis());
            let mut record = format!("{state}:{number}:{drawn}:{joined_at}:").into_bytes();
            record.extend_from_slice(admission);
            members.push((shopper.0.to_vec(), record));
            match member.state {
                MemberState::Queued => queued.push(scored(rank(member).0, &shopper.0)),
                MemberState::Finished | MemberState::Left => over.push(scored(rank(member).0, &shopper.0)),
                MemberState::Inside(_) => {}
            }
        }
        self.fill(shelf, era, "HSET", Key::Members, members).await?;
        self.fill(shelf, era, "ZADD", Key::Queued, queued).await?;
        self.fill(shelf, era, "ZADD", Key::Over, over).await?;
        self.load_sessions(shelf, era, queue, &saved).await?;
        self.load_calls(shelf, era, &saved).await?;
        self.step(shelf, &scripts.publish, head_words(era, queue, shelf))
            .await?;
        Ok(saved.members.len())
    }

    async fn load_sessions(
        &self,
        shelf: &Shelf,
        era: Era,
        queue: &Queue,
        saved: &Saved,
    ) -> Result<(), Unavailable> {
        let (mut sessions, mut records, mut ordered) = (Vec::new(), Vec::new(), Vec::new());
        // Who went to order is in no record: from here on everybody inside may have.
        let mut went = Vec::new();
        for (admission, session) in &saved.sessions {
            let drawn = queue.member(&session.shopper).and_then(|member| member.drawn);
            let rank = queue.rank_of(session.number, drawn).0;
            let claimed_at = session.claimed_at.as_millis();
            let mut record = format!("{}:{rank}:{claimed_at}:", session.number.0).into_bytes();
            record.extend_from_slice(&session.shopper.0);
            sessions.push(scored(session.expires_at.as_millis(), &admission.0));
            records.push((admission.0.to_vec(), record));
            went.push((admission.0.to_vec(), admission.0.to_vec()));
            if session.has_decided {
                ordered.push((admission.0.to_vec(), admission.0.to_vec()));
            }
        }
        let revoked = saved.revoked.iter();
        let revoked = revoked.map(|(dies_at, admission)| scored(dies_at.as_millis(), &admission.0));
        let (revoked, window) = (revoked.collect(), window_of(&saved.sessions, &saved.claimed_at));
        self.fill(shelf, era, "ZADD", Key::Sessions, sessions).await?;
        self.fill(shelf, era, "HSET", Key::Session, records).await?;
        self.fill(shelf, era, "SADD", Key::Ordered, ordered).await?;
        self.fill(shelf, era, "SADD", Key::Went, went).await?;
        self.fill(shelf, era, "ZADD", Key::Revoked, revoked).await?;
        self.fill(shelf, era, "ZADD", Key::Window, window).await
    }

    async fn load_calls(&self, shelf: &Shelf, era: Era, saved: &Saved) -> Result<(), Unavailable> {
        let (mut stretches, mut records) = (Vec::new(), Vec::new());
        for call in &saved.calls {
            let from = call.from.0.to_string().into_bytes();
            let (opened_at, called_at) = (call.opened_at.as_millis(), call.called_at.as_millis());
            let record = format!("{opened_at}:{called_at}:{}:{}", call.called, call.shown);
            stretches.push(scored(call.to.0, &from));
            records.push((from, record.into_bytes()));
        }
        self.fill(shelf, era, "ZADD", Key::Calls, stretches).await?;
        self.fill(shelf, era, "HSET", Key::Call, records).await
    }

    async fn fill(
        &self,
        shelf: &Shelf,
        era: Era,
        verb: &str,
        key: Key,
        pairs: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), Unavailable> {
        for some in pairs.chunks(PAIRS) {
            let words = Words::default().number(era.0).text(verb).number(key as u64);
            let words = some
                .iter()
                .fold(words, |words, (left, right)| words.bytes(left).bytes(right));
            self.step(shelf, &self.scripts.fill, words).await?;
        }
        Ok(())
    }

    /// One step of writing; refused if a later era is being written.
    async fn step(&self, shelf: &Shelf, script: &Named, words: Words) -> Result<(), Unavailable> {
        let mut reply = self.link.run(script, &shelf.keys, &words).await?;
        if reply.text()? == "OK" {
            Ok(())
        } else {
            Err(lost())
        }
    }
}

/// The claims of the last minute, each by the name of its admission if its session still runs.
fn window_of(sessions: &[(AdmissionId, Session)], claimed_at: &[Timestamp]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names: BTreeMap<Timestamp, Vec<AdmissionId>> = BTreeMap::new();
    for (admission, session) in sessions {
        names.entry(session.claimed_at).or_default().push(*admission);
    }
    let named = claimed_at.iter().enumerate().map(|(i, at)| {
        let admission = names.get_mut(at).and_then(Vec::pop);
        let name = admission.map_or_else(|| format!("r{i}").into_bytes(), |admission| admission.0.to_vec());
        scored(at.as_millis(), &name)
    });
    named.collect()
}

fn scored(score: u64, member: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (score.to_string().into_bytes(), member.to_vec())
}

/// The head of an era: versions of one era are never those of another.
fn head_words(era: Era, queue: &Queue, shelf: &Shelf) -> Words {
    let head = queue.head();
    let flag = |on: bool| u64::from(on);
    let numbers = [
        ("beat", 0),
        ("order", 1),
        ("ranked", 1),
        ("version", era.0.saturating_sub(1) << 32),
        ("epoch", head.epoch.into()),
        ("issued", head.issued.0),
        ("bound", head.issued.0),
        ("started", flag(head.started)),
        ("paused", flag(head.control.paused)),
        ("draining", flag(head.control.draining)),
        ("ended", flag(head.control.ended)),
        ("queue_all", flag(head.control.queue_all)),
        ("lapsed_below", head.lapsed_below.0),
        ("frontier", head.frontier.0),
        ("credit", 0),
        ("earned_until", 0),
        ("joined", 0),
        ("admitted", 0),
        ("no_shows", 0),
        ("left", 0),
        ("room_full", 0),
        ("active_max", 0),
        ("claims_max", 0),
        ("turned", 0),
        ("ran", 0),
        ("looked_at", 0),
    ];
    numbers
        .into_iter()
        .fold(Words::default().number(era.0), |words, (name, value)| {
            words.text(name).number(value)
        })
        .text("seed")
        .bytes(&head.seed.0)
        .text("cohort")
        .number_if_any(head.cohort)
        .text("held_since")
        .number_if_any(head.held_since.map(Timestamp::as_millis))
        .and(rule_words(&shelf.rules()))
}
