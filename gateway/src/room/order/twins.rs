//! Requests under one `Idempotency-Key` that are being worked on in this process. The ledger
//! makes repetitions harmless; this only tells a twin at once that its sibling is under way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ShopperKey;

/// The keys in flight: at most one per request in flight, which the edge bounds.
#[derive(Clone, Default, Debug)]
pub(crate) struct Twins(Arc<Mutex<HashSet<(ShopperKey, String)>>>);

/// The right to be the only one under a key; given back when dropped.
#[derive(Debug)]
pub(crate) struct Only {
    twins: Twins,
    key: (ShopperKey, String),
}

impl Twins {
    /// Enters under `key`, unless a twin is inside.
    pub(crate) fn enter(&self, shopper: &ShopperKey, key: &str) -> Option<Only> {
        let key = (*shopper, key.to_owned());
        let fresh = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        fresh.then(|| Only {
            twins: self.clone(),
            key,
        })
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        self.twins
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_turned_away_until_its_sibling_is_done() {
        let (twins, shopper) = (Twins::default(), ShopperKey([7; 16]));
        let first = twins.enter(&shopper, "k").expect("the first");
        assert!(twins.enter(&shopper, "k").is_none());
        assert!(
            twins.enter(&ShopperKey([8; 16]), "k").is_some(),
            "another shopper's key is another key"
        );
        drop(first);
        assert!(twins.enter(&shopper, "k").is_some());
    }
}
