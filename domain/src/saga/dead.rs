//! The ends: DECLINED, RELEASED, UNWOUND, REFUNDED. Nothing moves any more, except that a payment which turns up for such
//! an order is got rid of: its units may belong to somebody else by now.

use super::event::{Event, Why};
use super::next::{Context, Transition};
use super::state::{By, State};
use super::stray::stray;

pub(super) fn dead(state: State, event: &Event, context: &Context) -> Transition {
    match event {
        // Its own captured payment is what a refunded order is made of.
        Event::Seen(payment) if matches!(&state, State::Refunded(data) if data.payment == payment.id) => {
            Err(Why::Unchanged)
        }
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
