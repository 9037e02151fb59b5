//! The thin Stripe client against the sandbox provider, over real sockets: what it sends, and what it makes of answers.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::provider::{Provider, ProviderCall, Window};
use checkout_worker::{Checkout, PublicState};
use domain::saga::{
    Answer, Attempt, Call, IdempotencyKey, KeySpace, Operation as Op, PaymentStatus, Repeat, Restock, Stall,
    StateName,
};
use domain::{Clock, OrderId, Span, Timestamp};
use sandbox::provider::{Fault, FaultPlan, FaultRule, Movement, Operation, ProviderConfig, RunningProvider};

use super::support::{
    DECLINED, RunningClock, SECURE, VISA, config, drop_id, euros, method, place, ports, purchase, turns,
};

/// A provider without a rate limit, and a client for it.
async fn connected() -> (RunningProvider, Arc<Stripe>) {
    let faults = FaultPlan {
        requests_per_second: 0,
        hang_ms: 300,
        ..FaultPlan::default()
    };
    let provider = sandbox::provider::Provider::start(ProviderConfig {
        faults,
        ..ProviderConfig::default()
    })
    .await
    .unwrap();
    let client = Stripe::new(&client_config(&provider), &turns()).unwrap();
    (provider, Arc::new(client))
}

fn client_config(provider: &RunningProvider) -> StripeConfig {
    StripeConfig {
        url: provider.url(),
        requests_per_second: 500,
        timeout: Duration::from_secs(5),
        ..StripeConfig::new("sk_test_sandbox")
    }
}

/// The sandbox keeps real time; so does whoever asks it for a window.
fn now(provider: &RunningProvider) -> Timestamp {
    Timestamp::from_millis(provider.clock().now_ms())
}

fn call(order: u128, call: Call) -> ProviderCall {
    let key = call.attempt().map(|(operation, attempt)| {
        IdempotencyKey::derive(KeySpace::FIRST, &drop_id(), OrderId(order), operation, attempt.n)
    });
    ProviderCall {
        drop: drop_id(),
        space: KeySpace::FIRST,
        order: OrderId(order),
        key,
        email: None,
        call,
    }
}

fn authorise(order: u128, card: &str) -> ProviderCall {
    let attempt = Attempt::first(Timestamp::EPOCH);
    call(
        order,
        Call::Authorise {
            attempt,
            method: method(card),
            amount: euros(12_900),
        },
    )
}

async fn authorised(client: &Stripe, order: u128, card: &str) -> domain::saga::Payment {
    match client.perform(&authorise(order, card)).await {
        Answer::Payment(payment) => payment,
        other => panic!("{other:?}"),
    }
}

fn fail_next(provider: &RunningProvider, operation: Operation, fault: Fault, times: u32) {
    let plan = FaultPlan {
        requests_per_second: 0,
        hang_ms: 300,
        rules: vec![FaultRule::next(operation, fault, times)],
        ..FaultPlan::default()
    };
    provider.set_faults(plan).unwrap();
}

#[tokio::test]
async fn authorise_capture_and_refund_move_the_money_once() {
    let (provider, client) = connected().await;
    let payment = authorised(&client, 1, VISA).await;
    assert_eq!(
        (payment.status, payment.capturable, payment.captured),
        (PaymentStatus::RequiresCapture, 12_900, 0)
    );
    assert_eq!(
        (payment.order, payment.n, payment.drop.clone()),
        (OrderId(1), 1, drop_id())
    );
    let attempt = Attempt::first(Timestamp::EPOCH);
    let capture = call(
        1,
        Call::Capture {
            attempt,
            payment: payment.id.clone(),
            amount: euros(12_900),
        },
    );
    for _ in 0..2 {
        let Answer::Payment(captured) = client.perform(&capture).await else {
            panic!("no payment")
        };
        assert_eq!(
            (captured.status, captured.captured),
            (PaymentStatus::Succeeded, 12_900)
        );
    }
    let refund = call(
        1,
        Call::Refund {
            attempt,
            payment: payment.id.clone(),
            amount: euros(12_900),
        },
    );
    for _ in 0..2 {
        assert_eq!(client.perform(&refund).await, Answer::Refunded(12_900));
    }
    let Answer::Payment(read) = client.retrieve(&payment.id).await else {
        panic!("no payment")
    };
    assert_eq!((read.captured, read.refunded), (12_900, 12_900));
    let moved: Vec<Movement> = provider
        .log_after(0)
        .into_iter()
        .map(|entry| entry.movement)
        .collect();
    assert_eq!(
        moved,
        [Movement::Authorised, Movement::Captured, Movement::Refunded]
    );
}

#[tokio::test]
async fn declines_3d_secure_and_cancels_are_told_apart() {
    let (_provider, client) = connected().await;
    let declined = client.perform(&authorise(1, DECLINED)).await;
    assert!(
        matches!(&declined, Answer::Declined(reason) if reason.as_str() == "generic_decline"),
        "{declined:?}"
    );
    let secure = authorised(&client, 2, SECURE).await;
    assert_eq!(secure.status, PaymentStatus::RequiresAction);
    assert!(secure.client_secret.is_some());
    let attempt = Attempt::first(Timestamp::EPOCH);
    let cancel = call(
        2,
        Call::Cancel {
            attempt,
            payment: secure.id.clone(),
        },
    );
    let gone = client.perform(&cancel).await;
    assert!(matches!(gone, Answer::Payment(payment) if payment.status == PaymentStatus::Cancelled));
    let capture = call(
        2,
        Call::Capture {
            attempt,
            payment: secure.id,
            amount: euros(12_900),
        },
    );
    assert!(matches!(client.perform(&capture).await, Answer::Rejected(_)));
}

#[tokio::test]
async fn a_key_with_other_parameters_is_a_mismatch() {
    let (_provider, client) = connected().await;
    authorised(&client, 1, VISA).await;
    let attempt = Attempt::first(Timestamp::EPOCH);
    let other = Call::Authorise {
        attempt,
        method: method(VISA),
        amount: euros(1_000),
    };
    assert_eq!(client.perform(&call(1, other)).await, Answer::KeyMismatch);
}

#[tokio::test]
async fn faults_on_the_line_are_what_the_protocol_calls_them() {
    let (provider, client) = connected().await;
    let failed = Answer::Stalled(Stall::Failed {
        repeat: Repeat::SameKey,
    });
    let cases = [
        (Fault::LostAnswer, Answer::Stalled(Stall::Lost)),
        (Fault::LostRequest, Answer::Stalled(Stall::Lost)),
        (Fault::Unsaved500, failed),
        (
            Fault::RateLimited,
            Answer::Stalled(Stall::RateLimited { retry_after: None }),
        ),
    ];
    for (order, (fault, expected)) in (1..).zip(cases) {
        fail_next(&provider, Operation::CreateIntent, fault, 1);
        let answer = client.perform(&authorise(order, VISA)).await;
        match (&answer, &expected) {
            (Answer::Stalled(Stall::RateLimited { .. }), Answer::Stalled(Stall::RateLimited { .. })) => {}
            _ => assert_eq!(answer, expected, "{fault:?}"),
        }
        // The same key again: whatever happened the first time, there is one payment in the end.
        authorised(&client, order, VISA).await;
    }
    let tally = provider.tally();
    assert!(tally.orders.values().all(|order| order.authorisations == 1));
}

#[tokio::test]
async fn a_wrong_key_is_forbidden_and_nobody_listening_is_lost() {
    let (provider, _) = connected().await;
    let wrong = StripeConfig {
        secret_key: "sk_test_wrong".to_owned(),
        ..client_config(&provider)
    };
    let wrong = Stripe::new(&wrong, &turns()).unwrap();
    assert_eq!(
        wrong.perform(&authorise(1, VISA)).await,
        Answer::Stalled(Stall::Forbidden)
    );
    let nobody = StripeConfig {
        url: "http://127.0.0.1:9".to_owned(),
        ..client_config(&provider)
    };
    let nobody = Stripe::new(&nobody, &turns()).unwrap();
    assert_eq!(
        nobody.perform(&authorise(1, VISA)).await,
        Answer::Stalled(Stall::Lost)
    );
    assert!(Stripe::new(&StripeConfig::new(""), &turns()).is_err());
}

#[tokio::test]
async fn lists_page_through_a_window_and_find_an_orders_payment() {
    let (provider, client) = connected().await;
    for order in 1..=130 {
        authorised(&client, order, VISA).await;
    }
    let since = now(&provider) - Span::from_mins(5);
    let mut window = Window {
        since,
        until: since + Span::from_mins(60),
        after: None,
    };
    let mut seen = Vec::new();
    loop {
        let page = client.list(window.clone()).await.unwrap();
        seen.extend(page.payments.into_iter().map(|payment| payment.order.0));
        window.after = page.next;
        if window.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=130).rev().collect::<Vec<u128>>());
    let found = client.perform(&call(3, Call::Find { since, over: None })).await;
    assert!(matches!(found, Answer::Payment(payment) if payment.order == OrderId(3)));
    assert_eq!(
        client.perform(&call(999, Call::Find { since, over: None })).await,
        Answer::Absent
    );
}

/// A checkout whose provider is the sandbox, over HTTP.
async fn shop(provider: &RunningProvider, client: Arc<Stripe>) -> (Checkout, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = RunningClock::from(now(provider));
    let ledger = Arc::new(checkout_worker::sqlite::SqliteLedger::open(dir.path(), &clock).unwrap());
    (
        Checkout::open(config(16), ports(ledger, client, clock))
            .await
            .unwrap(),
        dir,
    )
}

#[tokio::test]
async fn whole_purchases_agree_with_the_providers_own_log() {
    let (provider, client) = connected().await;
    let (checkout, _dir) = shop(&provider, client).await;
    let cards = [
        VISA,
        DECLINED,
        VISA,
        "pm_sandbox_captureSaved500AfterEffect",
        "pm_sandbox_saved500AfterEffect",
    ];
    for (shopper, card) in (1..).zip(cards) {
        let order = place(&checkout, purchase(shopper, Some(card))).await;
        checkout.drive(order).await.unwrap();
        while !checkout.view(order).await.unwrap().unwrap().state.is_final() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            checkout.drive(order).await.unwrap();
        }
        let expected = if card == DECLINED {
            StateName::Declined
        } else {
            StateName::Paid
        };
        assert_eq!(
            checkout.view(order).await.unwrap().unwrap().ledger_state,
            expected,
            "{card}"
        );
        if shopper == 3 {
            let view = checkout.refund(order, Restock::Return, "test").await.unwrap();
            assert_eq!(view.state, PublicState::Refunded);
        }
    }
    checkout.reconcile().await.unwrap();
    let report = checkout.audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    let tally = provider.tally();
    assert!(tally.orders.values().all(|order| order.captures <= 1));
    assert_eq!(
        tally.orders.values().map(|order| order.captured).sum::<u64>(),
        report.sums.captured_total
    );
    let held: u64 = tally
        .orders
        .values()
        .map(|order| order.authorised - order.captured - order.released)
        .sum();
    assert_eq!(held, 0, "no shopper's money is still set aside");
}

#[test]
fn operations_have_stable_names() {
    assert_eq!(
        Op::ALL.map(Op::as_str),
        [
            "authorise",
            "capture",
            "cancel",
            "refund",
            "cancel-stray",
            "refund-stray"
        ]
    );
}
