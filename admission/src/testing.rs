//! A clock that is stepped and randomness that repeats, for the tests of this package.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Clock, Entropy, Timestamp};

/// A clock that stands still until it is set.
pub(crate) struct StepClock(AtomicU64);

impl StepClock {
    pub(crate) fn at(millis: u64) -> Self {
        Self(AtomicU64::new(millis))
    }

    pub(crate) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn wait(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Randomness that repeats: bytes of a keyed hash of a counter.
pub(crate) struct Repeating(AtomicU64);

impl Repeating {
    pub(crate) fn from(start: u64) -> Self {
        Self(AtomicU64::new(start))
    }
}

impl Entropy for Repeating {
    fn fill(&self, buffer: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&count.to_le_bytes());
        hasher.finalize_xof().fill(buffer);
    }
}

/// The outcome of what needs not wait for anything.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits for something"),
    }
}
