//! Building blocks of every transition: what a step may look at, and the pieces that steps are put together from.

use alloc::vec::Vec;

use crate::backoff::{self, Jitter};
use crate::{DropId, Money, OrderId, ShopperKey, Span, Timestamp};

use super::answer::{Repeat, Stall};
use super::attempt::{Attempt, KeySpace};
use super::event::{Alarm, Call, Effect, Event, Notice, Why};
use super::payment::{Payment, PaymentMethod, Reason};
use super::state::{By, Declined, Released, State, StateName, Units};
use super::stray::{self, Stray};
use super::{Flag, Frozen, LEASE, Moment, Order, Pace, Parked, Step, StockMove};

/// What a transition may know besides its state's own data.
pub(super) struct Context {
    pub(super) id: OrderId,
    pub(super) total: Money,
    /// What the order was accepted with, if it was.
    pub(super) method: Option<PaymentMethod>,
    pub(super) now: Timestamp,
    pub(super) pace: Pace,
    pub(super) flag: Option<Flag>,
    pub(super) action_time: Span,
    pub(super) space: KeySpace,
    pub(super) strays: Vec<Stray>,
    jitter: Jitter,
}

/// What no transition changes, and the version it ends in.
pub(super) struct Facts {
    pub(super) id: OrderId,
    pub(super) drop: DropId,
    pub(super) shopper: ShopperKey,
    pub(super) total: Money,
    pub(super) method: Option<PaymentMethod>,
    pub(super) version: u64,
    /// The strays before this step.
    pub(super) strays: Vec<Stray>,
}

/// A step in the making.
pub(super) struct Next {
    state: State,
    pace: Pace,
    flag: Option<Flag>,
    stock: Option<StockMove>,
    stray: Option<Stray>,
    effects: Vec<Effect>,
}

/// A transition's result.
pub(super) type Transition = Result<Next, Why>;

impl Context {
    pub(super) fn new(order: &Order, moment: Moment) -> Self {
        let (pace, flag) = (order.pace, order.flag.clone());
        let Moment {
            now,
            jitter,
            action_time,
            space,
        } = moment;
        Self {
            id: order.id,
            total: order.total,
            method: order.method.clone(),
            now,
            pace,
            flag,
            action_time,
            space,
            strays: order.strays.clone(),
            jitter,
        }
    }

    /// The guards that do not depend on the state: leases, due times, flags, and what was accepted before.
    pub(super) fn admits(&self, event: &Event) -> Result<(), Why> {
        let frozen = matches!(self.flag, Some(Flag::Frozen(_)));
        let leased = self.pace.leased_until > self.now;
        match event {
            Event::Drive if self.flag.is_some() => Err(Why::Flagged),
            Event::Drive | Event::Look if leased => Err(Why::Leased),
            Event::Drive if self.pace.due > self.now => Err(Why::NotYet),
            Event::Look | Event::Answered(..) | Event::Seen(_) | Event::Cancel(By::Shopper | By::Timer)
                if frozen =>
            {
                Err(Why::Flagged)
            }
            Event::Retry if self.flag.is_none() => Err(Why::NotHere),
            // A client whose answer was lost asks again, however far the order has come by then.
            Event::Accept(method) if self.method.as_ref() == Some(method) => Err(Why::Unchanged),
            Event::Accept(_) if self.method.is_some() => Err(Why::NotHere),
            Event::Accept(_)
            | Event::Expire
            | Event::Cancel(_)
            | Event::Drive
            | Event::Look
            | Event::Answered(..)
            | Event::Seen(_)
            | Event::Refund(_)
            | Event::Retry => Ok(()),
        }
    }

    /// Whether the payment is for this order and its exact total.
    pub(super) fn matches(&self, payment: &Payment) -> bool {
        payment.order == self.id && payment.amount == self.total
    }

    /// Whether an operator's retry follows a definite refusal, so that a new attempt number is due.
    pub(super) fn was_rejected(&self) -> bool {
        matches!(self.flag, Some(Flag::Parked(Parked::Rejected(_))))
    }
}

impl Next {
    /// Enters `state` with a clean slate: no tries, no flag, no lease, nothing due.
    pub(super) fn to(state: State) -> Self {
        let pace = Pace {
            tries: 0,
            due: Timestamp::NEVER,
            leased_until: Timestamp::EPOCH,
        };
        Self {
            state,
            pace,
            flag: None,
            stock: None,
            stray: None,
            effects: Vec::new(),
        }
    }

    /// Stays in `state` with pace and flag as they are.
    pub(super) fn stay(state: State, context: &Context) -> Self {
        Self {
            pace: context.pace,
            flag: context.flag.clone(),
            ..Self::to(state)
        }
    }

    /// Dies of a definite decline. Units go back at once.
    pub(super) fn declined(reason: Reason) -> Self {
        Self::to(State::Declined(Declined { reason }))
            .stock(StockMove::Void)
            .notice(Notice::Declined)
    }

    /// Dies before any money moved. Units go back.
    pub(super) fn released(by: By) -> Self {
        Self::to(State::Released(Released { by }))
            .stock(StockMove::Void)
            .notice(Notice::Released)
    }

    pub(super) fn stock(self, stock: StockMove) -> Self {
        Self {
            stock: Some(stock),
            ..self
        }
    }

    /// Puts a try at getting rid of a payment on record.
    pub(super) fn stray(self, stray: Stray) -> Self {
        Self {
            stray: Some(stray),
            ..self
        }
    }

    pub(super) fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    pub(super) fn notice(self, notice: Notice) -> Self {
        self.effect(Effect::Notice(notice))
    }

    pub(super) fn alarm(self, alarm: Alarm) -> Self {
        self.effect(Effect::Alarm(alarm))
    }

    /// Makes a call and keeps the order leased meanwhile. Due at once when the lease runs out: whoever comes then finds
    /// the caller dead, and repeats the call under the same key.
    pub(super) fn call(self, call: Call, context: &Context) -> Self {
        let pace = Pace {
            due: context.now,
            leased_until: context.now + LEASE,
            ..self.pace
        };
        Self { pace, ..self }.effect(Effect::Call(call))
    }

    /// Due at `at`, leased to nobody.
    pub(super) fn due(self, at: Timestamp) -> Self {
        Self {
            pace: Pace {
                due: at,
                leased_until: Timestamp::EPOCH,
                ..self.pace
            },
            ..self
        }
    }

    /// Due now, with a message to a worker.
    pub(super) fn drive(self, context: &Context) -> Self {
        self.due(context.now).effect(Effect::Drive)
    }

    /// Keeps whatever lease there is: a worker may be waiting for an answer right now.
    pub(super) fn keep_lease(self, context: &Context) -> Self {
        Self {
            pace: Pace {
                leased_until: context.pace.leased_until,
                ..self.pace
            },
            ..self
        }
    }

    fn flagged(self, flag: Flag, alarm: Alarm, context: &Context) -> Self {
        let fresh = context.flag.as_ref() != Some(&flag);
        let next = Self {
            flag: Some(flag),
            ..self.due(context.now + backoff::WAIT_MAX)
        };
        if fresh { next.alarm(alarm) } else { next }
    }

    /// Waits for a person, or for the reconciler to learn more.
    pub(super) fn park(self, why: Parked, context: &Context) -> Self {
        self.flagged(Flag::Parked(why), Alarm::Parked, context)
    }

    /// Waits for a person.
    pub(super) fn freeze(self, why: Frozen, context: &Context) -> Self {
        self.flagged(Flag::Frozen(why), Alarm::Frozen, context)
    }

    /// Nothing was decided: sets when to ask again, or parks the order after too many tries without an answer.
    pub(super) fn stalled(self, stall: Stall, context: &Context) -> Self {
        let tries = context.pace.tries;
        let next = Self {
            flag: context.flag.clone(),
            ..self
        };
        match stall {
            Stall::InFlight => next.busy(context),
            Stall::RateLimited { retry_after } => {
                let wait = backoff::wait(1, context.jitter).max(retry_after.unwrap_or_default());
                next.tries(tries)
                    .due(context.now + wait)
                    .effect(Effect::SlowDown(retry_after))
            }
            Stall::Forbidden => next
                .tries(tries)
                .due(context.now + backoff::WAIT_MAX)
                .alarm(Alarm::Forbidden)
                .effect(Effect::Halt),
            Stall::Failed { .. } | Stall::Lost => {
                let tries = tries.saturating_add(1);
                let next = next.tries(tries);
                if tries >= backoff::TRIES_MAX {
                    next.park(Parked::NoAnswer, context)
                } else {
                    next.due(context.now + backoff::wait(tries, context.jitter))
                }
            }
        }
    }

    /// The provider is still at it: asks again ever more rarely, and parks the order when it is at it for too long. A
    /// parked order stays parked until there is something to tell.
    pub(super) fn busy(self, context: &Context) -> Self {
        let tries = context.pace.tries.saturating_add(1);
        let next = Self {
            flag: context.flag.clone(),
            ..self.tries(tries)
        };
        if context.flag.is_some() {
            return next.due(context.now + backoff::WAIT_MAX);
        }
        if tries >= backoff::BUSY_MAX {
            return next.park(Parked::NoAnswer, context);
        }
        next.due(context.now + backoff::wait(tries, context.jitter))
    }

    /// Goes on asking for the same thing. What was read decides which key comes next, but it is no answer to what was
    /// asked: forgetting the tries here would let an order go round for ever while reads work and changes fail. An order
    /// that was parked starts afresh.
    pub(super) fn unanswered(self, context: &Context) -> Self {
        let tries = if context.flag.is_some() {
            0
        } else {
            context.pace.tries
        };
        self.tries(tries)
    }

    /// Goes on, with one more try on record.
    pub(super) fn tried(self, context: &Context) -> Self {
        let next = self.unanswered(context);
        let tries = next.pace.tries.saturating_add(1);
        next.tries(tries)
    }

    /// Whether an order with so many tries is to be parked.
    pub(super) const fn has_tried_enough(&self) -> bool {
        self.pace.tries >= backoff::TRIES_MAX
    }

    fn tries(self, tries: u32) -> Self {
        Self {
            pace: Pace { tries, ..self.pace },
            ..self
        }
    }

    /// Seals the step. The conservation law of orders: units move exactly as the two states say, and a step makes one
    /// call at most. Breaking it is a bug that must stop the process before it reaches money.
    pub(super) fn into_step(self, from: StateName, facts: Facts) -> Step {
        let to = self.state.name();
        assert!(
            moves_lawfully(from, to, self.stock),
            "units move as the states say: {from} to {to}"
        );
        let calls = self
            .effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Call(_)))
            .count();
        assert!(calls <= 1, "a step makes one call at most: {from} to {to}");
        let Facts {
            id,
            drop,
            shopper,
            total,
            method,
            version,
            strays,
        } = facts;
        let order = Order {
            id,
            drop,
            shopper,
            total,
            method,
            version,
            state: self.state,
            pace: self.pace,
            flag: self.flag,
            strays: stray::recorded(strays, self.stray),
        };
        Step {
            from,
            order,
            stock: self.stock,
            effects: self.effects,
        }
    }
}

/// Whether units move as leaving `from` for `to` demands.
fn moves_lawfully(from: StateName, to: StateName, stock: Option<StockMove>) -> bool {
    if to == StateName::Refunded && from != StateName::Refunded {
        return matches!(stock, None | Some(StockMove::Unsell)) && from == StateName::Paid;
    }
    let due = match (from.units(), to.units()) {
        (Units::Held, Units::Sold) => Some(StockMove::Sell),
        (Units::Held, Units::Back) => Some(StockMove::Void),
        (Units::Sold, Units::Back) => Some(StockMove::Unsell),
        (Units::Held, Units::Held) | (Units::Sold, Units::Sold) | (Units::Back, Units::Back) => None,
        // What went back may belong to somebody else by now.
        (Units::Sold | Units::Back, Units::Held) | (Units::Back, Units::Sold) => return false,
    };
    stock == due
}

/// An attempt after a stall of its own call: a server error is remembered, because the provider saves it under the key.
pub(super) const fn noted(attempt: Attempt, stall: Stall) -> Attempt {
    match stall {
        Stall::Failed {
            repeat: Repeat::SameKey,
        } => attempt.failed(),
        Stall::Failed {
            repeat: Repeat::Never,
        } => attempt.spent(),
        Stall::InFlight | Stall::RateLimited { .. } | Stall::Forbidden | Stall::Lost => attempt,
    }
}
