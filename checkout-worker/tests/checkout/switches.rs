//! The kill switches: payments and checkout, stopped in one drop or in all, by an operator or by the configuration.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::checkout::{AcceptError, ReserveError};
use checkout_worker::driver::Shut;
use checkout_worker::jobs::Job;
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::switch::{Stops, Switch, Switches};
use checkout_worker::{Checkout, CheckoutConfig, DropTerms, Purchase};
use domain::saga::StateName;
use domain::{AdmissionId, Clock, DropId, OrderId, Timestamp};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::support::{RunningClock, VISA, config, drop_id, item, line, place, ports, purchase, terms};

fn boreal() -> DropId {
    DropId::new("boreal").unwrap()
}

fn two_drops() -> CheckoutConfig {
    let other = DropTerms {
        drain_per_second: 1_000,
        ..DropTerms::new(boreal(), vec![item("BOR-1", 9)])
    };
    CheckoutConfig {
        drops: vec![terms(9), other],
        concurrency: 4,
        ..config(9)
    }
}

fn in_boreal(shopper: u8) -> Purchase {
    Purchase {
        drop: boreal(),
        admission: AdmissionId([shopper | 0x80; 16]),
        lines: vec![line("BOR-1", 1)],
        ..purchase(shopper, Some(VISA))
    }
}

fn only_here(stops: Stops) -> Switch {
    Switch {
        stops,
        drop: Some(drop_id()),
    }
}

/// Checkouts over one ledger, as processes that run side by side.
struct Processes {
    ledger: Arc<SqliteLedger>,
    provider: MemoryProvider,
    clock: Arc<dyn Clock>,
    _dir: tempfile::TempDir,
}

impl Processes {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(1_700_000_000_000));
        Self {
            ledger: Arc::new(SqliteLedger::open(dir.path(), &clock).unwrap()),
            provider: MemoryProvider::new(clock.clone()),
            clock,
            _dir: dir,
        }
    }

    async fn start(&self, config: CheckoutConfig) -> Checkout {
        let provider = Arc::new(self.provider.clone());
        Checkout::open(config, ports(self.ledger.clone(), provider, self.clock.clone()))
            .await
            .unwrap()
    }
}

async fn until(checkout: &Checkout, order: OrderId, state: StateName) {
    let reached = async {
        while checkout.view(order).await.unwrap().unwrap().ledger_state != state {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(reached.is_ok(), "order {order} never became {state}");
}

#[tokio::test]
async fn one_drops_payments_wait_alone_and_go_on_when_they_are_resumed() {
    let processes = Processes::new();
    let checkout = processes.start(two_drops()).await;
    let stop = CancellationToken::new();
    tokio::join!(checkout.run(stop.clone()), async {
        shop_while_one_drop_waits(&checkout).await;
        stop.cancel();
    });
    assert!(checkout.audit().await.unwrap().is_clean());
}

async fn shop_while_one_drop_waits(checkout: &Checkout) {
    checkout
        .stop(only_here(Stops::Payments), "operator")
        .await
        .unwrap();
    // More orders than there are hands: those that wait may not hold any.
    let mut waiting = Vec::new();
    for shopper in 1..=9 {
        waiting.push(place(checkout, purchase(shopper, Some(VISA))).await);
    }
    let paid = place(checkout, in_boreal(20)).await;
    until(checkout, paid, StateName::Paid).await;
    for order in &waiting {
        let view = checkout.view(*order).await.unwrap().unwrap();
        assert_eq!(
            (view.ledger_state, view.reason.as_deref()),
            (StateName::Accepted, Some("payments_paused"))
        );
    }
    checkout
        .resume(only_here(Stops::Payments), "operator")
        .await
        .unwrap();
    for order in &waiting {
        until(checkout, *order, StateName::Paid).await;
        assert_eq!(checkout.view(*order).await.unwrap().unwrap().reason, None);
    }
}

#[tokio::test]
async fn a_stop_is_in_force_here_before_it_is_written_down() {
    let processes = Processes::new();
    let checkout = processes.start(two_drops()).await;
    // As far as it goes without an answer of the ledger.
    let _written = checkout
        .stop(only_here(Stops::Payments), "operator")
        .now_or_never();
    assert_eq!(checkout.payments_shut(&drop_id()), Some(Shut::Paused));
}

#[tokio::test]
async fn while_the_checkout_of_a_drop_is_stopped_nobody_orders_there_and_orders_go_on() {
    let processes = Processes::new();
    let (checkout, other) = (
        processes.start(two_drops()).await,
        processes.start(two_drops()).await,
    );
    let reserved = place(&checkout, purchase(1, None)).await;
    checkout
        .stop(only_here(Stops::Checkout), "operator")
        .await
        .unwrap();
    other.jobs().round(Job::Switches).await.unwrap();
    for process in [&checkout, &other] {
        let refused = process.reserve(purchase(2, Some(VISA))).await.unwrap_err();
        assert!(matches!(refused, ReserveError::Stopped(_)), "{refused}");
        assert_eq!(process.figures().await.unwrap().stopped, [drop_id()]);
    }
    place(&other, in_boreal(3)).await;
    let method = super::support::method(VISA);
    let accepted = checkout.accept(reserved, method).await;
    assert!(!matches!(accepted, Err(AcceptError::Unknown(_))) && accepted.is_ok());
    checkout.drive(reserved).await.unwrap();
    until(&checkout, reserved, StateName::Paid).await;
    checkout
        .resume(only_here(Stops::Checkout), "operator")
        .await
        .unwrap();
    other.jobs().round(Job::Switches).await.unwrap();
    place(&other, purchase(2, Some(VISA))).await;
}

#[tokio::test]
async fn refused_credentials_stay_told_as_such_at_every_process_and_over_a_restart_until_somebody_resumes() {
    let processes = Processes::new();
    let (first, other) = (
        processes.start(two_drops()).await,
        processes.start(two_drops()).await,
    );
    let order = place(&first, purchase(1, Some(VISA))).await;
    processes.provider.plan([Fault::Forbidden]);
    first.drive(order).await.unwrap();
    let shut = async |checkout: &Checkout| checkout.figures().await.unwrap().shut;
    // More than once: each second, as long as they run.
    for process in [&first, &other, &first, &other] {
        process.jobs().round(Job::Switches).await.unwrap();
        assert_eq!(shut(process).await, Some(Shut::Halted));
    }
    let again = processes.start(two_drops()).await;
    assert_eq!(shut(&again).await, Some(Shut::Halted), "a restart tries nothing");
    again
        .resume(Switch::everywhere(Stops::Payments), "operator")
        .await
        .unwrap();
    for process in [&first, &other, &again] {
        process.jobs().round(Job::Switches).await.unwrap();
        assert_eq!(shut(process).await, None);
    }
    let lines = again.noted(None, 10).await.unwrap();
    let actions: Vec<&str> = lines.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["payments.resume", "payments.resume", "payments.halt"]);
}

#[tokio::test]
async fn what_operators_stopped_is_stopped_after_a_restart_and_what_the_configuration_stops_they_cannot_resume()
 {
    let processes = Processes::new();
    let first = processes.start(two_drops()).await;
    first
        .stop(Switch::everywhere(Stops::Checkout), "operator")
        .await
        .unwrap();
    first.stop(only_here(Stops::Payments), "operator").await.unwrap();
    let configured = CheckoutConfig {
        stopped: Switches::from_iter([Switch {
            stops: Stops::Payments,
            drop: Some(boreal()),
        }]),
        ..two_drops()
    };
    let again = processes.start(configured).await;
    assert_eq!(again.payments_shut(&drop_id()), Some(Shut::Paused));
    assert!(again.is_stopped(&drop_id()) && again.is_stopped(&boreal()));
    for switch in [Switch::everywhere(Stops::Checkout), only_here(Stops::Payments)] {
        again.resume(switch, "operator").await.unwrap();
    }
    let own = Switch {
        stops: Stops::Payments,
        drop: Some(boreal()),
    };
    again.resume(own, "operator").await.unwrap();
    assert_eq!(again.payments_shut(&drop_id()), None);
    assert_eq!(again.payments_shut(&boreal()), Some(Shut::Paused));
    assert!(!again.is_stopped(&drop_id()) && !again.is_stopped(&boreal()));
}
