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
