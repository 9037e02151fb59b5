//! When the payment is read before anything is sent, and what a reading proves.

use alloc::vec::Vec;

use super::rules::{after, answered, driven, failed};
use super::*;

#[test]
fn two_saved_errors_are_read_before_anything_is_sent_again() {
    let mut order = specimen(StateName::Authorising);
    for _ in 0..2 {
        let (next, call) = driven(order);
        assert!(matches!(call, Call::Authorise { .. }));
        order = after(next, answered(Operation::Authorise, failed()));
    }
    let (order, call) = driven(order);
    assert!(matches!(call, Call::Find { .. }));
    let found = Event::Answered(
        Asked::Find(Some(1)),
        Answer::Payment(payment(PaymentStatus::RequiresCapture)),
    );
    assert_eq!(after(order.clone(), found).state.name(), StateName::Committed);
    let absent = |over| Event::Answered(Asked::Find(over), Answer::Absent);
    let (_, call) = driven(after(order.clone(), absent(None)));
    assert!(
        matches!(call, Call::Find { over: Some(1), .. }),
        "asked while the key was still good, it may have been looked for before it was made"
    );
    let (_, call) = driven(after(order, absent(Some(1))));
    assert!(
        matches!(call, Call::Authorise { attempt, .. } if attempt.n == 2),
        "absence is proof after a saved error"
    );
}

#[test]
fn a_search_that_is_refused_is_no_word_on_the_payment() {
    let parked = Order {
        flag: Some(Flag::Parked(Parked::NoAnswer)),
        ..specimen(StateName::Authorising)
    };
    let word = || Reason::new("parameter_invalid").unwrap();
    for refusal in [Answer::Rejected(word()), Answer::Declined(word())] {
        let looking = after(parked.clone(), Event::Look);
        let refused = after(looking, Event::Answered(Asked::Find(None), refusal));
        assert_eq!(refused.state.name(), StateName::Authorising);
        assert_eq!(refused.flag, Some(Flag::Parked(Parked::NoAnswer)));
        let (_, call) = driven(after(refused, Event::Retry));
        assert!(
            matches!(call, Call::Authorise { attempt, .. } if attempt.n == 1),
            "the lost request of this number may still arrive"
        );
    }
    let why = Flag::Parked(Parked::Rejected(word()));
    let rejected = Order {
        flag: Some(why.clone()),
        ..parked
    };
    let looking = after(rejected, Event::Look);
    let refused = after(
        looking,
        Event::Answered(Asked::Find(None), Answer::Rejected(word())),
    );
    assert_eq!(
        refused.flag,
        Some(why),
        "what is known of the payment stays known"
    );
}

#[test]
fn a_provider_that_forbids_repeating_is_read_at_once() {
    let never = Answer::Stalled(Stall::Failed {
        repeat: Repeat::Never,
    });
    let order = after(
        specimen(StateName::Authorising),
        answered(Operation::Authorise, never),
    );
    assert!(matches!(driven(order).1, Call::Find { .. }));
}

#[test]
fn a_key_older_than_twenty_hours_is_not_sent() {
    let attempt = Attempt::first(NOW - KEY_AGE_MAX);
    let old = order(State::Authorising(Authorising {
        method: method(),
        attempt,
        payment: None,
    }));
    assert!(matches!(driven(old).1, Call::Find { .. }));
    let old = order(State::Committed(Committed {
        payment: payment_id(),
        capture: attempt,
    }));
    assert!(matches!(driven(old).1, Call::Retrieve { .. }));
}

#[test]
fn absence_without_a_spent_key_repeats_the_key() {
    let parked = Order {
        flag: Some(Flag::Parked(Parked::NoAnswer)),
        ..specimen(StateName::Authorising)
    };
    let looking = after(parked, Event::Look);
    let (_, call) = driven(after(looking, Event::Answered(Asked::Find(None), Answer::Absent)));
    assert!(
        matches!(call, Call::Authorise { attempt, .. } if attempt.n == 1),
        "a lost request may still arrive"
    );
}

#[test]
fn a_shopper_at_the_bank_is_read_about_ever_more_rarely_and_when_the_time_is_over() {
    let waits = || Answer::Payment(payment(PaymentStatus::RequiresAction));
    let mut order = after(
        specimen(StateName::Authorising),
        answered(Operation::Authorise, waits()),
    );
    let mut read_after = Vec::new();
    while order.state.name() == StateName::ActionRequired {
        let now = order.pace.due;
        read_after.push(now.since(NOW).as_millis() / 1_000);
        let reading = order.step(Event::Drive, Moment::at(now)).unwrap();
        assert!(matches!(reading.call(), Some(Call::Retrieve { .. })));
        let read = Event::Answered(Asked::Retrieve, waits());
        order = reading.order.step(read, Moment::at(now)).unwrap().order;
    }
    assert_eq!(read_after, [15, 45, 105, 225, 345, 465, 585, 600]);
    assert_eq!(
        order.state.name(),
        StateName::Cancelling,
        "the time is over to the second"
    );
}
