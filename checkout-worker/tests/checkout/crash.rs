//! A death before and after every commit and every call: the ledger is opened again, recovery runs, and stock and money
//! must balance. No step of the code knows of this: the deaths live in wrappers around the two ports.

mod stories;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use checkout_worker::ledger::{
    Acceptance, Applied, AuditEntry, AuditLine, AuditSums, Change, Channel, DropPlan, DueNotice, Gauges,
    Ledger, LedgerReply, NewOrder, Opened, OrderFilter, OrderRecord, Pending, Replay, Replayed, Reply,
    Reservation, Sales, StockChange, StockChanged, Telling, Told, Transition, Untold,
};
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::provider::{Page, Provider, ProviderCall, Window};
use checkout_worker::{Checkout, PublicState};
use domain::pool::Level;
use domain::saga::{Answer, KeySpace, Payment, PaymentId, PaymentMethod, Stall, StateName};
use domain::{DropId, OrderId, Sku, Span, Timestamp};
use sandbox::engine::postgres::Postgres;
use tokio::sync::Notify;

use super::house::{House, postgres};
use super::support::{PAYMENTS, StandingClock, config, drop_id, ports, recover};

/// Burns down by one at every point that is passed; at zero the process is dead and nothing returns any more.
struct Fuse {
    left: AtomicU32,
    died: Notify,
}

impl Fuse {
    fn of(points: u32) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU32::new(points),
            died: Notify::new(),
        })
    }

    async fn burn(&self) {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(left.saturating_sub(1))
            });
        if left.unwrap_or(0) <= 1 {
            self.died.notify_one();
            pending::<()>().await;
        }
    }
}

struct Mortal<T> {
    inner: T,
    fuse: Arc<Fuse>,
}

impl<T> Mortal<T> {
    /// A point before and a point after `work`.
    async fn around<R>(&self, work: impl Future<Output = R>) -> R {
        self.fuse.burn().await;
        let done = work.await;
        self.fuse.burn().await;
        done
    }
}

macro_rules! mortal_writes {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> LedgerReply<'_, $answer> {
            Box::pin(self.around(self.inner.$name($($argument),*)))
        })*
    };
}

macro_rules! plain_reads {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> LedgerReply<'_, $answer> {
            self.inner.$name($($argument),*)
        })*
    };
}

impl Ledger for Mortal<Arc<dyn Ledger>> {
    mortal_writes! {
        reserve(order: NewOrder) -> Reservation;
        accept(order: OrderId, method: PaymentMethod) -> Acceptance;
        expire(limit: u32) -> Vec<OrderRecord>;
        apply(transition: Transition) -> Applied;
        redrive(limit: u32, patience: Span, paused: Vec<DropId>) -> u32;
        delivered(messages: Vec<i64>) -> ();
        published(messages: Vec<i64>) -> ();
        postponed(order: OrderId) -> ();
        record_event(event: String, kind: String) -> bool;
        notices_due(limit: u32, horizon: Span) -> Vec<DueNotice>;
        notices_told(told: Vec<Told>) -> ();
        forget_notices(horizon: Span, limit: u32) -> u32;
        replay_notices(what: Replay, after: i64) -> Replayed;
        next_key_space(entry: AuditEntry) -> KeySpace;
        note(entry: AuditEntry) -> ();
        change(changes: Vec<Change>, entry: AuditEntry) -> ();
        set_switch(name: String, on: bool, entry: AuditEntry) -> ();
        change_stock(drop: DropId, sku: Sku, change: StockChange, entry: AuditEntry) -> StockChanged;
        open_drop(plan: DropPlan) -> Opened;
    }
    plain_reads! {
        load(order: OrderId) -> Option<OrderRecord>;
        newer(known: Vec<(OrderId, u64)>) -> Vec<(OrderId, u64)>;
        due_drops() -> Vec<DropId>;
        list(filter: OrderFilter) -> Vec<OrderRecord>;
        pending(channel: Channel, limit: u32) -> Vec<Pending>;
        untold(telling: Telling, limit: u32) -> Vec<Untold>;
        event_known(event: String) -> bool;
        stock(drop: DropId) -> Vec<(Sku, Level)>;
        gauges() -> Gauges;
        sales(drop: DropId) -> Sales;
        audit() -> AuditSums;
        key_space() -> KeySpace;
        switches() -> Vec<String>;
        changes() -> Vec<Change>;
        noted(since: Option<Timestamp>, limit: u32) -> Vec<AuditLine>;
    }
}

impl Provider for Mortal<MemoryProvider> {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        Box::pin(self.around(self.inner.perform(call)))
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        Box::pin(self.around(self.inner.list(window)))
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        Box::pin(self.around(self.inner.retrieve(payment)))
    }
}

/// What must hold after any death and recovery.
async fn judge(checkout: &Checkout, provider: &MemoryProvider, point: u32) {
    let report = checkout.audit().await.unwrap();
    assert!(report.is_clean(), "point {point}: {:?}", report.differences);
    let books = provider.books();
    let orders = checkout
        .orders(OrderFilter {
            limit: 100,
            ..OrderFilter::default()
        })
        .await
        .unwrap();
    for view in &orders {
        assert!(
            view.state.is_final(),
            "point {point}: {} is {}",
            view.order,
            view.ledger_state
        );
        let of_order: Vec<&Payment> = books
            .payments
            .iter()
            .filter(|payment| payment.order == view.order)
            .collect();
        let captured: u64 = of_order.iter().map(|payment| payment.captured).sum();
        let refunded: u64 = of_order.iter().map(|payment| payment.refunded).sum();
        let expected = match view.state {
            PublicState::Paid => (view.total.amount, 0),
            PublicState::Refunded => (view.total.amount, view.total.amount),
            _ => (0, 0),
        };
        assert_eq!(
            (captured, refunded),
            expected,
            "point {point}: {} is {}",
            view.order,
            view.ledger_state
        );
    }
    // Of no order, known or unknown.
    for payment in &books.payments {
        assert_eq!(
            payment.capturable, 0,
            "point {point}: {} is still held",
            payment.id
        );
    }
    let in_state = |name| orders.iter().filter(|view| view.ledger_state == name).count();
    let (paid, refunded) = (in_state(StateName::Paid), in_state(StateName::Refunded));
    let stock = checkout.stock(&drop_id()).await.unwrap();
    let sold: usize = stock.iter().map(|(_, level)| level.sold as usize).sum();
    // What was given back may have stayed with its shopper.
    assert!(
        (paid..=paid + refunded).contains(&sold),
        "point {point}: {sold} sold"
    );
    let held: u32 = stock.iter().map(|(_, level)| level.held).sum();
    assert_eq!(held, 0, "point {point}");
}

/// A shop in which somebody's story is lived.
struct Scene {
    checkout: Checkout,
    provider: MemoryProvider,
    clock: Arc<StandingClock>,
}

/// What outlives a process.
struct Ground {
    house: House,
    provider: MemoryProvider,
}

impl Ground {
    fn on(house: House) -> Self {
        let provider = MemoryProvider::new(house.clock.clone());
        Self { house, provider }
    }

    /// Lets a new process live `story` until the fuse burns down; says whether it died.
    async fn live(&mut self, points: u32, story: impl AsyncFn(&Scene)) -> bool {
        let fuse = Fuse::of(points);
        let clock = self.house.clock.clone();
        let ledger = Mortal {
            inner: self.house.reopened().await,
            fuse: fuse.clone(),
        };
        let line = Mortal {
            inner: self.provider.clone(),
            fuse: fuse.clone(),
        };
        let life = async {
            let ports = ports(Arc::new(ledger), Arc::new(line), clock.clone());
            let scene = Scene {
                checkout: Checkout::open(config(12), ports).await.unwrap(),
                provider: self.provider.clone(),
                clock,
            };
            story(&scene).await;
        };
        tokio::select! {
            () = life => false,
            () = fuse.died.notified() => true,
        }
    }
}

/// An operator turns on again what may have been left shut, and recovery runs.
async fn mend(scene: &Scene) {
    scene.checkout.resume(PAYMENTS, "test").await.unwrap();
    recover(&scene.checkout, &scene.clock).await;
}

/// Lives the story until the fuse burns down; then the next process dies while it recovers; then two recover at once, and
/// one of them again. Says whether the story was cut short.
async fn die_at(point: u32, house: House, story: impl AsyncFn(&Scene)) -> bool {
    let mut ground = Ground::on(house);
    let died = ground.live(point, story).await;
    // Anywhere in the first rounds of recovery, and elsewhere each time.
    let _died_again = ground.live(point * 7 % 61 + 1, mend).await;
    let (ledger, clock) = (ground.house.reopened().await, ground.house.clock.clone());
    let open = async || {
        let provider = Arc::new(ground.provider.clone());
        let ports = ports(ledger.clone(), provider, clock.clone());
        let checkout = Checkout::open(config(12), ports).await.unwrap();
        checkout.resume(PAYMENTS, "test").await.unwrap();
        checkout
    };
    // Every job must be safe to run twice at once.
    let (one, other) = (open().await, open().await);
    tokio::join!(recover(&one, &clock), recover(&other, &clock));
    judge(&one, &ground.provider, point).await;
    recover(&one, &clock).await;
    judge(&one, &ground.provider, point).await;
    died
}

/// Where the deaths happen.
enum Land {
    Sqlite,
    Postgres(Arc<Postgres>),
}

impl Land {
    /// A house that nobody has lived in. Of several of one name only the last stands.
    async fn house(&self, name: &str) -> House {
        match self {
            Self::Sqlite => House::sqlite(),
            Self::Postgres(server) => House::postgres(server, name).await,
        }
    }

    /// Dies at every point of a story that must have at least so many.
    async fn die_everywhere(&self, name: &str, story: impl AsyncFn(&Scene), points_min: u32) {
        let mut point = 1;
        while die_at(point, self.house(name).await, &story).await {
            point += 1;
        }
        assert!(
            point > points_min,
            "the story has {point} points; it must pass every commit and every call"
        );
    }

    async fn die_at_work(&self) {
        for point in 1..=40 {
            die_at(point, self.house("workers").await, stories::of_workers).await;
        }
    }
}

#[tokio::test]
async fn a_death_at_any_commit_or_call_leaves_stock_and_money_balanced() {
    Land::Sqlite
        .die_everywhere("shoppers", stories::of_shoppers, 60)
        .await;
}

#[tokio::test]
async fn a_death_while_things_are_mended_leaves_stock_and_money_balanced() {
    Land::Sqlite
        .die_everywhere("mending", stories::of_mending, 80)
        .await;
}

#[tokio::test]
async fn a_death_while_operators_work_leaves_stock_and_money_balanced() {
    Land::Sqlite
        .die_everywhere("operators", stories::of_operators, 30)
        .await;
}

#[tokio::test]
async fn a_death_between_outbox_broker_and_worker_loses_no_order() {
    Land::Sqlite.die_at_work().await;
}

#[tokio::test]
async fn on_postgres_a_death_anywhere_leaves_stock_and_money_balanced() {
    let land = Land::Postgres(postgres().await);
    land.die_everywhere("shoppers", stories::of_shoppers, 60).await;
    land.die_everywhere("mending", stories::of_mending, 80).await;
    land.die_everywhere("operators", stories::of_operators, 30).await;
    land.die_at_work().await;
}
