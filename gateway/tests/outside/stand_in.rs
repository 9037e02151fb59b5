//! Our client against a stand-in for Stripe that others wrote: localstripe.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::provider::{Provider as _, ProviderCall, Window};
use checkout_worker::turns::MemoryTurns;
use domain::saga::{
    Answer, Attempt, Call, IdempotencyKey, KeySpace, Operation, Payment, PaymentMethod, PaymentStatus,
};
use domain::{Clock as _, Currency, DropId, Money, OrderId, Span, Timestamp};
use gateway::system::SystemClock;
use sandbox::engine::{Process, free_port};

use crate::program::judges;

struct Bench {
    client: Stripe,
    drop: DropId,
    _stand_in: Process,
    _log: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let port = free_port().expect("a free port");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/judges/stand_in.py");
        let log = tempfile::tempdir().expect("a temporary folder");
        let stand_in = Process::new("localstripe", log.path().join("log"), move || {
            let mut python = Command::new(judges());
            python.arg(&script).arg(port.to_string());
            python
        });
        stand_in.start().expect("Python runs");
        let looks = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        stand_in.ready(looks).await.expect("it listens");
        let config = StripeConfig {
            url: format!("http://127.0.0.1:{port}"),
            ..StripeConfig::new("sk_test_of_nobody")
        };
        let turns = Arc::new(MemoryTurns::default());
        Self {
            client: Stripe::new(&config, &(turns as _)).expect("a client"),
            drop: DropId::new("aurora").expect("a name"),
            _stand_in: stand_in,
            _log: log,
        }
    }

    async fn ask(&self, order: OrderId, operation: Option<Operation>, call: Call) -> Answer {
        let derive = |operation| IdempotencyKey::derive(KeySpace::FIRST, &self.drop, order, operation, 1);
        let key = operation.map(derive);
        let call = ProviderCall {
            drop: self.drop.clone(),
            space: KeySpace::FIRST,
            order,
            key,
            email: None,
            call,
        };
        self.client.perform(&call).await
    }

    async fn authorise(&self, order: OrderId, method: &str) -> Answer {
        let call = Call::Authorise {
            attempt: Attempt::first(SystemClock.now()),
            method: PaymentMethod::new(method).expect("a method"),
            amount: total(),
        };
        self.ask(order, Some(Operation::Authorise), call).await
    }

    async fn capture(&self, held: &Payment) -> Answer {
        let call = Call::Capture {
            attempt: Attempt::first(SystemClock.now()),
            payment: held.id.clone(),
            amount: total(),
        };
        self.ask(held.order, Some(Operation::Capture), call).await
    }

    async fn read(&self, payment: &Payment) -> Payment {
        let id = payment.id.clone();
        known(
            self.ask(payment.order, None, Call::Retrieve { payment: id })
                .await,
        )
    }

    async fn find(&self, order: OrderId, since: Timestamp) -> Answer {
        self.ask(order, None, Call::Find { since, over: None }).await
    }
}

fn total() -> Money {
    Money::new(12_900, Currency::new("eur").expect("a currency"))
}

#[track_caller]
fn known(answer: Answer) -> Payment {
    match answer {
        Answer::Payment(payment) => payment,
        other => panic!("not a payment: {other:?}"),
    }
}

fn money(payment: &Payment) -> (PaymentStatus, u64, u64, u64) {
    (
        payment.status,
        payment.capturable,
        payment.captured,
        payment.refunded,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_walks_a_purchase_with_a_stand_in_that_others_wrote() {
    let bench = Bench::start().await;
    let began = SystemClock.now();
    let held = known(bench.authorise(OrderId(1), "pm_card_visa").await);
    assert_eq!((held.order, held.n, held.amount), (OrderId(1), 1, total()));
    assert_eq!(money(&held), (PaymentStatus::RequiresCapture, 12_900, 0, 0));
    let captured = known(bench.capture(&held).await);
    assert_eq!(money(&captured), (PaymentStatus::Succeeded, 0, 12_900, 0));
    let refund = Call::Refund {
        attempt: Attempt::first(began),
        payment: held.id.clone(),
        amount: Money::new(2_900, total().currency),
    };
    let refunded = bench.ask(OrderId(1), Some(Operation::Refund), refund).await;
    assert_eq!(refunded, Answer::Refunded(2_900));
    assert_eq!(
        money(&bench.read(&held).await),
        (PaymentStatus::Succeeded, 0, 12_900, 2_900)
    );

    let held = known(bench.authorise(OrderId(2), "pm_card_visa").await);
    let cancel = Call::Cancel {
        attempt: Attempt::first(began),
        payment: held.id.clone(),
    };
    let cancelled = known(bench.ask(OrderId(2), Some(Operation::Cancel), cancel).await);
    assert_eq!(cancelled.status, PaymentStatus::Cancelled);
    assert_eq!(cancelled.captured, 0);
    assert_eq!(known(bench.find(OrderId(2), began).await).id, held.id);
    assert_eq!(bench.find(OrderId(9), began).await, Answer::Absent);
    let later = began + Span::from_mins(60);
    assert_eq!(
        bench.find(OrderId(2), later).await,
        Answer::Absent,
        "made before the window"
    );
    let window = Window {
        since: began - Span::from_mins(1),
        until: later,
        after: None,
    };
    let page = bench.client.list(window).await.expect("a page");
    let orders: Vec<_> = page.payments.iter().map(|payment| payment.order).collect();
    assert!(
        orders.contains(&OrderId(1)) && orders.contains(&OrderId(2)),
        "{orders:?}"
    );
}
