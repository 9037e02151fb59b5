//! Active sessions, by expiry: how many shoppers are inside, and who is to leave next.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{AdmissionId, Number, ShopperKey, Timestamp};

/// One admitted shopper's time inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Who.
    pub shopper: ShopperKey,
    /// On which place.
    pub number: Number,
    /// When the place was claimed: what counts against the rolling minute.
    pub claimed_at: Timestamp,
    /// When it ends unless renewed: active while `now` is before.
    pub expires_at: Timestamp,
    /// Whether it has ordered, or was told that nothing is left: then it no longer takes a unit away from those who wait.
    pub has_decided: bool,
}

/// All active sessions of one drop.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sessions {
    by_id: BTreeMap<AdmissionId, Session>,
    by_expiry: BTreeSet<(Timestamp, AdmissionId)>,
    ordered: u64,
}

impl Sessions {
    /// How many there are, expired ones included until [`Self::pop_expired`] has taken them.
    pub fn count(&self) -> u64 {
        self.by_id.len() as u64
    }

    /// How many have not ordered yet.
    pub fn undecided(&self) -> u64 {
        self.count().saturating_sub(self.ordered)
    }

    /// One session.
    pub fn get(&self, id: &AdmissionId) -> Option<&Session> {
        self.by_id.get(id)
    }

    /// Every session, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&AdmissionId, &Session)> {
        self.by_id.iter()
    }

    /// Puts `session` under `id`, in place of what was there.
    pub fn put(&mut self, id: AdmissionId, session: Session) {
        self.remove(&id);
        self.by_id.insert(id, session);
        self.by_expiry.insert((session.expires_at, id));
        self.ordered = self.ordered.saturating_add(u64::from(session.has_decided));
        self.assert_sound();
    }

    /// Takes a session out.
    pub fn remove(&mut self, id: &AdmissionId) -> Option<Session> {
        let session = self.by_id.remove(id)?;
        self.by_expiry.remove(&(session.expires_at, *id));
        self.ordered = self.ordered.saturating_sub(u64::from(session.has_decided));
        self.assert_sound();
        Some(session)
    }

    /// Takes one session out that is over at `now`.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<(AdmissionId, Session)> {
        let (expires_at, id) = *self.by_expiry.first()?;
        if expires_at > now {
            return None;
        }
        self.remove(&id).map(|session| (id, session))
    }

    /// When the session that is `nth` to end ends, counted from zero and looking at most 64 ahead.
    pub fn nth_expiry(&self, nth: u64) -> Option<Timestamp> {
        let nth = usize::try_from(nth.min(64)).unwrap_or(64);
        self.by_expiry.iter().nth(nth).map(|(at, _)| *at)
    }

    fn assert_sound(&self) {
        assert_eq!(
            self.by_id.len(),
            self.by_expiry.len(),
            "each session has one expiry"
        );
        assert!(self.ordered <= self.count(), "only sessions have ordered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn session(expires: u64, has_decided: bool) -> Session {
        Session {
            shopper: ShopperKey([1; 16]),
            number: Number(1),
            claimed_at: at(0),
            expires_at: at(expires),
            has_decided,
        }
    }

    fn id(name: u8) -> AdmissionId {
        AdmissionId([name; 16])
    }

    #[test]
    fn a_session_is_over_at_its_expiry_and_not_before() {
        let mut sessions = Sessions::default();
        sessions.put(id(1), session(1_000, false));
        assert_eq!(sessions.pop_expired(at(999)), None);
        assert_eq!(
            sessions.pop_expired(at(1_000)),
            Some((id(1), session(1_000, false)))
        );
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn renewing_moves_the_expiry_and_counts_once() {
        let mut sessions = Sessions::default();
        sessions.put(id(1), session(1_000, false));
        sessions.put(id(1), session(9_000, true));
        assert_eq!((sessions.count(), sessions.undecided()), (1, 0));
        assert_eq!(sessions.pop_expired(at(8_999)), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u64, bool),
        Remove(u8),
        Expire(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..20, 0u64..1_000, any::<bool>()).prop_map(|(i, e, o)| Step::Put(i, e, o)),
            (0u8..20).prop_map(Step::Remove),
            (0u64..1_000).prop_map(Step::Expire),
        ]
    }

    proptest! {
        /// The naive model is a list that is searched from end to end.
        #[test]
        fn they_agree_with_a_plain_list(steps in proptest::collection::vec(step(), 0..200)) {
            let mut sessions = Sessions::default();
            let mut list: Vec<(AdmissionId, Session)> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(i, expires, ordered) => {
                        list.retain(|(other, _)| *other != id(i));
                        list.push((id(i), session(expires, ordered)));
                        sessions.put(id(i), session(expires, ordered));
                    }
                    Step::Remove(i) => {
                        let found = list.iter().any(|(other, _)| *other == id(i));
                        list.retain(|(other, _)| *other != id(i));
                        prop_assert_eq!(sessions.remove(&id(i)).is_some(), found);
                    }
                    Step::Expire(now) => {
                        while let Some((gone, s)) = sessions.pop_expired(at(now)) {
                            prop_assert!(s.expires_at <= at(now));
                            list.retain(|(other, _)| *other != gone);
                        }
                        prop_assert!(list.iter().all(|(_, s)| s.expires_at > at(now)));
                    }
                }
                prop_assert_eq!(sessions.count(), list.len() as u64);
                let undecided = list.iter().filter(|(_, s)| !s.has_decided).count() as u64;
                prop_assert_eq!(sessions.undecided(), undecided);
                prop_assert_eq!(sessions.nth_expiry(0), list.iter().map(|(_, s)| s.expires_at).min());
            }
        }
    }
}
