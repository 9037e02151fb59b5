//! Every state × every event, against the protocol's table.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::*;

/// Every edge that the protocol allows, and no other.
const EDGES: &[(StateName, StateName)] = {
    use StateName::{
        Accepted as Acc, ActionRequired as Act, Authorising as Aut, Cancelling as Can, Committed as Com,
        Declined as Dec, Paid, Refunded as Ref, Released as Rel, Reserved as Res, Unwound as Unw,
    };
    &[
        (Res, Acc),
        (Res, Rel),
        (Acc, Aut),
        (Acc, Rel),
        (Aut, Act),
        (Act, Aut),
        (Aut, Com),
        (Act, Com),
        (Aut, Dec),
        (Act, Dec),
        (Aut, Can),
        (Act, Can),
        (Can, Rel),
        (Com, Paid),
        (Com, Unw),
        (Paid, Ref),
    ]
};

/// Every event, with every kind of data that could make a difference.
fn events() -> Vec<Event> {
    let mut events = vec![
        Event::Accept(method()),
        Event::Expire,
        Event::Cancel(By::Shopper),
        Event::Cancel(By::Timer),
        Event::Cancel(By::Operator),
        Event::Drive,
        Event::Look,
        Event::Refund(Restock::Return),
        Event::Refund(Restock::Keep),
        Event::Retry,
    ];
    let mut asked: Vec<Asked> = Operation::ALL
        .into_iter()
        .map(|operation| Asked::Change(operation, 1))
        .collect();
    asked.extend([
        Asked::Retrieve,
        Asked::Find(None),
        Asked::Find(Some(1)),
        Asked::Change(Operation::Authorise, 2),
    ]);
    for answer in answers() {
        events.extend(asked.iter().map(|asked| Event::Answered(*asked, answer.clone())));
    }
    events.extend(payments().into_iter().map(Event::Seen));
    events
}

fn payments() -> Vec<Payment> {
    let statuses = [
        PaymentStatus::RequiresMethod,
        PaymentStatus::RequiresConfirmation,
        PaymentStatus::RequiresAction,
        PaymentStatus::Processing,
        PaymentStatus::RequiresCapture,
        PaymentStatus::Succeeded,
        PaymentStatus::Cancelled,
    ];
    let mut payments: Vec<Payment> = statuses.into_iter().map(payment).collect();
    let refunded = Payment {
        refunded: total().amount,
        ..payment(PaymentStatus::Succeeded)
    };
    let foreign: Vec<Payment> = statuses
        .into_iter()
        .map(|status| Payment {
            id: PaymentId::new("pi_other").unwrap(),
            n: 2,
            ..payment(status)
        })
        .collect();
    let dear = Payment {
        amount: Money::new(1, total().currency),
        ..payment(PaymentStatus::RequiresCapture)
    };
    let part = Payment {
        captured: 1,
        ..payment(PaymentStatus::Succeeded)
    };
    payments.extend([refunded, dear, part]);
    payments.extend(foreign);
    payments
}

fn answers() -> Vec<Answer> {
    let mut answers: Vec<Answer> = payments().into_iter().map(Answer::Payment).collect();
    answers.extend([
        Answer::Refunded(total().amount),
        Answer::Refunded(1),
        Answer::Absent,
        Answer::Declined(reason("insufficient_funds")),
        Answer::Rejected(reason("resource_missing")),
        Answer::KeyMismatch,
        Answer::Stalled(Stall::InFlight),
        Answer::Stalled(Stall::RateLimited {
            retry_after: Some(Span::from_secs(7)),
        }),
        Answer::Stalled(Stall::Forbidden),
        Answer::Stalled(Stall::Failed {
            repeat: Repeat::SameKey,
        }),
        Answer::Stalled(Stall::Failed {
            repeat: Repeat::Never,
        }),
        Answer::Stalled(Stall::Lost),
    ]);
    answers
}

/// Every state in every condition: flags, leases, tries, old and spent keys, known and unknown payments.
fn orders() -> Vec<Order> {
    let mut orders: Vec<Order> = StateName::ALL.into_iter().map(specimen).collect();
    let old = Attempt::first(NOW - KEY_AGE_MAX);
    let spent = Attempt {
        errors: SAVED_ERRORS_MAX,
        ..Attempt::first(NOW)
    };
    for attempt in [old, spent] {
        for payment in [None, Some(payment_id())] {
            let data = Authorising {
                method: method(),
                attempt,
                payment: payment.clone(),
            };
            orders.push(order(State::Authorising(data)));
            let (authorise, cancel, by) = (attempt, attempt, By::Timer);
            let data = Cancelling {
                method: method(),
                authorise,
                payment,
                cancel,
                by,
            };
            orders.push(order(State::Cancelling(data)));
        }
        orders.push(order(State::Committed(Committed {
            payment: payment_id(),
            capture: attempt,
        })));
        for restock in [Restock::Return, Restock::Keep] {
            let refund = Some(Refunding {
                attempt,
                part: None,
                restock,
            });
            orders.push(order(State::Paid(Paid {
                payment: payment_id(),
                refund,
            })));
        }
    }
    orders.push(order(State::Reserved(Reserved { until: NOW })));
    let State::ActionRequired(data) = specimen(StateName::ActionRequired).state else {
        panic!("a specimen")
    };
    orders.push(order(State::ActionRequired(ActionRequired {
        until: NOW,
        ..data
    })));
    let flags = [
        Flag::Parked(Parked::NoAnswer),
        Flag::Parked(Parked::Rejected(reason("odd"))),
        Flag::Frozen(Frozen::KeyMismatch),
    ];
    let plain = orders.clone();
    for flag in flags {
        orders.extend(plain.iter().cloned().map(|order| Order {
            flag: Some(flag.clone()),
            ..order
        }));
    }
    let leased = Pace {
        tries: 2,
        due: NOW,
        leased_until: NOW + LEASE,
    };
    orders.extend(plain.into_iter().map(|order| Order {
        pace: leased,
        ..order
    }));
    orders
}

#[test]
fn every_event_in_every_state_keeps_to_the_protocols_edges_and_reaches_each() {
    let mut reached = Vec::new();
    for order in orders() {
        for event in events() {
            let from = order.state.name();
            let Ok(step) = order.clone().step(event.clone(), Moment::at(NOW)) else {
                continue;
            };
            let to = step.order.state.name();
            assert_eq!((step.from, step.order.version), (from, order.version + 1));
            assert!(
                from == to || EDGES.contains(&(from, to)),
                "{from} to {to} by {event:?}"
            );
            if !reached.contains(&(from, to)) {
                reached.push((from, to));
            }
        }
    }
    for edge in EDGES {
        assert!(
            reached.contains(edge),
            "nothing leads from {} to {}",
            edge.0,
            edge.1
        );
    }
}

#[test]
fn a_refusal_names_state_and_event() {
    for order in orders() {
        for event in events() {
            let (state, name) = (order.state.name(), event.name());
            if let Err(refusal) = order.clone().step(event, Moment::at(NOW)) {
                assert_eq!((refusal.state, refusal.event), (state, name));
            }
        }
    }
}

#[test]
fn an_order_is_always_due_leased_flagged_or_finished() {
    for order in orders() {
        for event in events() {
            let Ok(step) = order.clone().step(event.clone(), Moment::at(NOW)) else {
                continue;
            };
            let (after, name) = (&step.order, step.order.state.name());
            let awaited = after.pace.due < Timestamp::NEVER || after.flag.is_some();
            assert!(
                awaited || name.is_end() || name == StateName::Reserved,
                "{name} after {event:?} is forgotten"
            );
        }
    }
}

#[test]
fn nothing_is_sent_while_a_worker_has_the_order() {
    let leased = Pace {
        tries: 0,
        due: NOW,
        leased_until: NOW + Span::from_millis(1),
    };
    for name in StateName::ALL {
        let order = Order {
            pace: leased,
            ..specimen(name)
        };
        for event in [Event::Drive, Event::Look] {
            assert_eq!(step(&order, event), Err(Why::Leased));
        }
    }
}

/// One line per state: what each plain event does to its specimen.
const PLAIN: &[(&str, &str)] = &[
    (
        "reserved",
        "accept:accepted expire:NotYet cancel:released drive:NotHere look:NotHere refund:NotHere retry:NotHere",
    ),
    (
        "accepted",
        "accept:Unchanged expire:NotHere cancel:released drive:authorising look:NotHere refund:NotHere retry:NotHere",
    ),
    (
        "authorising",
        "accept:Unchanged expire:NotHere cancel:cancelling drive:authorising look:authorising refund:NotHere retry:NotHere",
    ),
    (
        "action_required",
        "accept:Unchanged expire:NotHere cancel:cancelling drive:action_required look:action_required refund:NotHere retry:NotHere",
    ),
    (
        "cancelling",
        "accept:Unchanged expire:NotHere cancel:Unchanged drive:cancelling look:cancelling refund:NotHere retry:NotHere",
    ),
    (
        "committed",
        "accept:Unchanged expire:NotHere cancel:TooLate drive:committed look:committed refund:NotHere retry:NotHere",
    ),
    (
        "paid",
        "accept:Unchanged expire:NotHere cancel:TooLate drive:NotHere look:NotHere refund:paid retry:NotHere",
    ),
    (
        "declined",
        "accept:Unchanged expire:TooLate cancel:Unchanged drive:NotHere look:NotHere refund:NotHere retry:NotHere",
    ),
    (
        "released",
        "accept:Unchanged expire:TooLate cancel:Unchanged drive:NotHere look:NotHere refund:NotHere retry:NotHere",
    ),
    (
        "unwound",
        "accept:Unchanged expire:TooLate cancel:Unchanged drive:NotHere look:NotHere refund:NotHere retry:NotHere",
    ),
    (
        "refunded",
        "accept:Unchanged expire:TooLate cancel:Unchanged drive:NotHere look:NotHere refund:NotHere retry:NotHere",
    ),
];

#[test]
fn plain_events_do_what_the_table_says() {
    for (name, (state, expected)) in StateName::ALL.into_iter().zip(PLAIN) {
        assert_eq!(name.as_str(), *state);
        let found: Vec<String> = [
            ("accept", Event::Accept(method())),
            ("expire", Event::Expire),
            ("cancel", Event::Cancel(By::Shopper)),
            ("drive", Event::Drive),
            ("look", Event::Look),
            ("refund", Event::Refund(Restock::Return)),
            ("retry", Event::Retry),
        ]
        .into_iter()
        .map(|(word, event)| {
            let outcome = match step(&specimen(name), event) {
                Ok(step) => step.order.state.name().to_string(),
                Err(why) => format!("{why:?}"),
            };
            format!("{word}:{outcome}")
        })
        .collect();
        assert_eq!(found.join(" "), *expected, "in {state}");
    }
}
