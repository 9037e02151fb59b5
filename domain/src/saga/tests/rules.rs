//! The protocol's rules, one by one.

use alloc::vec::Vec;

use super::*;
use crate::backoff::{TRIES_MAX, WAIT_MAX};

pub(super) fn answered(operation: Operation, answer: Answer) -> Event {
    Event::Answered(Asked::Change(operation, 1), answer)
}

fn lost() -> Answer {
    Answer::Stalled(Stall::Lost)
}

pub(super) fn failed() -> Answer {
    Answer::Stalled(Stall::Failed {
        repeat: Repeat::SameKey,
    })
}

/// Drives until a call comes out, whatever waits there are.
pub(super) fn driven(order: Order) -> (Order, Call) {
    let moment = Moment::at(NOW.max(order.pace.due).max(order.pace.leased_until));
    let step = order.step(Event::Drive, moment).unwrap();
    let call = step.call().unwrap().clone();
    (step.order, call)
}

pub(super) fn after(order: Order, event: Event) -> Order {
    order.step(event, Moment::at(NOW)).unwrap().order
}

#[test]
fn a_key_is_derived_from_the_row_and_fits_the_providers_limit() {
    let key = specimen(StateName::Accepted).key(KeySpace::FIRST, Operation::Authorise, 1);
    assert_eq!(
        key.as_str(),
        "dl1.aurora.00000000000000000000000000000007.authorise.1"
    );
    let long = DropId::new(&"x".repeat(48)).unwrap();
    let last = KeySpace(u32::MAX);
    let key = IdempotencyKey::derive(last, &long, OrderId(u128::MAX), Operation::CancelStray, u32::MAX);
    assert!(key.as_str().len() <= 122);
    assert_eq!(last.next(), last);
    let again = specimen(StateName::Accepted).key(KeySpace::FIRST.next(), Operation::Authorise, 1);
    assert_eq!(
        again.as_str(),
        "dl2.aurora.00000000000000000000000000000007.authorise.1"
    );
}

#[test]
fn the_spine_commits_stock_before_it_captures() {
    let accepted = step(&specimen(StateName::Reserved), Event::Accept(method())).unwrap();
    assert!(accepted.effects.contains(&Effect::Drive) && accepted.stock.is_none());
    let (order, call) = driven(accepted.order);
    assert!(matches!(call, Call::Authorise { .. }));
    let answer = Answer::Payment(payment(PaymentStatus::RequiresCapture));
    let committed = step(&order, answered(Operation::Authorise, answer)).unwrap();
    assert_eq!(committed.stock, Some(StockMove::Sell));
    assert!(matches!(committed.call(), Some(Call::Capture { .. })));
    let answer = Answer::Payment(payment(PaymentStatus::Succeeded));
    let paid = step(&committed.order, answered(Operation::Capture, answer)).unwrap();
    assert_eq!((paid.order.state.name(), paid.stock), (StateName::Paid, None));
    assert!(paid.effects.contains(&Effect::Notice(Notice::Paid)));
}

#[test]
fn an_acceptance_after_the_deadline_is_too_late() {
    let late = order(State::Reserved(Reserved { until: NOW }));
    assert_eq!(step(&late, Event::Accept(method())), Err(Why::TooLate));
    assert_eq!(step(&late, Event::Expire).unwrap().stock, Some(StockMove::Void));
}

#[test]
fn an_acceptance_is_repeated_in_every_state_and_another_one_is_refused() {
    let other = || PaymentMethod::new("pm_card_mastercard").unwrap();
    for name in StateName::ALL
        .into_iter()
        .filter(|name| *name != StateName::Reserved)
    {
        let order = specimen(name);
        assert_eq!(
            step(&order, Event::Accept(method())),
            Err(Why::Unchanged),
            "{name}"
        );
        assert_eq!(step(&order, Event::Accept(other())), Err(Why::NotHere), "{name}");
    }
    let accepted = after(specimen(StateName::Reserved), Event::Accept(method()));
    let released = after(accepted, Event::Cancel(By::Timer));
    assert_eq!(
        released.method,
        Some(method()),
        "kept beyond the state that uses it"
    );
    assert_eq!(
        step(&released, Event::Accept(other())),
        Err(Why::NotHere),
        "not run out"
    );
}

#[test]
fn only_a_reservation_that_ran_out_is_too_late_to_accept() {
    let released = |by| order(State::Released(Released { by }));
    for (by, why) in [
        (By::Timer, Why::TooLate),
        (By::Shopper, Why::NotHere),
        (By::Operator, Why::NotHere),
    ] {
        assert_eq!(step(&released(by), Event::Accept(method())), Err(why));
    }
}

#[test]
fn silence_repeats_the_same_key_and_parks_after_three_tries() {
    let mut order = specimen(StateName::Authorising);
    for tries in 1..=TRIES_MAX {
        let (next, call) = driven(order);
        assert!(
            matches!(&call, Call::Authorise { attempt, .. } if attempt.n == 1),
            "try {tries}: {call:?}"
        );
        order = after(next, answered(Operation::Authorise, lost()));
        assert_eq!(order.flag.is_some(), tries == TRIES_MAX);
    }
    assert_eq!(order.flag, Some(Flag::Parked(Parked::NoAnswer)));
    assert_eq!(step(&order, Event::Drive), Err(Why::Flagged));
}

#[test]
fn an_operators_retry_after_silence_keeps_the_key() {
    let parked = Order {
        flag: Some(Flag::Parked(Parked::NoAnswer)),
        ..specimen(StateName::Authorising)
    };
    let (_, call) = driven(after(parked, Event::Retry));
    assert!(matches!(call, Call::Authorise { attempt, .. } if attempt.n == 1));
}

#[test]
fn an_operators_retry_after_a_definite_refusal_takes_the_next_number() {
    let flag = Some(Flag::Parked(Parked::Rejected(reason("odd"))));
    let (_, call) = driven(after(
        Order {
            flag,
            ..specimen(StateName::Authorising)
        },
        Event::Retry,
    ));
    assert!(matches!(call, Call::Authorise { attempt, .. } if attempt.n == 2));
}

#[test]
fn a_rate_limit_is_no_try_and_lowers_the_drain() {
    let limited = Answer::Stalled(Stall::RateLimited {
        retry_after: Some(Span::from_secs(7)),
    });
    let mut order = specimen(StateName::Authorising);
    for _ in 0..10 {
        let (next, _) = driven(order);
        let step = step(&next, answered(Operation::Authorise, limited.clone())).unwrap();
        assert!(step.effects.contains(&Effect::SlowDown(Some(Span::from_secs(7)))));
        assert_eq!((step.order.pace.tries, &step.order.flag), (0, &None));
        assert!(step.order.pace.due >= NOW + Span::from_secs(7));
        order = step.order;
    }
}

#[test]
fn refused_credentials_stop_the_drain_and_count_no_try() {
    let forbidden = Answer::Stalled(Stall::Forbidden);
    let step = step(
        &specimen(StateName::Authorising),
        answered(Operation::Authorise, forbidden),
    )
    .unwrap();
    assert!(step.effects.contains(&Effect::Halt) && step.effects.contains(&Effect::Alarm(Alarm::Forbidden)));
    assert_eq!((step.order.pace.tries, step.order.pace.due), (0, NOW + WAIT_MAX));
}

#[test]
fn a_key_mismatch_freezes_the_order_for_everybody_but_operators() {
    let frozen = after(
        specimen(StateName::Authorising),
        answered(Operation::Authorise, Answer::KeyMismatch),
    );
    assert_eq!(frozen.flag, Some(Flag::Frozen(Frozen::KeyMismatch)));
    for event in [
        Event::Drive,
        Event::Look,
        Event::Cancel(By::Shopper),
        Event::Seen(payment(PaymentStatus::Succeeded)),
    ] {
        assert_eq!(step(&frozen, event), Err(Why::Flagged));
    }
    assert!(step(&frozen, Event::Cancel(By::Operator)).is_ok());
    assert!(
        matches!(driven(after(frozen, Event::Retry)).1, Call::Find { .. }),
        "never a new key unread"
    );
}

#[test]
fn another_amount_or_currency_freezes_the_order() {
    let money = [
        Money::new(1, total().currency),
        Money::new(total().amount, Currency::new("usd").unwrap()),
    ];
    for amount in money {
        let odd = Payment {
            amount,
            ..payment(PaymentStatus::RequiresCapture)
        };
        for name in [
            StateName::Authorising,
            StateName::ActionRequired,
            StateName::Committed,
        ] {
            let frozen = after(specimen(name), Event::Seen(odd.clone()));
            assert_eq!(
                (frozen.state.name(), frozen.flag),
                (name, Some(Flag::Frozen(Frozen::AmountMismatch)))
            );
        }
    }
}

#[test]
fn a_decline_gives_the_units_back_at_once() {
    let declined = answered(
        Operation::Authorise,
        Answer::Declined(reason("insufficient_funds")),
    );
    let step = step(&specimen(StateName::Authorising), declined).unwrap();
    assert_eq!(
        (step.order.state.name(), step.stock),
        (StateName::Declined, Some(StockMove::Void))
    );
    assert!(step.effects.contains(&Effect::Notice(Notice::Declined)) && step.call().is_none());
}

#[test]
fn a_failed_confirmation_gives_up_the_payment_whose_secret_was_out() {
    let step = step(
        &specimen(StateName::ActionRequired),
        Event::Seen(payment(PaymentStatus::RequiresMethod)),
    )
    .unwrap();
    assert_eq!(step.order.state.name(), StateName::Declined);
    assert!(matches!(step.call(), Some(Call::CancelStray { .. })));
}

#[test]
fn the_shoppers_own_time_ends_in_cancelling() {
    let State::ActionRequired(data) = specimen(StateName::ActionRequired).state else {
        panic!("a specimen")
    };
    let over = order(State::ActionRequired(ActionRequired { until: NOW, ..data }));
    let (over, call) = driven(over);
    assert!(
        matches!(call, Call::Retrieve { .. }),
        "read before it is given up"
    );
    let read = |status| Event::Answered(Asked::Retrieve, Answer::Payment(payment(status)));
    let ends = [
        (PaymentStatus::RequiresAction, StateName::Cancelling),
        (PaymentStatus::Processing, StateName::Cancelling),
        (PaymentStatus::RequiresMethod, StateName::Declined),
        (PaymentStatus::RequiresCapture, StateName::Committed),
    ];
    for (status, end) in ends {
        assert_eq!(after(over.clone(), read(status)).state.name(), end, "{status:?}");
    }
    let lost = Event::Answered(Asked::Retrieve, Answer::Stalled(Stall::Lost));
    assert_eq!(
        after(over, lost).state.name(),
        StateName::ActionRequired,
        "asked again"
    );
}

#[test]
fn cancelling_an_unanswered_authorisation_asks_under_its_old_key() {
    let cancelling = after(specimen(StateName::Authorising), Event::Cancel(By::Shopper));
    let (order, call) = driven(cancelling);
    assert!(matches!(call, Call::Authorise { attempt, .. } if attempt.n == 1));
    let authorised = Answer::Payment(payment(PaymentStatus::RequiresCapture));
    let step = step(&order, answered(Operation::Authorise, authorised)).unwrap();
    assert!(matches!(step.call(), Some(Call::Cancel { .. })) && step.stock.is_none());
    let gone = Answer::Payment(payment(PaymentStatus::Cancelled));
    let released = after(step.order, answered(Operation::Cancel, gone));
    assert_eq!(released.state.name(), StateName::Released);
}

#[test]
fn cancelling_never_releases_while_the_payment_is_open() {
    let open = [
        PaymentStatus::RequiresMethod,
        PaymentStatus::RequiresAction,
        PaymentStatus::RequiresCapture,
    ];
    for status in open {
        for event in [
            Event::Seen(payment(status)),
            answered(Operation::Cancel, Answer::Payment(payment(status))),
            Event::Answered(Asked::Retrieve, Answer::Payment(payment(status))),
        ] {
            if let Ok(step) = step(&specimen(StateName::Cancelling), event) {
                assert_eq!(
                    (step.order.state.name(), step.stock),
                    (StateName::Cancelling, None)
                );
            }
        }
    }
}

#[test]
fn money_that_was_taken_for_a_cancelled_order_is_given_back_first() {
    let taken = Event::Answered(
        Asked::Retrieve,
        Answer::Payment(payment(PaymentStatus::Succeeded)),
    );
    let step = step(&specimen(StateName::Cancelling), taken).unwrap();
    assert_eq!(step.stock, None);
    assert!(matches!(step.call(), Some(Call::RefundStray { amount, .. }) if *amount == total()));
    let back = Payment {
        refunded: total().amount,
        ..payment(PaymentStatus::Succeeded)
    };
    let released = after(
        step.order,
        Event::Answered(Asked::Retrieve, Answer::Payment(back)),
    );
    assert_eq!(released.state.name(), StateName::Released);
}

#[test]
fn a_cancel_comes_too_late_once_stock_is_committed() {
    for name in [StateName::Committed, StateName::Paid] {
        assert_eq!(
            step(&specimen(name), Event::Cancel(By::Operator)),
            Err(Why::TooLate)
        );
    }
}

#[test]
fn a_lost_authorisation_uncommits_the_stock() {
    let gone = payment(PaymentStatus::Cancelled);
    let step = step(&specimen(StateName::Committed), Event::Seen(gone)).unwrap();
    assert_eq!(
        (step.order.state.name(), step.stock),
        (StateName::Unwound, Some(StockMove::Unsell))
    );
    assert!(step.effects.contains(&Effect::Alarm(Alarm::Unwound)));
}

#[test]
fn a_webhook_applied_twice_says_nothing_new() {
    let paid = after(
        specimen(StateName::Committed),
        Event::Seen(payment(PaymentStatus::Succeeded)),
    );
    assert_eq!(
        step(&paid, Event::Seen(payment(PaymentStatus::Succeeded))),
        Err(Why::Unchanged)
    );
    let late = Event::Seen(payment(PaymentStatus::RequiresCapture));
    assert_eq!(step(&specimen(StateName::Committed), late), Err(Why::Unchanged));
}

#[test]
fn a_refused_capture_is_read_and_repeated_under_the_next_number_at_most_three_times() {
    let mut order = specimen(StateName::Committed);
    let mut numbers = Vec::new();
    while order.flag.is_none() {
        let (next, call) = driven(order);
        let Call::Capture { attempt, .. } = call else {
            panic!("{call:?}")
        };
        numbers.push(attempt.n);
        let asked = Asked::Change(Operation::Capture, attempt.n);
        let reading = after(next, Event::Answered(asked, Answer::Rejected(reason("odd"))));
        let unchanged = Answer::Payment(payment(PaymentStatus::RequiresCapture));
        order = after(reading, Event::Answered(Asked::Retrieve, unchanged));
    }
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(order.state.name(), StateName::Committed);
}

#[test]
fn a_payment_of_a_dead_order_is_got_rid_of() {
    for name in [StateName::Declined, StateName::Released, StateName::Unwound] {
        let open = step(
            &specimen(name),
            Event::Seen(payment(PaymentStatus::RequiresCapture)),
        )
        .unwrap();
        assert!(matches!(open.call(), Some(Call::CancelStray { .. })));
        let kept = step(&specimen(name), Event::Seen(payment(PaymentStatus::Succeeded))).unwrap();
        assert!(matches!(kept.call(), Some(Call::RefundStray { .. })));
        assert_eq!((open.order.state.name(), kept.order.state.name()), (name, name));
        assert_eq!(
            step(&specimen(name), Event::Seen(payment(PaymentStatus::Cancelled))),
            Err(Why::Unchanged)
        );
    }
}

#[test]
fn a_second_payment_of_a_live_order_is_given_up_and_not_adopted() {
    let other = Payment {
        id: PaymentId::new("pi_2").unwrap(),
        n: 9,
        ..payment(PaymentStatus::RequiresCapture)
    };
    for name in StateName::ALL {
        let step = step(&specimen(name), Event::Seen(other.clone())).unwrap();
        assert!(matches!(step.call(), Some(Call::CancelStray { payment, .. }) if *payment == other.id));
        assert_eq!(step.order.state, specimen(name).state);
    }
}

#[test]
fn money_found_captured_is_committed_and_read_before_it_counts_as_paid() {
    let step = step(
        &specimen(StateName::Authorising),
        Event::Seen(payment(PaymentStatus::Succeeded)),
    )
    .unwrap();
    assert_eq!(
        (step.order.state.name(), step.stock),
        (StateName::Committed, Some(StockMove::Sell))
    );
    assert!(matches!(step.call(), Some(Call::Retrieve { .. })));
}
