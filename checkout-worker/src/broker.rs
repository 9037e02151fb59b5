//! The broker port: pace and fan-out. A message carries an order id and nothing else.
//!
//! A message may be lost, repeated or reordered at any time: the ledger's re-drive brings lost ones back, and the saga
//! refuses what does not apply. What must never happen is a confirmation for a message that the broker does not hold.

pub mod embedded;
pub mod rabbitmq;

use std::time::Duration;

use domain::OrderId;

use crate::ledger::Reply;

/// The broker did not take a message, or did not say that it did. The outbox keeps it; try again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker did not take a message: {why}")]
pub struct PublishError {
    /// What the broker said.
    pub why: String,
}

/// What became of a message that the outbox need not keep any longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// A worker has acknowledged it: it has said all it had to say.
    Worked,
    /// The broker holds it durably until a worker acknowledges it. The ledger remembers that, so that re-drive does not
    /// publish it anew while it waits for its turn.
    Held,
}

/// How things stand with the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whether it takes messages just now. While it does not, orders are driven without it.
    pub takes_messages: bool,
    /// How long ago it was found to hold nothing of what was published before, if it ever was.
    pub emptied: Option<Duration>,
}

/// A message in a worker's hands.
pub struct Delivery {
    /// The order that is due.
    pub order: OrderId,
    /// To be used when the work on it has come to rest in the ledger.
    pub ack: Ack,
}

/// What a worker says of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The ledger holds where it led.
    Done,
    /// It can never be worked on: to be put aside for somebody to look at.
    Refused,
    /// The work did not begin, or the ledger did not take where it led: somebody else may have it, a little later.
    GivenBack,
}

/// Tells the broker what became of a delivery. Dropped unused, it gives the delivery back.
pub struct Ack(Option<Box<dyn FnOnce(Verdict) + Send + Sync>>);

/// The port.
pub trait Broker: Send + Sync {
    /// Hands a message over and resolves when it needs its outbox row no longer. For a durable broker that is its
    /// confirmation; for the embedded one, whose queue *is* the outbox, the worker's acknowledgement.
    /// The relay keeps a bounded window of these under way.
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>>;
    /// How long the relay waits for [`Self::publish`] before it takes the message for lost and publishes it again. Nothing
    /// where that wait is the worker's own time, as with the embedded hand-over, or the adapter keeps a deadline of its own.
    fn patience(&self) -> Option<Duration> {
        None
    }
    /// The next message for a worker of this process. Resolves to nothing when the broker is closed. May be dropped
    /// while it waits without losing a message.
    fn consume(&self) -> Reply<'_, Option<Delivery>>;
    /// How things stand.
    fn standing(&self) -> Standing;
}

impl Standing {
    /// Of a broker that lives and dies with this process.
    pub const HERE: Self = Self {
        takes_messages: true,
        emptied: None,
    };
}

impl Ack {
    /// Wraps what a verdict means for this broker.
    pub fn new(tell: impl FnOnce(Verdict) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Acknowledges.
    pub fn done(self) {
        self.tell(Verdict::Done);
    }

    /// Puts the message aside.
    pub fn refuse(self) {
        self.tell(Verdict::Refused);
    }

    fn tell(mut self, verdict: Verdict) {
        if let Some(tell) = self.0.take() {
            tell(verdict);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Verdict::GivenBack);
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({})", self.order)
    }
}
