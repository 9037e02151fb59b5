//! The desk: everything the gateway asks of admission, for all drops.
//!
//! Polls and admitted requests are answered from the drop's snapshot; joins and signs of life
//! are batched by the clerk; claims, leaving and the operator's commands go to the store.

mod checked;
mod clerk;
mod door;
mod errands;
mod orders;
mod sightings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use domain::{AdmissionId, Clock, DropId, DropRules, Entropy, Phase, ShopperKey, Span, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use checked::{CheckedTicket, CheckedToken};
pub use domain::queue::Command;

use crate::caller;
use crate::figures::{Figures, Waits};
use crate::keys::Keys;
use crate::outside::Outside;
use crate::place::{Place, PlaceError};
use crate::snapshot::{Showing, Snapshot};
use crate::steady::SteadyClock;
use crate::store::{QueueStore, Unavailable};
use crate::ticket::Ticket;
use crate::token::{Admitted, TokenDesk, TokenError};
use crate::visitor::{Seen, Visitor};
use clerk::Errand;
pub(crate) use door::Door;

/// How the desk runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The house that issues tokens: the public URL. Tokens of another issuer open nothing.
    pub issuer: String,
    /// Every drop and its rules.
    pub drops: Vec<DropRules>,
    /// How often the frontier is considered: 200 ms keeps the pace smooth and costs nothing.
    pub tick: Duration,
    /// Whether other gateways show the same queues.
    pub showing: Showing,
}

/// What the desk is built from.
#[derive(Clone)]
pub struct Parts {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws what nobody may predict.
    pub entropy: Arc<dyn Entropy>,
    /// Keeps the queues.
    pub store: Arc<dyn QueueStore>,
    /// Signs and checks.
    pub keys: Arc<Keys>,
    /// Reports what checkout and upstream measure.
    pub outside: Arc<dyn Outside>,
}

/// The desk could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A drop's queue could not be read or created.
    #[error("cannot open the queue of drop {drop}")]
    Drop {
        /// Which drop.
        drop: DropId,
        /// Why.
        #[source]
        source: Unavailable,
    },
}

/// A place, just taken or found again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The signed ticket for the cookie.
    pub ticket: String,
    /// The place it stands for.
    pub place: Place,
    /// Whether this is the place the shopper had already.
    pub repeated: bool,
}

/// Why somebody could not join.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinError {
    /// The drop is not configured.
    #[error("no such drop")]
    UnknownDrop,
    /// Nobody may join in this phase.
    #[error("joining is not possible while the drop is {}", .0.as_str())]
    NotOpen(Phase),
    /// The drop is a closed page.
    #[error("the drop is closed")]
    Closed,
    /// The queue remembers as many shoppers as it may.
    #[error("the queue is full for the moment")]
    Full {
        /// When to try again.
        retry_after: Span,
    },
    /// The store could not be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What came of a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// Let in.
    Admitted(Grant),
    /// Not this shopper's turn.
    NotCalled(Place),
    /// Called, but the room is full: next in line.
    RoomFull {
        /// When to claim again.
        retry_after: Span,
    },
    /// Called, and not come in time.
    Lapsed,
    /// The place was given up, or replaced by a newer one.
    Left,
    /// The place was used: its session is over.
    Finished,
    /// An operator holds the queue.
    Paused,
    /// The drop has not started.
    NotOpen,
    /// Everything is sold.
    SoldOut,
    /// The drop is over.
    Ended,
}

/// An admission token, ready to hand out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The signed token, for cookie and body.
    pub token: String,
    /// Names the admission.
    pub admission: AdmissionId,
    /// When it ends, unless renewed.
    pub expires_at: Timestamp,
    /// Whether this admission had been granted before (a lost answer, a second click).
    pub repeated: bool,
}

/// Why a place could not be given up.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaveError {
    /// The ticket says nothing.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The store could not be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Everything the gateway asks of admission. Cheap to clone; all clones are the same desk.
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

/// What all clones of the desk share.
pub(crate) struct Inner {
    pub(crate) clock: SteadyClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) tick: Duration,
    pub(crate) showing: Showing,
    keys: Arc<Keys>,
    tokens: TokenDesk,
    doors: ArcSwap<BTreeMap<DropId, Arc<Door>>>,
    errands: mpsc::Sender<Errand>,
    /// Taken by the one [`Admission::run`].
    inbox: Mutex<Option<mpsc::Receiver<Errand>>>,
}

impl Admission {
    /// Opens every drop of `settings` and takes a first snapshot of each.
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self, OpenError> {
        let Parts {
            clock,
            entropy,
            store,
            keys,
            outside,
        } = parts;
        let (errands, inbox) = mpsc::channel(clerk::ERRANDS_MAX);
        let inner = Inner {
            clock: SteadyClock::new(clock),
            tokens: TokenDesk::new(settings.issuer, keys.clone(), &*entropy),
            entropy,
            store,
            outside,
            tick: settings.tick,
            showing: settings.showing,
            keys,
            doors: ArcSwap::default(),
            errands,
            inbox: Mutex::new(Some(inbox)),
        };
        let desk = Self {
            inner: Arc::new(inner),
        };
        for rules in settings.drops {
            let drop = rules.drop.clone();
            desk.inner
                .open_door(rules)
                .await
                .map_err(|source| OpenError::Drop { drop, source })?;
        }
        Ok(desk)
    }

    /// Moves frontiers, answers joins and refreshes snapshots until `stop`; then makes everything
    /// durable. Joins and renewals are answered only while this runs; a second call returns at
    /// once.
    pub async fn run(&self, stop: CancellationToken) {
        let inbox = self
            .inner
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(inbox) = inbox else { return };
        tokio::join!(
            caller::run(&self.inner, &stop),
            clerk::run(&self.inner, inbox, &stop)
        );
        if let Err(error) = self.inner.store.flush(self.inner.clock.now()).await {
            tracing::error!(%error, "the queues could not be written down at the end");
        }
    }

    /// Names a new visitor: the visitor, and the cookie's value to set.
    pub fn greet(&self) -> (Visitor, String) {
        let visitor = Visitor::fresh(&*self.inner.entropy);
        (visitor, visitor.seal(&self.inner.keys))
    }

    /// The visitor a cookie names; none unless we signed it. The second value is a fresh cookie
    /// to set where the old one was signed with a key about to retire.
    pub fn visitor(&self, cookie: &str) -> Option<(Visitor, Option<String>)> {
        Visitor::check(cookie, &self.inner.keys)
    }

    /// The same; and where the cookie names nobody here, whether another gateway could tell whom.
    pub fn seen(&self, cookie: &str) -> Seen {
        Visitor::seen(cookie, &self.inner.keys)
    }

    /// The name of `visitor` within `drop`: what orders are kept under.
    pub fn shopper(&self, drop: &DropId, visitor: &Visitor) -> ShopperKey {
        self.inner.keys.shopper(drop, visitor)
    }

    /// How the place of `ticket` stands. Touches no store.
    pub fn place(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<Place, PlaceError> {
        let (door, _, ticket) = self.inner.held(drop, ticket, visitor)?;
        Ok(door.place(&ticket, self.inner.clock.now()))
    }

    /// Checks an admission token for this drop and visitor. Touches no store.
    pub fn verify(&self, drop: &DropId, token: &str, visitor: &Visitor) -> Result<Admitted, TokenError> {
        let door = self.inner.door(drop).ok_or(TokenError::Foreign)?;
        let shopper = self.inner.keys.shopper(drop, visitor);
        self.inner
            .tokens
            .check(token, shopper, &door.snapshot(), self.inner.clock.now())
    }

    /// The drop's latest snapshot.
    pub fn snapshot(&self, drop: &DropId) -> Option<Arc<Snapshot>> {
        self.inner.door(drop).map(|door| door.snapshot())
    }

    /// The latest snapshot of `drop` for a moment's look: cheaper than [`Admission::snapshot`], but
    /// not to be kept while waiting, as a thread has only a few of these to give out at that price.
    pub fn glance(&self, drop: &DropId) -> Option<Guard<Arc<Snapshot>>> {
        self.inner.doors.load().get(drop).map(|door| door.glance())
    }

    /// Wakes at each new snapshot of `drop`; the value counts them.
    pub fn changes(&self, drop: &DropId) -> Option<watch::Receiver<u64>> {
        self.inner.door(drop).map(|door| door.changes())
    }

    /// Every drop, in the order of their names.
    pub fn drops(&self) -> Vec<DropId> {
        self.inner.doors.load().keys().cloned().collect()
    }

    /// What happened in `drop` since the process started.
    pub fn figures(&self, drop: &DropId) -> Option<Figures> {
        self.inner.door(drop).map(|door| door.figures.read())
    }

    /// How long those waited whom this process let into `drop`; nothing where it let nobody in.
    pub fn waits(&self, drop: &DropId) -> Option<Waits> {
        self.inner.door(drop)?.figures.waits()
    }

    /// The public keys that verify admission tokens (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        self.inner.keys.jwks()
    }
}

impl Inner {
    /// One drop.
    pub(crate) fn door(&self, drop: &DropId) -> Option<Arc<Door>> {
        self.doors.load().get(drop).cloned()
    }

    /// Takes over keys that other gateways have rotated.
    pub(crate) async fn refresh_keys(&self) -> Result<(), crate::keys::KeyError> {
        self.keys.refresh().await
    }

    /// Every drop.
    pub(crate) fn all_doors(&self) -> Vec<Arc<Door>> {
        self.doors.load().values().cloned().collect()
    }

    /// Opens a drop, or gives an open one its new rules, and takes a snapshot.
    async fn open_door(&self, rules: DropRules) -> Result<(), Unavailable> {
        let readings = self.outside.readings(&rules.drop);
        let at = Door::moment(&readings, self.clock.now());
        self.clock.raise(self.store.open(&rules, at).await?);
        let rules = Arc::new(rules);
        if let Some(door) = self.door(&rules.drop) {
            door.set_rules(rules.clone());
        } else {
            let door = Arc::new(Door::new(rules.clone(), self.showing, self.clock.now()));
            self.doors.rcu(|doors| {
                let mut doors = BTreeMap::clone(doors);
                doors.entry(rules.drop.clone()).or_insert_with(|| door.clone());
                doors
            });
        }
        match self.door(&rules.drop) {
            Some(door) => caller::look(self, &door).await,
            None => Ok(()),
        }
    }

    /// The door, the shopper and the ticket of a request that shows one.
    fn held(
        &self,
        drop: &DropId,
        ticket: &str,
        visitor: &Visitor,
    ) -> Result<(Arc<Door>, ShopperKey, Ticket), PlaceError> {
        let door = self.door(drop).ok_or(PlaceError::UnknownDrop)?;
        let shopper = self.keys.shopper(drop, visitor);
        let ticket = Ticket::check(ticket, shopper, &self.keys).ok_or(PlaceError::BadTicket)?;
        Ok((door, shopper, ticket))
    }
}
