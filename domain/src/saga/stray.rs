//! Payments that their order does not want (any more): another attempt's, or any payment of a dead order.
//!
//! Nothing of the order waits for them, so they have no state of their own; but the provider saves an error under a key
//! for a day, so each attempt at getting rid of one is kept with the order. Its number rises when a key can teach nothing
//! more and the payment was seen again, still open: seeing it *is* the read that proves the attempt without effect. It rises
//! too when another amount is to be given back: what is sent under a key never changes.

use alloc::vec::Vec;

use super::answer::{Answer, Stall};
use super::attempt::{Attempt, Operation};
use super::event::{Alarm, Asked, Call, Effect, Event, Notice, Why};
use super::next::{Context, Next, Transition, noted};
use super::payment::{Payment, PaymentId, PaymentStatus};
use super::state::{State, StateName};
use crate::Money;

/// A payment that is being got rid of, and the try at it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stray {
    /// Which payment.
    pub payment: PaymentId,
    /// Numbered over all strays of the order, so that a key never names two payments.
    pub attempt: Attempt,
    /// Minor units that the try asks back, where some were given back elsewhere before; none means all that was captured.
    /// Belongs to the try: what is sent under its key never changes.
    pub part: Option<u64>,
    /// The most that it was ever seen to have of the shopper's money: what they should be told of.
    pub stake: Stake,
    /// Whether the provider has said that nothing is left of it.
    pub is_settled: bool,
    /// Whether the merchant was told that it was given back.
    pub is_told: bool,
}

/// What a payment had of a shopper's money.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stake {
    /// None of it: it was not authorised.
    Nothing,
    /// Set aside on their card.
    Hold,
    /// Taken.
    Charge,
}

impl Stake {
    fn of(payment: &Payment) -> Self {
        if payment.is_kept() {
            Self::Charge
        } else if payment.status == PaymentStatus::RequiresCapture {
            Self::Hold
        } else {
            Self::Nothing
        }
    }
}

impl Stray {
    /// The try at getting rid of `payment`, which was just seen open.
    pub(super) fn of(payment: &Payment, context: &Context) -> Self {
        let highest = context.strays.iter().map(|stray| stray.attempt.n).max();
        let known = known(payment, context);
        let part = part(payment);
        let fresh = || highest.map_or(1, |n| n.saturating_add(1));
        let attempt = match known {
            // Another amount goes under another number, as with every refund. Should both arrive, the provider gives back
            // no more than it has.
            Some(known) if known.part == part && known.attempt.is_usable(context.now) => known.attempt,
            Some(_) => Attempt::numbered(fresh(), context.now),
            None => Attempt::numbered(fresh().max(payment.n), context.now),
        };
        Self {
            payment: payment.id.clone(),
            attempt,
            part,
            stake: known
                .map_or(Stake::Nothing, |known| known.stake)
                .max(Stake::of(payment)),
            is_settled: false,
            is_told: known.is_some_and(|known| known.is_told),
        }
    }

    /// The call that gives back what the provider still keeps of `payment`.
    pub(super) fn refund(&self, payment: &Payment) -> Call {
        let kept = payment.captured.saturating_sub(payment.refunded);
        Call::RefundStray {
            attempt: self.attempt,
            payment: self.payment.clone(),
            amount: Money::new(kept, payment.amount.currency),
        }
    }

    /// The call that gives an uncaptured payment up.
    pub(super) fn cancel(&self) -> Call {
        Call::CancelStray {
            attempt: self.attempt,
            payment: self.payment.clone(),
        }
    }

    /// This try after an answer to it. A definite answer says all that its key will ever say; whether it did what was
    /// asked shows when the payment is seen next.
    pub(super) fn after(&self, answer: &Answer) -> Self {
        let attempt = match answer {
            Answer::Stalled(stall) => noted(self.attempt, *stall),
            Answer::Payment(_) | Answer::Refunded(_) | Answer::Declined(_) | Answer::Rejected(_) => {
                self.attempt.spent()
            }
            // A bug of ours is never answered with a new key.
            Answer::KeyMismatch | Answer::Absent => self.attempt,
        };
        let gone = match answer {
            Answer::Refunded(_) => true,
            Answer::Payment(payment) => !payment.is_open() && !payment.is_kept(),
            Answer::Stalled(_)
            | Answer::Declined(_)
            | Answer::Rejected(_)
            | Answer::KeyMismatch
            | Answer::Absent => false,
        };
        Self {
            attempt,
            is_settled: self.is_settled || gone,
            ..self.clone()
        }
    }
}

/// What is on record of `payment`, if it was a stray before.
fn known<'a>(payment: &Payment, context: &'a Context) -> Option<&'a Stray> {
    context.strays.iter().find(|stray| stray.payment == payment.id)
}

/// What there is to be given back of `payment`, where that is not all that was captured.
fn part(payment: &Payment) -> Option<u64> {
    let is_rest = payment.is_kept() && payment.refunded > 0;
    is_rest.then(|| payment.captured.saturating_sub(payment.refunded))
}

/// Whether the merchant has to be told that `stray` is gone: a charge for an order which came to nothing, whose shopper has
/// read that nothing was charged. Of an order that was paid for, a second payment is not told: it would say that the order
/// itself was refunded.
fn is_news(state: StateName, stray: &Stray) -> bool {
    state.is_dead() && stray.stake == Stake::Charge && stray.is_settled && !stray.is_told
}

/// Puts a try on record, and tells the merchant what they have to be told, once for each payment.
fn told(next: Next, state: StateName, stray: Stray) -> Next {
    if !is_news(state, &stray) {
        return next.stray(stray);
    }
    let stray = Stray {
        is_told: true,
        ..stray
    };
    next.stray(stray).notice(Notice::Refunded)
}

/// Gets rid of a payment that the order in `state` does not want, where anything is left of it.
pub(super) fn stray(state: State, payment: &Payment, context: &Context) -> Transition {
    let name = state.name();
    let next = Next::stay(state, context);
    if payment.is_kept() {
        let stray = Stray::of(payment, context);
        let call = stray.refund(payment);
        return Ok(next.alarm(Alarm::Stray).stray(stray).effect(Effect::Call(call)));
    }
    if !payment.is_open() {
        // The answer that it is gone may have been lost. Or it went while the order was being given up, and the merchant
        // heard of that end alone.
        let known = known(payment, context).filter(|stray| !stray.is_settled || is_news(name, stray));
        let gone = known.map(|stray| Stray {
            is_settled: true,
            ..stray.clone()
        });
        return gone.map(|stray| told(next, name, stray)).ok_or(Why::Unchanged);
    }
    let authorised = payment.status == PaymentStatus::RequiresCapture;
    let next = if authorised {
        next.alarm(Alarm::Stray)
    } else {
        next
    };
    let stray = Stray::of(payment, context);
    let call = stray.cancel();
    Ok(next.stray(stray).effect(Effect::Call(call)))
}

/// What was asked for was answered with a payment that is not it. That one is got rid of where it is open; what was
/// asked for counts as not answered, because asking may bring the same again for ever.
pub(super) fn misanswered(state: State, payment: &Payment, context: &Context) -> Next {
    let next = stray(state.clone(), payment, context).unwrap_or_else(|_| Next::stay(state, context));
    next.stalled(Stall::Lost, context)
}

/// The stray that an answer is about, if it is about one, and the answer. A given-up or refunded order's own payment is no
/// stray to it: it waits for the end of that one.
pub(super) fn asked_about<'a>(
    state: &State,
    event: &'a Event,
    strays: &[Stray],
) -> Option<(Stray, &'a Answer)> {
    let Event::Answered(Asked::Change(Operation::CancelStray | Operation::RefundStray, n), answer) = event
    else {
        return None;
    };
    let stray = strays.iter().find(|stray| stray.attempt.n == *n)?;
    let waits = matches!(state, State::Cancelling(_) | State::Refunded(_));
    let own = waits && state.payment() == Some(&stray.payment);
    (!own).then(|| (stray.clone(), answer))
}

/// Takes note of what came of a try; the order itself stays as it is.
pub(super) fn answered(state: State, stray: &Stray, answer: &Answer, context: &Context) -> Transition {
    let after = stray.after(answer);
    let (name, unchanged) = (state.name(), after == *stray);
    let next = told(Next::stay(state, context), name, after);
    match answer {
        Answer::KeyMismatch => Ok(next.alarm(Alarm::Frozen)),
        Answer::Stalled(Stall::RateLimited { retry_after }) => {
            Ok(next.effect(Effect::SlowDown(*retry_after)))
        }
        Answer::Stalled(Stall::Forbidden) => Ok(next.alarm(Alarm::Forbidden).effect(Effect::Halt)),
        Answer::Stalled(Stall::InFlight | Stall::Failed { .. } | Stall::Lost)
        | Answer::Payment(_)
        | Answer::Refunded(_)
        | Answer::Declined(_)
        | Answer::Rejected(_) => {
            if unchanged {
                Err(Why::Unchanged)
            } else {
                Ok(next)
            }
        }
        Answer::Absent => Err(Why::Stale),
    }
}

/// Puts a try on record: in the place of the last one at the same payment, or beside the others.
pub(super) fn recorded(mut strays: Vec<Stray>, stray: Option<Stray>) -> Vec<Stray> {
    let Some(stray) = stray else { return strays };
    match strays.iter_mut().find(|known| known.payment == stray.payment) {
        Some(known) => *known = stray,
        None => strays.push(stray),
    }
    strays
}
