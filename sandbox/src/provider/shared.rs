//! What all requests of one provider share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::book::{Book, Event};
use super::config::{ProviderConfig, WebhookTarget};
use super::fault::Faults;
use super::keys::Keys;
use super::limits::Limits;
use crate::clock::Clock;
use crate::random::Random;

/// Everything that changes, under one lock that is never held across an await.
pub(crate) struct State {
    pub(crate) book: Book,
    pub(crate) keys: Keys,
    pub(crate) faults: Faults,
    pub(crate) limits: Limits,
    pub(crate) webhook: Option<WebhookTarget>,
    /// Names requests; apart from the book's so that retries do not change the ids of objects.
    pub(crate) request_ids: Random,
}

/// Events waiting for delivery; beyond it they are dropped and counted, never piled up.
const EVENT_QUEUE_MAX: usize = 10_000;

/// One provider's state with its queue of events.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) secret_key: String,
    state: Mutex<State>,
    events: mpsc::Sender<Event>,
    /// Taken by the delivery loop for as long as it runs.
    pub(crate) queue: tokio::sync::Mutex<mpsc::Receiver<Event>>,
    pub(crate) requests: AtomicU64,
    pub(crate) events_delivered: AtomicU64,
    pub(crate) events_dropped: AtomicU64,
}

impl Shared {
    pub(crate) fn new(config: ProviderConfig) -> Self {
        let authorisation_ms = u64::try_from(config.authorisation_lifetime.as_millis()).unwrap_or(u64::MAX);
        let (events, queue) = mpsc::channel(EVENT_QUEUE_MAX);
        let state = State {
            book: Book::new(config.seed, config.order_key, authorisation_ms, config.capacity),
            keys: Keys::new(config.capacity),
            faults: Faults::new(config.faults),
            limits: Limits::default(),
            webhook: config.webhook,
            request_ids: Random::new(config.seed ^ 0x5E0D_1E57),
        };
        Self {
            clock: Clock::new(),
            secret_key: config.secret_key,
            state: Mutex::new(state),
            events,
            queue: tokio::sync::Mutex::new(queue),
            requests: AtomicU64::new(0),
            events_delivered: AtomicU64::new(0),
            events_dropped: AtomicU64::new(0),
        }
    }

    /// The state. A panic while it was held poisons nothing that the conservation checks would not
    /// find, so the lock is taken regardless.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the events that just happened to the delivery queue. With no target they are forgotten.
    pub(crate) fn publish(&self, state: &mut State) {
        for event in state.book.take_events() {
            if state.webhook.is_some() && self.events.try_send(event).is_err() {
                self.events_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
