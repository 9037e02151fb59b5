//! Several orders of several drops on one worker: a slow drop keeps no other drop's shoppers from paying, and shoppers at
//! their bank keep nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::broker::{Ack, Broker, Delivery, PublishError, Published, Standing, Verdict};
use checkout_worker::ledger::{Channel, ClientKey, Ledger as _, LedgerReply, OrderFilter, Reply};
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::turns::{Leased, MemoryTurns, Turns};
use checkout_worker::{Checkout, CheckoutConfig, DropTerms, Ports, Purchase};
use domain::saga::StateName;
use domain::turns::{Ask, Micros};
use domain::{AdmissionId, Clock, DropId, OrderId, ShopperKey, Span, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::drains::all;
use super::support::{
    PAYMENTS, RunningClock, SECURE, StandingClock, VISA, config, drop_id, item, line, open_ledger, place,
    ports, purchase, terms,
};
use super::witness::Watched;

/// Orders of the slow drop: at one per second they keep a worker busy for five minutes.
const BACKLOG: u32 = 300;
/// Orders of the quick one: two seconds' worth.
const QUICK: u32 = 40;
/// How long the quick drop's orders may take on a machine that is busy otherwise. Behind the others they take minutes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A broker that holds messages by itself, in the order they came in, and hands over so many at once.
struct Durable {
    queue: Arc<Mutex<VecDeque<OrderId>>>,
    came: Arc<Notify>,
    room: Arc<Semaphore>,
}

impl Durable {
    fn with_window(window: usize) -> Self {
        Self {
            queue: Arc::default(),
            came: Arc::default(),
            room: Arc::new(Semaphore::new(window)),
        }
    }
}

impl Broker for Durable {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        self.queue.lock().unwrap().push_back(order);
        self.came.notify_one();
        Box::pin(std::future::ready(Ok(Published::Held)))
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            let permit = self.room.clone().acquire_owned().await.ok()?;
            loop {
                let next = self.queue.lock().unwrap().pop_front();
                let Some(order) = next else {
                    self.came.notified().await;
                    continue;
                };
                let queue = self.queue.clone();
                let ack = Ack::new(move |verdict| {
                    if verdict == Verdict::GivenBack {
                        queue.lock().unwrap().push_back(order);
                    }
                    std::mem::drop(permit);
                });
                return Some(Delivery { order, ack });
            }
        })
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }
}

fn boreal() -> DropId {
    DropId::new("boreal").unwrap()
}

fn numbered(drop: DropId, sku: &str, number: u32) -> Purchase {
    let mut key = [u8::from(drop == boreal()); 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    Purchase {
        drop,
        shopper: ShopperKey(key),
        admission: AdmissionId(key),
        client_key: ClientKey::new(&format!("key-{number}")).unwrap(),
        lines: vec![line(sku, 1)],
        ..purchase(1, Some(VISA))
    }
}

/// Waits until one of the orders is paid, whichever has its turn first.
async fn one_is_paid(checkout: &Checkout) {
    let paid = OrderFilter {
        states: vec![StateName::Paid],
        ..all()
    };
    while checkout.orders(paid.clone()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for the end of each order.
async fn all_paid(checkout: &Checkout, orders: &[OrderId]) {
    for order in orders {
        let mut watch = checkout.watch(*order).unwrap();
        while checkout.view(*order).await.unwrap().unwrap().ledger_state != StateName::Paid {
            watch.changed().await;
        }
    }
}

async fn a_slow_drop_holds_up_no_other(broker: Arc<dyn Broker>) {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(1_700_000_000_000));
    let ledger = Arc::new(SqliteLedger::open(dir.path(), &clock).unwrap());
    let provider = Arc::new(MemoryProvider::new(clock.clone()));
    let slow = DropTerms {
        drain_per_second: 1,
        ..terms(BACKLOG)
    };
    let quick = DropTerms {
        drain_per_second: 20,
        ..DropTerms::new(boreal(), vec![item("BOR-1", QUICK)])
    };
    let config = CheckoutConfig {
        drops: vec![slow, quick],
        ..config(9)
    };
    let ports = Ports {
        broker,
        ..ports(ledger, provider, clock)
    };
    let checkout = Checkout::open(config, ports).await.unwrap();
    for number in 0..BACKLOG {
        place(&checkout, numbered(drop_id(), "AUR-42", number)).await;
    }
    let stop = CancellationToken::new();
    let life = async {
        one_is_paid(&checkout).await;
        let mut quick = Vec::new();
        for number in 0..QUICK {
            quick.push(place(&checkout, numbered(boreal(), "BOR-1", number)).await);
        }
        let paid = tokio::time::timeout(PATIENCE, all_paid(&checkout, &quick)).await;
        stop.cancel();
        paid.expect("the quick drop waits for the slow one");
    };
    tokio::join!(checkout.run(stop.clone()), life);
    assert!(checkout.audit().await.unwrap().is_clean(), "nobody is forgotten");
}

#[tokio::test]
async fn a_slow_drop_holds_up_no_other_behind_the_embedded_broker() {
    a_slow_drop_holds_up_no_other(Arc::new(EmbeddedBroker::new(1_024))).await;
}

#[tokio::test]
async fn a_slow_drop_holds_up_no_other_behind_a_durable_broker() {
    a_slow_drop_holds_up_no_other(Arc::new(Durable::with_window(128))).await;
}

/// Turns that remember who was asked for them.
#[derive(Default)]
struct Counted {
    inner: MemoryTurns,
    lanes: Mutex<Vec<String>>,
}

impl Turns for Counted {
    fn lease(&self, lane: &str, ask: Ask) -> LedgerReply<'_, Leased> {
        self.lanes.lock().unwrap().push(lane.to_owned());
        self.inner.lease(lane, ask)
    }

    fn slow_down(&self, lane: &str, per_second: u32, hold: Micros) -> LedgerReply<'_, u32> {
        self.inner.slow_down(lane, per_second, hold)
    }
}

#[tokio::test]
async fn shoppers_at_their_bank_take_no_turns_of_the_drain() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let (provider, turns) = (MemoryProvider::new(clock.clone()), Arc::new(Counted::default()));
    let ports = Ports {
        turns: turns.clone(),
        ..ports(
            open_ledger(dir.path(), &clock),
            Arc::new(provider.clone()),
            clock.clone(),
        )
    };
    let checkout = Checkout::open(config(20), ports).await.unwrap();
    for shopper in 1..=10 {
        let order = place(&checkout, purchase(shopper, Some(SECURE))).await;
        checkout.drive(order).await.unwrap();
    }
    let asked = provider.books().requests;
    clock.advance(Span::from_secs(15));
    let stop = CancellationToken::new();
    let life = async {
        while provider.books().requests < asked + 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    tokio::join!(checkout.run(stop.clone()), life);
    assert_eq!(*turns.lanes.lock().unwrap(), Vec::<String>::new());
    for view in checkout.orders(all()).await.unwrap() {
        assert_eq!(view.ledger_state, StateName::ActionRequired);
    }
}

/// A shop whose shoppers are at their banks. No message is on its way to a worker.
async fn at_their_banks(shoppers: u8) -> Watched {
    let shop = Watched::usual().await;
    for shopper in 1..=shoppers {
        let order = place(&shop.checkout, purchase(shopper, Some(SECURE))).await;
        shop.checkout.drive(order).await.unwrap();
    }
    let pending = shop.ledger.pending(Channel::Workers, 100).await.unwrap();
    let messages = pending.into_iter().map(|message| message.id).collect();
    shop.ledger.delivered(messages).await.unwrap();
    shop
}

#[tokio::test]
async fn shoppers_at_their_bank_are_read_about_when_it_is_time_and_are_not_sent_to_workers() {
    let shop = at_their_banks(1).await;
    let look = async || shop.checkout.jobs().look_for_confirmations().await.unwrap();
    let asked = || shop.provider.inner.books().requests;
    let before = asked();
    assert_eq!(look().await, 0, "it is not their time");
    shop.clock.advance(Span::from_secs(15));
    assert_eq!(shop.checkout.jobs().redrive().await.unwrap(), 0);
    assert_eq!(look().await, 1);
    assert_eq!(asked(), before + 1);

    shop.clock.advance(Span::from_secs(30));
    shop.checkout.stop(PAYMENTS, "test").await.unwrap();
    assert_eq!(look().await, 0, "while payments are paused they wait");
    shop.checkout.resume(PAYMENTS, "test").await.unwrap();
    let order = shop.checkout.orders(all()).await.unwrap().remove(0);
    assert!(shop.provider.inner.confirm(&order.payment.unwrap(), true));
    assert_eq!(look().await, 1);
    assert_eq!(shop.state(order.order).await, StateName::Paid);
}

#[tokio::test(start_paused = true)]
async fn while_the_provider_is_away_shoppers_at_their_bank_are_left_as_they_are() {
    let shop = at_their_banks(7).await;
    let jobs = shop.checkout.jobs();
    shop.clock.advance(Span::from_secs(15));
    shop.provider.inner.plan([Fault::RequestLost; 20]);
    jobs.look_for_confirmations().await.unwrap();
    assert!(shop.checkout.figures().await.unwrap().breaker_open);
    let versions = async || {
        let orders = shop.checkout.orders(all()).await.unwrap();
        orders.iter().map(|view| view.version).collect::<Vec<_>>()
    };
    let before = versions().await;
    shop.clock.advance(Span::from_mins(1));
    for _ in 0..3 {
        assert_eq!(jobs.look_for_confirmations().await.unwrap(), 0);
        assert_eq!(jobs.redrive().await.unwrap(), 0);
    }
    assert_eq!(versions().await, before);
}
