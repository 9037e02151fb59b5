//! The merchant port: the one system outside that is told what became of orders.
//!
//! Telling is at least once. Harmless wrong answers: anything but [`Heard::Taken`] and [`Heard::Gone`], at any time, for
//! an event that was taken; it comes again under the same name. Harmful: `Taken` for one that was not.

mod signature;
pub mod webhook;
mod wire;

use std::time::Duration;

use domain::saga::Notice;
use domain::{DropId, Money, OrderId, Span, Timestamp};

use crate::checkout::PublicState;
use crate::ledger::{DueNotice, Item, Reply};

pub use signature::{InvalidKey, SigningKey};

/// Longest wait for one answer, connecting included: as Standard Webhooks recommends.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Why money of an order goes back that came to nothing: its payment came through too late.
const LATE_PAYMENT: &str = "late_payment";

/// Something that became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MerchantEvent {
    /// What happened.
    pub notice: Notice,
    /// To which order.
    pub order: OrderId,
    /// Of which drop.
    pub drop: DropId,
    /// The order's version when it happened: of two events of one order, the greater is the newer.
    pub version: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What was bought, at which prices.
    pub items: Vec<Item>,
    /// What it costs in all.
    pub total: Money,
    /// Where the shopper wants a receipt.
    pub email: Option<String>,
    /// Why it came to nothing, or why money of it goes back although it did.
    pub reason: Option<String>,
}

/// How telling ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It was taken.
    Taken,
    /// It was not, and never will be: there is nobody there any more.
    Gone,
    /// Another answer, redirects included.
    Refused {
        /// Its status.
        status: u16,
        /// How long to wait before the next try, where it says so.
        retry_after: Option<Span>,
    },
    /// No answer in time. Whether it was taken is not known.
    TimedOut,
    /// There was no connection, or it broke. Whether it was taken is not known.
    Unreachable,
}

/// The port.
pub trait Merchant: Send + Sync {
    /// Whether the merchant asked for events of this kind.
    fn wants(&self, notice: Notice) -> bool;
    /// Tells one event, once. Telling again is the jobs' business.
    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard>;
}

impl MerchantEvent {
    /// What a notice says. It speaks of the moment that it was written in, though the order may have moved on since: the
    /// same notice always makes the same event.
    pub(crate) fn of(due: &DueNotice) -> Self {
        let (record, state) = (&due.order, &due.order.order.state);
        let still = PublicState::from(state.name()) == state_of(due.notice);
        // An order that came to nothing is never refunded itself, and stays as it is for good.
        let late = due.notice == Notice::Refunded && state.name().is_dead();
        let late = late.then(|| LATE_PAYMENT.to_owned());
        Self {
            notice: due.notice,
            order: record.order.id,
            drop: record.order.drop.clone(),
            version: due.version,
            at: due.at,
            items: record.items.clone(),
            total: record.order.total,
            email: record.email.as_ref().map(|email| email.as_str().to_owned()),
            reason: late.or_else(|| crate::checkout::reason(state).filter(|_| still)),
        }
    }

    /// Its name: the same however often it is told, and no other event's.
    pub fn id(&self) -> String {
        format!("msg_{}_{}", self.order, self.version)
    }

    /// The state that it tells of.
    pub const fn state(&self) -> PublicState {
        state_of(self.notice)
    }
}

impl Heard {
    /// The word that stands in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Gone => "gone",
            Self::Refused { .. } => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
        }
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::Gone => f.write_str("status 410"),
            Self::Refused { status, .. } => write!(f, "status {status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable => f.write_str("unreachable"),
        }
    }
}

const fn state_of(notice: Notice) -> PublicState {
    match notice {
        Notice::Paid => PublicState::Paid,
        Notice::Declined => PublicState::Declined,
        Notice::Released => PublicState::Released,
        Notice::Refunded => PublicState::Refunded,
    }
}
