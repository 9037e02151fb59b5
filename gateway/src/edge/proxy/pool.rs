//! The connections of one runtime: the warmest idle one first, and where there is none, a new one or a
//! bounded, timed wait for whichever comes first, one of our own or the right to open another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::{Instant, timeout};

use super::ProxyConfig;
use super::connect::{Socket, connect};
use super::error::ProxyError;
use super::link::Link;
use super::turn::Turn;
use super::upstream::{Asked, Grant, Slot, Upstream};

/// The connections of one runtime to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Arc<Upstream>,
    /// Which of the upstream's pools this is.
    number: usize,
    /// Oldest first; taken from the end.
    idle: Mutex<Vec<Link>>,
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>) -> Arc<Self> {
        Arc::new_cyclic(|pool| Self {
            number: upstream.enter(Weak::clone(pool)),
            upstream,
            idle: Mutex::default(),
        })
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(super) fn config(&self) -> &ProxyConfig {
        self.upstream.config()
    }

    /// A connection ready for an exchange: idle, or new, or the first that becomes free.
    pub(super) async fn take(&self, turn: &mut Turn) -> Result<Link, ProxyError> {
        while let Some(mut link) = self.take_idle() {
            if link.is_ready() {
                link.begin_exchange();
                return Ok(link);
            }
        }
        match self.granted(turn).await? {
            Grant::Link(link) => {
                let mut link = *link;
                link.begin_exchange();
                Ok(link)
            }
            Grant::Slot(slot) => self.connect(slot).await,
        }
    }

    /// A connection that nobody has used, for a second try. At the cap, an idle connection makes way;
    /// it is as suspect as the one that died.
    pub(super) async fn open_fresh(&self, turn: &mut Turn) -> Result<Link, ProxyError> {
        match self.granted(turn).await? {
            Grant::Slot(slot) => self.connect(slot).await,
            Grant::Link(link) => self.connect(link.into_slot()).await,
        }
    }

    /// Takes a connection back after a whole exchange, if it can carry another one.
    pub(super) fn give_back(&self, mut link: Link) {
        if !link.is_ready() {
            return;
        }
        link.begin_idle();
        loop {
            let mut idle = self.idle();
            // Asked under the lock that whoever waits takes after standing in line: either it sees
            // what is put down here, or here it is seen.
            if !self.upstream.is_wanted() {
                idle.push(link);
                return;
            }
            drop(idle);
            match self.upstream.hand_over(self.number, link) {
                Some(unwanted) => link = unwanted,
                None => return,
            }
        }
    }

    /// Closes idle connections that have outlived the keep-alive.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        let expired: Vec<Link> = {
            let mut idle = self.idle();
            let fresh = idle.partition_point(|link| now - link.idle_since() >= self.config().keep_alive);
            idle.drain(..fresh).collect()
        };
        drop(expired); // outside the lock: their slots may be handed on
    }

    /// The connection that has been idle for longest, for another runtime to open one in its place.
    pub(super) fn take_coldest(&self) -> Option<Link> {
        let mut idle = self.idle();
        (!idle.is_empty()).then(|| idle.remove(0))
    }

    fn take_idle(&self) -> Option<Link> {
        let link = self.idle().pop()?;
        if link.idle_since().elapsed() < self.config().keep_alive {
            return Some(link);
        }
        // The warmest one is too old, so all of them are.
        drop(link);
        self.prune();
        None
    }

    /// A slot, or whatever comes first of a slot and a connection of ours, if it comes in time.
    async fn granted(&self, turn: &mut Turn) -> Result<Grant, ProxyError> {
        let mut wait = match self.upstream.ask(self.number)? {
            Asked::Slot(slot) => return Ok(Grant::Slot(slot)),
            Asked::Wait(wait) => wait,
        };
        // What lies idle, here or with another runtime, makes way. It may do so for somebody who has
        // waited longer, and then there may be more of it.
        while self.upstream.close_idle(self.number) {
            if let Ok(grant) = wait.grant.try_recv() {
                return Ok(grant);
            }
        }
        let is_for_clients = wait.is_for_clients;
        let Ok(Ok(grant)) = timeout(self.config().wait, wait.grant).await else {
            return Err(ProxyError::Saturated);
        };
        if is_for_clients {
            *turn = Turn::upstream();
        }
        Ok(grant)
    }

    async fn connect(&self, slot: Slot) -> Result<Link, ProxyError> {
        let socket: Socket = timeout(self.config().connect, connect(self.config()))
            .await
            .map_err(|_| ProxyError::ConnectTimedOut)?
            .map_err(ProxyError::Connect)?;
        let mut link = Link::new(socket, slot);
        link.begin_exchange();
        Ok(link)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
