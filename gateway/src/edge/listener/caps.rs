//! How many connections may be open at once, in all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::address::AddressKey;
use super::super::observe::ConnectionEnd;

/// Connections being turned away at once that still get an answer; the rest are just closed.
const REFUSALS_MAX: usize = 128;

/// Counts open connections. Shared by all listeners that share the caps.
#[derive(Debug)]
pub struct ConnectionCaps {
    open: AtomicUsize,
    refusals: AtomicUsize,
    /// Never more entries than open connections: an address that reaches zero is removed.
    per_address: Mutex<HashMap<AddressKey, usize>>,
    open_max: usize,
    per_address_max: usize,
}

/// The right to one open connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    caps: Arc<ConnectionCaps>,
    address: Option<AddressKey>,
}

/// The right to be told why one was turned away.
#[derive(Debug)]
pub(super) struct RefusalPlace(Arc<ConnectionCaps>);

impl ConnectionCaps {
    /// Allows `open_max` connections in all and `per_address_max` from one address (IPv6: one /64).
    pub fn new(open_max: usize, per_address_max: usize) -> Self {
        Self {
            open: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            per_address: Mutex::default(),
            open_max,
            per_address_max,
        }
    }

    /// Connections open right now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn claim(self: &Arc<Self>, ip: IpAddr, counted: bool) -> Result<Claim, ConnectionEnd> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        // From here on dropping the claim gives back exactly what was taken.
        let mut claim = Claim {
            caps: Arc::clone(self),
            address: None,
        };
        if before >= self.open_max {
            return Err(ConnectionEnd::Capacity);
        }
        if counted {
            let key = AddressKey::of(ip);
            let mut per_address = self.per_address.lock().unwrap_or_else(PoisonError::into_inner);
            let open = per_address.entry(key).or_insert(0);
            if *open >= self.per_address_max {
                let unused = *open == 0;
                if unused {
                    per_address.remove(&key);
                }
                drop(per_address);
                return Err(ConnectionEnd::PerAddress);
            }
            *open += 1;
            claim.address = Some(key);
        }
        Ok(claim)
    }

    pub(super) fn claim_refusal(self: &Arc<Self>) -> Option<RefusalPlace> {
        let place = RefusalPlace(Arc::clone(self));
        let before = self.refusals.fetch_add(1, Ordering::Relaxed);
        (before < REFUSALS_MAX).then_some(place)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.caps.open.fetch_sub(1, Ordering::Relaxed);
        let Some(key) = self.address else { return };
        let mut per_address = self
            .caps
            .per_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = per_address.get_mut(&key) {
            *open -= 1;
            if *open == 0 {
                per_address.remove(&key);
            }
        }
    }
}

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        self.0.refusals.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn caps_hold_in_all_and_per_address_and_are_given_back() {
        let caps = Arc::new(ConnectionCaps::new(3, 2));
        let a1 = caps.claim(ip("192.0.2.1"), true).unwrap();
        let _a2 = caps.claim(ip("192.0.2.1"), true).unwrap();
        assert_eq!(
            caps.claim(ip("192.0.2.1"), true).unwrap_err(),
            ConnectionEnd::PerAddress
        );
        let _b = caps.claim(ip("192.0.2.2"), true).unwrap();
        assert_eq!(
            caps.claim(ip("192.0.2.3"), true).unwrap_err(),
            ConnectionEnd::Capacity
        );
        drop(a1);
        assert_eq!(caps.open(), 2);
        assert!(caps.claim(ip("192.0.2.1"), true).is_ok());
        assert_eq!(caps.open(), 2);
    }

    #[test]
    fn a_household_counts_as_one_and_trusted_proxies_do_not_count() {
        let caps = Arc::new(ConnectionCaps::new(100, 1));
        let _one = caps.claim(ip("2001:db8::1"), true).unwrap();
        assert!(caps.claim(ip("2001:db8::2"), true).is_err());
        let proxies: Vec<_> = (0..10)
            .map(|_| caps.claim(ip("10.0.0.1"), false).unwrap())
            .collect();
        assert_eq!(proxies.len(), 10);
    }

    #[test]
    fn nothing_is_remembered_of_closed_connections() {
        let caps = Arc::new(ConnectionCaps::new(100, 0));
        for n in 0..50_u8 {
            assert!(caps.claim(IpAddr::from([192, 0, 2, n]), true).is_err());
        }
        assert!(caps.per_address.lock().unwrap().is_empty());
        assert_eq!(caps.open(), 0);
    }
}
