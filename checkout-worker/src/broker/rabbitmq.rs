//! The broker of many processes: a quorum queue in RabbitMQ.
//!
//! Two connections, because a broker that is short of memory stops reading from connections that publish: the workers'
//! acknowledgements must not wait behind them. Each is kept by a supervisor that rebuilds it from the
//! ground. A message is confirmed when it is acknowledged *and not returned*: RabbitMQ acknowledges what it could not
//! route as well. A broker that does not answer in time has not taken the message; the outbox keeps it.

mod consumer;
mod message;
mod publisher;
mod supervisor;
mod topology;
mod wire;

pub use wire::TrustError;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::OrderId;
use lapin::uri::AMQPUri;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Broker, Delivery, PublishError, Published, Standing};
use crate::ledger::Reply;
use crate::observe::{Observer, Silent};

use consumer::Handed;
use publisher::Line;
use topology::Topology;
use wire::Dialler;

/// Longest name of a queue: AMQP allows 255 bytes, and `.dead` is added to it.
const NAME_BYTES_MAX: usize = 200;
/// Messages in hand at once, unless configured otherwise: as many as may wait for turns while several drops share the room
/// of those who wait. Fewer, and a slow drop's could fill it.
const PREFETCH: u16 = 128;
/// Seconds between heartbeats, unless the URL says otherwise: a broker that died without a word is given up after
/// two of them.
const HEARTBEAT: u16 = 10;

/// Where RabbitMQ is and how it is used.
#[derive(Clone)]
pub struct RabbitMqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps`. Never logged: it holds a password.
    pub url: String,
    /// For `amqps`: certificates to trust (PEM) in place of those that the system trusts.
    pub trusted_certificates: Option<String>,
    /// The queue of orders that are due. Another of the same name and `.dead` takes what is put aside.
    pub queue: String,
    /// Messages that the queue holds at most; then publishing fails and the outbox keeps them. A queue that exists keeps
    /// the length that it was declared with: to change it, let it run empty, delete it, and let it be declared anew.
    pub length_max: u32,
    /// Messages in the hands of this process's workers at most, those that wait for their turn included. 0 counts as 1.
    pub prefetch: u16,
    /// How long a confirmation may take. A broker that blocks its publishers never confirms.
    pub confirm_within: Duration,
    /// How long it may take from the first byte to a channel with everything declared.
    pub connect_within: Duration,
    /// Who is told of messages that cannot be read.
    pub observer: Arc<dyn Observer>,
}

/// How the two connections stand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Links {
    /// Whether messages can be published.
    pub publishing: bool,
    /// Whether messages are delivered.
    pub consuming: bool,
}

/// The broker cannot be used as configured. That it cannot be reached is not an error: it may come back.
#[derive(Debug, thiserror::Error)]
pub enum RabbitMqError {
    /// The URL is not one. It is not repeated here, because it may hold a password.
    #[error("the URL of RabbitMQ is malformed: {why}")]
    Url {
        /// What is wrong.
        why: String,
    },
    /// The queue's name is empty or too long.
    #[error("the name of a queue is 1 to {NAME_BYTES_MAX} bytes")]
    Queue,
    /// Trust towards an `amqps` server.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A broker in RabbitMQ. Its connections are kept up until it is dropped; what its workers have not acknowledged by
/// then goes to others.
pub struct RabbitMqBroker {
    shared: Arc<Shared>,
    deliveries: tokio::sync::Mutex<mpsc::Receiver<Handed>>,
    // Aborts its tasks, and with them the connections, when dropped.
    _supervisors: JoinSet<()>,
}

/// What the two supervisors and the port have in common.
struct Shared {
    dialler: Dialler,
    topology: Topology,
    config: RabbitMqConfig,
    links: watch::Sender<Links>,
    line: watch::Sender<Option<Arc<Line>>>,
    /// When the queue was last found missing.
    emptied: Mutex<Option<Instant>>,
}

impl RabbitMqConfig {
    /// The usual behaviour for a server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            trusted_certificates: None,
            queue: "doorline.checkout".to_owned(),
            // Ten times the biggest drop that we have heard of, at some 300 bytes each on disk.
            length_max: 500_000,
            // Most of them wait for their drop's turn, and how many may do so is the worker's to say.
            prefetch: PREFETCH,
            confirm_within: Duration::from_secs(5),
            connect_within: Duration::from_secs(10),
            observer: Arc::new(Silent),
        }
    }
}

impl RabbitMqBroker {
    /// Begins to connect, on the runtime that this is called on, and returns at once: whether and when a connection
    /// stands is seen by [`Self::links`]. Orders are accepted and driven meanwhile.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn open(config: RabbitMqConfig) -> Result<Self, RabbitMqError> {
        if config.queue.is_empty() || config.queue.len() > NAME_BYTES_MAX {
            return Err(RabbitMqError::Queue);
        }
        let mut uri: AMQPUri = config.url.parse().map_err(|why| RabbitMqError::Url { why })?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let shared = Arc::new(Shared {
            dialler: Dialler::new(uri, config.trusted_certificates.as_deref())?,
            topology: Topology {
                queue: config.queue.clone(),
                length_max: config.length_max,
            },
            links: watch::Sender::new(Links::default()),
            line: watch::Sender::new(None),
            emptied: Mutex::new(None),
            config,
        });
        let (sender, deliveries) = mpsc::channel(usize::from(shared.prefetch()));
        let mut supervisors = JoinSet::new();
        let ours = Arc::clone(&shared);
        supervisors.spawn(supervisor::keep("publisher", move || {
            let ours = Arc::clone(&ours);
            async move { ours.publish_until_lost().await }
        }));
        let ours = Arc::clone(&shared);
        supervisors.spawn(supervisor::keep("consumer", move || {
            let (ours, sender) = (Arc::clone(&ours), sender.clone());
            async move { ours.consume_until_lost(&sender).await }
        }));
        Ok(Self {
            shared,
            deliveries: tokio::sync::Mutex::new(deliveries),
            _supervisors: supervisors,
        })
    }

    /// How the connections stand, now and whenever that changes: for readiness.
    pub fn links(&self) -> watch::Receiver<Links> {
        self.shared.links.subscribe()
    }

    /// Waits until messages can be both published and delivered.
    pub async fn connected(&self) {
        // The sender lives as long as `self`: waiting cannot fail.
        let both = |links: &Links| links.publishing && links.consuming;
        let _ = self.links().wait_for(both).await;
    }
}

impl Shared {
    fn prefetch(&self) -> u16 {
        self.config.prefetch.max(1)
    }

    fn note_empty(&self) {
        tracing::warn!(queue = %self.topology.queue, "RabbitMQ held no queue: whatever it held is driven anew");
        *self.emptied.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Broker for RabbitMqBroker {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(self.shared.publish(order))
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            let mut deliveries = self.deliveries.lock().await;
            loop {
                let handed = deliveries.recv().await?;
                // One that came over a connection which is gone cannot be acknowledged and is delivered again.
                if handed.acker.usable() {
                    return Some(handed.delivery);
                }
            }
        })
    }

    fn standing(&self) -> Standing {
        let emptied = *self.shared.emptied.lock().unwrap_or_else(PoisonError::into_inner);
        Standing {
            takes_messages: self.shared.takes_messages(),
            emptied: emptied.map(|at| at.elapsed()),
        }
    }
}

impl std::fmt::Debug for RabbitMqConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMqConfig")
            .field("queue", &self.queue)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RabbitMqBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RabbitMqBroker")
            .field("queue", &self.shared.topology.queue)
            .field("links", &*self.shared.links.borrow())
            .finish_non_exhaustive()
    }
}
