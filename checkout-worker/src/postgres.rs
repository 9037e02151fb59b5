//! The ledger in Postgres, for many processes at once.
//!
//! Reservations, acceptances and steps that wait in the same moment go into one transaction with one statement per table:
//! that is where thousands of orders per second come from. Rules that must hold over all processes hold because of locks
//! that are taken in one order everywhere, behind them stand guarded updates, unique keys and CHECKs. Every call has a
//! deadline; a connection that is lost while committing surfaces as [`LedgerError::Unsure`](crate::ledger::LedgerError).

mod batch;
mod books;
mod columns;
mod connect;
mod gather;
mod log;
mod orders;
mod outbox;
mod schema;
mod sheet;
mod stock;
mod telling;
mod trouble;
mod turns;
mod write;
mod writer;

use std::time::Duration;

use domain::pool::Level;
use domain::saga::{KeySpace, PaymentMethod};
use domain::{DropId, OrderId, Sku, Span, Timestamp};
use sqlx::migrate::MigrateError;
use sqlx::{PgConnection, PgPool};

use crate::ledger::{
    Acceptance, Applied, AuditEntry, AuditLine, AuditSums, Change, Channel, DropPlan, DueNotice, Gauges,
    Ledger, LedgerReply, NewOrder, Opened, OrderFilter, OrderRecord, Pending, Replay, Replayed, Reservation,
    Sales, StockChange, StockChanged, Telling, Told, Transition, Untold,
};

use batch::{Answer, Command};
use connect::{Kind, Pace, Work};
use writer::Writer;

pub use schema::migrate;

/// The longest that moving to the next key space may take. An operator waits for it, and nothing is sold meanwhile.
const NEXT_SPACE_WITHIN: Duration = Duration::from_mins(15);

/// Where the ledger is, and how long it may take.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// The address: `postgres://role:secret@host:port/database`, with `?sslmode=verify-full` where the network is not ours.
    pub url: String,
    /// Connections this process may have open, at least 2: one writes, the others read and serve the jobs.
    pub connections: u32,
    /// How long one call may take. Locks are waited for half as long; a batch may take twice as long.
    pub call_within: Duration,
    /// How long an audit or a count over everything may take.
    pub report_within: Duration,
}

impl PostgresConfig {
    /// An address with the usual limits: 8 connections, 5 s for a call, 60 s for an audit.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connections: 8,
            call_within: Duration::from_secs(5),
            report_within: Duration::from_mins(1),
        }
    }
}

impl std::fmt::Debug for PostgresConfig {
    /// The address may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("connections", &self.connections)
            .field("call_within", &self.call_within)
            .field("report_within", &self.report_within)
            .finish_non_exhaustive()
    }
}

/// The ledger cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The address does not parse.
    #[error("the ledger's address is not one of Postgres")]
    Address {
        /// What is wrong with it.
        #[source]
        cause: sqlx::Error,
    },
    /// The server does not answer, or refuses us.
    #[error("the ledger's Postgres cannot be used")]
    Connect {
        /// Why not.
        #[source]
        cause: sqlx::Error,
    },
    /// The server answers before it has stored: a crash would lose orders that were accepted.
    #[error(
        "Postgres has {setting} off: it would lose accepted orders. Turn it on, for the server, the database and the role"
    )]
    NotDurable {
        /// Which setting.
        setting: &'static str,
    },
    /// The tables are not there or not up to date.
    #[error(
        "the ledger's tables are behind: migration {version} is missing or unfinished. Run `doorline migrate`"
    )]
    Behind {
        /// The first migration that is missing.
        version: i64,
    },
    /// A newer version of this program has changed the tables.
    #[error("the ledger's tables are newer than this program: migration {version} is unknown to it")]
    Newer {
        /// The newest migration on record.
        version: i64,
    },
    /// A migration on record is not the one we know.
    #[error("migration {version} of the ledger's tables is not the one this program knows")]
    Foreign {
        /// Which one.
        version: i64,
    },
    /// A migration failed. It was rolled back.
    #[error("the ledger's tables cannot be brought up to date")]
    Migration {
        /// What went wrong.
        #[source]
        cause: MigrateError,
    },
}

impl PostgresOpenError {
    /// Whether the server is only away: it may be opened a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { cause } => trouble::is_away(cause),
            Self::Address { .. }
            | Self::NotDurable { .. }
            | Self::Behind { .. }
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Migration { .. } => false,
        }
    }
}

/// The ledger in Postgres. As many processes as there are may have it open.
#[derive(Debug)]
pub struct PostgresLedger {
    pool: PgPool,
    writer: Writer,
    /// Tells our claims on the outbox from those of other processes.
    opener: i64,
    call_within: Duration,
    report_within: Duration,
}

impl PostgresLedger {
    /// Connects and checks that the server keeps what it commits and that the tables are as this program knows them.
    /// Leases of other processes are left alone: they end by themselves. Must be called within a Tokio runtime, on which
    /// the writing task then lives.
    ///
    /// # Errors
    /// If the server cannot be reached, would not be durable, or has other tables.
    pub async fn open(config: PostgresConfig) -> Result<Self, PostgresOpenError> {
        let pool = connect::pool(&config)?;
        let failed = |cause| PostgresOpenError::Connect { cause };
        let mut connection = pool.acquire().await.map_err(failed)?;
        connect::check_durable(&mut connection).await?;
        schema::check(&mut connection).await?;
        let opener = sqlx::query_scalar("SELECT nextval('opener')")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        drop(connection);
        Ok(Self {
            writer: Writer::start(pool.clone(), config.call_within * 2),
            pool,
            opener,
            call_within: config.call_within,
            report_within: config.report_within,
        })
    }

    fn call<T: Send + 'static>(
        &self,
        kind: Kind,
        doing: &'static str,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        Box::pin(async move {
            let done = connect::call(&self.pool, kind, self.call_within, work).await;
            done.map_err(|trouble| trouble.into_ledger(doing))
        })
    }

    /// A reading that looks at everything: it may take longer than a call.
    fn report<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        self.long_call(Kind::Read, self.report_within, doing, work)
    }

    /// A call that goes through whole tables.
    fn long_call<T: Send + 'static>(
        &self,
        kind: Kind,
        within: Duration,
        doing: &'static str,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        let (usual, longer) = (self.call_within.as_millis(), within.as_millis());
        Box::pin(async move {
            let done = connect::call(&self.pool, kind, within, move |c| {
                Box::pin(async move {
                    connect::set(c, Pace::Report, longer).await?;
                    let done = work(&mut *c).await;
                    connect::set(c, Pace::Call, usual).await?;
                    done
                })
            });
            done.await.map_err(|trouble| trouble.into_ledger(doing))
        })
    }

    fn batched<T: Send + 'static>(
        &self,
        doing: &'static str,
        command: Command,
        answer: impl FnOnce(Answer) -> Option<T> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        Box::pin(async move {
            let answered = self.writer.run(doing, command).await?;
            Ok(answer(answered).expect("a command is answered in kind"))
        })
    }
}

impl Ledger for PostgresLedger {
    fn open_drop(&self, plan: DropPlan) -> LedgerReply<'_, Opened> {
        self.call(Kind::Write, "opening a drop", |c| {
            Box::pin(async move { stock::open_drop(c, &plan).await })
        })
    }

    fn change_stock(
        &self,
        drop: DropId,
        sku: Sku,
        change: StockChange,
        entry: AuditEntry,
    ) -> LedgerReply<'_, StockChanged> {
        self.call(Kind::Write, "changing stock", move |c| {
            Box::pin(async move { stock::change(c, &drop, &sku, change, entry).await })
        })
    }

    fn reserve(&self, order: NewOrder) -> LedgerReply<'_, Reservation> {
        let command = Command::Reserve(Box::new(order));
        self.batched("reserving", command, |answer| match answer {
            Answer::Reserved(reservation) => Some(*reservation),
            Answer::Accepted(_) | Answer::Applied(_) => None,
        })
    }

    fn accept(&self, order: OrderId, method: PaymentMethod) -> LedgerReply<'_, Acceptance> {
        let command = Command::Accept(order, method);
        self.batched("accepting", command, |answer| match answer {
            Answer::Accepted(acceptance) => Some(acceptance),
            Answer::Reserved(_) | Answer::Applied(_) => None,
        })
    }

    fn expire(&self, limit: u32) -> LedgerReply<'_, Vec<OrderRecord>> {
        self.call(Kind::Write, "expiring reservations", move |c| {
            Box::pin(batch::expire(c, limit))
        })
    }

    fn load(&self, order: OrderId) -> LedgerReply<'_, Option<OrderRecord>> {
        self.call(Kind::Read, "reading an order", move |c| {
            Box::pin(orders::load(c, order))
        })
    }

    fn newer(&self, known: Vec<(OrderId, u64)>) -> LedgerReply<'_, Vec<(OrderId, u64)>> {
        self.call(Kind::Read, "looking for news of orders", |c| {
            Box::pin(async move { orders::newer(c, &known).await })
        })
    }

    fn apply(&self, transition: Transition) -> LedgerReply<'_, Applied> {
        let command = Command::Apply(Box::new(transition));
        self.batched("storing a step", command, |answer| match answer {
            Answer::Applied(applied) => Some(applied),
            Answer::Reserved(_) | Answer::Accepted(_) => None,
        })
    }

    fn redrive(&self, limit: u32, patience: Span, paused: Vec<DropId>) -> LedgerReply<'_, u32> {
        self.call(Kind::Write, "re-driving", move |c| {
            Box::pin(outbox::redrive(c, limit, patience, paused))
        })
    }

    fn due_drops(&self) -> LedgerReply<'_, Vec<(DropId, u64)>> {
        self.call(Kind::Read, "looking for due drops", |c| {
            Box::pin(outbox::due_drops(c))
        })
    }

    fn list(&self, filter: OrderFilter) -> LedgerReply<'_, Vec<OrderRecord>> {
        self.call(Kind::Read, "listing orders", |c| {
            Box::pin(async move { orders::list(c, &filter).await })
        })
    }

    fn pending(&self, channel: Channel, limit: u32) -> LedgerReply<'_, Vec<Pending>> {
        let relay = self.opener;
        // A claim that may or may not have been made changes nothing: it ends by itself.
        self.call(Kind::Read, "reading the outbox", move |c| {
            Box::pin(outbox::pending(c, relay, channel, limit))
        })
    }

    fn delivered(&self, messages: Vec<i64>) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "marking messages", |c| {
            Box::pin(async move { outbox::delivered(c, &messages).await })
        })
    }

    fn published(&self, messages: Vec<i64>) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "noting published messages", |c| {
            Box::pin(async move { outbox::published(c, &messages).await })
        })
    }

    fn postponed(&self, order: OrderId) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "postponing an order", move |c| {
            Box::pin(outbox::postponed(c, order))
        })
    }

    fn notices_due(&self, limit: u32, horizon: Span) -> LedgerReply<'_, Vec<DueNotice>> {
        // A lease that may or may not have been taken changes nothing: it ends by itself.
        self.call(Kind::Read, "taking notices to tell", move |c| {
            Box::pin(telling::due(c, limit, horizon))
        })
    }

    fn notices_told(&self, told: Vec<Told>) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "noting what was told", |c| {
            Box::pin(async move { telling::told(c, &told).await })
        })
    }

    fn forget_notices(&self, horizon: Span, limit: u32) -> LedgerReply<'_, u32> {
        self.call(Kind::Write, "letting old notices go", move |c| {
            Box::pin(telling::forget(c, horizon, limit))
        })
    }

    fn untold(&self, telling: Telling, limit: u32) -> LedgerReply<'_, Vec<Untold>> {
        self.call(Kind::Read, "listing notices", move |c| {
            Box::pin(telling::untold(c, telling, limit))
        })
    }

    fn replay_notices(&self, what: Replay, after: i64) -> LedgerReply<'_, Replayed> {
        self.call(Kind::Write, "replaying notices", move |c| {
            Box::pin(telling::replay(c, what, after))
        })
    }

    fn event_known(&self, event: String) -> LedgerReply<'_, bool> {
        self.call(Kind::Read, "looking an event up", |c| {
            Box::pin(async move { log::event_known(c, &event).await })
        })
    }

    fn record_event(&self, event: String, kind: String) -> LedgerReply<'_, bool> {
        self.call(Kind::Write, "recording an event", |c| {
            Box::pin(async move { log::record_event(c, &event, &kind).await })
        })
    }

    fn stock(&self, drop: DropId) -> LedgerReply<'_, Vec<(Sku, Level)>> {
        self.call(Kind::Read, "reading stock", |c| {
            Box::pin(async move { stock::levels(c, &drop).await })
        })
    }

    fn gauges(&self) -> LedgerReply<'_, Gauges> {
        self.report("reading figures", |c| Box::pin(books::gauges(c)))
    }

    fn sales(&self, drop: DropId) -> LedgerReply<'_, Sales> {
        self.report("counting what was sold", |c| {
            Box::pin(async move { books::sales(c, &drop).await })
        })
    }

    fn audit(&self) -> LedgerReply<'_, AuditSums> {
        self.report("auditing", |c| Box::pin(books::audit(c)))
    }

    fn key_space(&self) -> LedgerReply<'_, KeySpace> {
        self.call(Kind::Read, "reading the key space", |c| {
            Box::pin(log::key_space(c))
        })
    }

    fn next_key_space(&self, entry: AuditEntry) -> LedgerReply<'_, KeySpace> {
        // It changes every order there is.
        self.long_call(
            Kind::Write,
            NEXT_SPACE_WITHIN,
            "moving to the next key space",
            |c| Box::pin(async move { log::next_key_space(c, entry).await }),
        )
    }

    fn switches(&self) -> LedgerReply<'_, Vec<String>> {
        self.call(Kind::Read, "reading the switches", |c| Box::pin(log::switches(c)))
    }

    fn set_switch(&self, name: String, on: bool, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "setting a switch", move |c| {
            Box::pin(async move { log::set_switch(c, &name, on, entry).await })
        })
    }

    fn changes(&self) -> LedgerReply<'_, Vec<Change>> {
        self.call(Kind::Read, "reading changed settings", |c| {
            Box::pin(log::changes(c))
        })
    }

    fn change(&self, changes: Vec<Change>, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "changing settings", move |c| {
            Box::pin(async move { log::change(c, &changes, entry).await })
        })
    }

    fn note(&self, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.call(Kind::Write, "writing the operators' log", |c| {
            Box::pin(async move { log::note(c, &entry).await })
        })
    }

    fn noted(&self, since: Option<Timestamp>, limit: u32) -> LedgerReply<'_, Vec<AuditLine>> {
        self.call(Kind::Read, "reading the operators' log", move |c| {
            Box::pin(log::noted(c, since, limit))
        })
    }
}
