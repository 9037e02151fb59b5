//! A provider that remembers what it was asked, and a listener that remembers what it was told.

use std::sync::{Arc, Mutex};

use checkout_worker::ledger::Reply;
use checkout_worker::observe::Observer;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::provider::{Page, Provider, ProviderCall, Window};
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, Ports};
use domain::saga::{
    Alarm, Answer, Attempt, Call, IdempotencyKey, KeySpace, Operation, Payment, PaymentId, PaymentStatus,
    Stall, StateName,
};
use domain::{DropId, OrderId, Span, Timestamp};
use tempfile::TempDir;

use super::support::{StandingClock, config, drop_id, euros, method, open_ledger, ports};

/// Everything that was asked, in order.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) inner: MemoryProvider,
    calls: Arc<Mutex<Vec<ProviderCall>>>,
    windows: Arc<Mutex<Vec<Window>>>,
    /// What lists are answered with instead, while set.
    pub(crate) list_fails: Arc<Mutex<Option<Stall>>>,
}

impl Witness {
    pub(crate) fn over(inner: MemoryProvider) -> Self {
        Self {
            inner,
            calls: Arc::default(),
            windows: Arc::default(),
            list_fails: Arc::default(),
        }
    }

    /// The keys of all changes since the last time this was asked.
    pub(crate) fn keys(&self) -> Vec<String> {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls
            .into_iter()
            .filter_map(|call| call.key)
            .map(|key| key.to_string())
            .collect()
    }

    /// The windows listed since the last time this was asked.
    pub(crate) fn windows(&self) -> Vec<Window> {
        std::mem::take(&mut *self.windows.lock().unwrap())
    }

    /// Makes a payment that no step of a saga made: attempt `n` of `order`, authorised.
    pub(crate) async fn make(&self, order: OrderId, n: u32) -> Payment {
        let attempt = Attempt::numbered(n, Timestamp::EPOCH);
        let call = ProviderCall {
            drop: drop_id(),
            space: KeySpace::FIRST,
            order,
            key: Some(elsewhere(order, n)),
            email: None,
            call: Call::Authorise {
                attempt,
                method: method("pm_card_visa"),
                amount: euros(12_900),
            },
        };
        match self.inner.perform(&call).await {
            Answer::Payment(payment) => payment,
            other => panic!("{other:?}"),
        }
    }

    /// Captures such a payment behind everybody's back.
    pub(crate) async fn take(&self, payment: &Payment) {
        let call = ProviderCall {
            drop: drop_id(),
            space: KeySpace::FIRST,
            order: payment.order,
            key: None,
            email: None,
            call: Call::Capture {
                attempt: Attempt::first(Timestamp::EPOCH),
                payment: payment.id.clone(),
                amount: payment.amount,
            },
        };
        assert!(matches!(self.inner.perform(&call).await, Answer::Payment(_)));
    }

    pub(crate) fn status(&self, payment: &PaymentId) -> PaymentStatus {
        let books = self.inner.books();
        books
            .payments
            .iter()
            .find(|known| known.id == *payment)
            .unwrap()
            .status
    }
}

/// A key of another installation: never one of the ledger under test.
fn elsewhere(order: OrderId, n: u32) -> IdempotencyKey {
    let drop = DropId::new("elsewhere").unwrap();
    IdempotencyKey::derive(KeySpace::FIRST, &drop, order, Operation::Authorise, n)
}

impl Provider for Witness {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        self.calls.lock().unwrap().push(call.clone());
        self.inner.perform(call)
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        self.windows.lock().unwrap().push(window.clone());
        if let Some(stall) = *self.list_fails.lock().unwrap() {
            return Box::pin(std::future::ready(Err(stall)));
        }
        self.inner.list(window)
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        self.inner.retrieve(payment)
    }
}

/// Alarms and transitions, in the order in which they were told.
#[derive(Default)]
pub(crate) struct Ear {
    pub(crate) alarms: Mutex<Vec<(Alarm, OrderId)>>,
    pub(crate) moves: Mutex<Vec<(Option<StateName>, StateName)>>,
    pub(crate) breaker: Mutex<Vec<bool>>,
    pub(crate) finished: Mutex<Vec<(StateName, Span)>>,
}

impl Ear {
    pub(crate) fn heard(&self, alarm: Alarm) -> usize {
        let alarms = self.alarms.lock().unwrap();
        alarms.iter().filter(|(heard, _)| *heard == alarm).count()
    }
}

impl Observer for Ear {
    fn transition(&self, _drop: &DropId, from: Option<StateName>, to: StateName) {
        self.moves.lock().unwrap().push((from, to));
    }

    fn finished(&self, _drop: &DropId, state: StateName, took: Span) {
        self.finished.lock().unwrap().push((state, took));
    }

    fn alarm(&self, alarm: Alarm, order: OrderId) {
        self.alarms.lock().unwrap().push((alarm, order));
    }

    fn breaker(&self, open: bool) {
        self.breaker.lock().unwrap().push(open);
    }
}

/// A shop that is watched at both ends and can be opened again on the same file.
pub(crate) struct Watched {
    pub(crate) checkout: Checkout,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) provider: Witness,
    pub(crate) clock: Arc<StandingClock>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) dir: TempDir,
}

impl Watched {
    pub(crate) async fn open(config: CheckoutConfig) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let provider = Witness::over(MemoryProvider::new(clock.clone()));
        let (ledger, ear) = (open_ledger(dir.path(), &clock), Arc::new(Ear::default()));
        let ports = Ports {
            observer: ear.clone(),
            ..ports(ledger.clone(), Arc::new(provider.clone()), clock.clone())
        };
        Self {
            checkout: Checkout::open(config, ports).await.unwrap(),
            ledger,
            provider,
            clock,
            ear,
            dir,
        }
    }

    pub(crate) async fn usual() -> Self {
        Self::open(config(8)).await
    }

    /// The process dies and another one opens the same file.
    pub(crate) async fn reopened(self) -> Self {
        let Self {
            checkout,
            ledger,
            provider,
            clock,
            ear,
            dir,
        } = self;
        drop((checkout, ledger));
        let ledger = open_ledger(dir.path(), &clock);
        let ports = Ports {
            observer: ear.clone(),
            ..ports(ledger.clone(), Arc::new(provider.clone()), clock.clone())
        };
        Self {
            checkout: Checkout::open(config(8), ports).await.unwrap(),
            ledger,
            provider,
            clock,
            ear,
            dir,
        }
    }

    pub(crate) async fn state(&self, order: OrderId) -> StateName {
        self.checkout.view(order).await.unwrap().unwrap().ledger_state
    }
}
