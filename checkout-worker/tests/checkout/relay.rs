//! The outbox relay before brokers that refuse, dawdle and fall silent: a message is marked when it is confirmed and not
//! a moment before, and none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::broker::{Broker, Delivery, PublishError, Published, Standing};
use checkout_worker::jobs::Timing;
use checkout_worker::ledger::{Channel, ClientKey, Ledger, Message, Reply};
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, Ports, Purchase};
use domain::{AdmissionId, OrderId, ShopperKey};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::support::{StandingClock, VISA, config, open_ledger, place, ports, purchase};

/// What a broker does with one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    Confirms,
    Refuses,
    /// Takes it and confirms when the gate opens.
    Dawdles,
    FallsSilent,
}

/// A broker that does with each message's first, second, third … publishing as it is told, and hands nothing to anybody.
struct Scripted {
    manners: Vec<Manner>,
    patience: Option<Duration>,
    published: Mutex<Vec<OrderId>>,
    under_way: Mutex<(usize, usize)>,
    gate: Arc<Notify>,
    open: Mutex<bool>,
}

impl Scripted {
    fn new(manners: &[Manner], patience: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            manners: manners.to_vec(),
            patience,
            published: Mutex::default(),
            under_way: Mutex::default(),
            gate: Arc::default(),
            open: Mutex::new(false),
        })
    }

    fn times(&self) -> BTreeMap<OrderId, usize> {
        let mut times = BTreeMap::new();
        for order in self.published.lock().unwrap().iter() {
            *times.entry(*order).or_default() += 1;
        }
        times
    }

    fn most_at_once(&self) -> usize {
        self.under_way.lock().unwrap().1
    }

    fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.gate.notify_waiters();
    }

    async fn dawdle(&self) {
        let opened = self.gate.notified();
        tokio::pin!(opened);
        opened.as_mut().enable();
        if !*self.open.lock().unwrap() {
            opened.await;
        }
    }
}

impl Broker for Scripted {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(async move {
            let times = {
                let mut published = self.published.lock().unwrap();
                published.push(order);
                published.iter().filter(|known| **known == order).count()
            };
            {
                let mut at_once = self.under_way.lock().unwrap();
                at_once.0 += 1;
                at_once.1 = at_once.1.max(at_once.0);
            }
            let manner = self.manners[(times - 1).min(self.manners.len() - 1)];
            let done = match manner {
                Manner::Confirms => Ok(Published::Worked),
                Manner::Refuses => Err(PublishError {
                    why: "a test says so".to_owned(),
                }),
                Manner::Dawdles => {
                    self.dawdle().await;
                    Ok(Published::Worked)
                }
                Manner::FallsSilent => std::future::pending().await,
            };
            self.under_way.lock().unwrap().0 -= 1;
            done
        })
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }

    fn patience(&self) -> Option<Duration> {
        self.patience
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(std::future::pending())
    }
}

struct Post {
    checkout: Checkout,
    ledger: Arc<SqliteLedger>,
    broker: Arc<Scripted>,
    _dir: tempfile::TempDir,
}

impl Post {
    /// The re-drive stands still, so that every message there is was written once.
    async fn with(broker: Arc<Scripted>) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let ledger = open_ledger(dir.path(), &clock);
        let provider = MemoryProvider::new(clock.clone());
        let ports = Ports {
            broker: broker.clone(),
            ..ports(ledger.clone(), Arc::new(provider), clock)
        };
        let timing = Timing {
            redrive: Duration::from_hours(1_000),
            relay: Duration::from_millis(20),
            ..Timing::default()
        };
        let config = CheckoutConfig {
            timing,
            ..config(1_000)
        };
        Self {
            checkout: Checkout::open(config, ports).await.unwrap(),
            ledger,
            broker,
            _dir: dir,
        }
    }

    async fn waiting(&self) -> BTreeSet<OrderId> {
        let pending = self.ledger.pending(Channel::Workers, 1_000).await.unwrap();
        pending
            .into_iter()
            .inspect(|row| assert_eq!(row.message, Message::Drive))
            .map(|row| row.order)
            .collect()
    }

    /// Places one order each for `count` shoppers.
    async fn accept(&self, count: u32) -> Vec<OrderId> {
        let mut orders = Vec::new();
        for shopper in 1..=count {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&shopper.to_be_bytes());
            let purchase = Purchase {
                shopper: ShopperKey(key),
                admission: AdmissionId(key),
                client_key: ClientKey::new(&format!("key-{shopper}")).unwrap(),
                ..purchase(1, Some(VISA))
            };
            orders.push(place(&self.checkout, purchase).await);
        }
        orders
    }

    /// Runs the relay while `work` is done.
    async fn while_running(&self, work: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let life = async {
            work.await;
            stop.cancel();
        };
        tokio::join!(self.checkout.run(stop.clone()), life);
    }

    /// Looks at the outbox until it holds as many messages. Each look is a round trip to the ledger's own thread.
    async fn until_waiting(&self, count: usize) {
        for _ in 0..20_000 {
            if self.waiting().await.len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!(
            "{} messages wait, not {count}: {:?}",
            self.waiting().await.len(),
            self.broker.times()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_message_is_published_once_and_leaves_the_outbox() {
    let post = Post::with(Scripted::new(&[Manner::Confirms], None)).await;
    let orders = post.accept(20).await;
    assert_eq!(post.waiting().await.len(), 20);
    post.while_running(post.until_waiting(0)).await;
    assert_eq!(
        *post.broker.published.lock().unwrap(),
        orders,
        "the oldest first, each once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_stays_and_is_published_again_until_it_is_taken() {
    let manners = [Manner::Refuses, Manner::Refuses, Manner::Confirms];
    let post = Post::with(Scripted::new(&manners, None)).await;
    let orders = post.accept(5).await;
    post.while_running(post.until_waiting(0)).await;
    let times = post.broker.times();
    assert!(orders.iter().all(|order| times[order] == 3), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_marked_before_it_is_confirmed() {
    let post = Post::with(Scripted::new(&[Manner::Dawdles], None)).await;
    let orders = post.accept(8).await;
    post.while_running(async {
        while post.broker.times().len() < orders.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Many rounds of the relay later every row is still there, and none was published twice.
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(post.waiting().await.len(), orders.len());
        assert!(post.broker.times().values().all(|times| *times == 1));
        post.broker.open_gate();
        post.until_waiting(0).await;
    })
    .await;
    assert!(post.broker.times().values().all(|times| *times == 1));
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_given_up_after_its_patience_and_the_message_goes_out_again() {
    let manners = [Manner::FallsSilent, Manner::FallsSilent, Manner::Confirms];
    let patience = Duration::from_secs(30);
    let post = Post::with(Scripted::new(&manners, Some(patience))).await;
    let orders = post.accept(3).await;
    let start = tokio::time::Instant::now();
    post.while_running(post.until_waiting(0)).await;
    assert!(start.elapsed() >= 2 * patience, "given up early");
    let times = post.broker.times();
    assert!(orders.iter().all(|order| times[order] == 3), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_message_does_not_hold_up_the_others() {
    let post = Post::with(Scripted::new(&[Manner::FallsSilent], None)).await;
    post.accept(1).await;
    post.while_running(async {
        while post.broker.times().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut more = post.accept(4).await;
        more.remove(0);
        while post.broker.times().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(more.iter().all(|order| post.broker.times().contains_key(order)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_window_of_unconfirmed_messages_is_bounded_and_moves_on() {
    let post = Post::with(Scripted::new(&[Manner::Dawdles], None)).await;
    let orders = post.accept(600).await;
    post.while_running(async {
        while post.broker.times().len() < 256 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(post.broker.times().len(), 256, "as many as the window holds");
        assert_eq!(post.waiting().await.len(), 600);
        post.broker.open_gate();
        post.until_waiting(0).await;
    })
    .await;
    assert!(post.broker.most_at_once() <= 256);
    assert_eq!(post.broker.times().len(), orders.len());
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_relay_stopped_is_carried_by_the_next() {
    let post = Post::with(Scripted::new(&[Manner::FallsSilent, Manner::Confirms], None)).await;
    let orders = post.accept(4).await;
    post.while_running(async {
        while post.broker.times().len() < orders.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(post.waiting().await.len(), orders.len(), "stopping marks nothing");
    post.while_running(post.until_waiting(0)).await;
    assert!(post.broker.times().values().all(|times| *times == 2));
}
