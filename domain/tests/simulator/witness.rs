//! An independent record of what the queue has told and done, kept in plain lists, and the laws it has to obey.

use std::collections::BTreeMap;

use domain::{AdmissionId, Limits, Number, Rank, ShopperKey, Span, Timestamp};

use super::mutation::{Checked, Law, require};

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    numbers: BTreeMap<Number, ShopperKey>,
    ranks: BTreeMap<Number, Rank>,
    frontier: u64,
    /// Where the frontier went, and the usable time at which it did.
    called: Vec<(Rank, u64)>,
    claims: Vec<Timestamp>,
    sessions: BTreeMap<AdmissionId, Timestamp>,
    granted: BTreeMap<AdmissionId, u32>,
    /// The limit under which the last shopper was let in.
    allowed: u32,
    /// Milliseconds in which a called shopper could have come: the store was up and not held.
    usable: u64,
    last: Timestamp,
    held: bool,
}

impl Witness {
    /// Notes that time has passed for the store, and whether the queue is held from now on.
    pub(crate) fn time(&mut self, now: Timestamp, held: bool) {
        if !self.held && self.last > Timestamp::EPOCH {
            self.usable += now.since(self.last).as_millis();
        }
        self.last = self.last.max(now);
        self.held = held;
    }

    /// The store was down until `now`.
    pub(crate) fn woke(&mut self, now: Timestamp) {
        self.last = self.last.max(now);
    }

    pub(crate) fn number(&mut self, number: Number, shopper: ShopperKey) -> Checked {
        let owner = *self.numbers.entry(number).or_insert(shopper);
        require(Law::OneShopperPerNumber, owner == shopper, || {
            format!("number {} was given to {owner} and to {shopper}", number.0)
        })
    }

    /// A rank as computed once the order stands.
    pub(crate) fn rank(&mut self, number: Number, rank: Rank) -> Checked {
        let before = *self.ranks.entry(number).or_insert(rank);
        require(Law::RanksStand, before == rank, || {
            format!("number {} had rank {} and now has {}", number.0, before.0, rank.0)
        })
    }

    pub(crate) fn frontier(&mut self, frontier: Rank) -> Checked {
        let before = self.frontier;
        require(Law::FrontierGrows, frontier.0 >= before, || {
            format!("the frontier was {before} and is {}", frontier.0)
        })?;
        if frontier.0 > before {
            self.frontier = frontier.0;
            self.called.push((frontier, self.usable));
        }
        Ok(())
    }

    /// A shopper was let in, with a token good until `until`.
    pub(crate) fn grant(
        &mut self,
        id: AdmissionId,
        now: Timestamp,
        until: Timestamp,
        limits: Limits,
    ) -> Checked {
        // The store's clock never runs back from one claim to the next, whatever the shared clock does.
        let now = self.claims.last().map_or(now, |last| now.max(*last));
        self.claims.push(now);
        self.allowed = limits.total_active_users;
        self.sessions.insert(id, until);
        *self.granted.entry(id).or_insert(0) += 1;
        let active = self.active(now);
        require(
            Law::Sessions,
            active as u64 <= u64::from(limits.total_active_users),
            || {
                format!(
                    "{active} sessions are active, {} may be",
                    limits.total_active_users
                )
            },
        )?;
        let recent = self
            .claims
            .iter()
            .rev()
            .take_while(|at| **at + Span::from_secs(60) > now)
            .count();
        require(
            Law::Claims,
            recent as u64 <= u64::from(limits.new_users_per_minute),
            || format!("{recent} claims in 60 s, {} may be", limits.new_users_per_minute),
        )
    }

    /// The same admission was answered again; a token with this expiry is out.
    pub(crate) fn repeat(&mut self, id: AdmissionId, until: Timestamp) {
        let told = self.sessions.entry(id).or_insert(until);
        *told = (*told).max(until);
    }

    pub(crate) fn was_granted(&self, id: AdmissionId) -> bool {
        self.granted.contains_key(&id)
    }

    pub(crate) fn ended(&mut self, id: AdmissionId) {
        self.sessions.remove(&id);
    }

    /// Tokens that are out and good at `now`.
    pub(crate) fn active(&self, now: Timestamp) -> usize {
        self.sessions.values().filter(|until| **until > now).count()
    }

    /// After every step: no more active than allowed. Whoever was inside when the limit was lowered may stay; the first
    /// to be let in after it must have found the room below the new limit, and then it holds for all.
    pub(crate) fn check(&self, now: Timestamp, limits: Limits) -> Checked {
        let active = self.active(now.max(self.last));
        let allowed = self.allowed.max(limits.total_active_users) as usize;
        require(Law::Sessions, active <= allowed, || {
            format!("{active} sessions are active, {allowed} may be")
        })
    }

    /// A shopper was told that the place of `rank` has lapsed.
    pub(crate) fn lapsed(&self, rank: Rank, patience: Span) -> Checked {
        let called = self.called.iter().find(|(to, _)| *to > rank);
        let had = called.map(|(_, at)| self.usable - at);
        require(
            Law::OwnTimeOnly,
            had.is_some_and(|had| had >= patience.as_millis()),
            || format!("rank {} lapsed after {had:?} ms of {patience}", rank.0),
        )
    }
}
