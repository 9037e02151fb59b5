//! Connections to the upstream: the warmest idle one first, never more than the cap, and a
//! bounded, timed wait where the cap is reached.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::ProxyConfig;
use super::connect::{Socket, connect};
use super::error::ProxyError;
use super::link::Link;
use super::turn::Turn;

/// The connections of one runtime to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    config: ProxyConfig,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// Oldest first; taken from the end.
    idle: Vec<Link>,
    /// Slots given out, to idle connections too.
    open: usize,
    waiting: VecDeque<oneshot::Sender<Grant>>,
}

/// What a waiting request is given.
#[derive(Debug)]
enum Grant {
    Link(Box<Link>),
    Slot(Slot),
}

/// The right to one open connection. Dropped, it goes to the next in the queue.
pub(super) struct Slot {
    /// `None` once the right has passed to another slot.
    pool: Option<Arc<Pool>>,
}

impl Pool {
    pub(super) fn new(config: ProxyConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
        }
    }

    pub(super) const fn config(&self) -> &ProxyConfig {
        &self.config
    }

    pub(super) fn open(&self) -> usize {
        self.state().open
    }

    /// A connection ready for an exchange: idle, or new, or the first that becomes free.
    pub(super) async fn take(self: &Arc<Self>, turn: &mut Turn) -> Result<Link, ProxyError> {
        while let Some(mut link) = self.take_idle() {
            if link.is_ready() {
                link.begin_exchange();
                return Ok(link);
            }
        }
        match self.slot_or_queue()? {
            Ok(slot) => self.connect(slot).await,
            Err(wait) => match self.granted(wait, turn).await? {
                Grant::Link(link) => {
                    let mut link = *link;
                    link.begin_exchange();
                    Ok(link)
                }
                Grant::Slot(slot) => self.connect(slot).await,
            },
        }
    }

    /// A connection that nobody has used, for a second try.
    pub(super) async fn open_fresh(self: &Arc<Self>, turn: &mut Turn) -> Result<Link, ProxyError> {
        let evicted = {
            let mut state = self.state();
            // At the cap, an idle connection makes way; it is as suspect as the one that died.
            if state.open >= self.config.connections_max {
                state.idle.pop()
            } else {
                None
            }
        };
        drop(evicted);
        match self.slot_or_queue()? {
            Ok(slot) => self.connect(slot).await,
            Err(wait) => match self.granted(wait, turn).await? {
                Grant::Slot(slot) => self.connect(slot).await,
                Grant::Link(link) => self.connect(link.into_slot()).await,
            },
        }
    }

    /// Takes a connection back after a whole exchange, if it can carry another one.
    pub(super) fn give_back(&self, mut link: Link) {
        if !link.is_ready() {
            return;
        }
        link.begin_idle();
        loop {
            let next = {
                let mut state = self.state();
                let Some(next) = state.waiting.pop_front() else {
                    state.idle.push(link);
                    return;
                };
                next
            };
            match next.send(Grant::Link(Box::new(link))) {
                Err(Grant::Link(refused)) => link = *refused, // it has stopped waiting
                Ok(()) | Err(Grant::Slot(_)) => return,
            }
        }
    }

    /// Closes idle connections that have outlived the keep-alive.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        let expired: Vec<Link> = {
            let mut state = self.state();
            let fresh = state
                .idle
                .partition_point(|link| now - link.idle_since() >= self.config.keep_alive);
            state.idle.drain(..fresh).collect()
        };
        drop(expired); // outside the lock: their slots take it again
    }

    fn take_idle(&self) -> Option<Link> {
        let link = self.state().idle.pop()?;
        if link.idle_since().elapsed() < self.config.keep_alive {
            return Some(link);
        }
        // The warmest one is too old, so all of them are.
        drop(link);
        self.prune();
        None
    }

    fn slot_or_queue(self: &Arc<Self>) -> Result<Result<Slot, oneshot::Receiver<Grant>>, ProxyError> {
        let mut state = self.state();
        if state.open < self.config.connections_max {
            state.open += 1;
            return Ok(Ok(Slot {
                pool: Some(Arc::clone(self)),
            }));
        }
        if state.waiting.len() >= self.config.waiting_max {
            state.waiting.retain(|turn| !turn.is_closed());
            if state.waiting.len() >= self.config.waiting_max {
                return Err(ProxyError::Saturated);
            }
        }
        let (turn, wait) = oneshot::channel();
        state.waiting.push_back(turn);
        Ok(Err(wait))
    }

    /// Waits in the queue.
    async fn granted(&self, wait: oneshot::Receiver<Grant>, turn: &mut Turn) -> Result<Grant, ProxyError> {
        match timeout(self.config.wait, wait).await {
            Ok(Ok(grant)) => {
                // Other requests held the connections, slow uploads maybe: the upstream's time
                // begins only now.
                *turn = Turn::upstream();
                Ok(grant)
            }
            Ok(Err(_)) | Err(_) => Err(ProxyError::Saturated),
        }
    }

    async fn connect(&self, slot: Slot) -> Result<Link, ProxyError> {
        let socket: Socket = timeout(self.config.connect, connect(&self.config))
            .await
            .map_err(|_| ProxyError::ConnectTimedOut)?
            .map_err(ProxyError::Connect)?;
        let mut link = Link::new(socket, slot);
        link.begin_exchange();
        Ok(link)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        loop {
            let next = {
                let mut state = pool.state();
                let next = state.waiting.pop_front();
                if next.is_none() {
                    state.open -= 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Grant::Slot(Self {
                pool: Some(Arc::clone(&pool)),
            })) {
                // It has stopped waiting: the right is still ours to pass on, so what comes back
                // must not pass it on as well.
                Err(Grant::Slot(mut refused)) => refused.pool = None,
                Ok(()) | Err(Grant::Link(_)) => return,
            }
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}
