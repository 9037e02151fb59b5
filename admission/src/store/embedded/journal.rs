//! The journal: one thread that writes what the queues change, many changes per commit.
//!
//! A commit that fails loses nothing: its rows are kept and written before any later ones, and
//! everybody who waits for them, or for anything after them, is told that the store is not
//! available. So an answer that was given is on disk, whatever failed in between.

use std::collections::VecDeque;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use domain::DropId;
use domain::queue::Saved;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::rows::{Row, load};
use super::{schema, unavailable};
use crate::store::Unavailable;

/// Most rows on their way to disk. Beyond it operations are refused before they change anything:
/// at 200,000 rows a second, a second and a half of writing.
const ROWS_PENDING_MAX: usize = 300_000;

/// Rows after which a commit is closed, so that nobody's answer waits for a crowd behind it.
const ROWS_PER_COMMIT: usize = 20_000;

/// The way to the journal's thread.
pub(super) struct Journal {
    /// Taken when the journal is dropped: the thread ends when nobody can send any more.
    orders: Option<Sender<Order>>,
    pending: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be written of one drop.
pub(super) struct Batch {
    pub(super) drop: DropId,
    pub(super) rows: Vec<Row>,
    /// The end of a number block that these rows make durable.
    pub(super) block: Option<(Arc<AtomicU64>, u64)>,
}

/// Comes true when everything handed over before it is on disk.
pub(super) struct Durable(oneshot::Receiver<Result<(), Unavailable>>);

enum Order {
    Write(Batch, oneshot::Sender<Result<(), Unavailable>>),
    Load(DropId, oneshot::Sender<Result<Option<Saved>, Unavailable>>),
}

impl Journal {
    /// Opens the file and starts the thread.
    pub(super) fn open(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut connection = Connection::open(path)?;
        schema::prepare(&mut connection)?;
        let (orders, inbox) = channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            connection,
            pending: pending.clone(),
            kept: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("queue-journal".to_owned());
        let thread = thread.spawn(move || writer.run(&inbox))?;
        Ok(Self {
            orders: Some(orders),
            pending,
            thread: Some(thread),
        })
    }

    /// Refuses when the disk is so far behind that nothing more should be changed in memory.
    pub(super) fn check(&self) -> Result<(), Unavailable> {
        if self.pending.load(Ordering::Acquire) > ROWS_PENDING_MAX {
            return Err(unavailable("the journal cannot keep up"));
        }
        Ok(())
    }

    /// Hands rows over. Without rows it is a mark: durable when all before it is.
    pub(super) fn write(&self, batch: Batch) -> Durable {
        let (done, durable) = oneshot::channel();
        self.pending.fetch_add(batch.rows.len(), Ordering::AcqRel);
        self.send(Order::Write(batch, done));
        Durable(durable)
    }

    /// Reads a queue back.
    pub(super) async fn load(&self, drop: &DropId) -> Result<Option<Saved>, Unavailable> {
        let (done, loaded) = oneshot::channel();
        self.send(Order::Load(drop.clone(), done));
        loaded
            .await
            .unwrap_or_else(|_| Err(unavailable("the journal has stopped")))
    }

    /// A thread that is gone drops the order, and whoever waits for it is told so.
    fn send(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Drop for Journal {
    /// Waits until everything handed over has been written.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Durable {
    /// Waits for the disk.
    pub(super) async fn wait(self) -> Result<(), Unavailable> {
        self.0
            .await
            .unwrap_or_else(|_| Err(unavailable("the journal has stopped")))
    }
}

/// The thread's own state.
struct Writer {
    connection: Connection,
    pending: Arc<AtomicUsize>,
    /// Batches of commits that failed, oldest first: to be written before anything else.
    kept: VecDeque<Batch>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let (mut waiting, mut rows, mut next) = (Vec::new(), 0, Some(first));
            while let Some(order) = next {
                match order {
                    Order::Load(drop, done) => {
                        let _ = done.send(self.load(&drop));
                    }
                    Order::Write(batch, done) => {
                        rows += batch.rows.len();
                        self.kept.push_back(batch);
                        waiting.push(done);
                    }
                }
                next = if rows < ROWS_PER_COMMIT {
                    inbox.try_recv().ok()
                } else {
                    None
                };
            }
            let outcome = self.commit();
            for done in waiting {
                let _ = done.send(outcome.clone());
            }
        }
    }

    fn load(&mut self, drop: &DropId) -> Result<Option<Saved>, Unavailable> {
        self.commit()?;
        load(&self.connection, drop).map_err(|error| {
            tracing::error!(drop.id = %drop, %error, "cannot read the queue back");
            unavailable("the queue cannot be read back")
        })
    }

    /// Writes everything kept, in one commit.
    fn commit(&mut self) -> Result<(), Unavailable> {
        if self.kept.iter().all(|batch| batch.rows.is_empty()) {
            self.kept.clear();
            return Ok(());
        }
        match write_all(&mut self.connection, &self.kept) {
            Ok(()) => {
                for batch in self.kept.drain(..) {
                    self.pending.fetch_sub(batch.rows.len(), Ordering::AcqRel);
                    if let Some((durable, end)) = batch.block {
                        durable.fetch_max(end, Ordering::AcqRel);
                    }
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, rows = self.kept.len(), "the journal could not be written; it is kept");
                Err(unavailable("the journal cannot be written"))
            }
        }
    }
}

fn write_all(connection: &mut Connection, batches: &VecDeque<Batch>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for batch in batches {
        for row in &batch.rows {
            row.write(&batch.drop, &transaction)?;
        }
    }
    transaction.commit()
}
