//! The circuit breaker towards the provider: while it is open nobody calls, orders keep being accepted and wait.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Calls in a row without an answer that open the breaker: more than one order's own three tries, so that a single
/// unlucky order does not stop the sale.
const FAILURES_MAX: u32 = 5;
/// First and longest time the breaker stays open before one call is let through to probe.
const OPEN_MIN: Duration = Duration::from_secs(1);
const OPEN_MAX: Duration = Duration::from_secs(30);
/// A probe that was let through and never reported back is given up after this long: the call's own deadline and more.
const PROBE_TIME: Duration = Duration::from_secs(30);

/// Fails fast while the provider does not answer, and finds out gently when it does again.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    closed: Notify,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        span: Duration,
    },
    Probing {
        since: Instant,
        span: Duration,
        claimed: bool,
    },
}

/// How a call ended, as far as the breaker is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// The provider answered, whatever it said.
    Answered,
    /// It did not, or said that it failed.
    Silent,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
            closed: Notify::new(),
        }
    }
}

impl Breaker {
    /// Waits until a worker may take an order to the provider: at once while closed; while open, one worker at a time
    /// and only when it is time to probe.
    pub async fn ready(&self) {
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            let Some(wait) = self.try_ready() else { return };
            let _woken_early = tokio::time::timeout(wait, closed).await;
        }
    }

    /// Whether a call may be made now. While the breaker is open one caller at a time may, when it is time to probe: who
    /// is told yes makes the call and reports how it ended.
    pub fn admits(&self) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Probing {
                claimed: true, since, ..
            } if since + PROBE_TIME > now => false,
            State::Open { until, .. } if until > now => false,
            State::Open { span, .. } | State::Probing { span, .. } => {
                *state = State::Probing {
                    since: now,
                    span,
                    claimed: true,
                };
                true
            }
        }
    }

    /// Whether it is worth asking [`Self::admits`]: for jobs that would rather come again later.
    pub fn is_worth_trying(&self) -> bool {
        match *self.lock() {
            State::Closed { .. } => true,
            State::Open { until, .. } => until <= Instant::now(),
            State::Probing { .. } => false,
        }
    }

    /// Whether calls are being held back.
    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    /// Takes note of how a call ended. Says so when that opened (`true`) or closed (`false`) the breaker.
    pub fn report(&self, health: Health) -> Option<bool> {
        let now = Instant::now();
        let mut state = self.lock();
        match (*state, health) {
            (State::Closed { failures }, Health::Silent) => {
                let failures = failures.saturating_add(1);
                let opens = failures >= FAILURES_MAX;
                *state = if opens {
                    State::Open {
                        until: now + OPEN_MIN,
                        span: OPEN_MIN,
                    }
                } else {
                    State::Closed { failures }
                };
                opens.then_some(true)
            }
            (State::Closed { .. }, Health::Answered) => {
                *state = State::Closed { failures: 0 };
                None
            }
            (State::Probing { span, .. }, Health::Silent) => {
                let span = (span * 2).min(OPEN_MAX);
                *state = State::Open {
                    until: now + span,
                    span,
                };
                None
            }
            // A call that was under way when the breaker opened adds nothing to what is known.
            (State::Open { .. }, Health::Silent) => None,
            (State::Open { .. } | State::Probing { .. }, Health::Answered) => {
                *state = State::Closed { failures: 0 };
                drop(state);
                self.closed.notify_waiters();
                Some(false)
            }
        }
    }

    /// Gives a probe back that turned out to need no call, so that the next worker may probe at once.
    pub fn unused(&self) {
        let mut state = self.lock();
        if let State::Probing {
            span, claimed: false, ..
        } = *state
        {
            *state = State::Open {
                until: Instant::now(),
                span,
            };
            drop(state);
            self.closed.notify_waiters();
        }
    }

    /// Nothing where the caller may go, else how long to wait before asking again.
    fn try_ready(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => None,
            State::Open { until, .. } if until > now => Some(until - now),
            State::Probing { since, .. } if since + PROBE_TIME > now => Some(since + PROBE_TIME - now),
            State::Open { span, .. } | State::Probing { span, .. } => {
                *state = State::Probing {
                    since: now,
                    span,
                    claimed: false,
                };
                None
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Breaker {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            assert_eq!(breaker.report(Health::Silent), None);
        }
        assert_eq!(breaker.report(Health::Silent), Some(true));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.report(Health::Silent);
            breaker.report(Health::Answered);
        }
        assert!(breaker.admits());
        assert!(!open().admits());
    }

    #[tokio::test(start_paused = true)]
    async fn lets_one_probe_through_and_holds_the_others() {
        let breaker = open();
        breaker.ready().await;
        let second = tokio::time::timeout(Duration::from_secs(5), breaker.ready()).await;
        assert!(
            second.is_err(),
            "a second probe went out while the first was unanswered"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_may_probe_too_but_only_one_at_a_time() {
        let breaker = open();
        assert!(!breaker.is_worth_trying() && !breaker.admits());
        tokio::time::sleep(OPEN_MIN).await;
        assert!(breaker.is_worth_trying() && breaker.admits());
        assert!(
            !breaker.is_worth_trying() && !breaker.admits(),
            "a second probe at the same time"
        );
        assert_eq!(breaker.report(Health::Answered), Some(false));
        assert!(breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_reserved_is_there_for_its_worker_and_can_be_given_back() {
        let breaker = open();
        breaker.ready().await;
        assert!(breaker.admits());
        let breaker = open();
        breaker.ready().await;
        breaker.unused();
        assert!(breaker.is_worth_trying());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_closes_it_and_wakes_everybody() {
        let breaker = open();
        breaker.ready().await;
        let (waited, closed) = tokio::join!(breaker.ready(), async { breaker.report(Health::Answered) });
        assert_eq!((waited, closed), ((), Some(false)));
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_come_ever_more_rarely() {
        let breaker = open();
        let start = Instant::now();
        let mut probes = 0;
        while start.elapsed() < Duration::from_mins(2) {
            breaker.ready().await;
            breaker.report(Health::Silent);
            probes += 1;
        }
        assert!((5..=9).contains(&probes), "{probes} probes in two minutes");
    }
}
