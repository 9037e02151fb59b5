//! An order that waits in a durable broker for its turn is not published anew every second, and comes back when its
//! message is lost.

use std::sync::Mutex;

use checkout_worker::Checkout;
use checkout_worker::broker::Standing;
use checkout_worker::ledger::{Channel, Ledger, Reply};
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use domain::Span;

use super::super::support::{self, StandingClock, VISA, open_ledger, place, ports, purchase};
use super::*;

/// Says how it stands, and is never asked for anything else.
struct Says(Mutex<Standing>);

impl Broker for Says {
    fn publish(&self, _order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(async { Ok(Published::Held) })
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(std::future::pending())
    }

    fn standing(&self) -> Standing {
        *self.0.lock().unwrap()
    }
}

struct Waiting {
    checkout: Checkout,
    ledger: Arc<dyn Ledger>,
    broker: Arc<Says>,
    provider: MemoryProvider,
    clock: Arc<StandingClock>,
    order: OrderId,
    _dir: tempfile::TempDir,
}

impl Waiting {
    /// An accepted order whose message was published.
    async fn open() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let ledger = open_ledger(dir.path(), &clock);
        let provider = MemoryProvider::new(clock.clone());
        let broker = Arc::new(Says(Mutex::new(Standing::HERE)));
        let mut ports = ports(ledger.clone(), Arc::new(provider.clone()), clock.clone());
        ports.broker = broker.clone();
        let checkout = Checkout::open(support::config(4), ports).await.unwrap();
        let order = place(&checkout, purchase(1, Some(VISA))).await;
        let waiting = Self {
            checkout,
            ledger,
            broker,
            provider,
            clock,
            order,
            _dir: dir,
        };
        waiting.publish().await;
        waiting
    }

    /// What the relay does when the broker has confirmed.
    async fn publish(&self) {
        let pending = self.ledger.pending(Channel::Workers, 10).await.unwrap();
        assert_eq!(pending.len(), 1, "there is a message to publish");
        let ids = pending.iter().map(|message| message.id).collect();
        self.ledger.published(ids).await.unwrap();
        assert_eq!(self.ledger.pending(Channel::Workers, 10).await.unwrap(), []);
    }

    async fn redriven(&self) -> u32 {
        self.checkout.jobs().redrive().await.unwrap()
    }

    fn says(&self, standing: Standing) {
        *self.broker.0.lock().unwrap() = standing;
    }
}

#[tokio::test]
async fn an_order_that_waits_for_its_turn_is_published_once_in_ten_minutes() {
    let waiting = Waiting::open().await;
    for _ in 0..59 {
        waiting.clock.advance(Span::from_secs(10));
        assert_eq!(waiting.redriven().await, 0, "its message waits for its turn");
    }
    waiting.clock.advance(Span::from_secs(10));
    assert_eq!(waiting.redriven().await, 1, "its message is taken for lost");
    waiting.publish().await;
    assert_eq!(waiting.redriven().await, 0);
}

#[tokio::test]
async fn an_order_that_moved_on_and_is_due_again_does_not_wait_for_an_old_message() {
    let waiting = Waiting::open().await;
    waiting.provider.plan([Fault::RequestLost]);
    waiting.checkout.drive(waiting.order).await.unwrap();
    assert_eq!(
        waiting.redriven().await,
        0,
        "it is not due before its backoff has passed"
    );
    waiting.clock.advance(Span::from_secs(2));
    assert_eq!(waiting.redriven().await, 1);
}

#[tokio::test]
async fn while_the_broker_is_away_nobody_waits_for_it() {
    let waiting = Waiting::open().await;
    waiting.says(Standing {
        takes_messages: false,
        emptied: None,
    });
    assert_eq!(waiting.redriven().await, 1);
}

#[tokio::test]
async fn what_a_broker_lost_is_published_anew_at_once_and_what_came_later_is_not() {
    let waiting = Waiting::open().await;
    waiting.clock.advance(Span::from_secs(30));
    let emptied = |secs| Standing {
        takes_messages: true,
        emptied: Some(Duration::from_secs(secs)),
    };
    waiting.says(emptied(40));
    assert_eq!(waiting.redriven().await, 0, "published after the loss");
    waiting.says(emptied(20));
    assert_eq!(waiting.redriven().await, 1, "published before the loss");
}
