//! The saga: what every event does in every state, what no walk through a faulty world may do, and which mistakes the
//! walks would catch.

mod answers;
mod mutations;
mod readings;
mod refunds;
mod rest;
mod rules;
mod spaces;
mod strays;
mod table;
mod world;

use super::*;
use crate::{Currency, DropId, Money, OrderId, ShopperKey, Timestamp};

/// An ordinary instant: well after the epoch, so that there is a before.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn total() -> Money {
    Money::new(12_900, Currency::new("eur").unwrap())
}

fn method() -> PaymentMethod {
    PaymentMethod::new("pm_card_visa").unwrap()
}

fn payment_id() -> PaymentId {
    PaymentId::new("pi_1").unwrap()
}

fn reason(word: &str) -> Reason {
    Reason::new(word).unwrap()
}

/// An order in `state`, due now, in nobody's hands.
fn order(state: State) -> Order {
    let drop = DropId::new("aurora").unwrap();
    let until = NOW + Span::from_mins(5);
    let order = Order::reserved(OrderId(7), drop, ShopperKey([1; 16]), total(), until);
    let pace = Pace {
        due: NOW,
        ..order.pace
    };
    Order {
        state,
        pace,
        version: 5,
        ..order
    }
}

/// The order's payment in `status`, with the amounts that go with it.
fn payment(status: PaymentStatus) -> Payment {
    let amount = total().amount;
    let captured = if status == PaymentStatus::Succeeded {
        amount
    } else {
        0
    };
    Payment {
        id: payment_id(),
        drop: DropId::new("aurora").unwrap(),
        order: OrderId(7),
        space: KeySpace::FIRST,
        n: 1,
        status,
        amount: total(),
        capturable: if status == PaymentStatus::RequiresCapture {
            amount
        } else {
            0
        },
        captured,
        refunded: 0,
        client_secret: ClientSecret::new("pi_1_secret").ok(),
        decline: None,
    }
}

/// An order in every state, with the data that the spine would have put there.
fn specimen(name: StateName) -> Order {
    let accepted_with = (name != StateName::Reserved).then(method);
    let attempt = Attempt::first(NOW);
    let (payment, method) = (payment_id(), method());
    let order = order(match name {
        StateName::Reserved => State::Reserved(Reserved {
            until: NOW + Span::from_mins(5),
        }),
        StateName::Accepted => State::Accepted(Accepted { method }),
        StateName::Authorising => State::Authorising(Authorising {
            method,
            attempt,
            payment: None,
        }),
        StateName::ActionRequired => State::ActionRequired(ActionRequired {
            method,
            attempt,
            payment,
            client_secret: None,
            until: NOW + ACTION_TIME,
        }),
        StateName::Cancelling => State::Cancelling(Cancelling {
            method,
            authorise: attempt,
            payment: Some(payment),
            cancel: attempt,
            by: By::Shopper,
        }),
        StateName::Committed => State::Committed(Committed {
            payment,
            capture: attempt,
        }),
        StateName::Paid => State::Paid(Paid {
            payment,
            refund: None,
        }),
        StateName::Declined => State::Declined(Declined {
            reason: reason("insufficient_funds"),
        }),
        StateName::Released => State::Released(Released { by: By::Shopper }),
        StateName::Unwound => State::Unwound(Unwound { payment }),
        StateName::Refunded => State::Refunded(Refunded {
            payment,
            is_retried: false,
        }),
    });
    Order {
        method: accepted_with,
        ..order
    }
}

fn step(order: &Order, event: Event) -> Result<Step, Why> {
    order
        .clone()
        .step(event, Moment::at(NOW))
        .map_err(|refusal| refusal.why)
}
