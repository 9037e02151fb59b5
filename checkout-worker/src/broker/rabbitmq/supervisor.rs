//! Keeps a connection: opens it, lives with it until it is lost, waits a little, opens it again. For ever.
//!
//! lapin's own recovery stays off: it mends what it remembers, while this builds everything anew (connection, channel,
//! confirms, prefetch, topology, consumer), which is the same path at the first start and after a wiped server.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use lapin::{Channel, Connection, Event};
use tokio::time::Instant;

use super::Shared;
use crate::jobs::Causes;

/// The first wait before connecting again.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest. A few dozen processes that knock every few seconds are no load: no jitter is needed.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that lived this long was a good one: the next wait is the first again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How often a connection is looked at, for an end that no event told of.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long saying goodbye may take; a frozen server does not answer.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Why a connection did not come up, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The library or the server says so.
    #[error("the connection to RabbitMQ failed")]
    Failed(#[from] lapin::Error),
    /// It did not come up in time.
    #[error("RabbitMQ did not answer in time")]
    Silent,
    /// It ended.
    #[error("the connection to RabbitMQ ended: {0}")]
    Ended(&'static str),
}

/// Runs `session` again and again.
pub(super) async fn keep<S: Future<Output = Lost>>(role: &'static str, session: impl Fn() -> S) {
    let mut wait = WAIT_MIN;
    loop {
        let begun = Instant::now();
        let lost = session().await;
        if begun.elapsed() >= GOOD_AFTER {
            wait = WAIT_MIN;
        }
        tracing::warn!(role, cause = %Causes(&lost), wait_ms = wait.as_millis(), "RabbitMQ is connected to anew");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// A connection with one channel, on which everything is declared.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) channel: Channel,
}

impl Shared {
    /// Opens a connection and a channel and declares everything.
    pub(super) async fn open(&self, role: &str) -> Result<Opened, Lost> {
        let opening = async {
            let connection = self.dialler.connect(&format!("doorline {role}")).await?;
            let channel = connection.create_channel().await?;
            if self.topology.declare(&connection, &channel).await? == super::topology::Found::Nothing {
                self.note_empty();
            }
            Ok(Opened { connection, channel })
        };
        let opened: lapin::Result<Opened> = tokio::time::timeout(self.config.connect_within, opening)
            .await
            .map_err(|_| Lost::Silent)?;
        Ok(opened?)
    }
}

impl Opened {
    /// What the library tells of this connection from now on.
    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        Box::pin(self.connection.events_listener())
    }

    /// Resolves when the connection or its channel is no more.
    pub(super) async fn ended(&self, events: &mut (impl Stream<Item = Event> + Unpin)) -> Lost {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(error)) => return Lost::Failed(error),
                    None => return Lost::Ended("the library let go of it"),
                    // Everything else is told by the connection's state as well.
                    Some(_) => {}
                },
                _ = look.tick() => {
                    if !self.connection.status().connected() || !self.channel.status().connected() {
                        return Lost::Ended("it was closed");
                    }
                }
            }
        }
    }

    /// Says goodbye, if the other side still listens.
    pub(super) async fn close(self) {
        let goodbye = self.connection.close(200, "done".into());
        // Whoever does not answer loses the connection all the same: it is dropped here.
        drop(tokio::time::timeout(CLOSE_WITHIN, goodbye).await);
    }
}
