//! The desk: everything the gateway asks of admission, for all drops.

use std::sync::Arc;
use std::time::Duration;

use domain::{AdmissionId, Clock, Control, DropId, DropRules, Entropy, Phase, Span, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::figures::Figures;
use crate::keys::Keys;
use crate::outside::Outside;
use crate::place::{Place, PlaceError};
use crate::snapshot::Snapshot;
use crate::store::QueueStore;
use crate::token::{Admitted, TokenError};
use crate::visitor::Visitor;

/// How the desk runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The house that issues tokens: the public URL. Tokens of another issuer open nothing.
    pub issuer: String,
    /// Every drop and its rules.
    pub drops: Vec<DropRules>,
    /// How often the frontier is considered: 200 ms keeps the pace smooth and costs nothing.
    pub tick: Duration,
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

/// The store did not answer, or could not make its answer durable. Try again later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the queue store is not available")]
pub struct Unavailable {
    /// When to try again.
    pub retry_after: Span,
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

/// What an operator may ask of one drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Holds calling and claiming.
    Pause,
    /// Goes on; also takes back draining and holding everybody.
    Resume,
    /// Lets the called come in and nobody else.
    Drain,
    /// Ends the drop.
    End,
    /// Holds everybody, admitted shoppers included.
    QueueAll,
}

/// Everything the gateway asks of admission. Cheap to clone; all clones are the same desk.
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Settings>,
}

impl Admission {
    /// Opens every drop of `settings` and takes a first snapshot of each.
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self, OpenError> {
        let _ = parts;
        Ok(Self {
            inner: Arc::new(settings),
        })
    }

    /// Moves frontiers and refreshes snapshots until `stop`; then makes everything durable.
    pub async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// Names a new visitor: the visitor, and the cookie's value to set.
    pub fn greet(&self) -> (Visitor, String) {
        (Visitor([0; 16]), self.inner.issuer.clone())
    }

    /// The visitor a cookie names; none unless we signed it. The second value is a fresh cookie
    /// to set where the old one was signed with a key about to retire.
    pub fn visitor(&self, cookie: &str) -> Option<(Visitor, Option<String>)> {
        (cookie == self.inner.issuer).then_some((Visitor([0; 16]), None))
    }

    /// Takes a place in `drop`'s queue, or finds the one this shopper has. `held` is the ticket
    /// cookie if there is one: a place lost by the store is taken up again from it.
    pub async fn join(
        &self,
        drop: &DropId,
        visitor: &Visitor,
        held: Option<&str>,
    ) -> Result<Joined, JoinError> {
        let _ = (drop, visitor, held);
        Err(JoinError::UnknownDrop)
    }

    /// How the place of `ticket` stands. Touches no store.
    pub fn place(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<Place, PlaceError> {
        let _ = (drop, ticket, visitor);
        Err(PlaceError::UnknownDrop)
    }

    /// Turns up: the called shopper gets an admission token, everybody else the reason why not.
    pub async fn claim(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<Claimed, LeaveError> {
        let _ = (drop, ticket, visitor);
        Err(PlaceError::UnknownDrop.into())
    }

    /// Checks an admission token for this drop and visitor. Touches no store.
    pub fn verify(&self, drop: &DropId, token: &str, visitor: &Visitor) -> Result<Admitted, TokenError> {
        let _ = (drop, token, visitor);
        Err(TokenError::Malformed)
    }

    /// A sign of life of an admitted shopper. Gives a new token once half of the session is over
    /// and the drop renews sessions; else nothing, at the cost of a comparison.
    pub async fn renew(&self, admitted: &Admitted) -> Result<Option<Grant>, Unavailable> {
        let _ = admitted;
        Ok(None)
    }

    /// Gives a place up, for good.
    pub async fn leave(&self, drop: &DropId, ticket: &str, visitor: &Visitor) -> Result<(), LeaveError> {
        let _ = (drop, ticket, visitor);
        Err(PlaceError::UnknownDrop.into())
    }

    /// Ends a session from outside (upstream or operator). Its token opens nothing from now on.
    pub async fn revoke(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        let _ = (drop, admission);
        Ok(())
    }

    /// Notes that the session has ordered; ends it where the rules say so.
    pub async fn complete(&self, drop: &DropId, admission: AdmissionId) -> Result<(), Unavailable> {
        let _ = (drop, admission);
        Ok(())
    }

    /// Carries out an operator's command; gives the switches as they stand then.
    pub async fn control(&self, drop: &DropId, command: Command) -> Result<Control, JoinError> {
        let _ = (drop, command);
        Err(JoinError::UnknownDrop)
    }

    /// Takes new rules for drops, live: changed limits, pace, times. Drops not named stay as they
    /// are; new ones are opened.
    pub async fn reconfigure(&self, drops: Vec<DropRules>) -> Result<(), Unavailable> {
        let _ = drops;
        Ok(())
    }

    /// The drop's latest snapshot.
    pub fn snapshot(&self, drop: &DropId) -> Option<Arc<Snapshot>> {
        let _ = drop;
        None
    }

    /// Wakes at each new snapshot of `drop`; the value counts them.
    pub fn changes(&self, drop: &DropId) -> Option<watch::Receiver<u64>> {
        let _ = drop;
        None
    }

    /// Every drop, in the order of their names.
    pub fn drops(&self) -> Vec<DropId> {
        self.inner.drops.iter().map(|rules| rules.drop.clone()).collect()
    }

    /// What happened in `drop` since the process started.
    pub fn figures(&self, drop: &DropId) -> Option<Figures> {
        let _ = drop;
        None
    }

    /// The public keys that verify admission tokens (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [] })
    }
}
