//! The saga of an order: from reservation to paid, or to an honest end.
//!
//! State × event × now → state × stock movement × effects, or a refusal that names both. Whoever applies a step commits
//! it first (compare-and-set on the version, stock entries, attempt, messages: one transaction) and performs its call
//! afterwards: *local commit before every foreign call, stock committed before money moves*.

mod answer;
mod attempt;
mod authorise;
mod cancel;
mod capture;
mod dead;
mod event;
mod next;
mod payment;
mod spine;
mod state;
mod stray;

pub use answer::{Answer, Class, Outcome, Repeat, Stall, classify};
pub use attempt::{Attempt, IdempotencyKey, KEY_AGE_MAX, KeySpace, Operation, SAVED_ERRORS_MAX};
pub use dead::REFUND_FAILED;
pub use event::{Alarm, Asked, Call, Effect, Event, EventName, Notice, Why};
pub use payment::{
    ClientSecret, InvalidProviderName, PROVIDER_NAME_BYTES_MAX, Payment, PaymentId, PaymentMethod,
    PaymentStatus, Reason,
};
pub use state::{
    Accepted, ActionRequired, Authorising, By, Cancelling, Committed, Declined, Paid, Refunded, Refunding,
    Released, Reserved, Restock, State, StateName, Units, Unwound,
};
pub use stray::{Stake, Stray};

use alloc::vec::Vec;

use crate::backoff::Jitter;
use crate::{DropId, Money, OrderId, ShopperKey, Span, Timestamp};

use next::{Context, Facts, Transition};

/// How long a worker keeps an order to itself while it calls the provider: the call's own deadline (20 s), with room for
/// its wait for a permit. A courtesy that saves calls; correctness rests on versions and keys. No longer, because the
/// order of a worker that died waits for its end: thirty seconds after a fault every accepted order shall be through.
pub const LEASE: Span = Span::from_secs(25);
/// How long a shopper may take to confirm with their bank, unless the drop says otherwise. Banks' own pages give up after
/// about ten minutes.
pub const ACTION_TIME: Span = Span::from_mins(10);

/// One purchase, as far as the saga is concerned. The ledger keeps the items and who asked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// The drop it belongs to.
    pub drop: DropId,
    /// Who buys.
    pub shopper: ShopperKey,
    /// What it costs in all: from the drop's prices, never from the client.
    pub total: Money,
    /// What it was accepted with, once it was; kept to the end, so that a repeated acceptance is known for one.
    pub method: Option<PaymentMethod>,
    /// Rises by one with every step; what a compare-and-set compares.
    pub version: u64,
    /// Where it stands.
    pub state: State,
    /// When it is to be looked at again.
    pub pace: Pace,
    /// Set while it waits for a person or for the reconciler.
    pub flag: Option<Flag>,
    /// Payments of its name that it does not want, and the tries at getting rid of them.
    pub strays: Vec<Stray>,
}

/// When an order is to be looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pace {
    /// Tries in a row that brought no answer.
    pub tries: u32,
    /// Not before this instant; [`Timestamp::NEVER`] when nothing is owed.
    pub due: Timestamp,
    /// Until when a worker has it to itself.
    pub leased_until: Timestamp,
}

/// Why an order waits, and for whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Flag {
    /// Parked: the reconciler asks the provider about it, an operator may retry it.
    Parked(Parked),
    /// Frozen: a bug of ours or a changed payment; only an operator moves it.
    Frozen(Frozen),
}

/// Why an order is parked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Parked {
    /// Three tries in a row brought no answer.
    NoAnswer,
    /// The provider refused for a reason that a person must look at.
    Rejected(Reason),
}

/// Why an order is frozen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Frozen {
    /// The provider says that a key was used with other parameters.
    KeyMismatch,
    /// Amount or currency of the payment are not those of the order.
    AmountMismatch,
}

/// The instant of a step, and what bears on the waits it sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Now, by the ledger's clock where a deadline is compared.
    pub now: Timestamp,
    /// Drawn by the caller.
    pub jitter: Jitter,
    /// How long a shopper may take to confirm with their bank.
    pub action_time: Span,
    /// The space that keys are drawn from.
    pub space: KeySpace,
}

impl Moment {
    /// The instant `now` with no jitter, the usual [`ACTION_TIME`], and a ledger that was never restored.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            jitter: Jitter::NONE,
            action_time: ACTION_TIME,
            space: KeySpace::FIRST,
        }
    }
}

/// How an order's units move, all of them together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StockMove {
    /// Held units go back.
    Void,
    /// Held units are sold.
    Sell,
    /// Sold units go back.
    Unsell,
}

/// What a step does. To be applied in one transaction, then performed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The state that was left; with `order.version - 1` the compare-and-set's expectation.
    pub from: StateName,
    /// The order as it is to be stored.
    pub order: Order,
    /// How its units move in the same transaction.
    pub stock: Option<StockMove>,
    /// Messages, alarms, and at most one call.
    pub effects: Vec<Effect>,
}

/// An event does not apply. Nothing changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{event} does not apply to an order that is {state}: {why}")]
pub struct Refusal {
    /// Where the order stands.
    pub state: StateName,
    /// What was to happen.
    pub event: EventName,
    /// Why it does not.
    pub why: Why,
}

impl Order {
    /// A new order with its units just held until `until`.
    pub const fn reserved(
        id: OrderId,
        drop: DropId,
        shopper: ShopperKey,
        total: Money,
        until: Timestamp,
    ) -> Self {
        let pace = Pace {
            tries: 0,
            due: Timestamp::NEVER,
            leased_until: Timestamp::EPOCH,
        };
        let state = State::Reserved(Reserved { until });
        Self {
            id,
            drop,
            shopper,
            total,
            method: None,
            version: 1,
            state,
            pace,
            flag: None,
            strays: Vec::new(),
        }
    }

    /// The idempotency key of attempt `n` at `operation` for this order.
    pub fn key(&self, space: KeySpace, operation: Operation, n: u32) -> IdempotencyKey {
        IdempotencyKey::derive(space, &self.drop, self.id, operation, n)
    }

    /// Whether `payment` is for exactly this order's total.
    pub fn matches(&self, payment: &Payment) -> bool {
        payment.amount == self.total && payment.order == self.id
    }

    /// Applies `event` at `moment`. Refusals leave nothing changed; the caller keeps its own copy if it needs one.
    pub fn step(self, event: Event, moment: Moment) -> Result<Step, Refusal> {
        let (state, name) = (self.state.name(), event.name());
        let refuse = |why| Refusal {
            state,
            event: name,
            why,
        };
        let context = Context::new(&self, moment);
        context.admits(&event).map_err(refuse)?;
        let accepted_with = match &event {
            Event::Accept(method) => Some(method.clone()),
            Event::Expire
            | Event::Cancel(_)
            | Event::Drive
            | Event::Look
            | Event::Answered(..)
            | Event::Seen(_)
            | Event::Refund(_)
            | Event::Retry => None,
        };
        let next = decide(self.state, event, &context).map_err(refuse)?;
        let version = self.version.saturating_add(1);
        let facts = Facts {
            id: self.id,
            drop: self.drop,
            shopper: self.shopper,
            total: self.total,
            method: accepted_with.or(self.method),
            version,
            strays: self.strays,
        };
        Ok(next.into_step(state, facts))
    }
}

fn decide(state: State, event: Event, context: &Context) -> Transition {
    if let Some((stray, answer)) = stray::asked_about(&state, &event, &context.strays) {
        return stray::answered(state, &stray, answer, context);
    }
    match state {
        State::Reserved(data) => spine::reserved(data, event, context),
        State::Accepted(data) => spine::accepted(data, event, context),
        State::Authorising(data) => authorise::authorising(data, event, context),
        State::ActionRequired(data) => authorise::action_required(data, event, context),
        State::Cancelling(data) => cancel::cancelling(data, event, context),
        State::Committed(data) => capture::committed(data, event, context),
        State::Paid(data) => capture::paid(data, event, context),
        State::Declined(_) | State::Released(_) | State::Unwound(_) | State::Refunded(_) => {
            dead::dead(state, &event, context)
        }
    }
}

impl Step {
    /// The one foreign call of this step, to be performed after its commit.
    pub fn call(&self) -> Option<&Call> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Call(call) => Some(call),
            Effect::Drive | Effect::Notice(_) | Effect::Alarm(_) | Effect::SlowDown(_) | Effect::Halt => None,
        })
    }
}

impl Flag {
    /// The short word for it that stands in rows and metric labels.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Parked(Parked::NoAnswer) => "no_answer",
            Self::Parked(Parked::Rejected(_)) => "rejected",
            Self::Frozen(Frozen::KeyMismatch) => "key_mismatch",
            Self::Frozen(Frozen::AmountMismatch) => "amount_mismatch",
        }
    }
}

#[cfg(test)]
mod tests;
