//! The broker port: pace and fan-out. A message carries an order id and nothing else.
//!
//! A message may be lost, repeated or reordered at any time: the ledger's re-drive brings lost ones back, and the saga
//! refuses what does not apply. What must never happen is a confirmation for a message that the broker does not hold.

pub mod embedded;

use std::time::Duration;

use domain::OrderId;

use crate::ledger::Reply;

/// The broker did not take a message. The outbox keeps it; try again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker did not take a message: {why}")]
pub struct PublishError {
    /// What the broker said.
    pub why: String,
}

/// A message in a worker's hands.
pub struct Delivery {
    /// The order that is due.
    pub order: OrderId,
    /// To be called when the work on it has come to rest in the ledger.
    pub ack: Ack,
}

/// Tells the broker that a delivery is done. Dropping it unused gives the message back or forgets it, as the broker
/// likes: the ledger remembers.
pub struct Ack(Box<dyn FnOnce() + Send + Sync>);

/// The port.
pub trait Broker: Send + Sync {
    /// Hands a message over and resolves when it needs its outbox row no longer. For a durable broker that is its
    /// confirmation; for the embedded one, whose queue *is* the outbox, the worker's acknowledgement.
    /// The relay keeps a bounded window of these under way.
    fn publish(&self, order: OrderId) -> Reply<'_, Result<(), PublishError>>;
    /// How long the relay waits for [`Self::publish`] before it takes the message for lost and publishes it again. Nothing
    /// where that wait is the worker's own time, as with the embedded hand-over. A broker under an alarm never confirms.
    fn patience(&self) -> Option<Duration> {
        None
    }
    /// The next message for a worker of this process. Resolves to nothing when the broker is closed.
    fn consume(&self) -> Reply<'_, Option<Delivery>>;
}

impl Ack {
    /// Wraps what acknowledging means for this broker.
    pub fn new(done: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Box::new(done))
    }

    /// Acknowledges.
    pub fn done(self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({})", self.order)
    }
}
