//! A clock that never runs backwards, made from one that may.
//!
//! Limits count time that has passed. When the wall clock steps back, steady time goes on at
//! half speed until the wall has caught up: sixty steady seconds then are more than sixty real
//! ones, so no limit is ever exceeded, and nothing stands still for long.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, Timestamp};

/// Steady time over a wall clock.
pub(crate) struct SteadyClock {
    wall: Arc<dyn Clock>,
    /// The latest instant given, in milliseconds.
    latest: AtomicU64,
    behind: Mutex<Option<Behind>>,
    /// Whether `behind` holds a mark.
    marked: AtomicBool,
}

/// The last look while the wall was behind. Void once time has gone on without looking here.
struct Behind {
    wall: u64,
    latest: u64,
}

impl SteadyClock {
    /// Starts at the wall's present instant.
    pub(crate) fn new(wall: Arc<dyn Clock>) -> Self {
        let latest = AtomicU64::new(wall.now().as_millis());
        Self {
            wall,
            latest,
            behind: Mutex::new(None),
            marked: AtomicBool::new(false),
        }
    }

    /// Takes note of an instant that was given before a restart: time goes on from there.
    pub(crate) fn raise(&self, seen: Timestamp) {
        self.latest.fetch_max(seen.as_millis(), Ordering::AcqRel);
    }

    fn catch_up(&self, wall: u64) -> u64 {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.latest.load(Ordering::Acquire);
        if wall >= latest {
            *behind = None;
            self.marked.store(false, Ordering::Release);
            return self.latest.fetch_max(wall, Ordering::AcqRel).max(wall);
        }
        let mark = behind
            .as_ref()
            .filter(|mark| mark.latest == latest && mark.wall <= wall);
        let gained = mark.map_or(0, |mark| (wall - mark.wall) / 2);
        // A look that gains nothing leaves the mark, or frequent looks would stop the clock.
        if gained > 0 || mark.is_none() {
            *behind = Some(Behind {
                wall,
                latest: latest + gained,
            });
            self.marked.store(true, Ordering::Release);
        }
        self.latest.fetch_add(gained, Ordering::AcqRel) + gained
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let wall = self.wall.now().as_millis();
        // Asked far more often than time passes in whole milliseconds: only the first in each of them
        // writes, or all cores would fight over these lines. A mark has to be looked at in any case.
        if self.latest.load(Ordering::Acquire) == wall && !self.marked.load(Ordering::Acquire) {
            return Timestamp::from_millis(wall);
        }
        let latest = self.latest.fetch_max(wall, Ordering::AcqRel);
        let steady = if wall > latest { wall } else { self.catch_up(wall) };
        Timestamp::from_millis(steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::StepClock;
    use proptest::prelude::*;

    fn clocks(start: u64) -> (Arc<StepClock>, SteadyClock) {
        let wall = Arc::new(StepClock::at(start));
        (wall.clone(), SteadyClock::new(wall))
    }

    #[test]
    fn it_is_the_wall_clock_while_that_behaves() {
        let (wall, steady) = clocks(1_000);
        wall.set(1_500);
        assert_eq!(steady.now().as_millis(), 1_500);
    }

    #[test]
    fn after_a_step_back_it_runs_at_half_speed_until_the_wall_has_caught_up() {
        let (wall, steady) = clocks(10_000);
        wall.set(4_000);
        assert_eq!(steady.now().as_millis(), 10_000);
        wall.set(6_000);
        assert_eq!(steady.now().as_millis(), 11_000);
        wall.set(20_000);
        assert_eq!(steady.now().as_millis(), 20_000);
    }

    #[test]
    fn looking_often_does_not_stop_it() {
        let (wall, steady) = clocks(100_000);
        for t in 0..1_000 {
            wall.set(50_000 + t);
            steady.now();
        }
        assert!(steady.now().as_millis() >= 100_400);
    }

    #[test]
    fn an_instant_from_before_a_restart_is_never_given_again() {
        let (_, steady) = clocks(1_000);
        steady.raise(Timestamp::from_millis(9_000));
        assert!(steady.now().as_millis() >= 9_000);
    }

    proptest! {
        #[test]
        fn it_never_runs_back_and_never_faster_than_the_wall_when_behind(walls in proptest::collection::vec(0u64..100_000, 1..100)) {
            let (wall, steady) = clocks(50_000);
            let (mut last, mut last_wall) = (50_000, 50_000);
            for at in walls {
                wall.set(at);
                let now = steady.now().as_millis();
                prop_assert!(now >= last && now >= at);
                if now > at {
                    prop_assert!(now - last <= at.saturating_sub(last_wall));
                }
                (last, last_wall) = (now, at);
            }
        }
    }
}
