//! What can happen to an order, and what follows from it.

use core::fmt;

use crate::{Money, Span, Timestamp};

use super::answer::Answer;
use super::attempt::{Attempt, Operation};
use super::payment::{Payment, PaymentId, PaymentMethod};
use super::state::{By, Restock};

/// What can happen to an order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The shopper gives a payment method.
    Accept(PaymentMethod),
    /// The sweeper found the reservation past its time.
    Expire,
    /// Somebody gives the order up.
    Cancel(By),
    /// A worker has it in hand: do what is owed.
    Drive,
    /// The reconciler wants to know what the provider knows.
    Look,
    /// An answer to a call of an earlier step.
    Answered(Asked, Answer),
    /// The provider's description of a payment of this order, from a webhook's follow-up read or from a list.
    Seen(Payment),
    /// An operator gives the money back.
    Refund(Restock),
    /// An operator lets a parked or frozen order go on.
    Retry,
}

/// The name of an event, without its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventName {
    /// See [`Event::Accept`].
    Accept,
    /// See [`Event::Expire`].
    Expire,
    /// See [`Event::Cancel`].
    Cancel,
    /// See [`Event::Drive`].
    Drive,
    /// See [`Event::Look`].
    Look,
    /// See [`Event::Answered`].
    Answered,
    /// See [`Event::Seen`].
    Seen,
    /// See [`Event::Refund`].
    Refund,
    /// See [`Event::Retry`].
    Retry,
}

/// A call to the provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    /// Create and confirm a payment over `amount`, to be captured later.
    Authorise {
        /// Which try.
        attempt: Attempt,
        /// What the shopper pays with.
        method: PaymentMethod,
        /// The order's total.
        amount: Money,
    },
    /// Take the whole authorised amount.
    Capture {
        /// Which try.
        attempt: Attempt,
        /// The authorised payment.
        payment: PaymentId,
        /// The order's total.
        amount: Money,
    },
    /// Give an uncaptured payment up.
    Cancel {
        /// Which try.
        attempt: Attempt,
        /// Which payment.
        payment: PaymentId,
    },
    /// Give a captured amount back.
    Refund {
        /// Which try.
        attempt: Attempt,
        /// Which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// As [`Call::Cancel`], for a payment that its order does not want (any more); see [`Stray`](super::Stray).
    CancelStray {
        /// Which try.
        attempt: Attempt,
        /// Which payment.
        payment: PaymentId,
    },
    /// As [`Call::Refund`], for a payment that its order does not want (any more); see [`Stray`](super::Stray).
    RefundStray {
        /// Which try.
        attempt: Attempt,
        /// Which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// Read one payment.
    Retrieve {
        /// Which payment.
        payment: PaymentId,
    },
    /// Read whether the provider has a payment of this order, among those created since an instant; of several, that of
    /// the highest number in the newest key space.
    Find {
        /// When the order's first attempt was committed.
        since: Timestamp,
        /// The number of the current attempt, if by now no request under its key can have an effect any more: only then
        /// does an absence that is read from here on prove that it had none.
        over: Option<u32>,
    },
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Asked {
    /// An operation under a key, and its `n`.
    Change(Operation, u32),
    /// [`Call::Retrieve`].
    Retrieve,
    /// [`Call::Find`], and which attempt was over when it was asked.
    Find(Option<u32>),
}

/// What follows from a step.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Call the provider after the commit, and feed the answer back as [`Event::Answered`].
    Call(Call),
    /// Message to a worker, through the outbox: this order is due.
    Drive,
    /// Message to the merchant's systems, through the outbox.
    Notice(Notice),
    /// A person should know.
    Alarm(Alarm),
    /// Lower the drain rate: the provider is overrun. The span is how long to keep away, where it says so.
    SlowDown(Option<Span>),
    /// Stop the drain: the provider refuses our credentials.
    Halt,
}

/// What the merchant's systems are told about an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Notice {
    /// `order.paid`
    Paid,
    /// `order.declined`
    Declined,
    /// `order.released`, also when an authorisation was lost after the commit.
    Released,
    /// `order.refunded`, also when a charge was given back that came too late for an order which came to nothing.
    Refunded,
}

/// Something that a person should know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Alarm {
    /// An order was parked.
    Parked,
    /// An order was frozen.
    Frozen,
    /// Our credentials are refused.
    Forbidden,
    /// The provider has money or an authorisation for an order that does not want it (any more).
    Stray,
    /// An authorisation was lost after stock was committed for it.
    Unwound,
}

/// Why an event does not apply.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// Such an event has no place in this state.
    NotHere,
    /// The reservation's time is over.
    TooLate,
    /// Its time has not come.
    NotYet,
    /// A worker has it in hand.
    Leased,
    /// It is parked or frozen.
    Flagged,
    /// The answer belongs to a call that is not the current one.
    Stale,
    /// It says nothing new.
    Unchanged,
}

impl Alarm {
    /// Every alarm.
    pub const ALL: [Self; 5] = [
        Self::Parked,
        Self::Frozen,
        Self::Forbidden,
        Self::Stray,
        Self::Unwound,
    ];

    /// The name that stands in logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Frozen => "frozen",
            Self::Forbidden => "forbidden",
            Self::Stray => "stray",
            Self::Unwound => "unwound",
        }
    }
}

impl Event {
    /// The name of this event.
    pub const fn name(&self) -> EventName {
        match self {
            Self::Accept(_) => EventName::Accept,
            Self::Expire => EventName::Expire,
            Self::Cancel(_) => EventName::Cancel,
            Self::Drive => EventName::Drive,
            Self::Look => EventName::Look,
            Self::Answered(..) => EventName::Answered,
            Self::Seen(_) => EventName::Seen,
            Self::Refund(_) => EventName::Refund,
            Self::Retry => EventName::Retry,
        }
    }
}

impl Call {
    /// What an answer to this call answers.
    pub const fn asked(&self) -> Asked {
        match self {
            Self::Authorise { attempt, .. } => Asked::Change(Operation::Authorise, attempt.n),
            Self::Capture { attempt, .. } => Asked::Change(Operation::Capture, attempt.n),
            Self::Cancel { attempt, .. } => Asked::Change(Operation::Cancel, attempt.n),
            Self::Refund { attempt, .. } => Asked::Change(Operation::Refund, attempt.n),
            Self::CancelStray { attempt, .. } => Asked::Change(Operation::CancelStray, attempt.n),
            Self::RefundStray { attempt, .. } => Asked::Change(Operation::RefundStray, attempt.n),
            Self::Retrieve { .. } => Asked::Retrieve,
            Self::Find { over, .. } => Asked::Find(*over),
        }
    }

    /// The attempt to be recorded before the call is made; reads have none.
    pub const fn attempt(&self) -> Option<(Operation, Attempt)> {
        match self {
            Self::Authorise { attempt, .. } => Some((Operation::Authorise, *attempt)),
            Self::Capture { attempt, .. } => Some((Operation::Capture, *attempt)),
            Self::Cancel { attempt, .. } => Some((Operation::Cancel, *attempt)),
            Self::Refund { attempt, .. } => Some((Operation::Refund, *attempt)),
            Self::CancelStray { attempt, .. } => Some((Operation::CancelStray, *attempt)),
            Self::RefundStray { attempt, .. } => Some((Operation::RefundStray, *attempt)),
            Self::Retrieve { .. } | Self::Find { .. } => None,
        }
    }
}

impl Asked {
    /// The name that stands in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change(operation, _) => operation.as_str(),
            Self::Retrieve => "retrieve",
            Self::Find(_) => "find",
        }
    }
}

impl Notice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Paid, Self::Declined, Self::Released, Self::Refunded];

    /// Finds the notice of this public name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.as_str() == name)
    }

    /// The event's public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "order.paid",
            Self::Declined => "order.declined",
            Self::Released => "order.released",
            Self::Refunded => "order.refunded",
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accepting",
            Self::Expire => "expiring",
            Self::Cancel => "cancelling",
            Self::Drive => "driving",
            Self::Look => "looking",
            Self::Answered => "an answer",
            Self::Seen => "a sighting",
            Self::Refund => "refunding",
            Self::Retry => "retrying",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHere => "it has no place in this state",
            Self::TooLate => "its time is over",
            Self::NotYet => "its time has not come",
            Self::Leased => "a worker has it in hand",
            Self::Flagged => "it waits for somebody to look at it",
            Self::Stale => "the answer belongs to another call",
            Self::Unchanged => "it says nothing new",
        })
    }
}
