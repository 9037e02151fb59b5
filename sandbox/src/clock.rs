//! The one place where the sandbox reads the machine's clocks.
//!
//! The outside world has a time of its own: a test may move a provider's clock a day ahead to see
//! idempotency keys or authorisations expire, without waiting and without touching anybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall clock that can be moved forward. Clones share the same offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that shows the machine's time until it is advanced.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Milliseconds since the Unix epoch, including everything the clock was advanced by.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        system_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Whole seconds since the Unix epoch, the unit of Stripe's `created`.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.now_ms() / 1_000
    }

    /// Moves the clock forward. There is no way back: what has expired stays expired.
    pub fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// A monotonic instant for measuring latencies and pacing; never moved by [`Clock::advance`].
#[expect(clippy::disallowed_methods, reason = "the sandbox's only monotonic clock")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the sandbox's only wall clock")]
fn system_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
