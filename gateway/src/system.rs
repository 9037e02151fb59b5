//! The one place that reads the machine's clock and its source of randomness. Everything
//! else is handed a [`Clock`] and an [`Entropy`], so that tests can step both.

use domain::{Clock, Entropy, Timestamp};

/// The machine's wall clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

/// The operating system's random number generator.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemEntropy;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that is handed to everything else"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock before 1970 reads as the epoch: sessions then last too long, never too short.
        since_epoch.map_or(Timestamp::EPOCH, |d| {
            Timestamp::from_millis(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
        })
    }
}

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the entropy that is handed to everything else"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the kernel's generator does not fail once it is seeded");
    }
}
