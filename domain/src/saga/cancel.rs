//! CANCELLING: the order is given up, and stays unreleased until the provider's side is known to be given up too.
//!
//! Where the provider never answered, the authorisation is repeated under its old key: that is no new attempt, it is the
//! only question whose answer is sure, because a request still under way would be found by its key and by nothing else.

use super::answer::{Answer, Stall};
use super::attempt::{Attempt, Operation};
use super::authorise::{READ_SOON, Source, word};
use super::event::{Alarm, Asked, Call, Event, Why};
use super::next::{Context, Next, Transition, noted, stray};
use super::payment::{Payment, PaymentId, PaymentMethod, PaymentStatus};
use super::state::{By, Cancelling, State};
use super::{Frozen, Parked};
use crate::Money;

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
        Event::Answered(Asked::Change(Operation::RefundStray, _), answer) => {
            refund_answered(data, answer, context)
        }
        Event::Answered(Asked::Retrieve | Asked::Find, answer) => read_answered(data, answer, context),
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

fn refund_answered(data: Cancelling, answer: Answer, context: &Context) -> Transition {
    let Some(payment) = data.payment.clone() else {
        return Err(Why::Stale);
    };
    match answer {
        Answer::Refunded(_) => {
            Ok(Next::to(State::Cancelling(data)).call(Call::Retrieve { payment }, context))
        }
        Answer::Rejected(reason) | Answer::Declined(reason) => {
            Ok(Next::to(State::Cancelling(data)).park(Parked::Rejected(reason), context))
        }
        Answer::KeyMismatch => Ok(Next::to(State::Cancelling(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => Ok(stalled(data, stall, context)),
        Answer::Payment(_) | Answer::Absent => Err(Why::Stale),
    }
}

fn read_answered(data: Cancelling, answer: Answer, context: &Context) -> Transition {
    match answer {
        Answer::Payment(payment) => undo(data, &payment, Source::Asked, context),
        // Proof only where nothing can be under way any more; else the old key is asked again.
        Answer::Absent if data.payment.is_none() && !data.authorise.is_usable(context.now) => {
            Ok(Next::released(data.by))
        }
        Answer::Absent => Ok(Next::to(State::Cancelling(data)).drive(context)),
        Answer::Rejected(reason) | Answer::Declined(reason) => {
            Ok(Next::to(State::Cancelling(data)).park(Parked::Rejected(reason), context))
        }
        Answer::Stalled(stall) => Ok(stalled(data, stall, context)),
        Answer::KeyMismatch | Answer::Refunded(_) => Err(Why::Stale),
    }
}

fn stalled(data: Cancelling, stall: Stall, context: &Context) -> Next {
    Next::to(State::Cancelling(data)).stalled(stall, context)
}

/// Decides by what the payment is now: gone, to be cancelled, or (it should not be) captured and to be given back.
fn undo(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    let another = data.payment.as_ref().is_some_and(|known| *known != payment.id);
    if another || payment.n != data.authorise.n {
        return stray(State::Cancelling(data), payment, context);
    }
    match payment.status {
        PaymentStatus::Cancelled => Ok(Next::released(data.by)),
        PaymentStatus::Succeeded if !payment.is_kept() => Ok(Next::released(data.by)),
        PaymentStatus::Succeeded => {
            let kept = payment.captured.saturating_sub(payment.refunded);
            let attempt = Attempt::numbered(payment.n, context.now);
            let amount = Money::new(kept, payment.amount.currency);
            let call = Call::RefundStray {
                attempt,
                payment: payment.id.clone(),
                amount,
            };
            let data = Cancelling {
                payment: Some(payment.id.clone()),
                ..data
            };
            Ok(Next::to(State::Cancelling(data))
                .alarm(Alarm::Stray)
                .call(call, context))
        }
        PaymentStatus::Processing => wait(data, payment, source, context),
        PaymentStatus::RequiresMethod
        | PaymentStatus::RequiresConfirmation
        | PaymentStatus::RequiresAction
        | PaymentStatus::RequiresCapture => give_up(data, payment, source, context),
    }
}

/// The provider cancels nothing that it is still working on; cards settle within a second or two, so look again then.
fn wait(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    if source == Source::Told && data.payment.is_some() {
        return Err(Why::Unchanged);
    }
    let data = Cancelling {
        payment: Some(payment.id.clone()),
        ..data
    };
    Ok(Next::to(State::Cancelling(data)).due(context.now + READ_SOON))
}

fn give_up(data: Cancelling, payment: &Payment, source: Source, context: &Context) -> Transition {
    if source == Source::Told && data.payment.is_some() {
        return Err(Why::Unchanged);
    }
    let usable = data.cancel.is_usable(context.now);
    let cancel = if usable {
        data.cancel
    } else {
        data.cancel.next(context.now)
    };
    let id = payment.id.clone();
    let data = Cancelling {
        payment: Some(id.clone()),
        cancel,
        ..data
    };
    if cancel.n > CANCELS_MAX && !usable {
        return Ok(Next::to(State::Cancelling(data)).park(Parked::Rejected(word("cancel_refused")), context));
    }
    Ok(Next::to(State::Cancelling(data)).call(
        Call::Cancel {
            attempt: cancel,
            payment: id,
        },
        context,
    ))
}
