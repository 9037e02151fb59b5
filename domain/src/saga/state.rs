//! The states of an order. Each carries only what exists in it: there is no capture before stock is committed because
//! no earlier state has a place for one.

use core::fmt;

use crate::Timestamp;

use super::attempt::Attempt;
use super::payment::{ClientSecret, PaymentId, PaymentMethod, Reason};

/// Where an order stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Units are held until a deadline; nothing is paid for.
    Reserved(Reserved),
    /// The shopper gave a payment method and an answer is owed. Never times out because of our backlog.
    Accepted(Accepted),
    /// The provider is, or may have been, asked to authorise.
    Authorising(Authorising),
    /// The shopper has to confirm with their bank, within a time of their own.
    ActionRequired(ActionRequired),
    /// To be given up, once the provider's side is known to be given up.
    Cancelling(Cancelling),
    /// Authorised and sold in our books; the amount is being captured.
    Committed(Committed),
    /// Captured.
    Paid(Paid),
    /// The payment was refused; the units went back.
    Declined(Declined),
    /// Given up before any money moved; the units went back.
    Released(Released),
    /// The authorisation was lost after the commit, nothing was captured; the units went back.
    Unwound(Unwound),
    /// Captured and given back.
    Refunded(Refunded),
}

/// Data of [`State::Reserved`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reserved {
    /// When the units go back unless the order was accepted.
    pub until: Timestamp,
}

/// Data of [`State::Accepted`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Accepted {
    /// What the shopper pays with.
    pub method: PaymentMethod,
}

/// Data of [`State::Authorising`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Authorising {
    /// What the shopper pays with.
    pub method: PaymentMethod,
    /// The try that is under way.
    pub attempt: Attempt,
    /// The payment, once the provider has named it.
    pub payment: Option<PaymentId>,
}

/// Data of [`State::ActionRequired`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ActionRequired {
    /// What the shopper pays with.
    pub method: PaymentMethod,
    /// The try that led here.
    pub attempt: Attempt,
    /// The payment to be confirmed.
    pub payment: PaymentId,
    /// What the shopper's browser needs for it.
    pub client_secret: Option<ClientSecret>,
    /// When we stop waiting for the shopper.
    pub until: Timestamp,
}

/// Data of [`State::Cancelling`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cancelling {
    /// What the shopper would have paid with.
    pub method: PaymentMethod,
    /// The authorisation that has to be undone.
    pub authorise: Attempt,
    /// The payment, once the provider has named it.
    pub payment: Option<PaymentId>,
    /// The try at cancelling it.
    pub cancel: Attempt,
    /// Who gave the order up.
    pub by: By,
}

/// Data of [`State::Committed`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Committed {
    /// The authorised payment.
    pub payment: PaymentId,
    /// The try at capturing it.
    pub capture: Attempt,
}

/// Data of [`State::Paid`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Paid {
    /// The captured payment.
    pub payment: PaymentId,
    /// The refund that an operator asked for, if any.
    pub refund: Option<Refunding>,
}

/// A refund under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Refunding {
    /// The try at it.
    pub attempt: Attempt,
    /// Minor units to give back, where some were given back elsewhere before; none means the order's total. Belongs to the
    /// try: what is sent under its key never changes.
    pub part: Option<u64>,
    /// What becomes of the units.
    pub restock: Restock,
}

/// What becomes of the units of a refunded order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Restock {
    /// They go back to the pool.
    Return,
    /// They stay sold (the shopper keeps them, or they are lost).
    Keep,
}

/// Data of [`State::Declined`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Declined {
    /// The provider's word for why.
    pub reason: Reason,
}

/// Data of [`State::Released`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Released {
    /// Who gave the order up.
    pub by: By,
}

/// Data of [`State::Unwound`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Unwound {
    /// The payment whose authorisation was lost.
    pub payment: PaymentId,
}

/// Data of [`State::Refunded`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refunded {
    /// The refunded payment.
    pub payment: PaymentId,
    /// Whether a person has asked for its money to be given back once more, because it came back, and the payment was not
    /// read since. Without that, no reading of it sends a refund.
    pub is_retried: bool,
}

/// Who gave an order up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum By {
    /// The shopper.
    Shopper,
    /// A deadline: of the reservation, or of the shopper's confirmation.
    Timer,
    /// The merchant's people.
    Operator,
}

/// The name of a state, without its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StateName {
    /// See [`State::Reserved`].
    Reserved,
    /// See [`State::Accepted`].
    Accepted,
    /// See [`State::Authorising`].
    Authorising,
    /// See [`State::ActionRequired`].
    ActionRequired,
    /// See [`State::Cancelling`].
    Cancelling,
    /// See [`State::Committed`].
    Committed,
    /// See [`State::Paid`].
    Paid,
    /// See [`State::Declined`].
    Declined,
    /// See [`State::Released`].
    Released,
    /// See [`State::Unwound`].
    Unwound,
    /// See [`State::Refunded`].
    Refunded,
}

/// What an order's units are doing while it is in a state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Units {
    /// Held for it.
    Held,
    /// Sold to it.
    Sold,
    /// Given back.
    Back,
}

impl State {
    /// The name of this state.
    pub const fn name(&self) -> StateName {
        match self {
            Self::Reserved(_) => StateName::Reserved,
            Self::Accepted(_) => StateName::Accepted,
            Self::Authorising(_) => StateName::Authorising,
            Self::ActionRequired(_) => StateName::ActionRequired,
            Self::Cancelling(_) => StateName::Cancelling,
            Self::Committed(_) => StateName::Committed,
            Self::Paid(_) => StateName::Paid,
            Self::Declined(_) => StateName::Declined,
            Self::Released(_) => StateName::Released,
            Self::Unwound(_) => StateName::Unwound,
            Self::Refunded(_) => StateName::Refunded,
        }
    }

    /// The payment this state knows of.
    pub const fn payment(&self) -> Option<&PaymentId> {
        match self {
            Self::Authorising(Authorising { payment, .. }) | Self::Cancelling(Cancelling { payment, .. }) => {
                payment.as_ref()
            }
            Self::ActionRequired(ActionRequired { payment, .. })
            | Self::Committed(Committed { payment, .. })
            | Self::Paid(Paid { payment, .. })
            | Self::Unwound(Unwound { payment })
            | Self::Refunded(Refunded { payment, .. }) => Some(payment),
            Self::Reserved(_) | Self::Accepted(_) | Self::Declined(_) | Self::Released(_) => None,
        }
    }

    /// The payment method this state knows of.
    pub const fn method(&self) -> Option<&PaymentMethod> {
        match self {
            Self::Accepted(Accepted { method })
            | Self::Authorising(Authorising { method, .. })
            | Self::ActionRequired(ActionRequired { method, .. })
            | Self::Cancelling(Cancelling { method, .. }) => Some(method),
            Self::Reserved(_)
            | Self::Committed(_)
            | Self::Paid(_)
            | Self::Declined(_)
            | Self::Released(_)
            | Self::Unwound(_)
            | Self::Refunded(_) => None,
        }
    }
}

impl StateName {
    /// Every state there is, in the order of the spine, then the ends.
    pub const ALL: [Self; 11] = [
        Self::Reserved,
        Self::Accepted,
        Self::Authorising,
        Self::ActionRequired,
        Self::Cancelling,
        Self::Committed,
        Self::Paid,
        Self::Declined,
        Self::Released,
        Self::Unwound,
        Self::Refunded,
    ];

    /// The name that stands in rows, logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Accepted => "accepted",
            Self::Authorising => "authorising",
            Self::ActionRequired => "action_required",
            Self::Cancelling => "cancelling",
            Self::Committed => "committed",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Released => "released",
            Self::Unwound => "unwound",
            Self::Refunded => "refunded",
        }
    }

    /// The state of this name, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// What an order's units are doing in this state. A refunded order's units are sold or back as the operator chose.
    pub const fn units(self) -> Units {
        match self {
            Self::Reserved | Self::Accepted | Self::Authorising | Self::ActionRequired | Self::Cancelling => {
                Units::Held
            }
            Self::Committed | Self::Paid | Self::Refunded => Units::Sold,
            Self::Declined | Self::Released | Self::Unwound => Units::Back,
        }
    }

    /// Whether the order came to nothing: it holds no units, and the shopper may try again with the same admission.
    pub const fn is_dead(self) -> bool {
        matches!(self.units(), Units::Back)
    }

    /// Whether the spine ends here.
    pub const fn is_end(self) -> bool {
        self.is_dead() || matches!(self, Self::Paid | Self::Refunded)
    }
}

impl By {
    /// The name that stands in rows and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Timer => "timer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
