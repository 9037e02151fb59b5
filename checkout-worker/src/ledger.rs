//! The ledger port: the only truth for stock, orders, attempts and messages.
//!
//! Every method is one transaction and durable when it returns. Wrong answers that are harmless: [`Ledger::load`] and the
//! lists may be a moment old (every change compares versions); [`Ledger::pending`] may show a message that is being
//! marked (handling it twice changes nothing), and, where several processes relay, leaves out what another one has in hand.
//! Everything else must be exact.

mod books;
mod record;
mod telling;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::pool::{Level, Line};
use domain::saga::{IdempotencyKey, KeySpace, Notice, Operation, PaymentMethod, Refusal, StateName, Step};
use domain::{AdmissionId, DropId, Money, OrderId, ShopperKey, Sku, Span, Timestamp};

pub use books::{
    AuditEntry, AuditLine, AuditSums, Change, FORGOTTEN_NAMED, Gauges, Revenue, Sales, StockSums, UNITS_MAX,
};
pub use record::OrderRecord;
pub use telling::{DueNotice, LEASE, Next, REPLAY_STEP, Replay, Replayed, Telling, Told, Untold};

/// What an object-safe asynchronous method returns.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// What a ledger method returns.
pub type LedgerReply<'a, T> = Reply<'a, Result<T, LedgerError>>;

/// The ledger could not do its work. Nothing was changed, except where `Unsure` says so.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store refused or failed; the cause is the store's own error.
    #[error("the ledger failed at {doing}")]
    Failed {
        /// What was attempted.
        doing: &'static str,
        /// The store's own error.
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was lost, or time was up, while committing: whether it is stored is not known. The same command again
    /// is safe: a reservation's key answers with the order that may be there, an acceptance and a step find a version that
    /// has moved on, and re-driving finishes what was begun.
    #[error("whether the ledger stored it is not known ({doing})")]
    Unsure {
        /// What was attempted.
        doing: &'static str,
        /// How the answer was lost.
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The ledger is closed, or too busy to take another command. Worth trying again.
    #[error("the ledger takes no more work just now ({doing})")]
    Unavailable {
        /// What was attempted.
        doing: &'static str,
    },
    /// A row cannot be what we wrote.
    #[error("the ledger holds a row of order {order} that cannot be: {what}")]
    Corrupt {
        /// Whose row.
        order: OrderId,
        /// What is wrong with it.
        what: String,
    },
    /// An attempt is on record under this key with other parameters: a bug, caught before it reached the provider.
    #[error("key {key} was used with other parameters")]
    AttemptChanged {
        /// The key.
        key: IdempotencyKey,
    },
}

/// A drop's stock and prices as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DropPlan {
    /// The drop.
    pub drop: DropId,
    /// What it sells.
    pub items: Vec<ItemPlan>,
}

/// One SKU of a drop as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemPlan {
    /// Its name.
    pub sku: Sku,
    /// Price of one unit.
    pub price: Money,
    /// Units allocated.
    pub stock: u32,
    /// Buckets to spread them over; counts only when the SKU is new.
    pub buckets: u32,
}

/// What came of opening a drop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// Stock is as configured.
    Done,
    /// The configured stock cannot be: units are held or sold that it does not contain. Nothing was changed.
    TooFew {
        /// Which SKU.
        sku: Sku,
        /// Units configured.
        configured: u32,
        /// Units held or sold already.
        taken: u32,
    },
    /// A drop's currency cannot change once orders exist in another. Nothing was changed.
    OtherCurrency {
        /// Which SKU.
        sku: Sku,
    },
}

/// A change to the stock of one SKU by an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StockChange {
    /// Allocate so many units more.
    Add(u32),
    /// Take so many free units out.
    Withdraw(u32),
}

/// What came of a stock change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StockChanged {
    /// The stock is now this.
    Done(Level),
    /// Fewer units are free. Nothing was changed.
    NotFree {
        /// Units neither held nor sold.
        free: u32,
    },
    /// There would be more units of the SKU than [`UNITS_MAX`]. Nothing was changed.
    TooMany,
    /// The drop has no such SKU.
    UnknownSku,
}

/// A purchase to be reserved. Prices and total come from the configuration, never from the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOrder {
    /// The order's name.
    pub id: OrderId,
    /// Its drop.
    pub drop: DropId,
    /// Who buys.
    pub shopper: ShopperKey,
    /// The admission that pays for it; holds one order that is not dead.
    pub admission: AdmissionId,
    /// The client's `Idempotency-Key`.
    pub client_key: ClientKey,
    /// SHA-256 of what was asked, to tell a repetition from another request under the same key.
    pub request_hash: [u8; 32],
    /// What is bought.
    pub items: Vec<Item>,
    /// What it costs in all.
    pub total: Money,
    /// Where present, the order is accepted in the same step.
    pub method: Option<PaymentMethod>,
    /// Where the provider may send a receipt.
    pub email: Option<Email>,
    /// How long the units are held.
    pub reserve_for: Span,
    /// Most units one shopper may have over all orders of the drop that are alive.
    pub per_shopper: u32,
}

/// One line of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What.
    pub line: Line,
    /// Price of one unit.
    pub price: Money,
}

/// The client's own name for a request: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientKey(Arc<str>);

/// An e-mail address as the shopper typed it; checked for length and shape only, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(Arc<str>);

/// What came of a reservation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reservation {
    /// Units are held (and, with a payment method, the order is accepted).
    Placed(OrderRecord),
    /// This very request was answered before.
    Repeated(OrderRecord),
    /// The key was used for another request.
    KeyMismatch {
        /// The order of that request.
        order: OrderId,
    },
    /// Too little is left.
    SoldOut {
        /// Units left of each SKU asked for.
        left: Vec<Line>,
    },
    /// The shopper would have more units than one shopper may.
    LimitExceeded {
        /// Units one shopper may have.
        limit: u32,
        /// Units this shopper has.
        has: u32,
    },
    /// The admission holds another order that is not dead.
    AdmissionSpent {
        /// That order.
        order: OrderId,
    },
    /// The drop has no such SKU.
    UnknownSku(Sku),
}

/// What came of accepting an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acceptance {
    /// It is accepted: an answer is owed.
    Accepted(Box<OrderRecord>),
    /// The saga refuses.
    Refused(Refusal),
    /// There is no such order.
    Unknown,
}

/// A step to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The step: its `from` and `order.version - 1` are the compare-and-set's expectation.
    pub step: Step,
    /// The attempt that its call makes, to be on record before the call is made.
    pub attempt: Option<AttemptRow>,
    /// How the attempt before it ended, where this step follows an answer.
    pub outcome: Option<(Operation, u32, &'static str)>,
}

/// One attempt as recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptRow {
    /// What is attempted.
    pub operation: Operation,
    /// Its number.
    pub n: u32,
    /// The key it is sent under.
    pub key: IdempotencyKey,
    /// SHA-256 over everything sent under the key.
    pub params: [u8; 32],
    /// When it was first committed to.
    pub first_sent: Timestamp,
}

/// What came of storing a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// It is stored.
    Done,
    /// The order has changed since it was read: read it again, decide again.
    Conflict,
}

/// Which orders to list; every condition that is present must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OrderFilter {
    /// Of this drop.
    pub drop: Option<DropId>,
    /// In one of these states; empty means any.
    pub states: Vec<StateName>,
    /// Only those with a flag.
    pub flagged: bool,
    /// Last changed before this instant.
    pub changed_before: Option<Timestamp>,
    /// Due at or before this instant.
    pub due_by: Option<Timestamp>,
    /// Which end of the list comes first.
    pub sort: Sort,
    /// Beyond this order as the list is sorted, for the next page.
    pub after: Option<OrderId>,
    /// At most so many.
    pub limit: u32,
}

/// By when they were made, which end of a list of orders comes first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Sort {
    /// The first made first: jobs walk so, and meet what is new at the end.
    #[default]
    OldestFirst,
    /// The last made first: what a person looks for.
    NewestFirst,
}

/// A message that waits in the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Rises with every message.
    pub id: i64,
    /// Which order it is about.
    pub order: OrderId,
    /// What it says.
    pub message: Message,
    /// When it was written.
    pub at: Timestamp,
}

/// To whom an outbox message goes. Two channels, so that a backlog of work does not delay the news.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    /// To the workers, through the broker.
    Workers,
    /// To the merchant's systems and the rest of the house.
    Notices,
}

/// What an outbox message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// To a worker: this order is due.
    Drive,
    /// To the merchant's systems.
    Notice(OrderNotice),
}

/// Something that the merchant's systems, and the rest of the house, are told about an order. At least once each;
/// `(order, version)` tells repetitions apart and puts them in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderNotice {
    /// What happened.
    pub notice: Notice,
    /// To which order.
    pub order: OrderId,
    /// Of which drop.
    pub drop: DropId,
    /// Whose order.
    pub shopper: ShopperKey,
    /// Which admission it was bought with.
    pub admission: AdmissionId,
    /// The order's version when it happened.
    pub version: u64,
    /// Units that went back to the pool with it.
    pub returned: u32,
}

/// How many versions each order leaves out when keys move to the next space. Notices are told apart, and put in order, by
/// order and version: those of a time that was lost, after the copy was made, must not be met again. No order comes near so
/// many steps, and a ledger could be restored trillions of times before a version were too great for its column.
pub const VERSIONS_SKIPPED: u64 = 1 << 20;

/// The port. See the [module](self) for what may be a moment old.
pub trait Ledger: Send + Sync {
    /// Creates or adjusts a drop's stock rows as configured. A SKU that is configured as it was the last time is left as it
    /// is: what operators have added or withdrawn since stands.
    fn open_drop(&self, plan: DropPlan) -> LedgerReply<'_, Opened>;
    /// Adds or withdraws units of one SKU, and writes who did it, with the stock before and after.
    fn change_stock(
        &self,
        drop: DropId,
        sku: Sku,
        change: StockChange,
        entry: AuditEntry,
    ) -> LedgerReply<'_, StockChanged>;
    /// Reserves, and accepts where a payment method is given: all of it or nothing.
    fn reserve(&self, order: NewOrder) -> LedgerReply<'_, Reservation>;
    /// Accepts a reserved order. The deadline is compared with the ledger's own clock.
    fn accept(&self, order: OrderId, method: PaymentMethod) -> LedgerReply<'_, Acceptance>;
    /// Releases up to `limit` reservations past their time, and says which.
    fn expire(&self, limit: u32) -> LedgerReply<'_, Vec<OrderRecord>>;
    /// Reads one order.
    fn load(&self, order: OrderId) -> LedgerReply<'_, Option<OrderRecord>>;
    /// Of these orders, each with a version, those whose version is above it, with the version they have now.
    fn newer(&self, known: Vec<(OrderId, u64)>) -> LedgerReply<'_, Vec<(OrderId, u64)>>;
    /// Stores a step by compare-and-set on state and version, with its stock entries, attempt and messages.
    fn apply(&self, transition: Transition) -> LedgerReply<'_, Applied>;
    /// Writes a drive message for up to `limit` orders that are due, not leased, not flagged and have none; says how many.
    /// An order that has not changed since its message was [published](Self::published) is left out for `patience`
    /// after that, by the ledger's own clock: its message waits for its turn. No patience leaves nothing out.
    /// Orders of the drops in `paused` are left out: nobody may take them to payment. So are those of shoppers at their bank,
    /// which are read about and not taken anywhere. Where there are more than `limit`, each drop has its turn; of each the
    /// longest due first.
    fn redrive(&self, limit: u32, patience: Span, paused: Vec<DropId>) -> LedgerReply<'_, u32>;
    /// The drops with orders that are due, not leased and not flagged, and how many each has; shoppers at their bank do not
    /// count. It looks at each such order: ask once a second at most.
    fn due_drops(&self) -> LedgerReply<'_, Vec<(DropId, u64)>>;
    /// Lists orders. One that cannot be read is left out and logged, so that it hides no other: a page may be short of the
    /// limit though there are more.
    fn list(&self, filter: OrderFilter) -> LedgerReply<'_, Vec<OrderRecord>>;
    /// The oldest messages of one channel that are not delivered, at most `limit`.
    fn pending(&self, channel: Channel, limit: u32) -> LedgerReply<'_, Vec<Pending>>;
    /// Marks messages as delivered. A drive message has said all it had to say and goes.
    fn delivered(&self, messages: Vec<i64>) -> LedgerReply<'_, ()>;
    /// Notes that a durable broker holds these drive messages: they go from the outbox, and each order keeps the version
    /// that its message was written for and the instant, for [`Ledger::redrive`].
    fn published(&self, messages: Vec<i64>) -> LedgerReply<'_, ()>;
    /// Notes that the broker no longer holds a message of this order, which was not worked on: [`Ledger::redrive`] writes
    /// another as soon as it may.
    fn postponed(&self, order: OrderId) -> LedgerReply<'_, ()>;
    /// Up to `limit` notices whose turn it is to be told to the merchant's system, the longest due first, leased to the
    /// caller for [`LEASE`]. A notice waits while an earlier one of its order is neither taken nor given up; one that was
    /// never tried and is older than `horizon` has no turn.
    fn notices_due(&self, limit: u32, horizon: Span) -> LedgerReply<'_, Vec<DueNotice>>;
    /// Notes how tries ended. Where one ends a notice, the order's next one is due from now on.
    fn notices_told(&self, told: Vec<Told>) -> LedgerReply<'_, ()>;
    /// Lets up to `limit` notices go that were never tried and are older than `horizon`; says how many. A notice that waits
    /// behind an earlier one of its order stays: its time starts when that one ends.
    fn forget_notices(&self, horizon: Span, limit: u32) -> LedgerReply<'_, u32>;
    /// Notices that were not taken: pending ones as they come due, given-up ones as they were written.
    fn untold(&self, telling: Telling, limit: u32) -> LedgerReply<'_, Vec<Untold>>;
    /// Makes the next [`REPLAY_STEP`] notices after the message `after` due at once, as if they had never been tried.
    fn replay_notices(&self, what: Replay, after: i64) -> LedgerReply<'_, Replayed>;
    /// Whether a provider event was recorded before.
    fn event_known(&self, event: String) -> LedgerReply<'_, bool>;
    /// Records a provider event; says whether it is the first time.
    fn record_event(&self, event: String, kind: String) -> LedgerReply<'_, bool>;
    /// The stock of a drop, by SKU.
    fn stock(&self, drop: DropId) -> LedgerReply<'_, Vec<(Sku, Level)>>;
    /// Figures for metrics.
    fn gauges(&self) -> LedgerReply<'_, Gauges>;
    /// What a drop came to so far. It counts rows: read it when somebody asks.
    fn sales(&self, drop: DropId) -> LedgerReply<'_, Sales>;
    /// Both sides of every book, read at one moment.
    fn audit(&self) -> LedgerReply<'_, AuditSums>;
    /// The space that keys are drawn from.
    fn key_space(&self) -> LedgerReply<'_, KeySpace>;
    /// Moves to the next space, for good, and writes who did it. Every order's version rises by [`VERSIONS_SKIPPED`].
    fn next_key_space(&self, entry: AuditEntry) -> LedgerReply<'_, KeySpace>;
    /// The names of the durable switches that are on.
    fn switches(&self) -> LedgerReply<'_, Vec<String>>;
    /// Sets a durable switch and writes who did it, with how it stood.
    fn set_switch(&self, name: String, on: bool, entry: AuditEntry) -> LedgerReply<'_, ()>;
    /// What operators have changed of drops' settings, over all drops.
    fn changes(&self) -> LedgerReply<'_, Vec<Change>>;
    /// Keeps changes, each in place of the one before of the same setting, and writes who made them, with what was in
    /// force before and is after.
    fn change(&self, changes: Vec<Change>, entry: AuditEntry) -> LedgerReply<'_, ()>;
    /// Writes a line in the operators' log.
    fn note(&self, entry: AuditEntry) -> LedgerReply<'_, ()>;
    /// The operators' log, the newest line first: at most `limit` lines, none older than `since`.
    fn noted(&self, since: Option<Timestamp>, limit: u32) -> LedgerReply<'_, Vec<AuditLine>>;
}

impl ClientKey {
    /// Most characters, as the provider allows for its own keys.
    pub const BYTES_MAX: usize = 255;

    /// Checks the form: 1 to 255 printable ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits =
            (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        fits.then(|| Self(Arc::from(text)))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Email {
    /// Most bytes of an address (RFC 5321: 64 before the at sign, 255 after, cut to 254 by the path limit).
    pub const BYTES_MAX: usize = 254;

    /// Checks length and rough shape; whether it exists is not ours to know.
    pub fn new(text: &str) -> Option<Self> {
        let (local, host) = text.split_once('@')?;
        let fits = text.len() <= Self::BYTES_MAX
            && !local.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        fits.then(|| Self(Arc::from(text)))
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(…)")
    }
}
