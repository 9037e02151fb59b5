//! A death before and after every commit and every call: the file is opened again, recovery runs, and stock and money
//! must balance. No step of the code knows of this: the deaths live in wrappers around the two ports.

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
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, PublicState};
use domain::pool::Level;
use domain::saga::{Answer, By, KeySpace, Payment, PaymentId, PaymentMethod, Restock, Stall, StateName};
use domain::{DropId, OrderId, Sku, Span, Timestamp};
use tokio::sync::Notify;

use super::support::{
    DECLINED, SECURE, StandingClock, VISA, config, drive_pending, drop_id, method, open_ledger, place, ports,
    purchase, recover,
};

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

impl Ledger for Mortal<Arc<SqliteLedger>> {
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
    }
    plain_reads! {
        open_drop(plan: DropPlan) -> Opened;
        change_stock(drop: DropId, sku: Sku, change: StockChange, entry: AuditEntry) -> StockChanged;
        load(order: OrderId) -> Option<OrderRecord>;
        newer(known: Vec<(OrderId, u64)>) -> Vec<(OrderId, u64)>;
        list(filter: OrderFilter) -> Vec<OrderRecord>;
        pending(channel: Channel, limit: u32) -> Vec<Pending>;
        untold(telling: Telling, limit: u32) -> Vec<Untold>;
        event_known(event: String) -> bool;
        stock(drop: DropId) -> Vec<(Sku, Level)>;
        gauges() -> Gauges;
        sales(drop: DropId) -> Sales;
        audit() -> AuditSums;
        key_space() -> KeySpace;
        next_key_space(entry: AuditEntry) -> KeySpace;
        switches() -> Vec<String>;
        set_switch(name: String, on: bool, entry: AuditEntry) -> ();
        changes() -> Vec<Change>;
        change(changes: Vec<Change>, entry: AuditEntry) -> ();
        note(entry: AuditEntry) -> ();
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

/// Six shoppers do what shoppers do: pay, are declined, confirm, walk away, cancel, want their money back.
async fn story(checkout: &Checkout, provider: &MemoryProvider, clock: &StandingClock) {
    let paid = place(checkout, purchase(1, Some(VISA))).await;
    let declined = place(checkout, purchase(2, Some(DECLINED))).await;
    let secure = place(checkout, purchase(3, Some(SECURE))).await;
    let reserved = place(checkout, purchase(4, None)).await;
    let cancelled = place(checkout, purchase(5, Some(SECURE))).await;
    place(checkout, purchase(6, None)).await;
    checkout.accept(reserved, method(VISA)).await.unwrap();
    for order in [paid, declined, secure, reserved, cancelled] {
        checkout.drive(order).await.unwrap();
    }
    checkout.cancel(cancelled, By::Shopper).await.unwrap();
    let payment = checkout.view(secure).await.unwrap().unwrap().payment.unwrap();
    provider.confirm(&payment, true);
    clock.advance(Span::from_secs(20));
    drive_pending(checkout).await;
    checkout.jobs().cancel().await.unwrap();
    checkout.refund(paid, Restock::Return, "test").await.unwrap();
    clock.advance(Span::from_mins(6));
    checkout.jobs().sweep().await.unwrap();
    checkout.jobs().redrive().await.unwrap();
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
        let open = of_order.iter().any(|payment| payment.capturable > 0);
        assert!(!open, "point {point}: {} ended with money still held", view.order);
    }
    let stock = checkout.stock(&drop_id()).await.unwrap();
    let sold = orders
        .iter()
        .filter(|view| view.ledger_state == StateName::Paid)
        .count();
    assert_eq!(
        stock.iter().map(|(_, level)| level.sold as usize).sum::<usize>(),
        sold,
        "point {point}"
    );
    assert_eq!(
        stock.iter().map(|(_, level)| level.held).sum::<u32>(),
        0,
        "point {point}"
    );
}

/// Lives the story until the fuse burns down, then opens the file again and recovers, twice over. Says whether it died.
async fn die_at(point: u32) -> bool {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let (provider, fuse) = (MemoryProvider::new(clock.clone()), Fuse::of(point));
    let ledger = open_ledger(dir.path(), &clock);
    let mortal = Mortal {
        inner: ledger.clone(),
        fuse: fuse.clone(),
    };
    let line = Mortal {
        inner: provider.clone(),
        fuse: fuse.clone(),
    };
    let checkout = Checkout::open(config(8), ports(Arc::new(mortal), Arc::new(line), clock.clone()))
        .await
        .unwrap();
    let died = tokio::select! {
        () = story(&checkout, &provider, &clock) => false,
        () = fuse.died.notified() => true,
    };
    drop((checkout, ledger));
    let ledger = open_ledger(dir.path(), &clock);
    let open = async || {
        let ports = ports(ledger.clone(), Arc::new(provider.clone()), clock.clone());
        Checkout::open(config(8), ports).await.unwrap()
    };
    // Two processes recover at once: every job must be safe to run twice.
    let (one, other) = (open().await, open().await);
    tokio::join!(recover(&one, &clock), recover(&other, &clock));
    judge(&one, &provider, point).await;
    recover(&one, &clock).await;
    judge(&one, &provider, point).await;
    died
}

#[tokio::test]
async fn a_death_at_any_commit_or_call_leaves_stock_and_money_balanced() {
    let mut point = 1;
    while die_at(point).await {
        point += 1;
    }
    assert!(
        point > 60,
        "the story has {point} points; it must pass every commit and every call"
    );
}
