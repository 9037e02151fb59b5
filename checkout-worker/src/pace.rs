//! A rate that many wait for in turn, can be changed while they wait, and gives way when the other side is overrun.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// How long a lowered rate stays before it takes a step back up.
const RECOVERY_STEP: Duration = Duration::from_secs(5);
/// A tenth of the configured rate is regained per step: from half speed back to full in 25 s.
const RECOVERY_PARTS: u32 = 10;

/// Events per second, shared by everybody who waits for their turn.
pub struct Pace {
    /// Waiters stand in line here, so that turns are given in the order they were asked for.
    line: tokio::sync::Mutex<()>,
    limiter: RwLock<Arc<Limiter>>,
    rate: Mutex<Rate>,
}

/// What was configured, and what is in force.
#[derive(Clone, Copy)]
struct Rate {
    configured: u32,
    in_force: u32,
    changed: Instant,
    not_before: Instant,
}

/// Time as the runtime keeps it, so that paused time in tests paces too.
#[derive(Clone)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Pace {
    /// So many turns per second; 0 counts as 1.
    pub fn per_second(rate: u32) -> Self {
        let rate = rate.max(1);
        let now = Instant::now();
        let state = Rate {
            configured: rate,
            in_force: rate,
            changed: now,
            not_before: now,
        };
        Self {
            line: tokio::sync::Mutex::new(()),
            limiter: RwLock::new(limiter(rate)),
            rate: Mutex::new(state),
        }
    }

    /// Waits for a turn.
    pub async fn turn(&self) {
        let _first_in_line = self.line.lock().await;
        loop {
            self.recover();
            tokio::time::sleep_until(self.state().not_before).await;
            let limiter = Arc::clone(&self.limiter.read().unwrap_or_else(PoisonError::into_inner));
            let Err(refused) = limiter.check() else { return };
            tokio::time::sleep(refused.wait_time_from(limiter.clock().now())).await;
        }
    }

    /// Sets the configured rate, effective for those already waiting too.
    pub fn set(&self, per_second: u32) {
        self.update(|rate| {
            rate.configured = per_second.max(1);
            rate.in_force = rate.configured;
        });
    }

    /// Halves the rate in force, at most once a second, and keeps everybody waiting for `hold` if given.
    pub fn slow_down(&self, hold: Option<Duration>) {
        let now = Instant::now();
        self.update(|rate| {
            if now.duration_since(rate.changed) >= Duration::from_secs(1) || rate.in_force == rate.configured
            {
                rate.in_force = (rate.in_force / 2).max(1);
            }
            rate.not_before = rate.not_before.max(now + hold.unwrap_or_default());
        });
    }

    /// Turns per second in force now.
    pub fn rate(&self) -> u32 {
        self.state().in_force
    }

    fn recover(&self) {
        let rate = self.state();
        if rate.in_force < rate.configured && rate.changed.elapsed() >= RECOVERY_STEP {
            self.update(|rate| {
                let step = (rate.configured / RECOVERY_PARTS).max(1);
                rate.in_force = rate.in_force.saturating_add(step).min(rate.configured);
            });
        }
    }

    fn state(&self) -> Rate {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Rate)) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rate.in_force;
        change(&mut rate);
        if rate.in_force != before {
            rate.changed = Instant::now();
            *self.limiter.write().unwrap_or_else(PoisonError::into_inner) = limiter(rate.in_force);
        }
    }
}

/// A tenth of a second's worth may come at once: a smooth stream, not a burst every second.
fn limiter(per_second: u32) -> Arc<Limiter> {
    let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(per_second / 10).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(rate).allow_burst(burst);
    Arc::new(RateLimiter::direct_with_clock(
        quota,
        TokioClock {
            start: Instant::now(),
        },
    ))
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pace({}/s)", self.rate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turns_in(pace: &Pace, span: Duration) -> u32 {
        let mut turns = 0;
        let end = Instant::now() + span;
        while tokio::time::timeout_at(end, pace.turn()).await.is_ok() {
            turns += 1;
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn gives_no_more_turns_than_the_rate_plus_its_burst() {
        let pace = Pace::per_second(20);
        let turns = turns_in(&pace, Duration::from_secs(10)).await;
        assert!(
            (195..=203).contains(&turns),
            "{turns} turns in ten seconds at 20/s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn slowing_down_halves_the_rate_and_time_brings_it_back() {
        let pace = Pace::per_second(20);
        pace.slow_down(None);
        assert_eq!(pace.rate(), 10);
        turns_in(&pace, Duration::from_mins(1)).await;
        assert_eq!(pace.rate(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_refusals_lowers_the_rate_once_a_second() {
        let pace = Pace::per_second(64);
        for _ in 0..50 {
            pace.slow_down(None);
        }
        assert_eq!(pace.rate(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_reaches_those_who_wait() {
        let pace = Pace::per_second(1);
        turns_in(&pace, Duration::from_secs(1)).await;
        pace.set(100);
        assert!(turns_in(&pace, Duration::from_secs(1)).await >= 95);
    }
}
