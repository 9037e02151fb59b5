//! `AUTHORISING` and `ACTION_REQUIRED`: the provider is asked for the money, not yet given it.

use crate::{Span, Timestamp};

use super::StockMove;
use super::answer::{Answer, Stall};
use super::attempt::{Attempt, Operation};
use super::cancel;
use super::event::{Asked, Call, Effect, Event, Why};
use super::next::{Context, Next, Transition, noted};
use super::payment::{Payment, PaymentStatus, Reason};
use super::state::{ActionRequired, Authorising, By, Committed, State};
use super::stray::{Stray, misanswered, stray};
use super::{Flag, Frozen, Parked};

/// How soon a payment that waits for its shopper is read for the first time; each wait after that is as much longer as was
/// waited so far: read after 15 s, 45 s, 105 s, and so on. Webhooks are faster; this is for the ones that never come, and
/// a shop whose shoppers all confirm with their banks has a thousand that wait at once.
const READ_AGAIN: Span = Span::from_secs(15);
/// The longest wait between two reads: a shopper whose bank has said yes is not kept waiting longer than that.
const READ_AGAIN_MAX: Span = Span::from_mins(2);

/// Where a description of a payment came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It answers the call that was made for this order just now.
    Asked,
    /// It came by itself; most such say nothing new.
    Told,
}

pub(super) fn authorising(data: Authorising, event: Event, context: &Context) -> Transition {
    match event {
        Event::Drive => Ok(ask(data, context)),
        Event::Look => {
            let call = read(&data, context);
            Ok(Next::stay(State::Authorising(data), context).call(call, context))
        }
        Event::Cancel(by) => Ok(cancel::begin(
            data.method,
            data.attempt,
            data.payment,
            by,
            context,
        )),
        Event::Retry => Ok(retried(data, context)),
        Event::Answered(asked, answer) if is_current(&data, asked) => answered(data, asked, answer, context),
        Event::Seen(payment) => judge(Payer::from(data), &payment, Source::Told, context),
        Event::Answered(..) => Err(Why::Stale),
        Event::Accept(_) | Event::Expire | Event::Refund(_) => Err(Why::NotHere),
    }
}

/// Whether the time to confirm is over and the payment, as just read, waits for it still.
fn is_overdue(data: &ActionRequired, payment: &Payment, context: &Context) -> bool {
    let waits = match payment.status {
        PaymentStatus::RequiresAction | PaymentStatus::RequiresConfirmation | PaymentStatus::Processing => {
            true
        }
        PaymentStatus::RequiresMethod
        | PaymentStatus::RequiresCapture
        | PaymentStatus::Succeeded
        | PaymentStatus::Cancelled => false,
    };
    waits && payment.id == data.payment && data.until <= context.now
}

pub(super) fn action_required(data: ActionRequired, event: Event, context: &Context) -> Transition {
    match event {
        // Read even when the time is over: the shopper may have confirmed in time, and the word of it may be lost.
        Event::Drive | Event::Look => {
            let call = Call::Retrieve {
                payment: data.payment.clone(),
            };
            Ok(Next::stay(State::ActionRequired(data), context).call(call, context))
        }
        Event::Cancel(by) => Ok(cancel::begin(
            data.method,
            data.attempt,
            Some(data.payment),
            by,
            context,
        )),
        Event::Retry => Ok(Next::to(State::ActionRequired(data)).drive(context)),
        Event::Seen(payment) => judge(Payer::from(data), &payment, Source::Told, context),
        Event::Answered(Asked::Retrieve, Answer::Payment(payment))
            if is_overdue(&data, &payment, context) =>
        {
            let (method, attempt, payment) = (data.method, data.attempt, Some(data.payment));
            Ok(cancel::begin(method, attempt, payment, By::Timer, context))
        }
        Event::Answered(Asked::Retrieve, Answer::Payment(payment)) => {
            judge(Payer::from(data), &payment, Source::Asked, context)
        }
        Event::Answered(Asked::Retrieve, Answer::Stalled(stall)) => {
            Ok(Next::to(State::ActionRequired(data)).stalled(stall, context))
        }
        Event::Answered(Asked::Retrieve, Answer::KeyMismatch) => {
            Ok(Next::to(State::ActionRequired(data)).freeze(Frozen::KeyMismatch, context))
        }
        Event::Answered(Asked::Retrieve, Answer::Rejected(reason) | Answer::Declined(reason)) => {
            Ok(Next::to(State::ActionRequired(data)).park(Parked::Rejected(reason), context))
        }
        Event::Answered(..) => Err(Why::Stale),
        Event::Accept(_) | Event::Expire | Event::Refund(_) => Err(Why::NotHere),
    }
}

/// What a worker asks: the payment if it is known, else the same key again, else (a key that is too old, or that has a
/// saved error) whether the payment exists at all.
fn ask(data: Authorising, context: &Context) -> Next {
    let call = if data.payment.is_none() && data.attempt.is_usable(context.now) {
        let (attempt, method) = (data.attempt, data.method.clone());
        Call::Authorise {
            attempt,
            method,
            amount: context.total,
        }
    } else {
        read(&data, context)
    };
    Next::stay(State::Authorising(data), context).call(call, context)
}

fn read(data: &Authorising, context: &Context) -> Call {
    match &data.payment {
        Some(payment) => Call::Retrieve {
            payment: payment.clone(),
        },
        None => Call::Find {
            since: data.attempt.first_sent,
            over: data.attempt.over(context.now),
        },
    }
}

fn is_current(data: &Authorising, asked: Asked) -> bool {
    match asked {
        Asked::Change(operation, n) => operation == Operation::Authorise && n == data.attempt.n,
        Asked::Retrieve => data.payment.is_some(),
        Asked::Find(_) => true,
    }
}

/// A definite refusal lets an operator's retry take the next number. A frozen key is read before anything else. After
/// mere silence the same key goes on: a request may still be under way, and only its own key would find it.
fn retried(data: Authorising, context: &Context) -> Next {
    let attempt = match &context.flag {
        Some(Flag::Parked(Parked::Rejected(_))) if data.payment.is_none() => {
            data.attempt.next(context.now).of(context.space)
        }
        Some(Flag::Frozen(_)) => data.attempt.spent(),
        Some(Flag::Parked(_)) | None => data.attempt,
    };
    Next::to(State::Authorising(Authorising { attempt, ..data })).drive(context)
}

fn answered(data: Authorising, asked: Asked, answer: Answer, context: &Context) -> Transition {
    match (asked, answer) {
        (Asked::Find(over), Answer::Payment(payment)) if is_buried(&payment, data.attempt) => {
            Ok(absent(data, over, context))
        }
        (Asked::Find(over), Answer::Absent) => Ok(absent(data, over, context)),
        (asked, answer) => decided(data, asked, answer, context),
    }
}

fn decided(data: Authorising, asked: Asked, answer: Answer, context: &Context) -> Transition {
    match answer {
        Answer::Payment(payment) => judge(Payer::from(data), &payment, Source::Asked, context),
        Answer::Declined(_) | Answer::Rejected(_) if matches!(asked, Asked::Find(_)) => {
            // The reading was refused, not the payment: whether there is one is as unknown as before, and a retry must
            // not take this for the refusal that lets it begin anew.
            let why = match &context.flag {
                Some(Flag::Parked(known)) => known.clone(),
                Some(Flag::Frozen(_)) | None => Parked::NoAnswer,
            };
            Ok(Next::to(State::Authorising(data)).park(why, context))
        }
        Answer::Declined(reason) if matches!(asked, Asked::Change(..)) => Ok(Next::declined(reason)),
        Answer::Declined(reason) | Answer::Rejected(reason) => {
            Ok(Next::to(State::Authorising(data)).park(Parked::Rejected(reason), context))
        }
        Answer::KeyMismatch => Ok(Next::to(State::Authorising(data)).freeze(Frozen::KeyMismatch, context)),
        Answer::Stalled(stall) => Ok(waiting(data, asked, stall, context)),
        Answer::Absent | Answer::Refunded(_) => Err(Why::Stale),
    }
}

/// The provider has no such payment. A key that is still good is repeated, which is safe whatever is still under way;
/// only a key that could teach nothing more when the question was asked gives way to the next number, this absence being
/// its proof. Whoever asked earlier may have looked just before the payment was made.
fn absent(data: Authorising, over: Option<u32>, context: &Context) -> Next {
    let proven = over == Some(data.attempt.n);
    let attempt = if proven {
        data.attempt.next(context.now).of(context.space)
    } else {
        data.attempt
    };
    Next::to(State::Authorising(Authorising { attempt, ..data }))
        .unanswered(context)
        .drive(context)
}

/// Whether what was found belongs to an earlier attempt and is over. What is found is the payment of the highest number
/// there is, so this says that the current attempt has none.
pub(super) fn is_buried(payment: &Payment, current: Attempt) -> bool {
    current.is_after(payment) && !payment.is_open() && !payment.is_kept()
}

fn waiting(data: Authorising, asked: Asked, stall: Stall, context: &Context) -> Next {
    let attempt = match asked {
        Asked::Change(..) => noted(data.attempt, stall),
        Asked::Retrieve | Asked::Find(_) => data.attempt,
    };
    Next::to(State::Authorising(Authorising { attempt, ..data })).stalled(stall, context)
}

/// What `AUTHORISING` and `ACTION_REQUIRED` have in common when a payment is judged.
struct Payer {
    state: State,
    attempt: Attempt,
}

impl From<Authorising> for Payer {
    fn from(data: Authorising) -> Self {
        Self {
            attempt: data.attempt,
            state: State::Authorising(data),
        }
    }
}

impl From<ActionRequired> for Payer {
    fn from(data: ActionRequired) -> Self {
        Self {
            attempt: data.attempt,
            state: State::ActionRequired(data),
        }
    }
}

/// Decides by what the payment is now.
fn judge(payer: Payer, payment: &Payment, source: Source, context: &Context) -> Transition {
    let another = payer.state.payment().is_some_and(|known| *known != payment.id);
    if another || !payer.attempt.has_made(payment) {
        return match source {
            Source::Told => stray(payer.state, payment, context),
            Source::Asked => Ok(misanswered(payer.state, payment, context)),
        };
    }
    if !context.matches(payment) {
        return Ok(Next::to(payer.state).freeze(Frozen::AmountMismatch, context));
    }
    match payment.status {
        PaymentStatus::RequiresCapture if payment.capturable == context.total.amount => {
            Ok(commit(payment, context))
        }
        // Paid and given back in a time that the ledger has lost: there is nothing to commit stock for, and nothing to ask
        // the shopper for once more.
        PaymentStatus::Succeeded if payment.captured > 0 && !payment.is_kept() => {
            Ok(Next::declined(word("refunded")))
        }
        PaymentStatus::Succeeded if payment.captured == context.total.amount => {
            Ok(commit_captured(payment, context))
        }
        PaymentStatus::RequiresCapture | PaymentStatus::Succeeded => {
            Ok(Next::to(payer.state).freeze(Frozen::AmountMismatch, context))
        }
        PaymentStatus::RequiresAction => action(payer, payment, source, context),
        PaymentStatus::Processing => processing(payer, payment, source, context),
        PaymentStatus::RequiresMethod => Ok(refused(&payer, payment, context)),
        PaymentStatus::Cancelled => Ok(Next::declined(word("cancelled"))),
        // Created and confirmed in one call, a payment never waits here; somebody else touched it.
        PaymentStatus::RequiresConfirmation => {
            Ok(Next::to(payer.state).park(Parked::Rejected(word("requires_confirmation")), context))
        }
    }
}

/// Stock is committed here, and only then captured.
fn commit(payment: &Payment, context: &Context) -> Next {
    let capture = Attempt::first(context.now);
    let id = payment.id.clone();
    let call = Call::Capture {
        attempt: capture,
        payment: id.clone(),
        amount: context.total,
    };
    let state = State::Committed(Committed { payment: id, capture });
    Next::to(state).stock(StockMove::Sell).call(call, context)
}

/// The money is there already (a restored ledger meets its own past): commit the stock and read, capture nothing.
fn commit_captured(payment: &Payment, context: &Context) -> Next {
    let id = payment.id.clone();
    let state = State::Committed(Committed {
        payment: id.clone(),
        capture: Attempt::first(context.now),
    });
    Next::to(state)
        .stock(StockMove::Sell)
        .call(Call::Retrieve { payment: id }, context)
}

fn action(payer: Payer, payment: &Payment, source: Source, context: &Context) -> Transition {
    match payer.state {
        State::ActionRequired(_) if source == Source::Told => Err(Why::Unchanged),
        State::ActionRequired(data) => {
            let until = data.until;
            Ok(Next::to(State::ActionRequired(data)).due(next_read(until, context)))
        }
        State::Authorising(Authorising { method, attempt, .. }) => {
            let until = context.now + context.action_time;
            let (id, client_secret) = (payment.id.clone(), payment.client_secret.clone());
            let data = ActionRequired {
                method,
                attempt,
                payment: id,
                client_secret,
                until,
            };
            Ok(Next::to(State::ActionRequired(data)).due(next_read(until, context)))
        }
        State::Reserved(_)
        | State::Accepted(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => Err(Why::NotHere),
    }
}

/// When a payment that waits for its shopper until then is read next: ever more rarely, and when the time is over.
fn next_read(until: Timestamp, context: &Context) -> Timestamp {
    let waited = context.now.since(until - context.action_time);
    until.min(context.now + (waited + READ_AGAIN).min(READ_AGAIN_MAX))
}

fn processing(payer: Payer, payment: &Payment, source: Source, context: &Context) -> Transition {
    let known = payer.state.payment().is_some();
    match payer.state {
        State::Authorising(_) if known && source == Source::Told => Err(Why::Unchanged),
        State::Authorising(Authorising { method, attempt, .. })
        | State::ActionRequired(ActionRequired { method, attempt, .. }) => {
            let data = Authorising {
                method,
                attempt,
                payment: Some(payment.id.clone()),
            };
            // Cards settle within a second or two.
            Ok(Next::to(State::Authorising(data)).busy(context))
        }
        State::Reserved(_)
        | State::Accepted(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => Err(Why::NotHere),
    }
}

/// The method was refused. Where the shopper's browser was given the payment's secret it could still pay it with another
/// method, so that payment is given up as well.
fn refused(payer: &Payer, payment: &Payment, context: &Context) -> Next {
    let next = Next::declined(payment.decline.clone().unwrap_or_else(|| word("declined")));
    match &payer.state {
        State::ActionRequired(_) => {
            let stray = Stray::of(payment, context);
            let call = stray.cancel();
            next.stray(stray).effect(Effect::Call(call))
        }
        State::Reserved(_)
        | State::Accepted(_)
        | State::Authorising(_)
        | State::Cancelling(_)
        | State::Committed(_)
        | State::Paid(_)
        | State::Declined(_)
        | State::Released(_)
        | State::Unwound(_)
        | State::Refunded(_) => next,
    }
}

/// A reason of our own, where the provider gave none.
pub(super) fn word(text: &'static str) -> Reason {
    Reason::new(text).expect("our own words are short ASCII without space")
}
