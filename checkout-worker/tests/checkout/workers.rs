//! One order in the hands of many workers, messages that name nobody, and the drain rate as the provider sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::broker::{Ack, Broker, Delivery, PublishError, Published, Standing};
use checkout_worker::driver::Fed;
use checkout_worker::ledger::{Channel, Ledger, Reply};
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::provider::{Page, Provider, ProviderCall, Window};
use checkout_worker::{Checkout, CheckoutConfig, DropTerms, Ports};
use domain::saga::{Alarm, Answer, Call, LEASE, PaymentId, Stall, StateName, Why};
use domain::{Clock, OrderId, Span, Timestamp};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::drains::all;
use super::support::{
    CountingEntropy, RunningClock, StandingClock, VISA, config, open_ledger, place, ports, purchase, terms,
};
use super::witness::Ear;

/// A provider that answers when it is let, and counts who waits.
#[derive(Clone)]
struct Gated {
    inner: MemoryProvider,
    arrived: Arc<Notify>,
    gate: Arc<Notify>,
    calls: Arc<Mutex<Vec<Instant>>>,
    waits: bool,
}

impl Gated {
    fn over(inner: MemoryProvider, waits: bool) -> Self {
        Self {
            inner,
            arrived: Arc::default(),
            gate: Arc::default(),
            calls: Arc::default(),
            waits,
        }
    }
}

impl Provider for Gated {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        Box::pin(async move {
            if matches!(call.call, Call::Authorise { .. }) {
                self.calls.lock().unwrap().push(Instant::now());
                self.arrived.notify_one();
                if self.waits {
                    self.gate.notified().await;
                }
            }
            self.inner.perform(call).await
        })
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        self.inner.list(window)
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        self.inner.retrieve(payment)
    }
}

/// Two checkouts over one file, as two workers of one shop.
async fn two_workers() -> (Checkout, Checkout, Gated, Arc<StandingClock>, tempfile::TempDir) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let provider = Gated::over(MemoryProvider::new(clock.clone()), true);
    let ledger = open_ledger(dir.path(), &clock);
    let open = async || {
        let ports = ports(ledger.clone(), Arc::new(provider.clone()), clock.clone());
        Checkout::open(config(8), ports).await.unwrap()
    };
    (open().await, open().await, provider, clock, dir)
}

#[tokio::test]
async fn a_second_worker_leaves_an_order_that_the_first_has_in_hand() {
    let (one, other, provider, _clock, _dir) = two_workers().await;
    let order = place(&one, purchase(1, Some(VISA))).await;
    let second = async {
        provider.arrived.notified().await;
        let fed = other.drive(order).await.unwrap();
        assert!(
            matches!(&fed, Fed::Refused(refusal) if refusal.why == Why::Leased),
            "{fed:?}"
        );
        provider.gate.notify_one();
    };
    let (first, ()) = tokio::join!(one.drive(order), second);
    assert_eq!(first.unwrap(), Fed::Rested(StateName::Paid));
    assert_eq!(provider.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn when_the_lease_runs_out_the_same_key_goes_out_and_the_late_answer_changes_nothing() {
    let (one, other, provider, clock, _dir) = two_workers().await;
    let order = place(&one, purchase(1, Some(VISA))).await;
    let second = async {
        provider.arrived.notified().await;
        clock.advance(LEASE);
        let opening = async {
            provider.arrived.notified().await;
            // Both wait at the gate now: the worker that looks dead, and the one that took over.
            provider.gate.notify_one();
            provider.gate.notify_one();
        };
        let (fed, ()) = tokio::join!(other.drive(order), opening);
        assert!(matches!(fed.unwrap(), Fed::Rested(_)));
    };
    let (first, ()) = tokio::join!(one.drive(order), second);
    assert!(first.is_ok());
    let books = provider.inner.books();
    assert_eq!(
        (books.payments.len(), provider.calls.lock().unwrap().len()),
        (1, 2)
    );
    assert!(books.captures.values().all(|captures| *captures == 1));
    let view = one.view(order).await.unwrap().unwrap();
    assert_eq!(view.ledger_state, StateName::Paid);
    assert!(one.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_worker_that_dies_at_the_provider_is_replaced_when_its_lease_is_over_and_not_before() {
    let (one, other, provider, clock, _dir) = two_workers().await;
    let order = place(&one, purchase(1, Some(VISA))).await;
    tokio::select! {
        _ = one.drive(order) => panic!("the gate is shut"),
        () = provider.arrived.notified() => {}
    }
    clock.advance(LEASE - Span::from_millis(1));
    let early = other.drive(order).await.unwrap();
    assert!(matches!(&early, Fed::Refused(refusal) if refusal.why == Why::Leased));
    assert_eq!(other.jobs().redrive().await.unwrap(), 0);
    clock.advance(Span::from_millis(1));
    provider.gate.notify_one();
    assert_eq!(other.drive(order).await.unwrap(), Fed::Rested(StateName::Paid));
    assert_eq!(provider.inner.books().payments.len(), 1);
}

/// A broker that hands over what a test puts in, and says what was acknowledged.
struct Injected {
    messages: tokio::sync::Mutex<mpsc::UnboundedReceiver<OrderId>>,
    acked: Arc<Mutex<Vec<OrderId>>>,
    done: Arc<Notify>,
}

impl Broker for Injected {
    fn publish(&self, _order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        Box::pin(std::future::ready(Ok(Published::Worked)))
    }

    fn standing(&self) -> Standing {
        Standing::HERE
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        Box::pin(async move {
            let order = self.messages.lock().await.recv().await?;
            let (acked, done) = (self.acked.clone(), self.done.clone());
            let ack = Ack::new(move |_| {
                acked.lock().unwrap().push(order);
                done.notify_one();
            });
            Some(Delivery { order, ack })
        })
    }
}

impl Injected {
    /// A broker and the end through which messages are put in.
    fn new() -> (Self, mpsc::UnboundedSender<OrderId>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let broker = Self {
            messages: tokio::sync::Mutex::new(receiver),
            acked: Arc::default(),
            done: Arc::default(),
        };
        (broker, sender)
    }
}

#[tokio::test]
async fn a_worker_whose_clock_is_behind_leaves_an_order_to_be_driven_again_at_once() {
    let (broker, sender) = Injected::new();
    let done = broker.done.clone();
    let (dir, clock, behind) = (
        tempfile::tempdir().unwrap(),
        StandingClock::new(),
        StandingClock::new(),
    );
    clock.advance(Span::from_millis(60));
    let ledger = open_ledger(dir.path(), &clock);
    let ports = Ports {
        broker: Arc::new(broker),
        ..ports(
            ledger.clone(),
            Arc::new(MemoryProvider::new(clock.clone())),
            behind,
        )
    };
    let checkout = Checkout::open(config(8), ports).await.unwrap();
    let order = place(&checkout, purchase(1, Some(VISA))).await;
    let waiting = async || {
        let pending = ledger.pending(Channel::Workers, 10).await.unwrap();
        pending.iter().map(|pending| pending.id).collect::<Vec<_>>()
    };
    ledger.published(waiting().await).await.unwrap();
    let stop = CancellationToken::new();
    let life = async {
        sender.send(order).unwrap();
        done.notified().await;
        stop.cancel();
    };
    tokio::join!(checkout.run(stop.clone()), life);
    let view = checkout.view(order).await.unwrap().unwrap();
    assert_eq!(
        view.ledger_state,
        StateName::Accepted,
        "its time had not come by that clock"
    );
    checkout.jobs().redrive().await.unwrap();
    assert_eq!(
        waiting().await.len(),
        1,
        "nobody believes that the broker holds a message still"
    );
}

#[tokio::test]
async fn a_message_from_an_unknown_order_makes_no_order_and_is_done_with() {
    let (broker, sender) = Injected::new();
    let (acked, done) = (broker.acked.clone(), broker.done.clone());
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let provider = MemoryProvider::new(clock.clone());
    let ear = Arc::new(Ear::default());
    let ports = Ports {
        broker: Arc::new(broker),
        observer: ear.clone(),
        ..ports(
            open_ledger(dir.path(), &clock),
            Arc::new(provider.clone()),
            clock.clone(),
        )
    };
    let checkout = Checkout::open(config(8), ports).await.unwrap();
    let stop = CancellationToken::new();
    let known = place(&checkout, purchase(1, Some(VISA))).await;
    let life = async {
        sender.send(OrderId(404)).unwrap();
        done.notified().await;
        assert_eq!(*acked.lock().unwrap(), [OrderId(404)]);
        // Twice the same message: the second finds nothing to do.
        sender.send(known).unwrap();
        done.notified().await;
        sender.send(known).unwrap();
        done.notified().await;
        stop.cancel();
    };
    tokio::join!(checkout.run(stop.clone()), life);
    let orders = checkout.orders(all()).await.unwrap();
    assert_eq!(orders.len(), 1, "no order is made from a message");
    assert_eq!(orders[0].ledger_state, StateName::Paid);
    assert_eq!(provider.books().payments.len(), 1);
    assert_eq!(ear.heard(Alarm::Parked), 0);
}

#[tokio::test(start_paused = true)]
async fn workers_take_no_more_orders_per_second_to_the_provider_than_the_drain_allows() {
    const ORDERS: u8 = 60;
    const RATE: u32 = 20;
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(1_700_000_000_000));
    let ledger = Arc::new(checkout_worker::sqlite::SqliteLedger::open(dir.path(), &clock).unwrap());
    let provider = Gated::over(MemoryProvider::new(clock.clone()), false);
    let terms = DropTerms {
        drain_per_second: RATE,
        ..terms(100)
    };
    let config = CheckoutConfig {
        drops: vec![terms],
        ..config(100)
    };
    let ports = Ports {
        entropy: Arc::new(CountingEntropy::default()),
        ..ports(ledger, Arc::new(provider.clone()), clock)
    };
    let checkout = Checkout::open(config, ports).await.unwrap();
    let mut orders = Vec::new();
    for shopper in 1..=ORDERS {
        orders.push(place(&checkout, purchase(shopper, Some(VISA))).await);
    }
    let (stop, start) = (CancellationToken::new(), Instant::now());
    let life = async {
        for order in &orders {
            let mut watch = checkout.watch(*order).unwrap();
            while !checkout.view(*order).await.unwrap().unwrap().state.is_final() {
                watch.changed().await;
            }
        }
        stop.cancel();
    };
    tokio::join!(checkout.run(stop.clone()), life);
    let calls = provider.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), usize::from(ORDERS));
    // Delays on the way only make a call later: the k-th cannot come before the drain has let k through.
    for (at, call) in (0_u32..).zip(&calls) {
        let allowed = RATE / 10 + 1;
        let earliest = Duration::from_secs(u64::from(at.saturating_sub(allowed))) / RATE;
        assert!(
            *call - start >= earliest,
            "call {at} came {:?} after the start",
            *call - start
        );
    }
}
