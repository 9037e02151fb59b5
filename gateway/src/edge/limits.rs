//! Rate limits per client address: governor's GCRA over a store of our own that cannot grow
//! without bound.

use std::sync::Arc;
use std::time::Duration;

use domain::Span;
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use tokio::time::Instant;

use super::address::{AddressKey, ClientAddress};

mod rate;
mod store;

pub use rate::{InvalidRate, Rate};
use store::BoundedStore;

/// How many addresses one limit keeps apart, by default: about 40 MB at most.
pub const ADDRESSES_MAX: usize = 1 << 20;

/// One rate limit, kept apart per address. A burst of twice the count is allowed.
///
/// At most `addresses_max` addresses are kept. An address whose allowance is whole again is
/// forgotten without loss. When even so the store is full, addresses it does not know share one
/// allowance per shard (1/64 of the store): newcomers are limited together, known clients
/// keep their own, and memory does not grow.
#[derive(Debug)]
pub struct AddressLimit {
    limiter: RateLimiter<AddressKey, BoundedStore, Monotonic, NoOpMiddleware<Duration>>,
    clock: Monotonic,
    exempt: Vec<IpNet>,
}

/// Tells the time since some fixed moment, never running backwards.
pub type Elapsed = Arc<dyn Fn() -> Duration + Send + Sync>;

#[derive(Clone)]
struct Monotonic(Elapsed);

impl std::fmt::Debug for Monotonic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Monotonic")
    }
}

impl governor::clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

impl AddressLimit {
    /// Allows each address `rate`, with bursts of twice its count, and keeps at most
    /// `addresses_max` of them apart.
    ///
    /// Time is monotonic on purpose: were the wall clock stepped back by an hour, every client
    /// known by then would be refused for that hour.
    pub fn new(rate: Rate, addresses_max: usize) -> Self {
        let base = Instant::now();
        Self::with_clock(rate, addresses_max, Arc::new(move || base.elapsed()))
    }

    /// The same on a clock of the caller's.
    pub fn with_clock(rate: Rate, addresses_max: usize, elapsed: Elapsed) -> Self {
        let clock = Monotonic(elapsed);
        let interval = rate.interval();
        let quota = Quota::with_period(interval)
            .unwrap_or(Quota::per_second(rate.count))
            .allow_burst(rate.burst());
        let store = BoundedStore::new(addresses_max, interval);
        Self {
            limiter: RateLimiter::new(quota, store, clock.clone()),
            clock,
            exempt: Vec::new(),
        }
    }

    /// Leaves clients of `networks` without a limit: monitors, load tests, the provider's webhooks.
    #[must_use]
    pub fn exempting(mut self, networks: Vec<IpNet>) -> Self {
        self.exempt = networks;
        self
    }

    /// Takes one from the allowance of `client`, or says how long to wait for the next.
    pub fn admit(&self, client: &ClientAddress) -> Result<(), Span> {
        let ip = client.ip.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&ip)) {
            return Ok(());
        }
        self.check(client.key())
    }

    /// Takes one from the allowance of `address`, or says how long to wait for the next.
    pub fn check(&self, address: AddressKey) -> Result<(), Span> {
        self.limiter.check_key(&address).map_err(|not_until| {
            use governor::clock::Clock as _;
            let wait = not_until.wait_time_from(self.clock.now());
            Span::from_millis(
                u64::try_from(wait.as_millis())
                    .unwrap_or(u64::MAX)
                    .saturating_add(1),
            )
        })
    }

    /// Forgets every address whose allowance is whole again. Call it every few seconds.
    pub fn prune(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// How many addresses are kept apart right now.
    pub fn len(&self) -> usize {
        self.limiter.len()
    }

    /// Whether no address is kept.
    pub fn is_empty(&self) -> bool {
        self.limiter.is_empty()
    }
}

#[cfg(test)]
mod tests;
