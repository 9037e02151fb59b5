//! The ends: DECLINED, RELEASED, UNWOUND, REFUNDED. Nothing moves any more, except that a payment which turns up for such
//! an order is got rid of: its units may belong to somebody else by now. A refund that fails days later leaves the merchant
//! with money of a refunded order: a person is told, and has it given back once more.

use super::Parked;
use super::answer::Answer;
use super::attempt::Operation;
use super::authorise::word;
use super::event::{Asked, Call, Effect, Event, Why};
use super::next::{Context, Next, Transition};
use super::payment::Payment;
use super::state::{By, Refunded, State};
use super::stray::{self, Stray, stray};

/// Why a refunded order is parked: its money came back.
pub const REFUND_FAILED: &str = "refund_failed";

pub(super) fn dead(state: State, event: &Event, context: &Context) -> Transition {
    if let State::Refunded(data) = &state
        && let Some(transition) = refunded(data, event, context)
    {
        return transition;
    }
    match event {
        Event::Seen(payment) => stray(state, payment, context),
        Event::Answered(..) => Err(Why::Stale),
        Event::Cancel(_) => Err(Why::Unchanged),
        Event::Expire => Err(Why::TooLate),
        // Accepted orders are told apart before. This one never was: its time ran out, or it was given up.
        Event::Accept(_) if matches!(&state, State::Released(data) if data.by == By::Timer) => {
            Err(Why::TooLate)
        }
        Event::Accept(_) | Event::Drive | Event::Look | Event::Refund(_) | Event::Retry => Err(Why::NotHere),
    }
}

/// What happens to a refunded order because of its own payment; nothing where the event is none of it.
fn refunded(data: &Refunded, event: &Event, context: &Context) -> Option<Transition> {
    let own = |payment: &Payment| data.payment == payment.id;
    match event {
        Event::Seen(payment) if own(payment) => Some(seen(data, payment, context)),
        // The flag stays until the money has gone: whoever dies meanwhile leaves the order where a person sees it.
        Event::Retry => {
            let retried = Refunded {
                is_retried: true,
                ..data.clone()
            };
            Some(Ok(read(retried, context)))
        }
        Event::Answered(Asked::Retrieve, Answer::Payment(payment)) if own(payment) => {
            Some(reread(data, payment, context))
        }
        // A read for a retry that came to nothing: the order waits as before.
        Event::Answered(Asked::Retrieve, _) => Some(Err(Why::Unchanged)),
        Event::Answered(Asked::Change(Operation::RefundStray, n), answer) => {
            let is_asked = |stray: &&Stray| stray.attempt.n == *n && stray.payment == data.payment;
            let stray = context.strays.iter().find(is_asked)?;
            Some(refunded_anew(data, stray, answer, context))
        }
        Event::Accept(_)
        | Event::Expire
        | Event::Cancel(_)
        | Event::Drive
        | Event::Look
        | Event::Answered(..)
        | Event::Seen(_)
        | Event::Refund(_) => None,
    }
}

/// A sighting only gives reason to read. One that shows money may be older than the refund; one that shows none may come
/// from a list, whose charges need not take a refund off again that failed.
fn seen(data: &Refunded, payment: &Payment, context: &Context) -> Transition {
    let is_known_as_kept = context.flag.is_some();
    if payment.is_kept() == is_known_as_kept {
        return Err(Why::Unchanged);
    }
    // A person's retry that was never answered ends here: this reading is not theirs, and may come days after they have
    // given the money back in another way.
    Ok(read(at_rest(data), context))
}

fn read(data: Refunded, context: &Context) -> Next {
    let payment = data.payment.clone();
    Next::stay(State::Refunded(data), context).effect(Effect::Call(Call::Retrieve { payment }))
}

/// What follows from the payment as it was just read. Several events may tell of one failure and read at the same time:
/// the first answer parks the order, and the others find nothing new.
fn reread(data: &Refunded, payment: &Payment, context: &Context) -> Transition {
    if !payment.is_kept() {
        return settled(data, context);
    }
    let state = State::Refunded(at_rest(data));
    if context.flag.is_none() {
        return Ok(Next::to(state).park(Parked::Rejected(word(REFUND_FAILED)), context));
    }
    if !data.is_retried {
        return Err(Why::Unchanged);
    }
    // It goes under a key of its own, as for any payment that nobody wants: the keys of the refund that failed have said
    // all they will ever say.
    let stray = Stray::of(payment, context);
    let call = stray.refund(payment);
    Ok(Next::stay(state, context).stray(stray).effect(Effect::Call(call)))
}

/// Nothing is left of the payment, as it should be.
fn settled(data: &Refunded, context: &Context) -> Transition {
    if context.flag.is_none() {
        return Err(Why::Unchanged);
    }
    Ok(Next::to(State::Refunded(at_rest(data))))
}

/// The same, with nobody's retry under way.
fn at_rest(data: &Refunded) -> Refunded {
    Refunded {
        is_retried: false,
        ..data.clone()
    }
}

fn refunded_anew(data: &Refunded, stray: &Stray, answer: &Answer, context: &Context) -> Transition {
    match answer {
        // As with every refund: it is on its way, and should it fail, that is told as this was.
        Answer::Refunded(_) => {
            let state = State::Refunded(at_rest(data));
            Ok(Next::to(state).stray(stray.after(answer)))
        }
        Answer::Payment(_)
        | Answer::Absent
        | Answer::Declined(_)
        | Answer::Rejected(_)
        | Answer::KeyMismatch
        | Answer::Stalled(_) => stray::answered(State::Refunded(data.clone()), stray, answer, context),
    }
}
