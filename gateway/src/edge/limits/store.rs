//! Where rate limits keep their state: sharded maps with a hard cap.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

use super::super::address::AddressKey;

/// Shards, so that two cores seldom meet at one lock.
const SHARDS: usize = 64;

/// Theoretical arrival times by address, in nanoseconds since the limiter was made.
#[derive(Debug)]
pub(super) struct BoundedStore {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_addresses_max: usize,
    /// The time in which one cell is allowed: what a fresh address is ahead of now.
    interval: u64,
}

/// The keyed hash of an address, which stands for the address itself: that two of a million share
/// one is as likely as one in thirty million, and they would merely share an allowance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Mixed(u64);

/// Takes a hash as its own hash: this runs on every request, and hashing once is enough.
#[derive(Default)]
struct AsMixed(u64);

impl Hasher for AsMixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, mixed: u64) {
        self.0 = mixed;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Default, Debug)]
struct Shard {
    arrivals: HashMap<Mixed, u64, BuildHasherDefault<AsMixed>>,
    /// Shared by all addresses that found the shard full.
    strangers: Option<u64>,
    /// Before this time the shard is known to hold nothing that could be forgotten.
    prune_from: u64,
}

impl BoundedStore {
    pub(super) fn new(addresses_max: usize, interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_addresses_max: addresses_max.div_ceil(SHARDS).max(1),
            interval,
        }
    }

    /// The address as shards and maps know it.
    fn mix(&self, address: AddressKey) -> Mixed {
        Mixed(self.hasher.hash_one(address.bits()))
    }

    fn shard(&self, address: Mixed) -> MutexGuard<'_, Shard> {
        // Bits from the middle: the map takes the lowest for the bucket and the highest for its tags.
        let index = (address.0 >> 32) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Makes room for one more address, if forgetting the whole ones frees any. A fresh address
    /// arrives one `interval` ahead of now, which is how the store learns the time.
    fn make_room(&mut self, fresh: u64, interval: u64, addresses_max: usize) -> bool {
        if self.arrivals.len() < addresses_max {
            return true;
        }
        let now = fresh.saturating_sub(interval);
        if now < self.prune_from {
            return false;
        }
        self.arrivals.retain(|_, arrival| *arrival > now);
        let room = self.arrivals.len() < addresses_max;
        if !room {
            // A full scan is bought at most once in ten intervals per shard.
            self.prune_from = now.saturating_add(interval.saturating_mul(10));
        }
        room
    }
}

impl StateStore for BoundedStore {
    type Key = AddressKey;

    fn measure_and_replace<T, F, E>(&self, key: &AddressKey, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let address = self.mix(*key);
        let mut shard = self.shard(address);
        if let Some(arrival) = shard.arrivals.get_mut(&address) {
            let (outcome, next) = measure(Some(Nanos::from(*arrival)))?;
            *arrival = next.as_u64();
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        if shard.make_room(next.as_u64(), self.interval, self.shard_addresses_max) {
            shard.arrivals.insert(address, next.as_u64());
            return Ok(outcome);
        }
        let (outcome, next) = measure(shard.strangers.map(Nanos::from))?;
        shard.strangers = Some(next.as_u64());
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<AddressKey> for BoundedStore {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.arrivals.retain(|_, arrival| *arrival > drop_below.as_u64());
        }
    }

    fn shrink_to_fit(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if shard.arrivals.capacity() > shard.arrivals.len().saturating_mul(4) {
                let spare = shard.arrivals.len().saturating_mul(2);
                shard.arrivals.shrink_to(spare);
            }
        }
    }

    fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            shard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .arrivals
                .len()
        };
        self.shards.iter().map(count).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
