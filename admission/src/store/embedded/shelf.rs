//! One drop's queue in memory, its number blocks, and the hand-over of changes to the journal.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::draw::Seed;
use domain::queue::{Changes, Claim, Claimant, JoinRefusal, Joined, Moment, Queue, RETRY_MAX, Saved, View};
use domain::window::{ANSWERED_WITHIN, HELD};
use domain::{AdmissionId, DropId, DropRules, Rank, Span, Timestamp};

use super::block::Blocks;
use super::hint::Hints;
use super::journal::{Batch, Durable, Journal};
use super::rows::{QueueRow, Row};
use crate::store::{Going, JoinRequest, Went};

/// How often sessions that are over are swept out of the file.
const SWEEP_EVERY: Span = Span::from_secs(10);

/// One drop's queue.
pub(super) struct Shelf {
    drop: DropId,
    pub(super) hints: Hints,
    state: Mutex<State>,
}

/// An operation's answer, and what it has to wait for before it may be given.
pub(super) struct Settled<T> {
    pub(super) answer: T,
    pub(super) durable: Option<Durable>,
}

/// Whether an admission has been answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owed {
    /// Surely not.
    Surely,
    /// Nobody knows: it was granted before a restart.
    Perhaps,
}

struct State {
    queue: Queue,
    /// Admissions whose answer has not left yet.
    owed: BTreeMap<AdmissionId, Owed>,
    blocks: Blocks,
    /// The latest instant anything happened at.
    latest: Timestamp,
    /// What the file was told last.
    lapsed_below: Rank,
    swept_at: Timestamp,
}

impl Shelf {
    /// A queue as it was saved, or a new one with `seed`.
    pub(super) fn new(rules: DropRules, saved: Option<Saved>, seed: Seed, now: Timestamp) -> Self {
        let drop = rules.drop.clone();
        let inside = saved.iter().flat_map(|saved| &saved.sessions);
        let hints = Hints::after(inside.clone().map(|(admission, _)| *admission));
        let owed = inside.filter(|(_, session)| session.claimed_at + HELD > now);
        let owed = owed.map(|(admission, _)| (*admission, Owed::Perhaps)).collect();
        let queue = match saved {
            Some(saved) => Queue::restore(rules, saved, now),
            None => Queue::new(rules, seed),
        };
        let blocks = Blocks::after(queue.issued(), now);
        let state = State {
            queue,
            owed,
            blocks,
            latest: now,
            lapsed_below: Rank(0),
            swept_at: now,
        };
        Self {
            drop,
            hints,
            state: Mutex::new(state),
        }
    }

    /// Gives the queue its rules, and writes it down as it is now: from here on the file knows
    /// the drop, its seed and the first block of numbers. Answers with the instant it happened at.
    pub(super) fn reconfigure(
        &self,
        rules: DropRules,
        seed: Seed,
        at: Moment,
        journal: &Journal,
    ) -> Settled<Timestamp> {
        let mut state = self.lock();
        let at = state.reach(at);
        state.queue.reconfigure(rules, seed, at);
        let issued = state.queue.issued();
        state.blocks.extend_past(issued, at.now);
        let durable = self.hand_over(&mut state, at.now, journal);
        Settled {
            answer: at.now,
            durable: Some(durable),
        }
    }

    /// Does something that must be on disk before it is answered, at `now` or as much later as
    /// time has come to.
    pub(super) fn durably<T>(
        &self,
        now: Timestamp,
        journal: &Journal,
        operation: impl FnOnce(&mut Queue, Timestamp) -> T,
    ) -> Settled<T> {
        let mut state = self.lock();
        let now = state.reach_time(now);
        let answer = operation(&mut state.queue, now);
        let durable = Some(self.hand_over(&mut state, now, journal));
        Settled { answer, durable }
    }

    /// Joins wait for the disk only where a number lies beyond the block that is on it.
    pub(super) fn join(
        &self,
        requests: &[JoinRequest],
        at: Moment,
        journal: &Journal,
    ) -> Settled<Vec<Result<Joined, JoinRefusal>>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let at = state.reach(at);
        let started = state.queue.version();
        let answer = requests
            .iter()
            .map(|request| join_one(&mut state.queue, request, at))
            .collect();
        let issued = state.queue.issued();
        let extended = state.blocks.extend_past(issued, at.now);
        // A join can be what starts the drop; the draw is public from then on.
        let has_started = state.queue.version() != started;
        if !extended && !has_started && state.blocks.covers(issued) {
            return Settled {
                answer,
                durable: None,
            };
        }
        let must_wait = has_started || !state.blocks.covers(issued);
        let durable = if extended || has_started {
            self.hand_over(state, at.now, journal)
        } else {
            self.mark(journal)
        };
        Settled {
            answer,
            durable: must_wait.then_some(durable),
        }
    }

    /// Claims that change nothing are answered at once.
    pub(super) fn claim(&self, claimant: &Claimant, at: Moment, journal: &Journal) -> Settled<Claim> {
        let mut state = self.lock();
        let at = state.reach(at);
        let answer = state.queue.claim(claimant, at);
        let durable = match answer {
            Claim::Admitted {
                admission, repeated, ..
            } => {
                if !repeated {
                    state.owe(admission);
                }
                Some(self.hand_over(&mut state, at.now, journal))
            }
            Claim::NotCalled { .. }
            | Claim::RoomFull { .. }
            | Claim::Lapsed
            | Claim::Left
            | Claim::Finished
            | Claim::Paused
            | Claim::NotOpen
            | Claim::SoldOut
            | Claim::Ended => None,
        };
        Settled { answer, durable }
    }

    /// The answer to a claim leaves at `now`, when all of it is on disk. Of an admission the rolling minute counts
    /// that instant: where it lies well after the claim, it is counted from here on.
    pub(super) fn answer(&self, claim: Claim, now: Timestamp, journal: &Journal) -> Claim {
        let Claim::Admitted { admission, .. } = claim else {
            return claim;
        };
        let mut state = self.lock();
        let (Some(owed), Some(session)) = (
            state.owed.get(&admission).copied(),
            state.queue.session(&admission).copied(),
        ) else {
            return claim;
        };
        let is_late = session.claimed_at + ANSWERED_WITHIN < now;
        // Who may well have been answered is not turned away for a minute that is long over.
        let counts = owed == Owed::Surely || session.claimed_at + HELD > now;
        if is_late && counts {
            if !state.queue.stamp_again(admission, now) {
                return Claim::RoomFull {
                    retry_after: RETRY_MAX,
                };
            }
            // On its way to the disk, but not waited for: it would be late again. Under the latest instant, which `now`
            // is no part of.
            let latest = state.latest;
            drop(self.hand_over(&mut state, latest, journal));
        }
        state.owed.remove(&admission);
        claim
    }

    /// Who of these went to order before.
    pub(super) fn go_to_order(&self, admissions: &[(AdmissionId, Going)]) -> Vec<Went> {
        self.hints.go(&self.lock().queue, admissions)
    }

    /// A view is given out only when all it shows is on disk: what was seen never comes undone.
    pub(super) fn view(&self, at: Moment, journal: &Journal) -> Settled<View> {
        let mut state = self.lock();
        let at = state.reach(at);
        let answer = state.queue.view(at);
        let durable = if state.queue.has_changed_as_a_whole() {
            self.hand_over(&mut state, at.now, journal)
        } else {
            self.mark(journal)
        };
        Settled {
            answer,
            durable: Some(durable),
        }
    }

    /// Writes down whatever is not yet, and that we are alive.
    pub(super) fn flush(&self, now: Timestamp, journal: &Journal) -> Durable {
        let mut state = self.lock();
        let now = state.reach_time(now);
        self.hand_over(&mut state, now, journal)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a broken law; the state before it was sound, and every
        // operation checks it again at its end.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, journal: &Journal) -> Durable {
        journal.write(Batch {
            drop: self.drop.clone(),
            rows: Vec::new(),
            block: None,
        })
    }

    /// Hands everything that changed to the journal. Under the lock: the order in which changes
    /// were made is the order in which they are written.
    fn hand_over(&self, state: &mut State, now: Timestamp, journal: &Journal) -> Durable {
        let changes = state.queue.take_changes();
        let mut rows = rows_of(&state.queue, &changes);
        let queue = queue_row(&state.queue, &state.blocks, now);
        if queue.lapsed_below != state.lapsed_below {
            state.lapsed_below = queue.lapsed_below;
            rows.push(Row::CallsForgotten(queue.lapsed_below));
        }
        rows.push(Row::Queue(queue));
        if now.since(state.swept_at) >= SWEEP_EVERY {
            state.swept_at = now;
            rows.push(Row::SweepSessions(now));
        }
        journal.write(Batch {
            drop: self.drop.clone(),
            rows,
            block: Some(state.blocks.mark()),
        })
    }
}

impl State {
    /// Notes that an admission is to be answered. Answers that were never waited for pile up no further than sessions.
    fn owe(&mut self, admission: AdmissionId) {
        let Self { queue, owed, .. } = self;
        if owed.len() as u64 > queue.active() {
            owed.retain(|admission, _| queue.session(admission).is_some());
        }
        owed.insert(admission, Owed::Surely);
    }

    /// The clock is read before the lock is taken, so whoever reads first may get here second.
    /// A queue must not see time run back: what a later instant has ended would be on disk under
    /// an earlier one, and after a restart nobody could tell that its time had come.
    fn reach_time(&mut self, now: Timestamp) -> Timestamp {
        self.latest = self.latest.max(now);
        self.latest
    }

    fn reach(&mut self, at: Moment) -> Moment {
        Moment {
            now: self.reach_time(at.now),
            ..at
        }
    }
}

fn join_one(queue: &mut Queue, request: &JoinRequest, at: Moment) -> Result<Joined, JoinRefusal> {
    if let Some(held) = request.held.filter(|held| held.shopper == request.shopper) {
        queue.relearn(&held, at);
    }
    queue.join(request.shopper, request.random, at)
}

fn rows_of(queue: &Queue, changes: &Changes) -> Vec<Row> {
    let calls = changes
        .calls
        .iter()
        .filter_map(|from| queue.call(*from))
        .map(Row::Call);
    let members = changes.members.iter().map(|shopper| match queue.member(shopper) {
        Some(member) => Row::Member(*shopper, *member),
        None => Row::MemberGone(*shopper),
    });
    let sessions = changes.sessions.iter().map(|id| match queue.session(id) {
        Some(session) => Row::Session(*id, *session),
        None => Row::SessionOver(*id, queue.revoked_until(id)),
    });
    calls.chain(members).chain(sessions).collect()
}

fn queue_row(queue: &Queue, blocks: &Blocks, now: Timestamp) -> QueueRow {
    let head = queue.head();
    QueueRow {
        epoch: head.epoch,
        number_end: blocks.end(),
        seed: head.seed.0,
        started: head.started,
        cohort: head.cohort,
        control: head.control,
        held_since: head.held_since,
        lapsed_below: head.lapsed_below,
        frontier: head.frontier,
        alive_at: now,
        tally: head.tally,
    }
}
