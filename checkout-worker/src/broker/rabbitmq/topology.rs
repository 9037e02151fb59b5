//! What must exist in RabbitMQ before a message can be trusted to it. Every argument is given explicitly: defaults
//! differ between 3.10 and 4.x (the delivery limit of a quorum queue, for one, became 20).

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongLongInt};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

/// The reply code of a passive declaration of something that does not exist (AMQP 0-9-1, section 1.2).
const NOT_FOUND: u16 = 404;
/// The broker's count of deliveries must never decide an order's fate: innocents that were prefetched by a worker which
/// died are counted too. Unlimited can be said in 4.x only (-1); this many is as good.
const DELIVERY_LIMIT: LongLongInt = 1_000_000;

/// Names and sizes.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    /// The queue of orders that are due.
    pub(super) queue: String,
    /// Messages it holds at most; then it refuses.
    pub(super) length_max: u32,
}

/// What was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// The queue, with whatever it holds.
    Queue,
    /// Nothing: whatever was published before is gone.
    Nothing,
}

impl Topology {
    /// The exchange and the queue of messages that were put aside.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.queue)
    }

    /// Declares everything, and says whether the queue was there before.
    pub(super) async fn declare(&self, connection: &Connection, channel: &Channel) -> lapin::Result<Found> {
        let found = self.look(connection).await?;
        let dead = self.dead();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(
                dead.as_str().into(),
                ExchangeKind::Direct,
                durable,
                FieldTable::default(),
            )
            .await?;
        self.declare_queue(channel, &dead, quorum()).await?;
        let bind = QueueBindOptions::default();
        let key = dead.as_str();
        channel
            .queue_bind(key.into(), key.into(), key.into(), bind, FieldTable::default())
            .await?;
        self.declare_queue(channel, &self.queue, self.arguments()).await?;
        Ok(found)
    }

    /// Asks on a channel of its own: the answer "not found" costs the channel its life.
    async fn look(&self, connection: &Connection) -> lapin::Result<Found> {
        let probe = connection.create_channel().await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let name = self.queue.as_str().into();
        match probe.queue_declare(name, passive, FieldTable::default()).await {
            Ok(_) => {
                probe.close(200, "looked".into()).await?;
                Ok(Found::Queue)
            }
            Err(refused) if is_not_found(&refused) => Ok(Found::Nothing),
            Err(failed) => Err(failed),
        }
    }

    async fn declare_queue(&self, channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel.queue_declare(name.into(), durable, arguments).await?;
        Ok(())
    }

    fn arguments(&self) -> FieldTable {
        let mut arguments = quorum();
        let length_max = AMQPValue::LongLongInt(self.length_max.into());
        let dead = self.dead();
        arguments.insert("x-max-length".into(), length_max);
        arguments.insert("x-overflow".into(), text("reject-publish"));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        arguments.insert("x-dead-letter-exchange".into(), text(&dead));
        arguments.insert("x-dead-letter-routing-key".into(), text(&dead));
        // Holds only together with a quorum queue on the other side and with reject-publish on this one.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments
    }
}

/// A queue that is replicated and on disk before it confirms.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(refused) if refused.get_id() == NOT_FOUND)
}
