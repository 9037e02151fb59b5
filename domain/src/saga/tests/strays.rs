//! Payments that no order wants: got rid of under keys of their own, whose numbers rise with proof only.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Another payment of the specimen's order.
fn other(number: u32, status: PaymentStatus) -> Payment {
    Payment {
        id: PaymentId::new(&alloc::format!("pi_other_{number}")).unwrap(),
        n: number,
        ..payment(status)
    }
}

fn failed() -> Answer {
    Answer::Stalled(Stall::Failed {
        repeat: Repeat::SameKey,
    })
}

/// Shows `payment` to the order; the call that follows, and the order after it.
fn seen(order: Order, payment: &Payment, now: Timestamp) -> (Order, Call) {
    let step = order.step(Event::Seen(payment.clone()), Moment::at(now)).unwrap();
    let call = step.call().unwrap().clone();
    (step.order, call)
}

fn told(order: Order, call: &Call, answer: Answer) -> Order {
    let event = Event::Answered(call.asked(), answer);
    match order.clone().step(event, Moment::at(NOW)) {
        Ok(step) => step.order,
        Err(_) => order,
    }
}

fn number(call: &Call) -> u32 {
    call.attempt().unwrap().1.n
}

#[test]
fn a_saved_error_is_met_twice_and_then_gives_way_to_the_next_number() {
    for status in [PaymentStatus::RequiresCapture, PaymentStatus::Succeeded] {
        let stray = other(1, status);
        let mut order = specimen(StateName::Released);
        let mut numbers = Vec::new();
        for _ in 0..5 {
            let (next, call) = seen(order, &stray, NOW);
            numbers.push(number(&call));
            order = told(next, &call, failed());
        }
        assert_eq!(numbers, [1, 1, 2, 2, 3], "{status:?}");
        assert_eq!(order.state, specimen(StateName::Released).state);
    }
}

#[test]
fn silence_keeps_the_number_however_often_the_payment_is_seen() {
    let stray = other(1, PaymentStatus::RequiresCapture);
    let mut order = specimen(StateName::Declined);
    for stall in [
        Stall::Lost,
        Stall::InFlight,
        Stall::RateLimited { retry_after: None },
        Stall::Forbidden,
    ] {
        let (next, call) = seen(order, &stray, NOW);
        assert_eq!(number(&call), 1, "{stall:?}");
        order = told(next, &call, Answer::Stalled(stall));
    }
}

#[test]
fn a_definite_refusal_or_an_aged_key_gives_way_once_the_payment_is_seen_again() {
    let stray = other(1, PaymentStatus::RequiresCapture);
    let (order, call) = seen(specimen(StateName::Released), &stray, NOW);
    let refused = told(order.clone(), &call, Answer::Rejected(reason("odd")));
    assert_eq!(number(&seen(refused, &stray, NOW).1), 2);
    assert_eq!(number(&seen(order.clone(), &stray, NOW).1), 1);
    assert_eq!(number(&seen(order, &stray, NOW + KEY_AGE_MAX).1), 2);
}

#[test]
fn a_key_mismatch_never_leads_to_a_new_key_and_is_told() {
    let stray = other(1, PaymentStatus::RequiresCapture);
    let (order, call) = seen(specimen(StateName::Released), &stray, NOW);
    let event = Event::Answered(call.asked(), Answer::KeyMismatch);
    let step = order.step(event, Moment::at(NOW)).unwrap();
    assert!(step.effects.contains(&Effect::Alarm(Alarm::Frozen)));
    assert_eq!(number(&seen(step.order, &stray, NOW).1), 1);
}

#[test]
fn an_overrun_or_refusing_provider_is_told_to_the_drain() {
    let stray = other(1, PaymentStatus::Succeeded);
    let (order, call) = seen(specimen(StateName::Released), &stray, NOW);
    for (stall, effect) in [
        (Stall::RateLimited { retry_after: None }, Effect::SlowDown(None)),
        (Stall::Forbidden, Effect::Halt),
    ] {
        let event = Event::Answered(call.asked(), Answer::Stalled(stall));
        let step = order.clone().step(event, Moment::at(NOW)).unwrap();
        assert!(step.effects.contains(&effect));
    }
}

#[test]
fn a_failed_confirmation_records_the_try_at_giving_its_payment_up() {
    let order = specimen(StateName::ActionRequired);
    let step = step(&order, Event::Seen(payment(PaymentStatus::RequiresMethod))).unwrap();
    let Some(Call::CancelStray { attempt, .. }) = step.call() else {
        panic!("{step:?}")
    };
    assert_eq!(
        step.order.strays,
        [Stray {
            payment: payment_id(),
            attempt: *attempt,
            part: None,
            stake: Stake::Nothing,
            is_settled: false,
            is_told: false,
        }]
    );
}

#[test]
fn what_a_late_payment_had_of_the_shoppers_money_stays_on_record_until_it_is_gone() {
    let stake = |order: &Order| {
        let [stray] = &*order.strays else {
            panic!("{order:?}")
        };
        (stray.stake, stray.is_settled)
    };
    let held = other(1, PaymentStatus::RequiresCapture);
    let (order, call) = seen(specimen(StateName::Released), &held, NOW);
    assert_eq!(stake(&order), (Stake::Hold, false));
    let gone = Answer::Payment(Payment {
        status: PaymentStatus::Cancelled,
        capturable: 0,
        ..held.clone()
    });
    let answered = Event::Answered(call.asked(), gone);
    let settled = order.clone().step(answered, Moment::at(NOW)).unwrap().order;
    assert_eq!(stake(&settled), (Stake::Hold, true));
    // The answer is lost, and the next look shows that it is gone.
    let looked = Payment {
        status: PaymentStatus::Cancelled,
        capturable: 0,
        ..held
    };
    let settled = order
        .step(Event::Seen(looked.clone()), Moment::at(NOW))
        .unwrap()
        .order;
    assert_eq!(stake(&settled), (Stake::Hold, true));
    assert_eq!(step(&settled, Event::Seen(looked)), Err(Why::Unchanged));
}

#[test]
fn a_late_charge_is_told_of_even_after_it_was_only_held() {
    let held = other(1, PaymentStatus::RequiresCapture);
    let (order, _) = seen(specimen(StateName::Released), &held, NOW);
    let taken = Payment {
        status: PaymentStatus::Succeeded,
        capturable: 0,
        captured: held.amount.amount,
        ..held
    };
    let (order, call) = seen(order, &taken, NOW);
    let refunded = Event::Answered(call.asked(), Answer::Refunded(taken.captured));
    let order = order.step(refunded, Moment::at(NOW)).unwrap().order;
    let [stray] = &*order.strays else {
        panic!("{order:?}")
    };
    assert_eq!((stray.stake, stray.is_settled), (Stake::Charge, true));
}

/// How often the merchant is told by this step that money went back.
fn told_back(step: &Step) -> usize {
    let told = |effect: &&Effect| **effect == Effect::Notice(Notice::Refunded);
    step.effects.iter().filter(told).count()
}

#[test]
fn the_merchant_is_told_once_that_a_charge_for_an_order_that_came_to_nothing_went_back() {
    let taken = other(2, PaymentStatus::Succeeded);
    let gone = Payment {
        refunded: taken.captured,
        ..taken.clone()
    };
    for name in [StateName::Declined, StateName::Released, StateName::Unwound] {
        let asking = step(&specimen(name), Event::Seen(taken.clone())).unwrap();
        assert_eq!(told_back(&asking), 0, "{name}: not before it went");
        let asked = asking.call().unwrap().asked();
        let answered = Event::Answered(asked, Answer::Refunded(taken.captured));
        let back = step(&asking.order, answered).unwrap();
        assert_eq!(told_back(&back), 1, "{name}");
        assert_eq!(step(&back.order, Event::Seen(gone.clone())), Err(Why::Unchanged));
        // A sighting from before it went has it sent once more; the provider refuses, and it is seen gone again.
        let late = step(&back.order, Event::Seen(taken.clone())).unwrap();
        let settled = step(&late.order, Event::Seen(gone.clone())).unwrap();
        assert_eq!((told_back(&late), told_back(&settled)), (0, 0), "{name}");
        // The answer is lost, and the payment is seen gone.
        let seen = step(&asking.order, Event::Seen(gone.clone())).unwrap();
        assert_eq!(told_back(&seen), 1, "{name}");
    }
}

#[test]
fn a_second_payment_of_an_order_that_was_paid_for_and_a_mere_hold_are_not_told() {
    let taken = other(2, PaymentStatus::Succeeded);
    for name in [StateName::Paid, StateName::Refunded] {
        let asking = step(&specimen(name), Event::Seen(taken.clone())).unwrap();
        let asked = asking.call().unwrap().asked();
        let back = Event::Answered(asked, Answer::Refunded(taken.captured));
        assert_eq!(told_back(&step(&asking.order, back).unwrap()), 0, "{name}");
    }
    let held = other(2, PaymentStatus::RequiresCapture);
    let (order, call) = seen(specimen(StateName::Released), &held, NOW);
    let gone = Answer::Payment(other(2, PaymentStatus::Cancelled));
    let released = step(&order, Event::Answered(call.asked(), gone)).unwrap();
    assert_eq!(told_back(&released), 0);
}

#[test]
fn money_that_went_back_while_an_order_was_given_up_is_told_after_its_end() {
    let taken = payment(PaymentStatus::Succeeded);
    let gone = Payment {
        refunded: taken.captured,
        ..taken.clone()
    };
    let read = |payment: &Payment| Event::Answered(Asked::Retrieve, Answer::Payment(payment.clone()));
    let asking = step(&specimen(StateName::Cancelling), read(&taken)).unwrap();
    let asked = asking.call().unwrap().asked();
    let back = Event::Answered(asked, Answer::Refunded(taken.captured));
    let back = step(&asking.order, back).unwrap();
    let released = step(&back.order, read(&gone)).unwrap();
    assert_eq!(released.order.state.name(), StateName::Released);
    assert!(released.effects.contains(&Effect::Notice(Notice::Released)));
    assert_eq!(told_back(&back) + told_back(&released), 0, "one word at a time");
    let seen = step(&released.order, Event::Seen(gone.clone())).unwrap();
    assert_eq!(told_back(&seen), 1);
    assert_eq!(step(&seen.order, Event::Seen(gone)), Err(Why::Unchanged));
}

#[test]
fn another_amount_goes_under_another_number() {
    let kept = |refunded| Payment {
        refunded,
        ..other(1, PaymentStatus::Succeeded)
    };
    let asked = |call: &Call| {
        let Call::RefundStray { attempt, amount, .. } = call else {
            panic!("{call:?}")
        };
        (attempt.n, amount.amount)
    };
    let (whole, rest) = (total().amount, total().amount - 2_900);
    let (order, call) = seen(specimen(StateName::Released), &kept(0), NOW);
    assert_eq!(asked(&call), (1, whole));
    // Nothing is heard of it; meanwhile somebody gives a part back elsewhere.
    let (order, call) = seen(order, &kept(2_900), NOW);
    assert_eq!(asked(&call), (2, rest));
    let (order, call) = seen(order, &kept(2_900), NOW);
    assert_eq!(
        asked(&call),
        (2, rest),
        "a key is repeated with what it was sent with"
    );
    let (_, call) = seen(order, &kept(5_000), NOW);
    assert_eq!(asked(&call), (3, total().amount - 5_000));
}

#[test]
fn money_taken_for_a_given_up_order_goes_back_under_the_next_number_after_saved_errors() {
    let taken = Answer::Payment(payment(PaymentStatus::Succeeded));
    let mut order = specimen(StateName::Cancelling);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let read = order
            .step(Event::Answered(Asked::Retrieve, taken.clone()), Moment::at(NOW))
            .unwrap();
        let call = read.call().unwrap().clone();
        numbers.push(number(&call));
        order = told(read.order, &call, failed());
    }
    assert_eq!(numbers, [1, 1, 2]);
}

proptest! {
    /// Any history of sightings and answers: a key belongs to one payment, and is left only for a reason.
    #[test]
    fn a_key_names_one_payment_and_rises_for_a_reason(
        history in prop::collection::vec((1_u32..5, 0_usize..6), 1..40),
    ) {
        let answers = [
            failed(),
            Answer::Stalled(Stall::Lost),
            Answer::Stalled(Stall::InFlight),
            Answer::Rejected(reason("odd")),
            Answer::Payment(payment(PaymentStatus::RequiresCapture)),
            Answer::KeyMismatch,
        ];
        let mut order = specimen(StateName::Released);
        let mut owners: Vec<(u32, u32)> = Vec::new();
        let mut errors: Vec<(u32, u32)> = Vec::new();
        for (which, answer) in history {
            let (next, call) = seen(order, &other(which, PaymentStatus::RequiresCapture), NOW);
            let n = number(&call);
            let owner = owners.iter().find(|(taken, _)| *taken == n).map(|(_, owner)| *owner);
            prop_assert!(owner.is_none() || owner == Some(which), "key {n} names two payments");
            if owner.is_none() {
                let before = owners.iter().rev().find(|(_, owner)| *owner == which).map(|(n, _)| *n);
                let spent = |n: u32| errors.iter().filter(|(failed, _)| *failed == n).map(|(_, by)| by).sum::<u32>() >= 2;
                prop_assert!(before.is_none_or(spent), "key {before:?} was left without a reason");
                owners.push((n, which));
            }
            errors.push((n, match answer { 0 => 1, 3 | 4 => 2, _ => 0 }));
            order = told(next, &call, answers[answer].clone());
        }
    }
}
