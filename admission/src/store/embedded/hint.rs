//! The stock hint of one process, and who went to order, both in memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use domain::queue::Queue;
use domain::{AdmissionId, StockHint, Timestamp};

use crate::store::{Going, Went};

/// One drop's hint, and who went to order.
#[derive(Default)]
pub(super) struct Hints {
    hint: ArcSwapOption<StockHint>,
    went: Mutex<BTreeSet<AdmissionId>>,
}

impl Hints {
    /// Nobody knows who of `inside` went to order before a restart: they may have.
    pub(super) fn after(inside: impl IntoIterator<Item = AdmissionId>) -> Self {
        Self {
            hint: ArcSwapOption::empty(),
            went: Mutex::new(inside.into_iter().collect()),
        }
    }

    pub(super) fn latest(&self) -> Option<Arc<StockHint>> {
        self.hint.load_full()
    }

    pub(super) fn offer(&self, reading: StockHint, now: Timestamp) {
        let reading = Arc::new(reading);
        self.hint.rcu(|there| {
            if reading.may_replace(there.as_deref(), now) {
                Some(Arc::clone(&reading))
            } else {
                there.clone()
            }
        });
    }

    /// Who went before, of those who go now or perhaps. Without a session nobody can tell.
    pub(super) fn go(&self, queue: &Queue, admissions: &[(AdmissionId, Going)]) -> Vec<Went> {
        let mut went = self.went.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = admissions.iter().map(|(admission, going)| {
            let known = match (queue.session(admission), going) {
                (None, _) => true,
                (Some(_), Going::Now) => !went.insert(*admission),
                (Some(_), Going::Perhaps) => went.contains(admission),
            };
            if known { Went::Perhaps } else { Went::Never }
        });
        let answers = answers.collect();
        // Sessions end and their names stay, until as many names are useless as are not.
        if went.len() > WENT_KEPT_MIN && went.len() as u64 > queue.active().saturating_mul(2) {
            went.retain(|admission| queue.session(admission).is_some());
        }
        answers
    }
}

/// Fewer names than these are not worth looking through: 16 KiB.
const WENT_KEPT_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use domain::draw::Seed;
    use domain::queue::{Advance, EndReason, Moment};
    use domain::{Number, StockState};

    use super::*;
    use crate::store::contract::{START, claimant, rules, shopper};

    #[test]
    fn names_of_those_who_left_do_not_pile_up() {
        const CROWD: u64 = 1_030;
        let at = Moment {
            now: Timestamp::from_millis(START),
            stock: StockState::Left,
        };
        let mut queue = Queue::new(rules(2_000, 2_000), Seed([0; 32]));
        let names: Vec<_> = (1..=CROWD).map(|name| claimant(name, Number(name))).collect();
        for name in 1..=CROWD {
            queue.join(shopper(name), 0, at).unwrap();
        }
        let view = queue.view(at);
        let advance = Advance {
            version: view.version,
            calls: CROWD,
            pace: view.pace,
        };
        queue.advance(advance, at).unwrap();
        let hints = Hints::default();
        for claimant in &names {
            queue.claim(claimant, at);
            let went = hints.go(&queue, &[(claimant.admission, Going::Now)]);
            assert_eq!(went, [Went::Never]);
        }
        assert_eq!(hints.went.lock().unwrap().len(), names.len(), "all are inside");
        for claimant in &names[1..] {
            queue.end_session(claimant.admission, EndReason::Left, at.now);
        }
        let went = hints.go(&queue, &[(names[0].admission, Going::Perhaps)]);
        assert_eq!(went, [Went::Perhaps]);
        assert_eq!(hints.went.lock().unwrap().len(), 1, "one is inside");
    }
}
