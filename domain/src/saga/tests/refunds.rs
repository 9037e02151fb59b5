//! Money that goes back: as an operator asked, in part elsewhere, and once more where it came back.

use super::rules::{after, answered, driven};
use super::*;

#[test]
fn a_refund_is_recorded_before_it_is_sent_and_restocks_as_told() {
    for (restock, stock) in [(Restock::Return, Some(StockMove::Unsell)), (Restock::Keep, None)] {
        let asked = step(&specimen(StateName::Paid), Event::Refund(restock)).unwrap();
        assert!(matches!(asked.call(), Some(Call::Refund { .. })));
        assert_eq!(step(&asked.order, Event::Refund(restock)), Err(Why::Unchanged));
        let done = step(
            &asked.order,
            answered(Operation::Refund, Answer::Refunded(total().amount)),
        )
        .unwrap();
        assert_eq!(
            (done.order.state.name(), done.stock),
            (StateName::Refunded, stock)
        );
    }
}

#[test]
fn a_refund_made_at_the_provider_is_believed_and_keeps_the_units_sold() {
    let back = Payment {
        refunded: total().amount,
        ..payment(PaymentStatus::Succeeded)
    };
    let step = step(&specimen(StateName::Paid), Event::Seen(back)).unwrap();
    assert_eq!((step.order.state.name(), step.stock), (StateName::Refunded, None));
}

/// The order's payment with its money kept.
fn kept() -> Payment {
    payment(PaymentStatus::Succeeded)
}

/// The order's payment with its money given back.
fn gone() -> Payment {
    Payment {
        refunded: total().amount,
        ..kept()
    }
}

/// The answer to a reading of the payment.
fn read(payment: Payment) -> Event {
    Event::Answered(Asked::Retrieve, Answer::Payment(payment))
}

/// A refunded order whose money came back, as a person finds it.
fn parked() -> Order {
    let seen = after(specimen(StateName::Refunded), Event::Seen(kept()));
    after(seen, read(kept()))
}

#[test]
fn a_refund_that_fails_later_is_a_persons_business_and_is_made_again() {
    let seen = step(&specimen(StateName::Refunded), Event::Seen(kept())).unwrap();
    assert!(
        matches!(seen.call(), Some(Call::Retrieve { .. })),
        "a sighting may be old"
    );
    assert_eq!(step(&seen.order, read(gone())), Err(Why::Unchanged));
    let parked = step(&seen.order, read(kept())).unwrap();
    assert_eq!(
        (parked.order.state.name(), &parked.order.flag),
        (
            StateName::Refunded,
            &Some(Flag::Parked(Parked::Rejected(reason(REFUND_FAILED))))
        )
    );
    assert!(parked.effects.contains(&Effect::Alarm(Alarm::Parked)) && parked.stock.is_none());
    assert_eq!(
        step(&parked.order, Event::Seen(kept())),
        Err(Why::Unchanged),
        "told once"
    );
    let by_hand = step(&parked.order, Event::Seen(gone())).unwrap();
    assert!(matches!(by_hand.call(), Some(Call::Retrieve { .. })));
    assert_eq!(
        by_hand.order.flag, parked.order.flag,
        "a list may not know better"
    );
    let by_hand = after(by_hand.order, read(gone()));
    assert_eq!((by_hand.flag, by_hand.pace.due), (None, Timestamp::NEVER));

    let retried = step(&parked.order, Event::Retry).unwrap();
    assert!(matches!(retried.call(), Some(Call::Retrieve { .. })) && retried.order.flag.is_some());
    let refund = step(&retried.order, read(kept())).unwrap();
    let Some(Call::RefundStray { attempt, amount, .. }) = refund.call() else {
        panic!("{refund:?}")
    };
    assert_eq!(*amount, total());
    let asked = |answer| Event::Answered(Asked::Change(Operation::RefundStray, attempt.n), answer);
    let refused = step(&refund.order, asked(Answer::Rejected(reason("odd")))).unwrap();
    assert_eq!(refused.order.flag, parked.order.flag);
    let again = after(refused.order, Event::Retry);
    let again = step(&again, read(kept())).unwrap();
    assert!(matches!(again.call(), Some(Call::RefundStray { attempt: next, .. }) if next.n == attempt.n + 1));
    let done = step(&refund.order, asked(Answer::Refunded(total().amount))).unwrap();
    assert_eq!((done.order.flag, done.stock), (None, None));
    assert!(
        done.effects.is_empty(),
        "the merchant's system knows it as refunded"
    );
}

#[test]
fn two_words_of_one_failure_park_the_order_and_send_nothing() {
    let once = after(specimen(StateName::Refunded), Event::Seen(kept()));
    let twice = after(once, Event::Seen(kept()));
    let parked = after(twice, read(kept()));
    assert_eq!(
        parked.flag,
        Some(Flag::Parked(Parked::Rejected(reason(REFUND_FAILED))))
    );
    assert_eq!(step(&parked, read(kept())), Err(Why::Unchanged));
}

#[test]
fn a_retry_sends_one_refund_however_many_readings_answer() {
    let retried = after(after(parked(), Event::Retry), Event::Retry);
    let refund = step(&retried, read(kept())).unwrap();
    assert!(matches!(refund.call(), Some(Call::RefundStray { .. })));
    assert_eq!(step(&refund.order, read(kept())), Err(Why::Unchanged));
}

#[test]
fn a_retry_that_met_no_answer_is_not_taken_up_by_a_later_sighting() {
    let retried = after(parked(), Event::Retry);
    let lost = Event::Answered(Asked::Retrieve, Answer::Stalled(Stall::Lost));
    assert_eq!(step(&retried, lost), Err(Why::Unchanged));
    assert_eq!(step(&retried, Event::Seen(kept())), Err(Why::Unchanged));
    let looking = step(&retried, Event::Seen(gone())).unwrap();
    assert!(matches!(looking.call(), Some(Call::Retrieve { .. })));
    assert_eq!(
        step(&looking.order, read(kept())),
        Err(Why::Unchanged),
        "the person may have given the money back in another way by now"
    );
    let again = after(looking.order, Event::Retry);
    let refund = step(&again, read(kept())).unwrap();
    assert!(matches!(refund.call(), Some(Call::RefundStray { .. })));
}

#[test]
fn a_retry_gives_back_what_is_kept_by_then_under_a_number_of_its_own() {
    let asked = |order: Order, refunded| {
        let payment = Payment { refunded, ..kept() };
        let step = after(order, Event::Retry)
            .step(read(payment), Moment::at(NOW))
            .unwrap();
        let Some(Call::RefundStray { attempt, amount, .. }) = step.call() else {
            panic!("{step:?}")
        };
        ((attempt.n, amount.amount), step.order)
    };
    let (first, order) = asked(parked(), 0);
    let (again, order) = asked(order, 0);
    assert_eq!(first, (1, total().amount));
    assert_eq!(again, first, "nothing was heard of it");
    let (rest, _) = asked(order, 2_900);
    assert_eq!(rest, (2, total().amount - 2_900));
}

#[test]
fn what_was_given_back_elsewhere_is_not_given_back_again() {
    let part = Payment {
        refunded: 2_900,
        ..payment(PaymentStatus::Succeeded)
    };
    let asked = step(&specimen(StateName::Paid), Event::Refund(Restock::Return)).unwrap();
    let refused = answered(Operation::Refund, Answer::Rejected(reason("amount_too_large")));
    let read = step(&asked.order, refused).unwrap();
    assert!(matches!(read.call(), Some(Call::Retrieve { .. })));
    let known = after(
        read.order,
        Event::Answered(Asked::Retrieve, Answer::Payment(part)),
    );
    let (order, call) = driven(known);
    let rest = total().amount - 2_900;
    assert!(matches!(&call, Call::Refund { attempt, amount, .. } if attempt.n == 2 && amount.amount == rest));
    let (order, again) = driven(order);
    assert_eq!(again, call, "a key is repeated with what it was sent with");
    let answer = Answer::Refunded(rest);
    let done = step(&order, Event::Answered(call.asked(), answer)).unwrap();
    assert_eq!(
        (done.order.state.name(), done.stock),
        (StateName::Refunded, Some(StockMove::Unsell))
    );
}
