//! Requests per second and endpoint, counted over the last second exactly.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::route::Operation;

/// Admitted requests of the last second, per operation; no list is longer than the limit.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    admitted: BTreeMap<Operation, VecDeque<Instant>>,
}

impl Limits {
    /// Whether one more request fits under `per_second`; 0 is unlimited. A refusal is not counted.
    pub(crate) fn admit(&mut self, operation: Operation, per_second: u32, now: Instant) -> bool {
        if per_second == 0 {
            return true;
        }
        let recent = self.admitted.entry(operation).or_default();
        while recent
            .front()
            .is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1))
        {
            recent.pop_front();
        }
        if recent.len() >= usize::try_from(per_second).unwrap_or(usize::MAX) {
            return false;
        }
        recent.push_back(now);
        true
    }
}
