//! The broker of one process: the outbox in the ledger is the queue, this is the hand-over.

use std::sync::Arc;

use domain::OrderId;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

use super::{Ack, Broker, Delivery, PublishError, Published, Standing, Verdict};
use crate::ledger::Reply;

/// A bounded hand-over from the relay to the workers of the same process. Loses everything when the process dies, which
/// is harmless: a message keeps its outbox row until a worker acknowledges it.
#[derive(Debug)]
pub struct EmbeddedBroker {
    sender: mpsc::Sender<Handed>,
    receiver: Mutex<mpsc::Receiver<Handed>>,
    /// Messages handed over and not acknowledged; full means that publishing waits.
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Handed {
    order: OrderId,
    verdict: oneshot::Sender<Verdict>,
}

impl EmbeddedBroker {
    /// A hand-over for at most `capacity` messages that are not acknowledged yet; 0 counts as 1.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let (sender, receiver) = mpsc::channel(capacity);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            room: Arc::new(Semaphore::new(capacity)),
        }
    }
}

impl Broker for EmbeddedBroker {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            let refused = |why: &str| PublishError { why: why.to_owned() };
            let _room = self.room.acquire().await.map_err(|_| refused("it is closed"))?;
            let (verdict, confirmation) = oneshot::channel();
            self.sender
                .send(Handed { order, verdict })
                .await
                .map_err(|_| refused("it is closed"))?;
            match confirmation.await {
                // A message that nobody can work on has nowhere to be put aside: whoever refused it has told people.
                Ok(Verdict::Done | Verdict::Refused) => Ok(Published::Worked),
                Ok(Verdict::GivenBack) | Err(_) => Err(refused("a worker dropped the message")),
            }
        })
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            let Handed { order, verdict } = self.receiver.lock().await.recv().await?;
            // Nobody listening means that the relay is gone, and with it the need to tell it.
            let ack = Ack::new(move |said| {
                let _ = verdict.send(said);
            });
            Some(Delivery { order, ack })
        })
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }
}
