//! Who stands outside of a process and outlives it: a broker that holds messages by itself, and the merchant's system.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use checkout_worker::broker::{Ack, Broker, Delivery, PublishError, Published, Standing, Verdict};
use checkout_worker::ledger::Reply;
use checkout_worker::merchant::{Heard, Merchant, MerchantEvent};
use domain::OrderId;
use domain::saga::Notice;
use tokio::sync::Notify;

/// A broker that says of each message that it holds it, and does until a worker acknowledges it. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    messages: Arc<Mutex<VecDeque<OrderId>>>,
    came: Arc<Notify>,
}

impl Shelf {
    /// What nobody has in hand.
    pub(super) fn waiting(&self) -> Vec<OrderId> {
        self.messages.lock().unwrap().iter().copied().collect()
    }

    /// Lets all messages of these orders go.
    pub(super) fn let_go(&self, orders: &[OrderId]) {
        self.messages
            .lock()
            .unwrap()
            .retain(|order| !orders.contains(order));
    }

    fn put(&self, order: OrderId) {
        self.messages.lock().unwrap().push_back(order);
        self.came.notify_one();
    }

    fn take(&self) -> Option<OrderId> {
        self.messages.lock().unwrap().pop_front()
    }
}

impl Broker for Shelf {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            self.put(order);
            Ok(Published::Held)
        })
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            loop {
                if let Some(order) = self.take() {
                    let shelf = self.clone();
                    let ack = Ack::new(move |verdict| {
                        if verdict == Verdict::GivenBack {
                            shelf.put(order);
                        }
                    });
                    return Some(Delivery { order, ack });
                }
                self.came.notified().await;
            }
        })
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }
}

/// The merchant's system: takes whatever it is told, and remembers it.
#[derive(Default)]
pub(super) struct Memo(Mutex<BTreeSet<(OrderId, Notice)>>);

impl Memo {
    /// Whether it was told so of that order.
    pub(super) fn has_heard(&self, order: OrderId, notice: Notice) -> bool {
        self.0.lock().unwrap().contains(&(order, notice))
    }
}

impl Merchant for Memo {
    fn wants(&self, _notice: Notice) -> bool {
        true
    }

    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard> {
        Box::pin(async move {
            self.0.lock().unwrap().insert((event.order, event.notice));
            Heard::Taken
        })
    }
}
