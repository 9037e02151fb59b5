//! A shop in a temporary directory: clocks, entropy, ports and ready-made purchases.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::checkout::CheckoutConfig;
use checkout_worker::ledger::{ClientKey, ItemPlan, Ledger, OrderFilter};
use checkout_worker::observe::Silent;
use checkout_worker::provider::Provider;
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::switch::{Stops, Switch};
use checkout_worker::turns::{MemoryTurns, Turns};
use checkout_worker::webhook::Signing;
use checkout_worker::{Checkout, DropTerms, Placed, Ports, Purchase};
use domain::pool::Line;
use domain::saga::{PaymentId, PaymentMethod, StateName};
use domain::{
    AdmissionId, Clock, Currency, DropId, Entropy, Money, OrderId, ShopperKey, Sku, Span, Timestamp,
};
use tempfile::{NamedTempFile, TempDir};

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct StandingClock {
    millis: AtomicU64,
    /// Where others read it.
    shown: Option<NamedTempFile>,
}

impl StandingClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::at_first(None))
    }

    /// A clock that whoever can read the file reads too, in milliseconds.
    pub(crate) fn shown_in(file: NamedTempFile) -> Arc<Self> {
        let clock = Self::at_first(Some(file));
        clock.show();
        Arc::new(clock)
    }

    fn at_first(shown: Option<NamedTempFile>) -> Self {
        Self {
            millis: AtomicU64::new(1_700_000_000_000),
            shown,
        }
    }

    pub(crate) fn advance(&self, span: Span) {
        self.millis.fetch_add(span.as_millis(), Ordering::SeqCst);
        self.show();
    }

    /// Somebody sets the clock.
    pub(crate) fn go_back(&self, span: Span) {
        self.millis.fetch_sub(span.as_millis(), Ordering::SeqCst);
        self.show();
    }

    /// Always as many digits, so that nobody reads half of them.
    fn show(&self) {
        if let Some(file) = &self.shown {
            let digits = self.millis.load(Ordering::SeqCst).to_string();
            file.as_file().write_all_at(digits.as_bytes(), 0).unwrap();
        }
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// A clock that runs as the runtime's does.
#[derive(Debug)]
pub(crate) struct RunningClock(tokio::time::Instant, Timestamp);

impl RunningClock {
    /// Runs from `start` on.
    pub(crate) fn from(start: Timestamp) -> Arc<Self> {
        Arc::new(Self(tokio::time::Instant::now(), start))
    }
}

impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        self.1 + Span::from_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// Bytes that never repeat within a test and are the same in every run.
#[derive(Debug, Default)]
pub(crate) struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            chunk.copy_from_slice(&mixed[..chunk.len()]);
        }
    }
}

pub(crate) fn drop_id() -> DropId {
    DropId::new("aurora").unwrap()
}

/// The switch that stops all payments.
pub(crate) const PAYMENTS: Switch = Switch::everywhere(Stops::Payments);

pub(crate) fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

pub(crate) fn euros(cents: u64) -> Money {
    Money::new(cents, Currency::new("eur").unwrap())
}

pub(crate) fn item(name: &str, stock: u32) -> ItemPlan {
    ItemPlan {
        sku: sku(name),
        price: euros(12_900),
        stock,
        buckets: 2,
    }
}

pub(crate) fn line(name: &str, quantity: u32) -> Line {
    Line {
        sku: sku(name),
        quantity,
    }
}

pub(crate) fn method(name: &str) -> PaymentMethod {
    PaymentMethod::new(name).unwrap()
}

pub(crate) const VISA: &str = "pm_card_visa";
pub(crate) const DECLINED: &str = "pm_card_visa_chargeDeclined";
pub(crate) const SECURE: &str = "pm_card_threeDSecureRequired";

/// One unit for shopper number `shopper`, to be paid with `method` where one is given.
pub(crate) fn purchase(shopper: u8, card: Option<&str>) -> Purchase {
    Purchase {
        drop: drop_id(),
        shopper: ShopperKey([shopper; 16]),
        admission: AdmissionId([shopper; 16]),
        client_key: ClientKey::new(&format!("key-{shopper}")).unwrap(),
        lines: vec![line("AUR-42", 1)],
        method: card.map(method),
        email: None,
    }
}

pub(crate) fn terms(stock: u32) -> DropTerms {
    let terms = DropTerms::new(drop_id(), vec![item("AUR-42", stock), item("AUR-43", stock)]);
    DropTerms {
        drain_per_second: 1_000,
        ..terms
    }
}

pub(crate) fn ports(ledger: Arc<dyn Ledger>, provider: Arc<dyn Provider>, clock: Arc<dyn Clock>) -> Ports {
    Ports {
        ledger,
        provider,
        broker: Arc::new(EmbeddedBroker::new(64)),
        turns: turns(),
        merchant: None,
        clock,
        entropy: Arc::new(CountingEntropy::default()),
        observer: Arc::new(Silent),
    }
}

/// Turns that nobody else takes.
pub(crate) fn turns() -> Arc<dyn Turns> {
    Arc::new(MemoryTurns::default())
}

pub(crate) fn config(stock: u32) -> CheckoutConfig {
    CheckoutConfig::new(vec![terms(stock)], Signing::new(["whsec_test"], None))
}

pub(crate) fn open_ledger(dir: &Path, clock: &Arc<StandingClock>) -> Arc<SqliteLedger> {
    let clock: Arc<dyn Clock> = clock.clone();
    Arc::new(SqliteLedger::open(dir, &clock).unwrap())
}

/// A shop that only moves when the test moves it.
pub(crate) struct Shop {
    pub(crate) checkout: Checkout,
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) provider: MemoryProvider,
    pub(crate) clock: Arc<StandingClock>,
    _dir: TempDir,
}

impl Shop {
    pub(crate) async fn open(stock: u32) -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
        let provider = MemoryProvider::new(clock.clone());
        let ledger = open_ledger(dir.path(), &clock);
        let ports = ports(ledger.clone(), Arc::new(provider.clone()), clock.clone());
        let checkout = Checkout::open(config(stock), ports).await.unwrap();
        Self {
            checkout,
            ledger,
            provider,
            clock,
            _dir: dir,
        }
    }

    pub(crate) async fn buy(&self, shopper: u8, card: &str) -> OrderId {
        place(&self.checkout, purchase(shopper, Some(card))).await
    }

    pub(crate) async fn state(&self, order: OrderId) -> StateName {
        self.checkout.view(order).await.unwrap().unwrap().ledger_state
    }

    /// Time passes and every recovery job runs, often enough for everything to come to rest.
    pub(crate) async fn recover(&self) {
        recover(&self.checkout, &self.clock).await;
    }
}

/// An event about `payment` that the provider has just signed: its body and its header.
pub(crate) fn signed(
    clock: &StandingClock,
    event: &str,
    kind: &str,
    payment: &PaymentId,
) -> (String, String) {
    signed_with("whsec_test", clock, event, kind, payment)
}

/// The same, signed with any secret.
pub(crate) fn signed_with(
    secret: &str,
    clock: &StandingClock,
    event: &str,
    kind: &str,
    payment: &PaymentId,
) -> (String, String) {
    let object = format!(r#"{{"id":"{payment}","object":"payment_intent"}}"#);
    let body = format!(r#"{{"id":"{event}","type":"{kind}","data":{{"object":{object}}}}}"#);
    let time = clock.now().as_secs();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let hex = tag
        .as_ref()
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    (body, format!("t={time},v1={hex}"))
}

pub(crate) async fn place(checkout: &Checkout, purchase: Purchase) -> OrderId {
    match checkout.reserve(purchase).await.unwrap() {
        Placed::New(view) | Placed::Repeated(view) => view.order,
    }
}

/// Rounds of the recovery jobs, with the outbox driven by hand in place of broker and worker.
pub(crate) async fn recover(checkout: &Checkout, clock: &StandingClock) {
    for _ in 0..12 {
        clock.advance(Span::from_secs(61));
        let jobs = checkout.jobs();
        jobs.sweep().await.unwrap();
        jobs.redrive().await.unwrap();
        drive_pending(checkout).await;
        jobs.cancel().await.unwrap();
        jobs.reconcile_orders().await.unwrap();
        jobs.reconcile_with_provider().await.unwrap();
    }
}

/// Drives every order that is owed something, as a worker would.
pub(crate) async fn drive_pending(checkout: &Checkout) {
    let filter = OrderFilter {
        limit: 1_000,
        ..OrderFilter::default()
    };
    for view in checkout.orders(filter).await.unwrap() {
        checkout.drive(view.order).await.unwrap();
    }
}
