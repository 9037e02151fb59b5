//! The publishing side: mandatory, persistent, confirmed.

use std::sync::Arc;

use domain::OrderId;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, ConnectionStatus};
use tokio::sync::Notify;

use super::supervisor::Lost;
use super::{Shared, message};
use crate::broker::{PublishError, Published};

/// AMQP's word for a message that is written to disk.
const PERSISTENT: u8 = 2;

/// A line that messages can be published on.
pub(super) struct Line {
    channel: Channel,
    status: ConnectionStatus,
    /// Something was answered, or not answered, that says that this line is no good.
    doubt: Notify,
}

impl Shared {
    /// Keeps a line open for publishing until it is lost.
    pub(super) async fn publish_until_lost(&self) -> Lost {
        let opened = match self.open("publisher").await {
            Ok(opened) => opened,
            Err(lost) => return lost,
        };
        let confirms = opened.channel.confirm_select(ConfirmSelectOptions::default());
        match tokio::time::timeout(self.config.connect_within, confirms).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Lost::Failed(error),
            Err(_) => return Lost::Silent,
        }
        let mut events = opened.events();
        let line = Arc::new(Line {
            channel: opened.channel.clone(),
            status: opened.connection.status().clone(),
            doubt: Notify::new(),
        });
        self.line.send_replace(Some(Arc::clone(&line)));
        self.links.send_modify(|links| links.publishing = true);
        tracing::info!("messages can be published to RabbitMQ");
        let lost = tokio::select! {
            lost = opened.ended(&mut events) => lost,
            () = line.doubt.notified() => Lost::Ended("a message was not taken"),
        };
        self.line.send_replace(None);
        self.links.send_modify(|links| links.publishing = false);
        opened.close().await;
        lost
    }

    /// Whether there is a line, and it is not blocked.
    pub(super) fn takes_messages(&self) -> bool {
        self.line
            .borrow()
            .as_ref()
            .is_some_and(|line| line.status.connected() && !line.status.blocked())
    }

    /// Publishes, and waits for the confirmation within its time.
    pub(super) async fn publish(&self, order: OrderId) -> Result<Published, PublishError> {
        let Some(line) = self.line.borrow().clone() else {
            return Err(refused("it is not connected"));
        };
        if line.status.blocked() {
            // What is written now would be read when the alarm is over, long after the outbox has sent it again.
            return Err(refused("it blocks its publishers"));
        }
        let body = message::write(order);
        let confirmed = line.confirmed(&self.topology.queue, &body);
        match tokio::time::timeout(self.config.confirm_within, confirmed).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(Published::Held),
            Ok(Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)))) => {
                // There is no queue behind the name any more: everything is declared anew with the next connection.
                line.doubt.notify_one();
                Err(refused(&format!("it was returned ({})", returned.reply_text)))
            }
            Ok(Ok(Confirmation::Nack(None))) => Err(refused("the queue is full")),
            Ok(Ok(Confirmation::NotRequested)) => {
                line.doubt.notify_one();
                Err(refused("the channel does not confirm"))
            }
            Ok(Err(error)) => Err(refused(&error.to_string())),
            Err(_) => {
                if !line.status.blocked() {
                    line.doubt.notify_one();
                }
                Err(refused("it did not confirm in time"))
            }
        }
    }
}

impl Line {
    async fn confirmed(&self, queue: &str, body: &[u8]) -> lapin::Result<Confirmation> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into());
        // The default exchange routes to the queue of the key's name, and returns what has none.
        self.channel
            .basic_publish("".into(), queue.into(), options, body, properties)
            .await?
            .await
    }
}

fn refused(why: &str) -> PublishError {
    PublishError { why: why.to_owned() }
}
