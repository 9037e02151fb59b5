//! The ledger in SQLite: `ledger.db` in the data directory, WAL with `synchronous=FULL`, one writer, a few readers.
//!
//! What arrives while a commit is being made durable goes into the next one together, each command in a savepoint of its
//! own: that is where thousands of orders per second come from. Every reply waits for the commit that carries it.

mod books;
mod log;
mod orders;
mod outbox;
mod reserve;
mod stock;
mod telling;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::pool::Level;
use domain::saga::{IdempotencyKey, KeySpace, PaymentMethod};
use domain::{Clock, DropId, OrderId, Sku, Span, Timestamp};
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::ledger::{
    Acceptance, Applied, AuditEntry, AuditLine, AuditSums, Change, Channel, DropPlan, DueNotice, Gauges,
    Ledger, LedgerError, LedgerReply, NewOrder, Opened, OrderFilter, OrderRecord, Pending, Replay, Replayed,
    Reservation, Sales, StockChange, StockChanged, Telling, Told, Transition, Untold,
};
use crate::row::Corrupt;

use thread::{Lane, Threads};

/// The file's name within the data directory.
pub const FILE_NAME: &str = "ledger.db";

const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../migrations/0001_ledger.sql")),
    M::up(include_str!("../migrations/0002_published.sql")),
    M::up(include_str!("../migrations/0003_changed.sql")),
    M::up(include_str!("../migrations/0004_telling.sql")),
    M::up(include_str!("../migrations/0005_key_space.sql")),
    M::up(include_str!("../migrations/0006_configured.sql")),
    M::up(include_str!("../migrations/0007_before_after.sql")),
    M::up(include_str!("../migrations/0008_accepted.sql")),
];

/// The ledger in SQLite. One process has it open for writing at a time.
#[derive(Debug)]
pub struct SqliteLedger {
    threads: Threads,
}

/// The ledger's file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// The directory is not there or cannot be written.
    #[error("the directory {} cannot be used", dir.display())]
    Directory {
        /// Which directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// SQLite refuses the file, or the settings that make it durable.
    #[error("{} cannot be opened as a ledger", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The file's tables could not be brought up to date; a newer version may have written it.
    #[error("the tables of {} cannot be brought up to date", file.display())]
    Migration {
        /// Which file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        cause: Box<rusqlite_migration::Error>,
    },
    /// The file system does not keep what it is told to keep.
    #[error("{} would not be durable: {what}", file.display())]
    NotDurable {
        /// Which file.
        file: PathBuf,
        /// Which setting did not hold.
        what: String,
    },
}

/// What can go wrong within one command.
#[derive(Debug)]
pub(crate) enum StoreError {
    Sqlite(rusqlite::Error),
    Corrupt(Corrupt),
    AttemptChanged(IdempotencyKey),
}

impl From<rusqlite::Error> for StoreError {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

impl From<Corrupt> for StoreError {
    fn from(row: Corrupt) -> Self {
        Self::Corrupt(row)
    }
}

impl StoreError {
    fn into_ledger(self, doing: &'static str) -> LedgerError {
        match self {
            Self::Sqlite(cause) => LedgerError::Failed {
                doing,
                cause: Arc::new(cause),
            },
            Self::Corrupt(Corrupt { order, what }) => LedgerError::Corrupt { order, what },
            Self::AttemptChanged(key) => LedgerError::AttemptChanged { key },
        }
    }
}

impl SqliteLedger {
    /// Opens or creates the ledger in `dir`, brings its tables up to date, and forgets all leases: whoever held one died
    /// with the process before.
    pub fn open(dir: &Path, clock: &Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        std::fs::create_dir_all(dir).map_err(|cause| SqliteOpenError::Directory {
            dir: dir.to_owned(),
            cause,
        })?;
        let file = dir.join(FILE_NAME);
        let mut writer = connect(&file)?;
        let failed = |cause| SqliteOpenError::File {
            file: file.clone(),
            cause,
        };
        Migrations::from_slice(MIGRATIONS)
            .to_latest(&mut writer)
            .map_err(|cause| SqliteOpenError::Migration {
                file: file.clone(),
                cause: Box::new(cause),
            })?;
        for leases in [
            "UPDATE orders SET leased_until = 0 WHERE leased_until > 0",
            "UPDATE outbox SET hook_leased_until = 0 WHERE notice IS NOT NULL AND hook = 'open' AND hook_leased_until > 0",
        ] {
            writer.execute(leases, []).map_err(failed)?;
        }
        let mut readers = Vec::new();
        for _ in 0..thread::READERS {
            let reader = connect(&file)?;
            reader.pragma_update(None, "query_only", true).map_err(failed)?;
            readers.push(reader);
        }
        Ok(Self {
            threads: Threads::start(writer, readers, clock),
        })
    }
}

fn connect(file: &Path) -> Result<Connection, SqliteOpenError> {
    let failed = |cause| SqliteOpenError::File {
        file: file.to_owned(),
        cause,
    };
    let connection = Connection::open(file).map_err(failed)?;
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .map_err(failed)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(failed)?;
    // 16 MiB per connection: the hot part of a busy drop's orders and indexes.
    connection
        .pragma_update(None, "cache_size", -16_384)
        .map_err(failed)?;
    connection
        .pragma_update(None, "temp_store", "MEMORY")
        .map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let synchronous: i64 = connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" || synchronous != 2 {
        let what = format!("journal_mode is {mode}, synchronous is {synchronous}");
        return Err(SqliteOpenError::NotDurable {
            file: file.to_owned(),
            what,
        });
    }
    Ok(connection)
}

impl Ledger for SqliteLedger {
    fn open_drop(&self, plan: DropPlan) -> LedgerReply<'_, Opened> {
        self.threads
            .write("opening a drop", move |store| stock::open_drop(store, &plan))
    }

    fn change_stock(
        &self,
        drop: DropId,
        sku: Sku,
        change: StockChange,
        entry: AuditEntry,
    ) -> LedgerReply<'_, StockChanged> {
        self.threads.write("changing stock", move |store| {
            stock::change(store, &drop, &sku, change, entry)
        })
    }

    fn reserve(&self, order: NewOrder) -> LedgerReply<'_, Reservation> {
        self.threads
            .write("reserving", move |store| reserve::reserve(store, &order))
    }

    fn accept(&self, order: OrderId, method: PaymentMethod) -> LedgerReply<'_, Acceptance> {
        self.threads
            .write("accepting", move |store| reserve::accept(store, order, method))
    }

    fn expire(&self, limit: u32) -> LedgerReply<'_, Vec<OrderRecord>> {
        self.threads.write("expiring reservations", move |store| {
            reserve::expire(store, limit)
        })
    }

    fn load(&self, order: OrderId) -> LedgerReply<'_, Option<OrderRecord>> {
        self.threads.read(Lane::Quick, "reading an order", move |store| {
            orders::load(store, order)
        })
    }

    fn newer(&self, known: Vec<(OrderId, u64)>) -> LedgerReply<'_, Vec<(OrderId, u64)>> {
        self.threads
            .read(Lane::Quick, "looking for news of orders", move |store| {
                orders::newer(store, &known)
            })
    }

    fn apply(&self, transition: Transition) -> LedgerReply<'_, Applied> {
        self.threads
            .write("storing a step", move |store| orders::apply(store, &transition))
    }

    fn redrive(&self, limit: u32, patience: Span, paused: Vec<DropId>) -> LedgerReply<'_, u32> {
        self.threads.write("re-driving", move |store| {
            outbox::redrive(store, limit, patience, &paused)
        })
    }

    fn due_drops(&self) -> LedgerReply<'_, Vec<(DropId, u64)>> {
        self.threads
            .read(Lane::Slow, "looking for due drops", outbox::due_drops)
    }

    fn list(&self, filter: OrderFilter) -> LedgerReply<'_, Vec<OrderRecord>> {
        self.threads.read(Lane::Slow, "listing orders", move |store| {
            orders::list(store, &filter)
        })
    }

    fn pending(&self, channel: Channel, limit: u32) -> LedgerReply<'_, Vec<Pending>> {
        self.threads
            .read(Lane::Quick, "reading the outbox", move |store| {
                outbox::pending(store, channel, limit)
            })
    }

    fn delivered(&self, messages: Vec<i64>) -> LedgerReply<'_, ()> {
        self.threads.write("marking messages", move |store| {
            outbox::delivered(store, &messages)
        })
    }

    fn published(&self, messages: Vec<i64>) -> LedgerReply<'_, ()> {
        self.threads.write("noting what was published", move |store| {
            outbox::published(store, &messages)
        })
    }

    fn postponed(&self, order: OrderId) -> LedgerReply<'_, ()> {
        self.threads.write("postponing an order", move |store| {
            outbox::postponed(store, order)
        })
    }

    fn notices_due(&self, limit: u32, horizon: Span) -> LedgerReply<'_, Vec<DueNotice>> {
        self.threads.write("taking notices to tell", move |store| {
            telling::due(store, limit, horizon)
        })
    }

    fn notices_told(&self, told: Vec<Told>) -> LedgerReply<'_, ()> {
        self.threads
            .write("noting what was told", move |store| telling::told(store, &told))
    }

    fn forget_notices(&self, horizon: Span, limit: u32) -> LedgerReply<'_, u32> {
        self.threads.write("letting old notices go", move |store| {
            telling::forget(store, horizon, limit)
        })
    }

    fn untold(&self, telling: Telling, limit: u32) -> LedgerReply<'_, Vec<Untold>> {
        self.threads.read(Lane::Slow, "listing notices", move |store| {
            telling::untold(store, telling, limit)
        })
    }

    fn replay_notices(&self, what: Replay, after: i64) -> LedgerReply<'_, Replayed> {
        self.threads.write("replaying notices", move |store| {
            telling::replay(store, what, after)
        })
    }

    fn event_known(&self, event: String) -> LedgerReply<'_, bool> {
        self.threads
            .read(Lane::Quick, "looking an event up", move |store| {
                log::event_known(store, &event)
            })
    }

    fn record_event(&self, event: String, kind: String) -> LedgerReply<'_, bool> {
        self.threads.write("recording an event", move |store| {
            log::record_event(store, &event, &kind)
        })
    }

    fn stock(&self, drop: DropId) -> LedgerReply<'_, Vec<(Sku, Level)>> {
        self.threads.read(Lane::Quick, "reading stock", move |store| {
            stock::levels(store, &drop)
        })
    }

    fn gauges(&self) -> LedgerReply<'_, Gauges> {
        self.threads.read(Lane::Slow, "reading figures", books::gauges)
    }

    fn sales(&self, drop: DropId) -> LedgerReply<'_, Sales> {
        self.threads
            .read(Lane::Slow, "counting what was sold", move |store| {
                books::sales(store, &drop)
            })
    }

    fn audit(&self) -> LedgerReply<'_, AuditSums> {
        self.threads.read(Lane::Slow, "auditing", books::audit)
    }

    fn key_space(&self) -> LedgerReply<'_, KeySpace> {
        self.threads
            .read(Lane::Quick, "reading the key space", log::key_space)
    }

    fn next_key_space(&self, entry: AuditEntry) -> LedgerReply<'_, KeySpace> {
        self.threads.write("moving to the next key space", move |store| {
            log::next_key_space(store, entry)
        })
    }

    fn switches(&self) -> LedgerReply<'_, Vec<String>> {
        self.threads
            .read(Lane::Quick, "reading the switches", log::switches)
    }

    fn set_switch(&self, name: String, on: bool, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.threads.write("setting a switch", move |store| {
            log::set_switch(store, &name, on, entry)
        })
    }

    fn changes(&self) -> LedgerReply<'_, Vec<Change>> {
        self.threads
            .read(Lane::Quick, "reading changed settings", log::changes)
    }

    fn change(&self, changes: Vec<Change>, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.threads.write("changing settings", move |store| {
            log::change(store, &changes, entry)
        })
    }

    fn note(&self, entry: AuditEntry) -> LedgerReply<'_, ()> {
        self.threads.write("writing the operators' log", move |store| {
            log::note(store, &entry)
        })
    }

    fn noted(&self, since: Option<Timestamp>, limit: u32) -> LedgerReply<'_, Vec<AuditLine>> {
        self.threads
            .read(Lane::Slow, "reading the operators' log", move |store| {
                log::noted(store, since, limit)
            })
    }
}
