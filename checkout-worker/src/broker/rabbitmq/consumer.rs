//! The consuming side: a bounded number of messages in hand, each acknowledged by hand.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery as Arrived;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Consumer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::supervisor::{Lost, Opened};
use super::{Shared, message};
use crate::broker::{Ack, Delivery, Verdict};

/// A delivery that is given back was met by a failing ledger, or by the end of its worker. It is not offered again at
/// once, so that a ledger which is down is not asked as fast as messages can travel.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(1);

/// A delivery on its way to a worker, and the handle that tells whether it can still be acknowledged.
pub(super) struct Handed {
    pub(super) delivery: Delivery,
    pub(super) acker: Acker,
}

/// What workers said, to be told to the server.
type Verdicts = mpsc::UnboundedSender<(Acker, Verdict)>;

impl Shared {
    /// Keeps messages coming until the connection is lost.
    pub(super) async fn consume_until_lost(&self, deliveries: &mpsc::Sender<Handed>) -> Lost {
        let opened = match self.open("consumer").await {
            Ok(opened) => opened,
            Err(lost) => return lost,
        };
        let subscribed = tokio::time::timeout(self.config.connect_within, self.subscribe(&opened));
        let lost = match subscribed.await {
            Ok(Ok(consumer)) => {
                self.links.send_modify(|links| links.consuming = true);
                tracing::info!("messages are delivered from RabbitMQ");
                let lost = self.hand_over(&opened, consumer, deliveries).await;
                self.links.send_modify(|links| links.consuming = false);
                lost
            }
            Ok(Err(error)) => Lost::Failed(error),
            Err(_) => Lost::Silent,
        };
        opened.close().await;
        lost
    }

    async fn subscribe(&self, opened: &Opened) -> lapin::Result<Consumer> {
        // Per consumer, not per channel: a quorum queue knows no other limit.
        let qos = BasicQosOptions { global: false };
        opened.channel.basic_qos(self.prefetch(), qos).await?;
        let queue = self.topology.queue.as_str().into();
        let options = BasicConsumeOptions::default();
        opened
            .channel
            .basic_consume(queue, "".into(), options, FieldTable::default())
            .await
    }

    async fn hand_over(
        &self,
        opened: &Opened,
        mut consumer: Consumer,
        deliveries: &mpsc::Sender<Handed>,
    ) -> Lost {
        let mut events = opened.events();
        let ended = opened.ended(&mut events);
        tokio::pin!(ended);
        // Unbounded in form only: there are never more than prefetched messages.
        let (verdicts, mut said) = mpsc::unbounded_channel();
        let mut telling = JoinSet::new();
        let mut waiting: Option<Handed> = None;
        loop {
            tokio::select! {
                lost = &mut ended => return lost,
                arrived = consumer.next(), if waiting.is_none() => match arrived {
                    Some(Ok(arrived)) => waiting = self.read(arrived, &verdicts),
                    Some(Err(error)) => return Lost::Failed(error),
                    None => return Lost::Ended("the server cancelled the consumer"),
                },
                // Reserved, not sent: workers that take nothing must not keep the end of the connection unseen.
                room = deliveries.reserve(), if waiting.is_some() => match (room, waiting.take()) {
                    (Ok(room), Some(handed)) => room.send(handed),
                    _ => return Lost::Ended("nobody takes messages any more"),
                },
                Some((acker, verdict)) = said.recv() => {
                    telling.spawn(tell(acker, verdict));
                }
                Some(_) = telling.join_next() => {}
            }
        }
    }

    /// Reads a message. What we did not write is put aside, and people are told.
    fn read(&self, arrived: Arrived, verdicts: &Verdicts) -> Option<Handed> {
        let acker = arrived.acker;
        let (says, whose) = (verdicts.clone(), acker.clone());
        // Nobody listening means that the connection is gone, and the message with it.
        let ack = Ack::new(move |verdict| drop(says.send((whose, verdict))));
        match message::read(&arrived.data) {
            Ok(order) => Some(Handed {
                delivery: Delivery { order, ack },
                acker,
            }),
            Err(unreadable) => {
                tracing::error!(cause = %unreadable, "a message in our queue cannot be read; it is put aside");
                self.config.observer.message_refused("unreadable");
                ack.refuse();
                None
            }
        }
    }
}

/// Tells the server what became of a delivery. If that fails the connection is gone, and the message is delivered
/// again; the ledger knows what was done.
async fn tell(acker: Acker, verdict: Verdict) {
    let told = match verdict {
        Verdict::Done => acker.ack(BasicAckOptions::default()).await,
        Verdict::Refused => acker.reject(BasicRejectOptions { requeue: false }).await,
        Verdict::GivenBack => {
            tokio::time::sleep(GIVE_BACK_AFTER).await;
            let requeue = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            acker.nack(requeue).await
        }
    };
    if let Err(cause) = told {
        tracing::debug!(%cause, "a delivery could not be acknowledged and comes again");
    }
}
