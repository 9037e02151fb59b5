//! The durable record in memory, shared by the stores of one test: what Postgres does, in small.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::queue::MemberState;
use domain::window::HELD;

use crate::store::redis::marks::*;
use crate::store::redis::{superseded, unavailable};
use crate::store::{Answer, Unavailable};
use domain::draw::Seed;
use domain::queue::{Member, Saved};
use domain::sessions::Session;
use domain::{AdmissionId, DropId, Number, Rank, Timestamp};

/// All records.
#[derive(Default)]
pub(crate) struct MemoryMarks {
    records: Mutex<BTreeMap<DropId, Record>>,
    locks: Arc<Mutex<std::collections::BTreeSet<DropId>>>,
}

#[derive(Clone)]
struct Record {
    era: Era,
    version: u64,
    saved: Saved,
    sessions: BTreeMap<AdmissionId, Kept>,
}

#[derive(Clone)]
struct Kept {
    session: Session,
    over: bool,
    revoked_until: Option<Timestamp>,
}

struct Locked(DropId, Arc<Mutex<std::collections::BTreeSet<DropId>>>);

impl Guard for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.1.lock().unwrap().remove(&self.0);
    }
}

impl MemoryMarks {
    fn records(&self) -> MutexGuard<'_, BTreeMap<DropId, Record>> {
        self.records.lock().unwrap()
    }

    fn at_era<T>(
        &self,
        drop: &DropId,
        era: Era,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T, Unavailable> {
        match self.records().get_mut(drop) {
            Some(record) if record.era == era => Ok(change(record)),
            Some(_) | None => Err(superseded()),
        }
    }
}

impl Marks for MemoryMarks {
    fn standing<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Standing>> {
        Box::pin(async move {
            Ok(self.records().get(drop).map(|record| Standing {
                era: record.era,
                alive_at: record.saved.alive_at,
            }))
        })
    }

    fn create<'a>(&'a self, drop: &'a DropId, seed: Seed, now: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            let rules = domain::DropRules::new(drop.clone());
            self.records().entry(drop.clone()).or_insert_with(|| Record {
                era: Era(0),
                version: 0,
                saved: domain::queue::Queue::new(rules, seed).save(now),
                sessions: BTreeMap::new(),
            });
            Ok(())
        })
    }

    fn lock<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Box<dyn Guard>>> {
        Box::pin(async move {
            let taken = self.locks.lock().unwrap().insert(drop.clone());
            Ok(taken.then(|| Box::new(Locked(drop.clone(), self.locks.clone())) as Box<dyn Guard>))
        })
    }

    fn begin_era<'a>(&'a self, drop: &'a DropId, now: Timestamp) -> Answer<'a, (Era, Saved)> {
        Box::pin(async move {
            let mut records = self.records();
            let record = records.get_mut(drop).ok_or_else(|| unavailable("no record"))?;
            record.era = Era(record.era.0 + 1);
            record.version = 0;
            let mut saved = record.saved.clone();
            let now = saved.alive_at.min(now);
            let kept = record.sessions.iter();
            saved.sessions = kept
                .clone()
                .filter(|(_, kept)| !kept.over)
                .map(|(id, kept)| (*id, kept.session))
                .collect();
            saved.revoked = kept
                .clone()
                .filter_map(|(id, kept)| Some((kept.revoked_until?, *id)))
                .collect();
            saved.claimed_at = kept
                .map(|(_, kept)| kept.session.claimed_at)
                .filter(|at| *at + HELD > now)
                .collect();
            Ok((record.era, saved))
        })
    }

    fn raise_numbers<'a>(&'a self, drop: &'a DropId, era: Era, end: Number) -> Answer<'a, ()> {
        Box::pin(async move {
            self.at_era(drop, era, |record| {
                record.saved.head.issued = record.saved.head.issued.max(end);
            })
        })
    }

    fn raise_frontier<'a>(&'a self, drop: &'a DropId, era: Era, to: Rank) -> Answer<'a, ()> {
        Box::pin(async move {
            self.at_era(drop, era, |record| {
                record.saved.head.frontier = record.saved.head.frontier.max(to);
            })
        })
    }

    fn start<'a>(&'a self, drop: &'a DropId, era: Era, cohort: Option<u64>) -> Answer<'a, Begun> {
        Box::pin(async move {
            self.at_era(drop, era, |record| {
                let head = &mut record.saved.head;
                if !head.started {
                    head.started = true;
                    head.cohort = cohort;
                    head.epoch += 1;
                }
                epoch_of(record)
            })
        })
    }

    fn begin_epoch<'a>(
        &'a self,
        drop: &'a DropId,
        era: Era,
        epoch: u32,
        seed: Option<Seed>,
    ) -> Answer<'a, Begun> {
        Box::pin(async move {
            self.at_era(drop, era, |record| {
                if record.saved.head.epoch < epoch {
                    record.saved.head.epoch = epoch;
                    record.sessions.values_mut().for_each(|kept| kept.over = true);
                    if let Some(seed) = seed {
                        let head = &mut record.saved.head;
                        (head.started, head.cohort, head.seed) = (false, None, seed);
                    }
                }
                epoch_of(record)
            })
        })
    }

    fn write<'a>(&'a self, drop: &'a DropId, era: Era, rows: Vec<Row>) -> Answer<'a, ()> {
        Box::pin(async move {
            self.at_era(drop, era, |record| {
                for row in rows {
                    apply(record, row);
                }
            })
        })
    }

    fn knows<'a>(&'a self, drop: &'a DropId, admission: AdmissionId) -> Answer<'a, bool> {
        Box::pin(async move {
            let records = self.records();
            Ok(records
                .get(drop)
                .is_some_and(|record| record.sessions.contains_key(&admission)))
        })
    }
}

fn epoch_of(record: &Record) -> Begun {
    let head = record.saved.head;
    Begun {
        epoch: head.epoch,
        seed: head.seed,
        cohort: head.cohort,
    }
}

fn apply(record: &mut Record, row: Row) {
    let Record {
        version,
        saved,
        sessions,
        ..
    } = record;
    match row {
        Row::Switches(switches) if switches.version >= *version => {
            *version = switches.version;
            saved.head.control = switches.control;
            saved.head.held_since = switches.held_since;
        }
        Row::Switches(_) => {}
        Row::Alive(at, lapsed_below) => {
            saved.alive_at = saved.alive_at.max(at);
            saved.head.lapsed_below = saved.head.lapsed_below.max(lapsed_below);
            saved.calls.retain(|call| call.to > lapsed_below);
        }
        Row::Call(call) => {
            saved.calls.retain(|kept| kept.from != call.from);
            saved.calls.push(call);
            saved.calls.sort_by_key(|call| call.from);
        }
        Row::Member(shopper, member) => {
            let at = saved.members.iter().position(|(name, _)| *name == shopper);
            let beaten = at.map(|at| saved.members[at].1);
            let order = |member: &Member| (member.number, state_order(&member.state));
            if beaten.is_none_or(|old| order(&old) < order(&member)) {
                saved.members.retain(|(name, _)| *name != shopper);
                saved.members.push((shopper, member));
            }
        }
        Row::MemberGone(shopper, number) => {
            saved
                .members
                .retain(|(name, member)| *name != shopper || member.number > number);
        }
        Row::Session(id, session) => {
            sessions.entry(id).or_insert(Kept {
                session,
                over: false,
                revoked_until: None,
            });
        }
        Row::Extended(id, expires_at) => with(sessions, id, |kept| {
            kept.session.expires_at = kept.session.expires_at.max(expires_at);
        }),
        Row::Stamped(id, at) => with(sessions, id, |kept| {
            kept.session.claimed_at = kept.session.claimed_at.max(at);
        }),
        Row::Ordered(id) => with(sessions, id, |kept| kept.session.has_decided = true),
        Row::Over(id, revoked_until) => with(sessions, id, |kept| {
            kept.over = true;
            kept.revoked_until = kept.revoked_until.max(revoked_until);
        }),
    }
}

fn with(sessions: &mut BTreeMap<AdmissionId, Kept>, id: AdmissionId, change: impl FnOnce(&mut Kept)) {
    if let Some(kept) = sessions.get_mut(&id) {
        change(kept);
    }
}

fn state_order(state: &MemberState) -> u8 {
    match state {
        MemberState::Queued => 0,
        MemberState::Inside(_) => 1,
        MemberState::Finished => 2,
        MemberState::Left => 3,
    }
}
