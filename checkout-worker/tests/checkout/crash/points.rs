//! The points at which a process may die: one before and one after every commit and every call, each with its name. No step
//! of the code knows of them: they are in wrappers around the ports.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use checkout_worker::broker::{Ack, Broker, Delivery, PublishError, Published, Standing, Verdict};
use checkout_worker::ledger::{
    Acceptance, Applied, AuditEntry, AuditLine, AuditSums, Change, Channel, DropPlan, DueNotice, Gauges,
    Ledger, LedgerReply, NewOrder, Opened, OrderFilter, OrderRecord, Pending, Replay, Replayed, Reply,
    Reservation, Sales, StockChange, StockChanged, Telling, Told, Transition, Untold,
};
use checkout_worker::merchant::{Heard, Merchant, MerchantEvent};
use checkout_worker::provider::memory::MemoryProvider;
use checkout_worker::provider::{Page, Provider, ProviderCall, Window};
use domain::pool::Level;
use domain::saga::{Answer, Call, KeySpace, Notice, PaymentId, PaymentMethod, Stall};
use domain::{DropId, OrderId, Sku, Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::outside::Memo;

/// On which side of an operation a point lies. Before it nothing is done; after it everything is, and nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    Before,
    After,
}

/// A point by its name: `before provider.capture`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Point {
    operation: &'static str,
    side: Side,
}

/// Where a life ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doom {
    /// At the point of this number, counted from 1.
    At(u32),
    /// Where this point is passed for the first time.
    First(Point),
    /// Nowhere.
    Never,
}

/// Burns at every point that is passed. At the doom the process is dead, and whatever it does next never returns.
pub(super) struct Fuse {
    doom: Doom,
    passed: AtomicU32,
    died_at: OnceLock<Point>,
    died: CancellationToken,
    buried: CancellationToken,
}

/// A port with its points.
pub(super) struct Mortal<T> {
    inner: T,
    fuse: Arc<Fuse>,
}

/// Puts points around what is done at a port.
pub(super) fn mortal<T>(inner: T, fuse: &Arc<Fuse>) -> Mortal<T> {
    Mortal {
        inner,
        fuse: fuse.clone(),
    }
}

/// Every operation that has its points: all commits of the ledger, and all calls to whom we depend on.
pub(super) fn operations() -> impl Iterator<Item = &'static str> {
    COMMITS.iter().chain(CALLS).copied()
}

impl Point {
    /// The two points of an operation.
    pub(super) const fn around(operation: &'static str) -> [Self; 2] {
        [
            Self {
                operation,
                side: Side::Before,
            },
            Self {
                operation,
                side: Side::After,
            },
        ]
    }

    /// Whether its operation is among [`operations`].
    pub(super) fn is_listed(&self) -> bool {
        operations().any(|operation| operation == self.operation)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side} {}", self.operation)
    }
}

impl Fuse {
    pub(super) fn of(doom: Doom) -> Arc<Self> {
        Arc::new(Self {
            doom,
            passed: AtomicU32::new(0),
            died_at: OnceLock::new(),
            died: CancellationToken::new(),
            buried: CancellationToken::new(),
        })
    }

    /// Resolves when the process dies.
    pub(super) async fn death(&self) {
        self.died.cancelled().await;
    }

    /// Where the process died, if it did.
    pub(super) fn died_at(&self) -> Option<Point> {
        self.died_at.get().copied()
    }

    /// How many points the process came to.
    pub(super) fn passed(&self) -> u32 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Lets what is left of a dead process go, with all it holds open: its tasks that belong to nobody would wait for ever.
    pub(super) fn bury(&self) {
        self.buried.cancel();
    }

    /// Passes a point; says whether the process lives still.
    fn pass(&self, point: Point) -> bool {
        if self.died.is_cancelled() {
            return false;
        }
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let dies = match self.doom {
            Doom::At(doomed) => doomed == number,
            Doom::First(doomed) => doomed == point,
            Doom::Never => false,
        };
        if dies {
            self.died_at.get_or_init(|| point);
            self.died.cancel();
        }
        !dies
    }

    /// Passes a point, or never returns.
    async fn burn(&self, point: Point) {
        if !self.pass(point) {
            self.buried.cancelled().await;
            // No hook is told: nothing went wrong.
            resume_unwind(Box::new("the process is dead"));
        }
    }
}

impl fmt::Display for Fuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed();
        match self.died_at() {
            Some(point) => write!(f, "death at point {passed}, {point}"),
            None => write!(f, "no death ({:?}), {passed} points", self.doom),
        }
    }
}

impl<T> Mortal<T> {
    /// A point before and a point after `work`.
    async fn around<R>(&self, operation: &'static str, work: impl Future<Output = R>) -> R {
        let [before, after] = Point::around(operation);
        self.fuse.burn(before).await;
        let done = work.await;
        self.fuse.burn(after).await;
        done
    }
}

/// A method that is in neither list does not compile, and a commit cannot be left out of the names.
macro_rules! mortal_ledger {
    (
        commits { $($commit:ident($($with:ident: $kind:ty),*) -> $done:ty;)* }
        reads { $($read:ident($($of:ident: $what:ty),*) -> $told:ty;)* }
    ) => {
        const COMMITS: &[&str] = &[$(concat!("ledger.", stringify!($commit))),*];

        impl Ledger for Mortal<Arc<dyn Ledger>> {
            $(fn $commit(&self, $($with: $kind),*) -> LedgerReply<'_, $done> {
                let committing = async move { self.inner.$commit($($with),*).await };
                Box::pin(self.around(concat!("ledger.", stringify!($commit)), committing))
            })*
            $(fn $read(&self, $($of: $what),*) -> LedgerReply<'_, $told> {
                self.inner.$read($($of),*)
            })*
        }
    };
}

mortal_ledger! {
    commits {
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
    reads {
        load(order: OrderId) -> Option<OrderRecord>;
        newer(known: Vec<(OrderId, u64)>) -> Vec<(OrderId, u64)>;
        due_drops() -> Vec<(DropId, u64)>;
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

/// Every call, as its name is given below. One that is died at and not named here fails its story.
const CALLS: &[&str] = &[
    "provider.authorise",
    "provider.capture",
    "provider.cancel",
    "provider.refund",
    "provider.cancel-stray",
    "provider.refund-stray",
    "provider.retrieve",
    "provider.find",
    "provider.list",
    "provider.retrieve-by-name",
    "broker.publish",
    "broker.consume",
    "broker.ack",
    "merchant.tell",
];

const fn named(call: &Call) -> &'static str {
    match call {
        Call::Authorise { .. } => "provider.authorise",
        Call::Capture { .. } => "provider.capture",
        Call::Cancel { .. } => "provider.cancel",
        Call::Refund { .. } => "provider.refund",
        Call::CancelStray { .. } => "provider.cancel-stray",
        Call::RefundStray { .. } => "provider.refund-stray",
        Call::Retrieve { .. } => "provider.retrieve",
        Call::Find { .. } => "provider.find",
    }
}

/// The provider in memory acts when it is asked, not when its answer is awaited: it is asked within `async`, so that the
/// point before a call lies before its effect.
impl Provider for Mortal<MemoryProvider> {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        let asking = async move { self.inner.perform(call).await };
        Box::pin(self.around(named(&call.call), asking))
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        let asking = async move { self.inner.list(window).await };
        Box::pin(self.around("provider.list", asking))
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        let asking = async move { self.inner.retrieve(payment).await };
        Box::pin(self.around("provider.retrieve-by-name", asking))
    }
}

impl Broker for Mortal<Arc<dyn Broker>> {
    fn publish(&self, order: OrderId) -> Reply<'_, Result<Published, PublishError>> {
        let publishing = async move { self.inner.publish(order).await };
        Box::pin(self.around("broker.publish", publishing))
    }

    fn patience(&self) -> Option<Duration> {
        self.inner.patience()
    }

    fn consume(&self) -> Reply<'_, Option<Delivery>> {
        let consuming = async move {
            let delivery = self.inner.consume().await?;
            Some(self.with_points(delivery))
        };
        Box::pin(self.around("broker.consume", consuming))
    }

    fn standing(&self) -> Standing {
        self.inner.standing()
    }
}

impl Mortal<Arc<dyn Broker>> {
    /// The delivery with points around its acknowledgement. What a dead worker has in hand goes back.
    fn with_points(&self, delivery: Delivery) -> Delivery {
        let Delivery { order, ack } = delivery;
        let fuse = self.fuse.clone();
        let ack = Ack::new(move |verdict| {
            let [before, after] = Point::around("broker.ack");
            match verdict {
                Verdict::Done if fuse.pass(before) => ack.done(),
                Verdict::Refused if fuse.pass(before) => ack.refuse(),
                Verdict::Done | Verdict::Refused | Verdict::GivenBack => return,
            }
            fuse.pass(after);
        });
        Delivery { order, ack }
    }
}

impl Merchant for Mortal<Arc<Memo>> {
    fn wants(&self, notice: Notice) -> bool {
        self.inner.wants(notice)
    }

    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard> {
        let telling = async move { self.inner.tell(event).await };
        Box::pin(self.around("merchant.tell", telling))
    }
}
