//! After a restore: payments of the time that the ledger has lost are none of the orders that start over.

use super::rules::driven;
use super::*;

const SECOND: KeySpace = KeySpace::FIRST.next();

fn at(now: Timestamp) -> Moment {
    Moment {
        space: SECOND,
        ..Moment::at(now)
    }
}

/// An accepted order of the copy that was taken to payment anew, with a key that can teach nothing more.
fn restarted() -> Order {
    let order = specimen(StateName::Accepted)
        .step(Event::Drive, at(NOW))
        .unwrap()
        .order;
    let State::Authorising(data) = order.state else {
        panic!("{order:?}")
    };
    assert_eq!((data.attempt.n, data.attempt.space), (1, SECOND));
    let attempt = Attempt {
        errors: SAVED_ERRORS_MAX,
        ..data.attempt
    };
    Order {
        state: State::Authorising(Authorising { attempt, ..data }),
        ..order
    }
}

/// What became of the order's payment in the lost time: nothing, or paid and given back.
fn of_the_lost_time() -> [Payment; 2] {
    let refunded = Payment {
        refunded: total().amount,
        ..payment(PaymentStatus::Succeeded)
    };
    [payment(PaymentStatus::Cancelled), refunded]
}

#[test]
fn a_dead_payment_of_the_lost_time_says_nothing_about_the_order_that_starts_over() {
    for found in of_the_lost_time() {
        let order = Order {
            pace: specimen(StateName::Accepted).pace,
            ..restarted()
        };
        let asking = order.step(Event::Drive, at(NOW)).unwrap();
        let asked = asking.call().unwrap().asked();
        assert_eq!(asked, Asked::Find(Some(1)));
        assert_eq!(
            asking
                .order
                .clone()
                .step(Event::Seen(found.clone()), at(NOW))
                .unwrap_err()
                .why,
            Why::Unchanged
        );
        let answered = Event::Answered(asked, Answer::Payment(found));
        let next = asking.order.step(answered, at(NOW)).unwrap();
        assert_eq!(
            (next.order.state.name(), next.stock),
            (StateName::Authorising, None)
        );
        let (_, call) = driven(next.order);
        assert!(
            matches!(call, Call::Authorise { attempt, .. } if (attempt.n, attempt.space) == (2, SECOND)),
            "{call:?}"
        );
    }
}

#[test]
fn an_open_payment_of_the_lost_time_is_given_up() {
    for state in [StateName::Accepted, StateName::Authorising, StateName::Cancelling] {
        let order = match state {
            StateName::Accepted => specimen(state),
            StateName::Authorising => restarted(),
            _ => {
                restarted()
                    .step(Event::Cancel(By::Shopper), at(NOW))
                    .unwrap()
                    .order
            }
        };
        let seen = Event::Seen(payment(PaymentStatus::RequiresCapture));
        let step = order.step(seen, at(NOW)).unwrap();
        assert!(matches!(step.call(), Some(Call::CancelStray { .. })), "{state}");
        assert_eq!((step.order.state.name(), step.stock), (state, None));
    }
}

#[test]
fn a_given_up_order_is_not_released_because_a_payment_of_the_lost_time_is_dead() {
    let order = restarted()
        .step(Event::Cancel(By::Shopper), at(NOW))
        .unwrap()
        .order;
    for found in of_the_lost_time() {
        let early = Event::Answered(Asked::Find(None), Answer::Payment(found));
        let step = order.clone().step(early, at(NOW)).unwrap();
        assert_eq!(step.order.state.name(), StateName::Cancelling);
    }
}

#[test]
fn what_was_under_way_when_the_copy_was_made_is_taken_over() {
    let copied = specimen(StateName::Authorising);
    let seen = Event::Seen(payment(PaymentStatus::Succeeded));
    let step = copied.clone().step(seen, at(NOW)).unwrap();
    assert_eq!(step.order.state.name(), StateName::Committed);
    let repeated = Payment {
        space: SECOND,
        ..payment(PaymentStatus::RequiresCapture)
    };
    let step = copied.step(Event::Seen(repeated), at(NOW)).unwrap();
    assert_eq!(step.order.state.name(), StateName::Committed);
}

#[test]
fn money_that_was_given_back_commits_no_stock() {
    let [_, refunded] = of_the_lost_time();
    for name in [StateName::Authorising, StateName::ActionRequired] {
        let step = step(&specimen(name), Event::Seen(refunded.clone())).unwrap();
        assert_eq!(
            (&step.order.state, step.stock),
            (
                &State::Declined(Declined {
                    reason: reason("refunded")
                }),
                Some(StockMove::Void)
            )
        );
    }
}

#[test]
fn a_space_is_read_as_it_is_written() {
    for space in [KeySpace::FIRST, SECOND, KeySpace(u32::MAX)] {
        assert_eq!(KeySpace::parse(&alloc::format!("{space}")), Some(space));
    }
    for odd in ["", "dl", "dl0", "dl-1", "2", "dl4294967296", "DL1"] {
        assert_eq!(KeySpace::parse(odd), None, "{odd}");
    }
}
