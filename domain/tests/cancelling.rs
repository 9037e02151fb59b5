//! Giving up an order whose payment the provider is still working on: through the public API, as a worker sees it.

use domain::saga::{
    Answer, Asked, Call, Event, KeySpace, Moment, Operation, Order, Payment, PaymentId, PaymentMethod,
    PaymentStatus, Reason, StateName, Step,
};
use domain::saga::{By, StockMove};
use domain::{Currency, DropId, Money, OrderId, ShopperKey, Span, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn payment(order: &Order, status: PaymentStatus) -> Payment {
    let capturable = if status == PaymentStatus::RequiresCapture {
        order.total.amount
    } else {
        0
    };
    Payment {
        id: PaymentId::new("pi_1").expect("a short id"),
        drop: order.drop.clone(),
        order: order.id,
        space: KeySpace::FIRST,
        n: 1,
        status,
        amount: order.total,
        capturable,
        captured: 0,
        refunded: 0,
        client_secret: None,
        decline: None,
    }
}

fn step(order: Order, event: Event, now: Timestamp) -> Step {
    order.step(event, Moment::at(now)).expect("the event applies")
}

/// An order whose authorisation is under way at the provider, given up by its shopper.
fn given_up_while_processing() -> Order {
    let drop = DropId::new("aurora").expect("a short name");
    let total = Money::new(4_900, Currency::new("eur").expect("three letters"));
    let order = Order::reserved(
        OrderId(7),
        drop,
        ShopperKey([1; 16]),
        total,
        NOW + Span::from_mins(5),
    );
    let order = step(
        order,
        Event::Accept(PaymentMethod::new("pm_1").expect("a short name")),
        NOW,
    )
    .order;
    let order = step(order, Event::Drive, NOW).order;
    let answer = Answer::Payment(payment(&order, PaymentStatus::Processing));
    let order = step(
        order,
        Event::Answered(Asked::Change(Operation::Authorise, 1), answer),
        NOW,
    )
    .order;
    step(order, Event::Cancel(By::Shopper), NOW).order
}

#[test]
fn a_payment_still_being_processed_is_waited_for_and_parks_nobody() {
    let mut order = given_up_while_processing();
    let mut now = NOW;
    let mut cancels = 0;
    // Two minutes of processing, every refusal and every read of it.
    while now < NOW + Span::from_mins(2) {
        now = now.max(order.pace.due).max(order.pace.leased_until);
        let next = step(order, Event::Drive, now);
        let call = next.call().unwrap().clone();
        let answer = match &call {
            Call::Cancel { .. } => {
                cancels += 1;
                Answer::Rejected(Reason::new("payment_intent_unexpected_state").unwrap())
            }
            _ => Answer::Payment(payment(&next.order, PaymentStatus::Processing)),
        };
        let next = step(next.order, Event::Answered(call.asked(), answer), now);
        order = match next.call() {
            None => next.order,
            Some(read) => {
                let asked = read.asked();
                let answer = Answer::Payment(payment(&next.order, PaymentStatus::Processing));
                step(next.order, Event::Answered(asked, answer), now).order
            }
        };
        assert_eq!((order.state.name(), &order.flag), (StateName::Cancelling, &None));
    }
    assert_eq!(cancels, 1, "refused once, it is read until it has settled");

    let next = step(order.clone(), Event::Drive, order.pace.due);
    let asked = next.call().unwrap().asked();
    let settled = Answer::Payment(payment(&next.order, PaymentStatus::RequiresCapture));
    let next = step(next.order, Event::Answered(asked, settled), order.pace.due);
    assert!(matches!(next.call(), Some(Call::Cancel { attempt, .. }) if attempt.n == 2));
    let cancelled = Answer::Payment(payment(&next.order, PaymentStatus::Cancelled));
    let asked = next.call().unwrap().asked();
    let last = step(next.order, Event::Answered(asked, cancelled), order.pace.due);
    assert_eq!(
        (last.order.state.name(), last.stock),
        (StateName::Released, Some(StockMove::Void))
    );
}
