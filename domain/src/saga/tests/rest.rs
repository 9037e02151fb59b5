//! No order goes round for ever: whatever the provider keeps answering, within a bounded number of calls the order is at
//! an end, waits for its shopper, or is parked with its reason where somebody sees it.

use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::backoff::{BUSY_MAX, TRIES_MAX};

/// Calls that an order may take to its rest. The longest honest path is a provider that works on an authorisation, then
/// on its capture, each as long as it may, with reads and definite refusals in between.
const CALLS_MAX: u32 = 3 * BUSY_MAX;

/// Answers that repeat for ever, by what was asked, each list from its beginning again when it is at its end.
#[derive(Clone, Debug)]
struct Habit {
    authorise: Vec<Answer>,
    change: Vec<Answer>,
    refund: Vec<Answer>,
    retrieve: Vec<Answer>,
    find: Vec<Answer>,
}

impl Habit {
    fn always(change: &Answer, refund: &Answer, retrieve: &Answer, find: &Answer) -> Self {
        Self {
            authorise: vec![change.clone()],
            change: vec![change.clone()],
            refund: vec![refund.clone()],
            retrieve: vec![retrieve.clone()],
            find: vec![find.clone()],
        }
    }

    fn answer(&self, call: &Call, count: usize) -> Answer {
        let (answers, n) = match call {
            Call::Authorise { attempt, .. } => (&self.authorise, Some(attempt.n)),
            Call::Capture { .. } | Call::Cancel { .. } | Call::CancelStray { .. } => (&self.change, None),
            Call::Refund { .. } | Call::RefundStray { .. } => (&self.refund, None),
            Call::Retrieve { .. } => (&self.retrieve, None),
            Call::Find { .. } => (&self.find, None),
        };
        match (&answers[count % answers.len()], n) {
            // Metadata comes back as it was sent.
            (Answer::Payment(payment), Some(n)) if payment.id == payment_id() => {
                Answer::Payment(Payment { n, ..payment.clone() })
            }
            (answer, _) => answer.clone(),
        }
    }
}

fn stalls() -> Vec<Answer> {
    [
        Stall::InFlight,
        Stall::Failed {
            repeat: Repeat::SameKey,
        },
        Stall::Failed {
            repeat: Repeat::Never,
        },
        Stall::Lost,
    ]
    .map(Answer::Stalled)
    .to_vec()
}

fn refusals() -> Vec<Answer> {
    vec![
        Answer::Declined(reason("insufficient_funds")),
        Answer::Rejected(reason("odd")),
        Answer::KeyMismatch,
    ]
}

fn payments() -> Vec<Answer> {
    let mut payments: Vec<Payment> = [
        PaymentStatus::RequiresMethod,
        PaymentStatus::RequiresConfirmation,
        PaymentStatus::RequiresAction,
        PaymentStatus::Processing,
        PaymentStatus::RequiresCapture,
        PaymentStatus::Succeeded,
        PaymentStatus::Cancelled,
    ]
    .map(payment)
    .to_vec();
    let foreign = |status| Payment {
        id: PaymentId::new("pi_other").unwrap(),
        n: 9,
        ..payment(status)
    };
    payments.push(Payment {
        refunded: total().amount,
        ..payment(PaymentStatus::Succeeded)
    });
    payments.push(foreign(PaymentStatus::RequiresCapture));
    payments.push(foreign(PaymentStatus::Cancelled));
    payments.into_iter().map(Answer::Payment).collect()
}

fn to_changes() -> Vec<Answer> {
    [payments(), refusals(), stalls()].concat()
}

fn to_refunds() -> Vec<Answer> {
    let refunded = vec![Answer::Refunded(total().amount), Answer::Refunded(1)];
    [refunded, refusals(), stalls()].concat()
}

fn to_finds() -> Vec<Answer> {
    [vec![Answer::Absent], to_changes()].concat()
}

/// Every order that owes something to somebody, as the spine would have it.
fn owing() -> Vec<Order> {
    let mut orders: Vec<Order> = [
        StateName::Accepted,
        StateName::Authorising,
        StateName::Cancelling,
        StateName::Committed,
    ]
    .map(specimen)
    .to_vec();
    let attempt = Attempt::first(NOW);
    orders.push(order(State::Authorising(Authorising {
        method: method(),
        attempt,
        payment: Some(payment_id()),
    })));
    orders.push(order(State::Cancelling(Cancelling {
        method: method(),
        authorise: attempt,
        payment: None,
        cancel: attempt,
        by: By::Shopper,
    })));
    let refund = Some(Refunding {
        attempt,
        part: None,
        restock: Restock::Return,
    });
    orders.push(order(State::Paid(Paid {
        payment: payment_id(),
        refund,
    })));
    orders
}

fn rests(order: &Order) -> bool {
    let owes = matches!(&order.state, State::Paid(paid) if paid.refund.is_some());
    let name = order.state.name();
    order.flag.is_some() || (name.is_end() && !owes) || name == StateName::ActionRequired
}

/// Drives `order` by workers, with the reconciler looking in between where `looks` says so, until it rests. Says how many
/// calls that took; a call more than there may be is a failure.
fn calls_to_rest(
    mut order: Order,
    habit: &Habit,
    looks: &[bool],
) -> Result<(u32, Order), alloc::string::String> {
    let (mut now, mut calls, mut turn) = (NOW, 0, 0_usize);
    // Every look that comes before a worker's turn reads once.
    let calls_max = CALLS_MAX * (1 + u32::try_from(looks.len()).unwrap());
    while !rests(&order) {
        now = now.max(order.pace.due).max(order.pace.leased_until);
        let look = looks.get(turn % looks.len().max(1)).copied().unwrap_or(false);
        turn += 1;
        let event = if look { Event::Look } else { Event::Drive };
        let moment = Moment::at(now);
        let mut step = order
            .clone()
            .step(event, moment)
            .or_else(|_| order.clone().step(Event::Drive, moment))
            .map_err(|refusal| format!("nobody can move it: {refusal}"))?;
        while let Some(call) = step.call().cloned() {
            calls += 1;
            if calls > calls_max {
                return Err(format!("after {calls_max} calls it is {:?}", step.order));
            }
            let answer = habit.answer(&call, calls as usize);
            match step
                .order
                .clone()
                .step(Event::Answered(call.asked(), answer), moment)
            {
                Ok(next) => step = next,
                Err(_) => break,
            }
        }
        order = step.order;
    }
    Ok((calls, order))
}

#[test]
fn every_answer_that_repeats_for_ever_leaves_the_order_at_rest_within_bounded_calls() {
    for change in &to_changes() {
        for refund in &to_refunds() {
            for retrieve in &to_changes() {
                for find in &to_finds() {
                    let habit = Habit::always(change, refund, retrieve, find);
                    for order in owing() {
                        let from = order.clone();
                        if let Err(broken) = calls_to_rest(order, &habit, &[]) {
                            panic!("{habit:?} keeps an order that was {from:?} going: {broken}");
                        }
                    }
                }
            }
        }
    }
}

fn cycle(answers: Vec<Answer>) -> impl Strategy<Value = Vec<Answer>> {
    prop::collection::vec(prop::sample::select(answers), 1..4)
}

fn habits() -> impl Strategy<Value = Habit> {
    let changes = (cycle(to_changes()), cycle(to_changes()), cycle(to_refunds()));
    (changes, cycle(to_changes()), cycle(to_finds())).prop_map(
        |((authorise, change, refund), retrieve, find)| Habit {
            authorise,
            change,
            refund,
            retrieve,
            find,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn every_rhythm_of_answers_does_too_with_the_reconciler_looking_in_between(
        habit in habits(),
        at in 0_usize..7,
        mut looks in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        // However often the reconciler looks, a worker's turn comes.
        looks.push(false);
        let from = owing()[at].clone();
        let rest = calls_to_rest(from, &habit, &looks);
        prop_assert!(rest.is_ok(), "{rest:?}");
    }
}

/// A provider whose changes fail and whose reads work: the order is found to have no payment each time.
fn writes_fail() -> Habit {
    let failed = Answer::Stalled(Stall::Failed {
        repeat: Repeat::SameKey,
    });
    let untouched = Answer::Payment(payment(PaymentStatus::RequiresCapture));
    Habit::always(&failed, &failed, &untouched, &Answer::Absent)
}

#[test]
fn tries_outlive_a_proven_absence_and_the_new_key_that_follows_it() {
    let (calls, parked) = calls_to_rest(specimen(StateName::Authorising), &writes_fail(), &[]).unwrap();
    assert_eq!(parked.flag, Some(Flag::Parked(Parked::NoAnswer)));
    assert_eq!(
        calls,
        TRIES_MAX + 1,
        "two errors, a read, the third error under the next key"
    );
    let State::Authorising(data) = &parked.state else {
        panic!("{parked:?}")
    };
    assert_eq!((data.attempt.n, parked.pace.tries), (2, TRIES_MAX));
}

#[test]
fn captures_cancels_and_refunds_that_fail_for_ever_are_parked_for_no_answer() {
    let mut kept = writes_fail();
    let refund = owing().pop().unwrap();
    for order in [specimen(StateName::Committed), specimen(StateName::Cancelling)] {
        let (_, parked) = calls_to_rest(order, &kept, &[]).unwrap();
        assert_eq!(parked.flag, Some(Flag::Parked(Parked::NoAnswer)));
    }
    kept.retrieve = vec![Answer::Payment(payment(PaymentStatus::Succeeded))];
    let (_, parked) = calls_to_rest(refund, &kept, &[]).unwrap();
    assert_eq!(parked.flag, Some(Flag::Parked(Parked::NoAnswer)));
    // Money that was captured for a given-up order, and will not go back.
    let (_, parked) = calls_to_rest(specimen(StateName::Cancelling), &kept, &[]).unwrap();
    assert_eq!(parked.flag, Some(Flag::Parked(Parked::NoAnswer)));
}

#[test]
fn a_refused_refund_stays_parked_and_uses_up_no_number_however_often_it_is_looked_at() {
    let mut refusing = writes_fail();
    refusing.refund = refusals()[1..2].to_vec();
    refusing.retrieve = vec![Answer::Payment(payment(PaymentStatus::Succeeded))];
    let (_, parked) = calls_to_rest(owing().pop().unwrap(), &refusing, &[]).unwrap();
    assert_eq!(
        parked.flag,
        Some(Flag::Parked(Parked::Rejected(reason("refund_refused"))))
    );
    let mut order = parked.clone();
    for _ in 0..20 {
        let later = Moment::at(order.pace.due);
        let looking = order.step(Event::Look, later).unwrap();
        let asked = looking.call().unwrap().asked();
        assert_eq!(asked, Asked::Retrieve);
        let answer = refusing.retrieve[0].clone();
        let seen = looking.order.step(Event::Answered(asked, answer), later).unwrap();
        assert!(
            seen.effects.is_empty(),
            "nobody is told again: {:?}",
            seen.effects
        );
        order = seen.order;
        assert_eq!((&order.state, &order.flag), (&parked.state, &parked.flag));
    }
    // An operator lets it go on, and it comes back once.
    let mut step = order.clone().step(Event::Retry, Moment::at(NOW)).unwrap();
    while let Some(call) = step.call().cloned() {
        let answer = refusing.answer(&call, 0);
        step = step
            .order
            .step(Event::Answered(call.asked(), answer), Moment::at(NOW))
            .unwrap();
    }
    assert!(step.order.flag.is_none());
    let (calls, again) = calls_to_rest(step.order, &refusing, &[]).unwrap();
    assert_eq!((calls, &again.flag), (2, &parked.flag), "the refund, and a read");
}

#[test]
fn a_refund_that_is_confirmed_and_never_seen_is_parked() {
    let mut liar = writes_fail();
    liar.change = refusals()[1..2].to_vec();
    liar.refund = vec![Answer::Refunded(total().amount)];
    liar.retrieve = vec![Answer::Payment(payment(PaymentStatus::Succeeded))];
    let (_, parked) = calls_to_rest(specimen(StateName::Cancelling), &liar, &[]).unwrap();
    assert_eq!(parked.flag, Some(Flag::Parked(Parked::NoAnswer)));
}

#[test]
fn a_retry_and_the_reconciler_start_again_with_all_tries() {
    let (_, parked) = calls_to_rest(specimen(StateName::Authorising), &writes_fail(), &[]).unwrap();
    let later = Moment::at(parked.pace.due);
    let retried = parked.clone().step(Event::Retry, later).unwrap().order;
    assert_eq!((retried.pace.tries, &retried.flag), (0, &None));
    let looking = parked.step(Event::Look, later).unwrap();
    let asked = looking.call().unwrap().asked();
    let found = looking
        .order
        .step(Event::Answered(asked, Answer::Absent), later)
        .unwrap();
    assert_eq!((found.order.pace.tries, &found.order.flag), (0, &None));
    let (_, again) = calls_to_rest(found.order, &writes_fail(), &[]).unwrap();
    assert!(again.flag.is_some());
}

#[test]
fn an_account_that_is_refused_or_overrun_is_told_with_every_call_and_parks_nobody() {
    for stall in [Stall::Forbidden, Stall::RateLimited { retry_after: None }] {
        let answer = Answer::Stalled(stall);
        for from in owing() {
            let mut order = from;
            for _ in 0..20 {
                let now = order.pace.due.max(order.pace.leased_until).max(NOW);
                let step = order.step(Event::Drive, Moment::at(now)).unwrap();
                let asked = step.call().unwrap().asked();
                let step = step
                    .order
                    .step(Event::Answered(asked, answer.clone()), Moment::at(now))
                    .unwrap();
                let told = |effect: &Effect| matches!(effect, Effect::Halt | Effect::SlowDown(_));
                assert!(step.effects.iter().any(told), "{stall:?} passed in silence");
                assert!(step.order.flag.is_none() && step.order.pace.due > now);
                order = step.order;
            }
        }
    }
}
