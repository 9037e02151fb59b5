//! The start of the spine: RESERVED and ACCEPTED. No provider knows of the order yet.

use super::attempt::Attempt;
use super::event::{Call, Event, Why};
use super::next::{Context, Next, Transition};
use super::state::{Accepted, Authorising, By, Reserved, State};
use super::stray::stray;

pub(super) fn reserved(data: Reserved, event: Event, context: &Context) -> Transition {
    match event {
        Event::Accept(_) if data.until <= context.now => Err(Why::TooLate),
        Event::Accept(method) => Ok(Next::to(State::Accepted(Accepted { method })).drive(context)),
        Event::Expire if data.until > context.now => Err(Why::NotYet),
        Event::Expire => Ok(Next::released(By::Timer)),
        Event::Cancel(by) => Ok(Next::released(by)),
        Event::Seen(payment) => stray(State::Reserved(data), &payment, context),
        Event::Answered(..) => Err(Why::Stale),
        Event::Drive | Event::Look | Event::Refund(_) | Event::Retry => Err(Why::NotHere),
    }
}

pub(super) fn accepted(data: Accepted, event: Event, context: &Context) -> Transition {
    match event {
        Event::Drive => {
            let attempt = Attempt::first(context.now).of(context.space);
            let method = data.method.clone();
            let call = Call::Authorise {
                attempt,
                method,
                amount: context.total,
            };
            let state = Authorising {
                method: data.method,
                attempt,
                payment: None,
            };
            Ok(Next::to(State::Authorising(state)).call(call, context))
        }
        Event::Cancel(by) => Ok(Next::released(by)),
        Event::Seen(payment) => stray(State::Accepted(data), &payment, context),
        Event::Answered(..) => Err(Why::Stale),
        Event::Accept(_) | Event::Expire | Event::Look | Event::Refund(_) | Event::Retry => Err(Why::NotHere),
    }
}
