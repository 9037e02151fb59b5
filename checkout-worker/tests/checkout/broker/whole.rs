//! The whole checkout over RabbitMQ, with the server killed, started again and wiped in the middle of a drop.

use checkout_worker::jobs::Timing;
use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, DropTerms};
use domain::saga::StateName;
use domain::{Clock, Timestamp};
use sandbox::provider::{FaultPlan, Provider, ProviderConfig, RunningProvider};
use tokio_util::sync::CancellationToken;

use super::super::support::{self, DECLINED, RunningClock, VISA, place, ports, purchase, terms, turns};
use super::*;

/// Slow enough that orders stand in line when the server is hurt.
const DRAIN_PER_SECOND: u32 = 20;

async fn provider() -> (RunningProvider, Arc<Stripe>) {
    let faults = FaultPlan {
        requests_per_second: 0,
        ..FaultPlan::default()
    };
    let config = ProviderConfig {
        faults,
        ..ProviderConfig::default()
    };
    let provider = Provider::start(config).await.unwrap();
    let client = StripeConfig {
        url: provider.url(),
        requests_per_second: 500,
        timeout: Duration::from_secs(10),
        ..StripeConfig::new("sk_test_sandbox")
    };
    (provider, Arc::new(Stripe::new(&client, &turns()).unwrap()))
}

fn slow_drop() -> CheckoutConfig {
    let slow = DropTerms {
        drain_per_second: DRAIN_PER_SECOND,
        ..terms(400)
    };
    CheckoutConfig {
        drops: vec![slow],
        timing: Timing::default(),
        ..support::config(400)
    }
}

/// Accepts orders of the shoppers, every fifth of whom is declined.
async fn accept(checkout: &Checkout, shoppers: std::ops::RangeInclusive<u8>) -> Vec<OrderId> {
    let mut orders = Vec::new();
    for shopper in shoppers {
        let card = if shopper % 5 == 0 { DECLINED } else { VISA };
        orders.push(place(checkout, purchase(shopper, Some(card))).await);
    }
    orders
}

/// How many of the orders have come to their end.
async fn ended(checkout: &Checkout, orders: &[OrderId]) -> usize {
    let mut ended = 0;
    for order in orders {
        let view = checkout.view(*order).await.unwrap();
        ended += usize::from(view.expect("an accepted order is known").state.is_final());
    }
    ended
}

/// Waits until at least so many have.
async fn until_ended(checkout: &Checkout, orders: &[OrderId], count: usize) {
    let waiting = async {
        while ended(checkout, orders).await < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("orders come to their end", waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_orders_come_home_although_rabbitmq_is_killed_and_wiped_on_the_way() {
    let rabbit = RabbitMq::start().await.unwrap();
    let (provider, client) = provider().await;
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(provider.clock().now_ms()));
    let ledger = Arc::new(SqliteLedger::open(dir.path(), &clock).unwrap());
    let broker = connected(config(&rabbit, "doorline.checkout")).await;
    let mut ports = ports(ledger, client, clock);
    ports.broker = broker.clone();
    let checkout = Checkout::open(slow_drop(), ports).await.unwrap();
    let stop = CancellationToken::new();
    let drop = async {
        let mut orders = accept(&checkout, 1..=70).await;
        // At this drain rate two seconds. A 3.10 that is killed within a second of the first declaration of a quorum
        // queue forgets the queue's identity, and comes back with one that never has a leader.
        until_ended(&checkout, &orders, 40).await;
        rabbit.kill();
        orders.extend(accept(&checkout, 71..=130).await);
        let without = ended(&checkout, &orders).await;
        until_ended(&checkout, &orders, without + 10).await;
        assert!(
            !broker.standing().takes_messages,
            "those were driven without RabbitMQ"
        );
        rabbit.restart().await.unwrap();
        soon("connecting", broker.connected()).await;
        orders.extend(accept(&checkout, 131..=200).await);
        let before = ended(&checkout, &orders).await;
        until_ended(&checkout, &orders, before + 10).await;
        rabbit.wipe().await.unwrap();
        until_ended(&checkout, &orders, 200).await;
        stop.cancel();
        orders
    };
    let ((), orders) = tokio::join!(checkout.run(stop.clone()), drop);
    books_agree(&checkout, &provider, &orders).await;
}

async fn books_agree(checkout: &Checkout, provider: &RunningProvider, orders: &[OrderId]) {
    let report = checkout.audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    let mut paid = 0;
    for order in orders {
        let state = checkout.view(*order).await.unwrap().unwrap().ledger_state;
        assert!(
            matches!(state, StateName::Paid | StateName::Declined),
            "{order} is {state}"
        );
        paid += u64::from(state == StateName::Paid);
    }
    assert_eq!(paid, 160, "every fifth card is declined");
    let tally = provider.tally();
    assert!(
        tally.orders.values().all(|order| order.captures <= 1),
        "nobody is charged twice"
    );
    let captured: u64 = tally.orders.values().map(|order| order.captured).sum();
    assert_eq!(
        (captured, report.sums.captured_total),
        (paid * 12_900, paid * 12_900)
    );
}
