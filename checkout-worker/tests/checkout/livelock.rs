//! A provider that fails every creation and answers every read, over HTTP: the order is parked where somebody sees it, and
//! comes home once the fault is lifted.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::Checkout;
use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use domain::saga::StateName;
use domain::{OrderId, Span};
use sandbox::provider::{Fault, FaultPlan, FaultRule, Operation, Provider, ProviderConfig, RunningProvider};

use super::support::{StandingClock, VISA, config, open_ledger, place, ports, purchase, turns};

/// Calls to the provider's API that an order may take until it is parked: two errors, a read, the third error.
const DRIVES_MAX: u32 = 8;

struct Http {
    provider: RunningProvider,
    checkout: Checkout,
    clock: Arc<StandingClock>,
    _dir: tempfile::TempDir,
}

fn plan(rules: Vec<FaultRule>) -> FaultPlan {
    FaultPlan {
        requests_per_second: 0,
        rules,
        ..FaultPlan::default()
    }
}

fn for_ever(operation: Operation, fault: Fault) -> FaultPlan {
    plan(vec![FaultRule {
        times: None,
        ..FaultRule::next(operation, fault, 1)
    }])
}

async fn open() -> Http {
    let provider = Provider::start(ProviderConfig {
        faults: plan(Vec::new()),
        ..ProviderConfig::default()
    })
    .await
    .unwrap();
    let settings = StripeConfig {
        url: provider.url(),
        requests_per_second: 500,
        timeout: Duration::from_secs(5),
        ..StripeConfig::new("sk_test_sandbox")
    };
    let client = Stripe::new(&settings, &turns()).unwrap();
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let ledger = open_ledger(dir.path(), &clock);
    let ports = ports(ledger, Arc::new(client), clock.clone());
    Http {
        provider,
        checkout: Checkout::open(config(8), ports).await.unwrap(),
        clock,
        _dir: dir,
    }
}

impl Http {
    /// Lets workers have the order until it is flagged or at an end. Says how often they had it.
    async fn drive_to_rest(&self, order: OrderId) -> u32 {
        for drives in 1..=DRIVES_MAX {
            self.clock.advance(Span::from_secs(61));
            self.checkout.drive(order).await.unwrap();
            let view = self.checkout.view(order).await.unwrap().unwrap();
            if view.flag.is_some() || view.state.is_final() {
                return drives;
            }
        }
        panic!("after {DRIVES_MAX} drives the order still goes round");
    }

    async fn parked(&self) -> Vec<(OrderId, Option<&'static str>)> {
        let views = self.checkout.parked(10).await.unwrap();
        views.into_iter().map(|view| (view.order, view.flag)).collect()
    }
}

#[tokio::test]
async fn an_order_whose_creation_fails_for_ever_is_parked_and_ends_paid_once_the_fault_is_lifted() {
    for fault in [Fault::Saved500, Fault::Unsaved500] {
        let shop = open().await;
        shop.provider
            .set_faults(for_ever(Operation::CreateIntent, fault))
            .unwrap();
        let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
        shop.drive_to_rest(order).await;
        assert_eq!(shop.parked().await, [(order, Some("no_answer"))], "{fault:?}");
        let figures = shop.checkout.figures().await.unwrap();
        assert_eq!(figures.gauges.flagged, [("no_answer".to_owned(), 1)]);
        // The reconciler's fresh start is parked again, as often as it comes.
        shop.clock.advance(Span::from_mins(2));
        shop.checkout.jobs().reconcile_orders().await.unwrap();
        shop.drive_to_rest(order).await;
        assert_eq!(shop.parked().await.len(), 1, "{fault:?}");

        shop.provider.set_faults(plan(Vec::new())).unwrap();
        shop.checkout.retry(order, "operator").await.unwrap();
        shop.drive_to_rest(order).await;
        let view = shop.checkout.view(order).await.unwrap().unwrap();
        assert_eq!(
            (view.ledger_state, view.flag),
            (StateName::Paid, None),
            "{fault:?}"
        );
        let tally = shop.provider.tally();
        let orders: Vec<_> = tally.orders.values().collect();
        assert_eq!(
            (orders.len(), orders[0].authorisations, orders[0].captures),
            (1, 1, 1)
        );
        assert!(shop.checkout.audit().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn a_capture_that_fails_for_ever_is_parked_and_ends_paid_once_the_fault_is_lifted() {
    let shop = open().await;
    shop.provider
        .set_faults(for_ever(Operation::CaptureIntent, Fault::Saved500))
        .unwrap();
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    shop.drive_to_rest(order).await;
    assert_eq!(shop.parked().await, [(order, Some("no_answer"))]);
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!(
        view.ledger_state,
        StateName::Committed,
        "its units stay sold to it"
    );
    shop.provider.set_faults(plan(Vec::new())).unwrap();
    shop.checkout.retry(order, "operator").await.unwrap();
    shop.drive_to_rest(order).await;
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    assert_eq!(view.ledger_state, StateName::Paid);
    assert!(
        shop.provider
            .tally()
            .orders
            .values()
            .all(|order| order.captures == 1)
    );
}
