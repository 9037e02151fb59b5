//! The running checkout: relay, broker, workers and jobs together, with messages that get lost.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::broker::{Broker, Delivery, PublishError, Published, Standing};
use checkout_worker::jobs::Timing;
use checkout_worker::ledger::{Ledger, OrderNotice, Reply};
use checkout_worker::observe::Observer;
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, Ports};
use domain::saga::{Notice, StateName};
use domain::{Clock, DropId, OrderId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::support::{CountingEntropy, DECLINED, RunningClock, VISA, config, place, purchase, turns};

/// Confirms every message and delivers every second one only.
struct LossyBroker {
    inner: EmbeddedBroker,
    count: AtomicU32,
}

impl Broker for LossyBroker {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        if self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Box::pin(async { Ok(Published::Worked) });
        }
        self.inner.publish(order)
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        self.inner.consume()
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }
}

/// Keeps every notice and every change it hears of.
#[derive(Default)]
struct Listener(
    Mutex<Vec<OrderNotice>>,
    Mutex<Vec<(Option<StateName>, StateName)>>,
);

impl Observer for Listener {
    fn transition(&self, _drop: &DropId, from: Option<StateName>, to: StateName) {
        self.1.lock().unwrap().push((from, to));
    }

    fn notice(&self, notice: &OrderNotice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

fn quick() -> CheckoutConfig {
    let tick = Duration::from_millis(20);
    let timing = Timing {
        relay: tick,
        redrive: tick,
        sweep: tick,
        cancel: tick,
        ..Timing::default()
    };
    CheckoutConfig { timing, ..config(64) }
}

struct Running {
    checkout: Checkout,
    provider: MemoryProvider,
    listener: Arc<Listener>,
    _dir: tempfile::TempDir,
}

async fn start(broker: Arc<dyn Broker>) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(1_700_000_000_000));
    let provider = MemoryProvider::new(clock.clone());
    let listener = Arc::new(Listener::default());
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(dir.path(), &clock).unwrap());
    let ports = Ports {
        ledger,
        provider: Arc::new(provider.clone()),
        broker,
        turns: turns(),
        merchant: None,
        clock,
        entropy: Arc::new(CountingEntropy::default()),
        observer: listener.clone(),
    };
    let checkout = Checkout::open(quick(), ports).await.unwrap();
    Running {
        checkout,
        provider,
        listener,
        _dir: dir,
    }
}

/// Waits until an order is final, woken by its watch.
async fn finished(checkout: &Checkout, order: OrderId) {
    let mut watch = checkout.watch(order).unwrap();
    while !checkout.view(order).await.unwrap().unwrap().state.is_final() {
        watch.changed().await;
    }
}

/// Runs the checkout while `work` is done, then stops it.
async fn while_running(running: &Running, work: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let life = async {
        tokio::time::timeout(Duration::from_secs(30), work)
            .await
            .expect("everything comes to rest within seconds");
        stop.cancel();
    };
    tokio::join!(running.checkout.run(stop.clone()), life);
    let report = running.checkout.audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    assert!(
        running
            .provider
            .books()
            .captures
            .values()
            .all(|captures| *captures == 1)
    );
}

#[tokio::test]
async fn every_accepted_order_comes_home_although_every_second_message_is_lost() {
    let broker = LossyBroker {
        inner: EmbeddedBroker::new(64),
        count: AtomicU32::new(0),
    };
    let running = start(Arc::new(broker)).await;
    while_running(&running, async {
        let mut orders = Vec::new();
        for shopper in 1..=40 {
            let card = if shopper % 4 == 0 { DECLINED } else { VISA };
            orders.push(place(&running.checkout, purchase(shopper, Some(card))).await);
        }
        for order in orders {
            finished(&running.checkout, order).await;
        }
    })
    .await;
    assert_eq!(running.provider.books().captures.len(), 30);
}

#[tokio::test]
async fn the_house_hears_of_every_paid_order_at_least_once() {
    let running = start(Arc::new(EmbeddedBroker::new(64))).await;
    while_running(&running, async {
        let order = place(&running.checkout, purchase(1, Some(VISA))).await;
        finished(&running.checkout, order).await;
        let heard = || {
            running
                .listener
                .0
                .lock()
                .unwrap()
                .iter()
                .any(|n| n.order == order && n.notice == Notice::Paid)
        };
        while !heard() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_and_nobody_is_charged_twice() {
    let running = start(Arc::new(EmbeddedBroker::new(64))).await;
    running.provider.plan([
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::None,
        Fault::AnswerLost,
    ]);
    while_running(&running, async {
        let order = place(&running.checkout, purchase(1, Some(VISA))).await;
        finished(&running.checkout, order).await;
    })
    .await;
    assert_eq!(running.provider.books().payments.len(), 1);
}

#[tokio::test]
async fn every_change_of_state_is_told_once_with_where_it_came_from() {
    use StateName::{Accepted, Authorising, Committed, Paid, Reserved};
    let running = start(Arc::new(EmbeddedBroker::new(64))).await;
    while_running(&running, async {
        let order = place(&running.checkout, purchase(1, None)).await;
        running
            .checkout
            .accept(order, super::support::method(VISA))
            .await
            .unwrap();
        finished(&running.checkout, order).await;
    })
    .await;
    let mut told = running.listener.1.lock().unwrap().clone();
    // The worker may be faster than the caller's own telling of the acceptance; which came first says nothing.
    told.sort_by_key(|(from, _)| *from);
    let spine = [
        (None, Reserved),
        (Some(Reserved), Accepted),
        (Some(Accepted), Authorising),
    ];
    let end = [(Some(Authorising), Committed), (Some(Committed), Paid)];
    assert_eq!(told, [&spine[..], &end[..]].concat());
}
