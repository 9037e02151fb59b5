//! COMMITTED and PAID: stock is sold in our books, and money moves; REFUNDED when it moves back.

use super::answer::{Answer, Stall};
use super::attempt::{Attempt, Operation};
use super::authorise::word;
use super::event::{Alarm, Asked, Call, Event, Notice, Why};
use super::next::{Context, Next, Transition, noted};
use super::payment::{Payment, PaymentStatus};
use super::state::{Committed, Paid, Refunded, Refunding, Restock, State, Unwound};
use super::stray::{misanswered, stray};
use super::{Flag, Frozen, Parked, StockMove};
use crate::Money;

/// Numbers that a capture or refund may reach before a person has to look. Each rise follows a read that shows the
/// payment untouched; the provider itself refuses to capture or refund the same money twice.
const CHANGES_MAX: u32 = 3;

pub(super) fn committed(data: Committed, event: Event, context: &Context) -> Transition {
    match event {
        Event::Drive if data.capture.is_usable(context.now) => Ok(capture(data, context)),
        Event::Drive | Event::Look => Ok(read_capture(data, context)),
        Event::Retry => {
            let capture = if context.was_rejected() {
                data.capture.next(context.now)
            } else {
                data.capture
            };
            Ok(Next::to(State::Committed(Committed { capture, ..data })).drive(context))
        }
        Event::Seen(payment) => settle(data, &payment, None, context),
        Event::Answered(asked, answer) => captured(data, asked, answer, context),
        Event::Cancel(_) => Err(Why::TooLate),
        Event::Accept(_) | Event::Expire | Event::Refund(_) => Err(Why::NotHere),
    }
}

pub(super) fn paid(data: Paid, event: Event, context: &Context) -> Transition {
    match (event, data.refund) {
        (Event::Refund(restock), None) => {
            let refund = Refunding {
                attempt: Attempt::first(context.now),
                part: None,
                restock,
            };
            Ok(refund_call(data, refund, context))
        }
        (Event::Refund(_), Some(_)) => Err(Why::Unchanged),
        (Event::Drive, Some(refund)) if refund.attempt.is_usable(context.now) => {
            Ok(refund_call(data, refund, context))
        }
        (Event::Drive | Event::Look, Some(_)) => Ok(read_refund(data, context)),
        (Event::Retry, Some(refund)) if context.was_rejected() => Ok(refund_anew(data, refund, context)),
        (Event::Retry, Some(_)) => Ok(Next::to(State::Paid(data)).drive(context)),
        (Event::Answered(asked, answer), Some(refund)) => refunded(data, refund, asked, answer, context),
        (Event::Seen(payment), _) => seen_paid(data, &payment, context),
        (Event::Answered(..), None) => Err(Why::Stale),
        (Event::Cancel(_), _) => Err(Why::TooLate),
        (Event::Drive | Event::Look | Event::Retry, None) | (Event::Accept(_) | Event::Expire, _) => {
            Err(Why::NotHere)
        }
    }
}

fn capture(data: Committed, context: &Context) -> Next {
    let payment = data.payment.clone();
    let call = Call::Capture {
        attempt: data.capture,
        payment,
        amount: context.total,
    };
    Next::stay(State::Committed(data), context).call(call, context)
}

fn read_capture(data: Committed, context: &Context) -> Next {
    let call = Call::Retrieve {
        payment: data.payment.clone(),
    };
    Next::stay(State::Committed(data), context).call(call, context)
}

fn captured(data: Committed, asked: Asked, answer: Answer, context: &Context) -> Transition {
    let changed = asked == Asked::Change(Operation::Capture, data.capture.n);
    if !changed && asked != Asked::Retrieve {
        return Err(Why::Stale);
    }
    match answer {
        Answer::Payment(payment) => settle(data, &payment, Some(asked), context),
        // Refused: it may have expired, been cancelled, or been captured by a request we thought lost. Read it.
        Answer::Declined(_) | Answer::Rejected(_) if changed => Ok(read_capture(
            Committed {
                capture: data.capture.spent(),
                ..data
            },
            context,
        )),
        Answer::Declined(reason) | Answer::Rejected(reason) => {
            Ok(Next::to(State::Committed(data)).park(Parked::Rejected(reason), context))
        }
        Answer::KeyMismatch => Ok(Next::to(State::Committed(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => {
            let capture = if changed {
                noted(data.capture, stall)
            } else {
                data.capture
            };
            Ok(Next::to(State::Committed(Committed { capture, ..data })).stalled(stall, context))
        }
        Answer::Absent | Answer::Refunded(_) => Err(Why::Stale),
    }
}

/// Decides by what the payment is now; `asked` is the call it answers, if it answers one.
fn settle(data: Committed, payment: &Payment, asked: Option<Asked>, context: &Context) -> Transition {
    if payment.id != data.payment {
        let state = State::Committed(data);
        return match asked {
            None => stray(state, payment, context),
            Some(_) => Ok(misanswered(state, payment, context)),
        };
    }
    if !context.matches(payment) {
        return Ok(Next::to(State::Committed(data)).freeze(Frozen::AmountMismatch, context));
    }
    match payment.status {
        PaymentStatus::Succeeded if payment.captured == context.total.amount => {
            let state = Paid {
                payment: data.payment,
                refund: None,
            };
            Ok(Next::to(State::Paid(state)).notice(Notice::Paid))
        }
        PaymentStatus::Succeeded => {
            Ok(Next::to(State::Committed(data)).freeze(Frozen::AmountMismatch, context))
        }
        PaymentStatus::Cancelled => {
            let next = Next::to(State::Unwound(Unwound {
                payment: data.payment,
            }))
            .stock(StockMove::Unsell);
            Ok(next.notice(Notice::Released).alarm(Alarm::Unwound))
        }
        PaymentStatus::RequiresCapture
        | PaymentStatus::RequiresMethod
        | PaymentStatus::RequiresConfirmation
        | PaymentStatus::RequiresAction
        | PaymentStatus::Processing => uncaptured(data, asked, context),
    }
}

/// The payment is as it was before the capture. News to nobody unless it was asked for; a read that shows it lets a
/// spent or aged key give way to the next number.
fn uncaptured(data: Committed, asked: Option<Asked>, context: &Context) -> Transition {
    match asked {
        None => Err(Why::Unchanged),
        Some(Asked::Change(..) | Asked::Find(_)) => {
            Ok(Next::to(State::Committed(data)).stalled(Stall::Lost, context))
        }
        Some(Asked::Retrieve) => {
            let (capture, usable) = data.capture.renewed(context.now);
            let next = Next::to(State::Committed(Committed { capture, ..data })).unanswered(context);
            if capture.n > CHANGES_MAX && !usable {
                return Ok(next.park(Parked::Rejected(word("capture_refused")), context));
            }
            Ok(next.drive(context))
        }
    }
}

/// An operator lets a refused refund go on: under the next number, and for what the provider keeps by now.
fn refund_anew(data: Paid, refund: Refunding, context: &Context) -> Next {
    let refund = Refunding {
        attempt: refund.attempt.next(context.now),
        ..refund
    };
    let call = Call::Retrieve {
        payment: data.payment.clone(),
    };
    let state = Paid {
        refund: Some(refund),
        ..data
    };
    Next::to(State::Paid(state)).call(call, context)
}

fn refund_call(data: Paid, refund: Refunding, context: &Context) -> Next {
    let (attempt, payment) = (refund.attempt, data.payment.clone());
    let call = Call::Refund {
        attempt,
        payment,
        amount: Money::new(asked_back(refund, context), context.total.currency),
    };
    Next::stay(
        State::Paid(Paid {
            refund: Some(refund),
            ..data
        }),
        context,
    )
    .call(call, context)
}

/// What a refund under way asks for.
fn asked_back(refund: Refunding, context: &Context) -> u64 {
    refund.part.unwrap_or(context.total.amount)
}

fn read_refund(data: Paid, context: &Context) -> Next {
    let call = Call::Retrieve {
        payment: data.payment.clone(),
    };
    Next::stay(State::Paid(data), context).call(call, context)
}

fn refunded(data: Paid, refund: Refunding, asked: Asked, answer: Answer, context: &Context) -> Transition {
    let changed = asked == Asked::Change(Operation::Refund, refund.attempt.n);
    if !changed && asked != Asked::Retrieve {
        return Err(Why::Stale);
    }
    let with = |attempt: Attempt| Paid {
        refund: Some(Refunding { attempt, ..refund }),
        ..data.clone()
    };
    match answer {
        Answer::Refunded(amount) if amount == asked_back(refund, context) => {
            Ok(given_back(data, refund.restock))
        }
        Answer::Refunded(_) => Ok(Next::to(State::Paid(data)).freeze(Frozen::AmountMismatch, context)),
        Answer::Payment(payment) if payment.id != data.payment => {
            Ok(misanswered(State::Paid(data), &payment, context))
        }
        Answer::Payment(payment) if !payment.is_kept() => Ok(given_back(data, refund.restock)),
        Answer::Payment(_) if changed => Ok(Next::to(State::Paid(data)).stalled(Stall::Lost, context)),
        Answer::Payment(payment) => Ok(still_kept(data, refund, &payment, context)),
        Answer::Declined(_) | Answer::Rejected(_) if changed => {
            Ok(read_refund(with(refund.attempt.spent()), context))
        }
        Answer::Declined(reason) | Answer::Rejected(reason) => {
            Ok(Next::to(State::Paid(data)).park(Parked::Rejected(reason), context))
        }
        Answer::KeyMismatch => Ok(Next::to(State::Paid(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => {
            let attempt = if changed {
                noted(refund.attempt, stall)
            } else {
                refund.attempt
            };
            Ok(Next::to(State::Paid(with(attempt))).stalled(stall, context))
        }
        Answer::Absent => Err(Why::Stale),
    }
}

/// A read shows that money is kept. What is to be given back is what is kept, not what was paid: some of it may have been
/// given back elsewhere. Another amount goes under another number; should both arrive, the provider gives back no more
/// than it has. A refund that was refused waits for a person, however often the reconciler looks: each look would else use
/// up a number more.
fn still_kept(data: Paid, refund: Refunding, payment: &Payment, context: &Context) -> Next {
    if let Some(Flag::Parked(why @ Parked::Rejected(_))) = &context.flag {
        return Next::to(State::Paid(data)).park(why.clone(), context);
    }
    let kept = payment.captured.saturating_sub(payment.refunded);
    let (attempt, usable) = refund.attempt.renewed(context.now);
    let refund = if kept == asked_back(refund, context) {
        Refunding { attempt, ..refund }
    } else {
        let attempt = if usable {
            attempt.next(context.now)
        } else {
            attempt
        };
        Refunding {
            attempt,
            part: Some(kept),
            ..refund
        }
    };
    let state = Paid {
        refund: Some(refund),
        ..data
    };
    let next = Next::to(State::Paid(state)).unanswered(context);
    if attempt.n > CHANGES_MAX && !usable {
        return next.park(Parked::Rejected(word("refund_refused")), context);
    }
    next.drive(context)
}

/// A refund made elsewhere (in the provider's own dashboard) counts too; nobody said that its units came back.
fn seen_paid(data: Paid, payment: &Payment, context: &Context) -> Transition {
    if payment.id != data.payment {
        return stray(State::Paid(data), payment, context);
    }
    if payment.status == PaymentStatus::Succeeded && !payment.is_kept() {
        let restock = data.refund.map_or(Restock::Keep, |refund| refund.restock);
        return Ok(given_back(data, restock));
    }
    Err(Why::Unchanged)
}

fn given_back(data: Paid, restock: Restock) -> Next {
    let next = Next::to(State::Refunded(Refunded {
        payment: data.payment,
        is_retried: false,
    }))
    .notice(Notice::Refunded);
    match restock {
        Restock::Return => next.stock(StockMove::Unsell),
        Restock::Keep => next,
    }
}
