//! News of orders between processes: a gateway hears what a worker did, and asks nothing while nobody watches.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::checkout::{CheckoutConfig, Part};
use checkout_worker::ledger::Ledger;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::{Checkout, PublicState};
use domain::{Clock, Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::house::{open_postgres, postgres};
use super::support::{RunningClock, SECURE, Shop, VISA, config, place, ports, purchase};

#[tokio::test]
async fn whoever_watches_is_woken_once_per_change_and_nobody_else() {
    let shop = Shop::open(9).await;
    let (watched, other) = (shop.buy(1, SECURE).await, shop.buy(2, VISA).await);
    let jobs = shop.checkout.jobs();
    assert_eq!(jobs.look_for_news().await.unwrap(), 0, "nobody watches");
    let mut watch = shop.checkout.watch(watched).unwrap();
    jobs.look_for_news().await.unwrap();
    watch.changed().await;
    assert_eq!(
        jobs.look_for_news().await.unwrap(),
        0,
        "nothing has changed since"
    );
    shop.checkout.drive(other).await.unwrap();
    assert_eq!(jobs.look_for_news().await.unwrap(), 0, "nobody watches that one");
    shop.checkout.drive(watched).await.unwrap();
    watch.changed().await;
    assert_eq!(jobs.look_for_news().await.unwrap(), 1);
    watch.changed().await;
    drop(watch);
    assert_eq!(jobs.look_for_news().await.unwrap(), 0, "nobody watches any more");
    let again = shop.checkout.watch(watched).unwrap();
    assert_eq!(jobs.look_for_news().await.unwrap(), 1, "a new watch begins anew");
    drop(again);
}

/// A checkout of its own process on the shared ledger.
async fn process(url: &str, part: Part, now: Timestamp) -> Checkout {
    let clock: Arc<dyn Clock> = RunningClock::from(now);
    let ledger: Arc<dyn Ledger> = open_postgres(url).await;
    let provider = Arc::new(MemoryProvider::new(clock.clone()));
    let config = CheckoutConfig { part, ..config(9) };
    Checkout::open(config, ports(ledger, provider, clock))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_watch_wakes_when_a_worker_elsewhere_moves_the_order() {
    let server = postgres().await;
    let url = server.fresh_database("news").unwrap();
    checkout_worker::postgres::migrate(&url).await.unwrap();
    // Orders are due by the database's clock, and nobody drives this one twice: the processes' clocks are ahead of it.
    let now = server.sql("news", "SELECT checkout.ledger_now()").unwrap();
    let now = Timestamp::from_millis(now.parse().unwrap()) + Span::from_mins(1);
    let gateway = process(&url, Part::Counter, now).await;
    let worker = process(&url, Part::Payment, now).await;
    let order = place(&gateway, purchase(1, Some(VISA))).await;
    let stop = CancellationToken::new();
    let seen = async {
        let mut watch = gateway.watch(order).unwrap();
        // The first wake-up says that the watch is heard of.
        watch.changed().await;
        worker.drive(order).await.unwrap();
        // Nothing but wake-ups leads to a look here.
        while gateway.view(order).await.unwrap().unwrap().state != PublicState::Paid {
            watch.changed().await;
        }
        stop.cancel();
    };
    let watched = async { tokio::join!(gateway.run(stop.clone()), seen) };
    tokio::time::timeout(Duration::from_mins(1), watched)
        .await
        .expect("the watch wakes");
}
