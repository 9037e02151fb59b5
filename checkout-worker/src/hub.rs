//! Wake-ups for everybody who watches an order: event streams, and tests. A wake-up carries nothing; whoever is woken
//! reads the order again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::OrderId;
use tokio::sync::watch;

/// Orders that may be watched at once; beyond it watchers are told to poll.
pub const WATCHED_MAX: usize = 65_536;
/// Watches of one order at once: a few tabs and what reconnects. Each reads the order when it is woken, so that a single
/// buyer could otherwise keep the ledger busy.
pub const WATCHES_MAX: usize = 8;

type Watched = HashMap<OrderId, watch::Sender<u64>>;

/// Who watches which order.
#[derive(Clone, Default, Debug)]
pub struct Hub {
    watched: Arc<Mutex<Watched>>,
}

/// Too many orders are watched, or this one too often; poll instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{WATCHED_MAX} orders are watched already, or this one {WATCHES_MAX} times")]
pub struct HubFull;

/// Resolves whenever one order may have changed. Wake-ups that nobody waited for are merged into one.
#[derive(Debug)]
pub struct OrderWatch {
    order: OrderId,
    changes: watch::Receiver<u64>,
    hub: Hub,
}

impl Hub {
    /// Watches `order` from now on.
    pub fn watch(&self, order: OrderId) -> Result<OrderWatch, HubFull> {
        let mut watched = self.lock();
        let full = match watched.get(&order) {
            Some(watches) => watches.receiver_count() >= WATCHES_MAX,
            None => watched.len() >= WATCHED_MAX,
        };
        if full {
            return Err(HubFull);
        }
        let changes = watched
            .entry(order)
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe();
        Ok(OrderWatch {
            order,
            changes,
            hub: self.clone(),
        })
    }

    /// Wakes everybody who watches `order`.
    pub fn wake(&self, order: OrderId) {
        if let Some(sender) = self.lock().get(&order) {
            sender.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// Wakes everybody: what holds for all orders has changed.
    pub fn wake_all(&self) {
        for sender in self.lock().values() {
            sender.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// How many orders are watched now.
    pub fn watched(&self) -> usize {
        self.lock().len()
    }

    /// Which orders are watched now.
    pub fn orders(&self) -> Vec<OrderId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderWatch {
    /// Resolves when the order may have changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The hub outlives its watches (each holds it); an absent sender can only mean that nothing will come.
            std::future::pending::<()>().await;
        }
    }
}

/// The last one to leave takes the entry along, so that the map holds no order that nobody watches.
impl Drop for OrderWatch {
    fn drop(&mut self) {
        let mut watched = self.hub.lock();
        let last = watched
            .get(&self.order)
            .is_some_and(|sender| sender.receiver_count() <= 1);
        if last {
            watched.remove(&self.order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_before_waiting_is_not_lost() {
        let hub = Hub::default();
        let mut watch = hub.watch(OrderId(7)).unwrap();
        hub.wake(OrderId(7));
        hub.wake(OrderId(8));
        watch.changed().await;
    }

    #[test]
    fn one_order_is_watched_a_few_times_only_and_others_are_not_held_up() {
        let hub = Hub::default();
        let mut watches: Vec<_> = (0..WATCHES_MAX).map(|_| hub.watch(OrderId(7)).unwrap()).collect();
        assert_eq!(hub.watch(OrderId(7)).unwrap_err(), HubFull);
        assert!(hub.watch(OrderId(8)).is_ok());
        watches.pop();
        assert!(hub.watch(OrderId(7)).is_ok());
    }

    #[test]
    fn the_last_watch_of_an_order_frees_its_entry() {
        let hub = Hub::default();
        let (first, second) = (hub.watch(OrderId(7)).unwrap(), hub.watch(OrderId(7)).unwrap());
        drop(first);
        assert_eq!(hub.watched(), 1);
        drop(second);
        assert_eq!(hub.watched(), 0);
    }
}
