//! CANCELLING: the order is given up, and stays unreleased until the provider's side is known to be given up too.
//!
//! Where the provider never answered, the authorisation is repeated under its old key: that is no new attempt, it is the
//! only question whose answer is sure, because a request still under way would be found by its key and by nothing else.

use super::answer::{Answer, Stall};
use super::attempt::{Attempt, Operation};
use super::authorise::{Source, is_buried, word};
use super::event::{Alarm, Asked, Call, Event, Why};
use super::next::{Context, Next, Transition, noted};
use super::payment::{Payment, PaymentId, PaymentMethod, PaymentStatus};
use super::state::{By, Cancelling, State};
use super::stray::{Stray, misanswered, stray};
use super::{Frozen, Parked};

/// Numbers a cancellation may reach before a person has to look. Each rise follows a definite refusal.
const CANCELS_MAX: u32 = 3;

/// Gives an order up that the provider may know of: a compare-and-set and nothing else.
pub(super) fn begin(
    method: PaymentMethod,
    authorise: Attempt,
    payment: Option<PaymentId>,
    by: By,
    context: &Context,
) -> Next {
    let cancel = Attempt::first(context.now);
    let state = Cancelling {
        method,
        authorise,
        payment,
        cancel,
        by,
    };
    Next::to(State::Cancelling(state))
        .drive(context)
        .keep_lease(context)
}

pub(super) fn cancelling(data: Cancelling, event: Event, context: &Context) -> Transition {
    match event {
        Event::Drive | Event::Look => {
            let call = question(&data, context);
            Ok(Next::stay(State::Cancelling(data), context).call(call, context))
        }
        Event::Retry => {
            let cancel = if context.was_rejected() {
                data.cancel.next(context.now)
            } else {
                data.cancel
            };
            Ok(Next::to(State::Cancelling(Cancelling { cancel, ..data })).drive(context))
        }
        Event::Seen(payment) => undo(data, &payment, Source::Told, context),
        Event::Answered(Asked::Change(Operation::Authorise, n), answer) if n == data.authorise.n => {
            authorise_answered(data, answer, context)
        }
        Event::Answered(Asked::Change(Operation::Cancel, n), answer) if n == data.cancel.n => {
            cancel_answered(data, answer, context)
        }
        Event::Answered(asked @ Asked::Change(Operation::RefundStray, _), answer) => {
            refund_answered(data, asked, answer, context)
        }
        Event::Answered(Asked::Find(over), Answer::Payment(found)) if is_buried(&found, data.authorise) => {
            Ok(absent(data, over, context))
        }
        Event::Answered(Asked::Find(over), Answer::Absent) => Ok(absent(data, over, context)),
        Event::Answered(Asked::Retrieve | Asked::Find(_), answer) => read_answered(data, answer, context),
        Event::Answered(..) => Err(Why::Stale),
        Event::Cancel(_) => Err(Why::Unchanged),
        Event::Accept(_) | Event::Expire | Event::Refund(_) => Err(Why::NotHere),
    }
}

fn question(data: &Cancelling, context: &Context) -> Call {
    match &data.payment {
        Some(payment) if data.cancel.is_usable(context.now) => Call::Cancel {
            attempt: data.cancel,
            payment: payment.clone(),
        },
        Some(payment) => Call::Retrieve {
            payment: payment.clone(),
        },
        None if data.authorise.is_usable(context.now) => {
            let (attempt, method) = (data.authorise, data.method.clone());
            Call::Authorise {
                attempt,
                method,
                amount: context.total,
            }
        }
        None => Call::Find {
            since: data.authorise.first_sent,
            over: data.authorise.over(context.now),
        },
    }
}

fn authorise_answered(data: Cancelling, answer: Answer, context: &Context) -> Transition {
    match answer {
        Answer::Payment(payment) => undo(data, &payment, Source::Asked, context),
        // Definite, either way: there is nothing to capture and never will be.
        Answer::Declined(_) | Answer::Rejected(_) => Ok(Next::released(data.by)),
        Answer::KeyMismatch => Ok(Next::to(State::Cancelling(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => {
            let authorise = noted(data.authorise, stall);
            Ok(stalled(Cancelling { authorise, ..data }, stall, context))
        }
        Answer::Absent | Answer::Refunded(_) => Err(Why::Stale),
    }
}

fn cancel_answered(data: Cancelling, answer: Answer, context: &Context) -> Transition {
    match answer {
        // A cancellation that leaves the payment open answers nothing; asking again at once would go round for ever.
        Answer::Payment(payment) if payment.is_open() => Ok(stalled(data, Stall::Lost, context)),
        Answer::Payment(payment) => undo(data, &payment, Source::Asked, context),
        Answer::Rejected(_) | Answer::Declined(_) => {
            let Some(payment) = data.payment.clone() else {
                return Err(Why::Stale);
            };
            let data = Cancelling {
                cancel: data.cancel.spent(),
                ..data
            };
            Ok(Next::stay(State::Cancelling(data), context).call(Call::Retrieve { payment }, context))
        }
        Answer::KeyMismatch => Ok(Next::to(State::Cancelling(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => {
            let cancel = noted(data.cancel, stall);
            Ok(stalled(Cancelling { cancel, ..data }, stall, context))
        }
        Answer::Absent | Answer::Refunded(_) => Err(Why::Stale),
    }
}

fn refund_answered(data: Cancelling, asked: Asked, answer: Answer, context: &Context) -> Transition {
    let own = context.strays.iter().find(|stray| {
        asked == Asked::Change(Operation::RefundStray, stray.attempt.n)
            && data.payment.as_ref() == Some(&stray.payment)
    });
    let (Some(payment), Some(stray)) = (data.payment.clone(), own) else {
        return Err(Why::Stale);
    };
    let stray = stray.after(&answer);
    let next = match answer {
        // Believed when it is read: until then it counts as a try, lest a refund that never shows goes round for ever.
        Answer::Refunded(_) => Next::to(State::Cancelling(data))
            .tried(context)
            .call(Call::Retrieve { payment }, context),
        Answer::Rejected(reason) | Answer::Declined(reason) => {
            Next::to(State::Cancelling(data)).park(Parked::Rejected(reason), context)
        }
        Answer::KeyMismatch => Next::to(State::Cancelling(data)).freeze(Frozen::KeyMismatch, context),
        Answer::Stalled(stall) => stalled(data, stall, context),
        Answer::Payment(_) | Answer::Absent => return Err(Why::Stale),
    };
    Ok(next.stray(stray))
}

/// There is no payment. Proof only if nothing could be under way any more when this was asked; else it is asked again.
fn absent(data: Cancelling, over: Option<u32>, context: &Context) -> Next {
    if data.payment.is_none() && over == Some(data.authorise.n) {
        return Next::released(data.by);
    }
    Next::to(State::Cancelling(data))
        .unanswered(context)
        .drive(context)
}

fn read_answered(data: Cancelling, answer: Answer, context: &Context) -> Transition {
    match answer {
        Answer::Payment(payment) => undo(data, &payment, Source::Asked, context),
        Answer::Absent | Answer::Refunded(_) => Err(Why::Stale),
        Answer::Rejected(reason) | Answer::Declined(reason) => {
            Ok(Next::to(State::Cancelling(data)).park(Parked::Rejected(reason), context))
        }
        Answer::Stalled(stall) => Ok(stalled(data, stall, context)),
        Answer::KeyMismatch => Ok(Next::to(State::Cancelling(data)).freeze(Frozen::KeyMismatch, context)),
    }
}

fn stalled(data: Cancelling, stall: Stall, context: &Context) -> Next {
    Next::to(State::Cancelling(data)).stalled(stall, context)
}

/// Decides by what the payment is now: gone, to be cancelled, or (it should not be) captured and to be given back.
fn undo(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    let another = data.payment.as_ref().is_some_and(|known| *known != payment.id);
    if another || !data.authorise.has_made(payment) {
        let state = State::Cancelling(data);
        return match source {
            Source::Told => stray(state, payment, context),
            Source::Asked => Ok(misanswered(state, payment, context)),
        };
    }
    match payment.status {
        PaymentStatus::Cancelled => Ok(Next::released(data.by)),
        PaymentStatus::Succeeded if !payment.is_kept() => Ok(Next::released(data.by)),
        PaymentStatus::Succeeded => Ok(give_back(data, payment, context)),
        PaymentStatus::Processing => wait(data, payment, source, context),
        PaymentStatus::RequiresMethod
        | PaymentStatus::RequiresConfirmation
        | PaymentStatus::RequiresAction
        | PaymentStatus::RequiresCapture => give_up(data, payment, source, context),
    }
}

/// What should not have been captured is given back, as any payment that its order does not want.
fn give_back(data: Cancelling, payment: &Payment, context: &Context) -> Next {
    let stray = Stray::of(payment, context);
    let call = stray.refund(payment);
    let data = Cancelling {
        payment: Some(payment.id.clone()),
        ..data
    };
    let next = Next::to(State::Cancelling(data)).unanswered(context);
    if next.has_tried_enough() {
        return next.park(Parked::NoAnswer, context);
    }
    next.stray(stray).alarm(Alarm::Stray).call(call, context)
}

/// The provider cancels nothing that it is still working on; cards settle within a second or two.
fn wait(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    if source == Source::Told && data.payment.is_some() {
        return Err(Why::Unchanged);
    }
    let data = Cancelling {
        payment: Some(payment.id.clone()),
        ..data
    };
    Ok(Next::to(State::Cancelling(data)).busy(context))
}

fn give_up(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    if source == Source::Told && data.payment.is_some() {
        return Err(Why::Unchanged);
    }
    // Finding it is progress; finding it open once more is not.
    let found = data.payment.is_none();
    let (cancel, usable) = data.cancel.renewed(context.now);
    let id = payment.id.clone();
    let data = Cancelling {
        payment: Some(id.clone()),
        cancel,
        ..data
    };
    let next = Next::to(State::Cancelling(data));
    let next = if found { next } else { next.unanswered(context) };
    if cancel.n > CANCELS_MAX && !usable {
        return Ok(next.park(Parked::Rejected(word("cancel_refused")), context));
    }
    let call = Call::Cancel {
        attempt: cancel,
        payment: id,
    };
    Ok(next.call(call, context))
}
