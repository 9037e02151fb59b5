//! A queue store as `admission` promises it: the queue in memory, a journal that survives.
//!
//! Durable before the answer: the bound of the number block, claims, sessions, the frontier, the draw, the operator's
//! switches. Written behind, and lost with a crash: the shoppers' places, which their tickets bring back.

use std::collections::{BTreeMap, BTreeSet};

use domain::draw::Seed;
use domain::queue::{Head, Member, Queue, Saved};
use domain::{DropRules, Number, ShopperKey, Timestamp};

use super::mutation::Mutation;

/// Numbers per block. Small, so that runs use up many.
const BLOCK: u64 = 8;

/// The store of one drop.
#[derive(Debug)]
pub(crate) struct Store {
    queue: Option<Queue>,
    /// No operation happens before this instant: the shared clock may step back, the queue's may not.
    floor: Timestamp,
    rules: DropRules,
    bound: u64,
    /// Everything durable but the bound and the places.
    journal: Saved,
    members: BTreeMap<ShopperKey, Member>,
    pending: BTreeSet<ShopperKey>,
    mutation: Option<Mutation>,
}

impl Store {
    pub(crate) fn new(rules: DropRules, seed: Seed, now: Timestamp, mutation: Option<Mutation>) -> Self {
        let queue = Queue::new(rules.clone(), seed);
        let journal = queue.save(now);
        let (members, pending) = (BTreeMap::new(), BTreeSet::new());
        Self {
            queue: Some(queue),
            floor: now,
            rules,
            bound: 0,
            journal,
            members,
            pending,
            mutation,
        }
    }

    pub(crate) fn rules(&self) -> &DropRules {
        &self.rules
    }

    pub(crate) fn is_up(&self) -> bool {
        self.queue.is_some()
    }

    /// The instant of an operation that begins when the shared clock says `wall`.
    pub(crate) fn now(&mut self, wall: Timestamp) -> Timestamp {
        self.floor = self.floor.max(wall);
        self.floor
    }

    /// Carries out one operation and makes durable what has to be; nothing where the store is down. The place of
    /// `urgent` is written at once.
    pub(crate) fn run<T>(
        &mut self,
        wall: Timestamp,
        urgent: Option<ShopperKey>,
        operation: impl FnOnce(&mut Queue, Timestamp) -> T,
    ) -> Option<T> {
        let now = self.now(wall);
        let mut queue = self.queue.take()?;
        let outcome = operation(&mut queue, now);
        self.write(&mut queue, urgent, now);
        self.rules = queue.rules().clone();
        self.queue = Some(queue);
        Some(outcome)
    }

    /// Makes room for one more number, durably, before it is handed out.
    pub(crate) fn prepare_number(&mut self) {
        let Some(queue) = &self.queue else { return };
        if queue.issued().0 >= self.bound && self.mutation != Some(Mutation::BlockBoundNotDurable) {
            self.bound = queue.issued().0 + BLOCK;
        }
    }

    fn write(&mut self, queue: &mut Queue, urgent: Option<ShopperKey>, now: Timestamp) {
        let changes = queue.take_changes();
        let head = changes.queue || !changes.calls.is_empty() || !changes.sessions.is_empty();
        self.pending.extend(changes.members);
        if let Some(shopper) = urgent.filter(|shopper| self.pending.remove(shopper)) {
            self.write_member(queue, shopper);
        }
        if head {
            self.write_head(queue, now);
        }
    }

    fn write_member(&mut self, queue: &Queue, shopper: ShopperKey) {
        match queue.member(&shopper) {
            Some(member) => self.members.insert(shopper, *member),
            None => self.members.remove(&shopper),
        };
    }

    fn write_head(&mut self, queue: &Queue, now: Timestamp) {
        let full = Saved {
            members: Vec::new(),
            ..queue.save(now)
        };
        let old = std::mem::replace(&mut self.journal, full);
        match self.mutation {
            Some(Mutation::ClaimNotDurable) => {
                (self.journal.sessions, self.journal.claimed_at) = (Vec::new(), Vec::new());
            }
            Some(Mutation::FrontierNotDurable) => {
                let Head {
                    frontier,
                    lapsed_below,
                    ..
                } = old.head;
                self.journal.head = Head {
                    frontier,
                    lapsed_below,
                    ..self.journal.head
                };
                self.journal.calls = old.calls;
            }
            Some(Mutation::DrawNotDurable) => self.journal.head.cohort = old.head.cohort,
            Some(_) | None => {}
        }
    }

    /// Writes behind, and notes that the store is alive.
    pub(crate) fn heartbeat(&mut self, wall: Timestamp) {
        let now = self.now(wall);
        let Some(queue) = self.queue.take() else { return };
        for shopper in std::mem::take(&mut self.pending) {
            self.write_member(&queue, shopper);
        }
        self.write_head(&queue, now);
        self.queue = Some(queue);
    }

    /// Everything volatile is gone.
    pub(crate) fn crash(&mut self) {
        self.queue = None;
        self.pending.clear();
    }

    /// Comes back from the journal.
    pub(crate) fn restart(&mut self, wall: Timestamp) {
        self.floor = self.journal.alive_at;
        let now = self.now(wall);
        let members: Vec<(ShopperKey, Member)> = self.members.iter().map(|(key, m)| (*key, *m)).collect();
        let issued = match self.mutation {
            Some(Mutation::BlockBoundNotDurable) => {
                members.iter().map(|(_, m)| m.number).max().unwrap_or(Number(0))
            }
            Some(_) | None => Number(self.bound),
        };
        let alive_at = match self.mutation {
            Some(Mutation::DowntimeCounts) => now,
            Some(_) | None => self.journal.alive_at,
        };
        let head = Head {
            issued,
            ..self.journal.head
        };
        let saved = Saved {
            head,
            members,
            alive_at,
            ..self.journal.clone()
        };
        self.queue = Some(Queue::restore(self.rules.clone(), saved, now));
        self.heartbeat(wall);
    }
}
