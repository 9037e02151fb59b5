//! The threads that own the connections: one writer with group commit, a few readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use domain::{Clock, Timestamp};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::ledger::{LedgerError, LedgerReply};

use super::StoreError;

/// Commands that may wait for the writer or for one reader. Beyond it callers wait their turn.
const QUEUE: usize = 4_096;
/// Commands that share one commit. At about 40 µs each a full batch holds the file for some 10 ms.
const BATCH_MAX: usize = 256;
/// Reading threads: two for quick look-ups, one for audits and lists.
pub(super) const READERS: usize = 3;
/// How many of them serve [`Lane::Quick`].
const QUICK_READERS: usize = 2;

/// The file and the ledger's own now, as a command sees them.
pub(super) struct Store<'a> {
    pub(super) connection: &'a Connection,
    pub(super) now: Timestamp,
}

/// Which readers serve a query: a long one must not stand before short ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Quick,
    Slow,
}

/// Runs within the transaction, and returns what is to be done once its fate is known.
type Write = Box<dyn FnOnce(&Store<'_>) -> Settled + Send>;
type Finish = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;
type Read = Box<dyn FnOnce(&Store<'_>) + Send>;

/// A command's outcome before the commit.
struct Settled {
    kept: bool,
    finish: Finish,
}

/// All threads of one ledger. Dropping it waits for what is queued, then closes the file.
#[derive(Debug)]
pub(super) struct Threads {
    writer: Option<mpsc::Sender<Write>>,
    readers: Vec<mpsc::Sender<Read>>,
    turn: AtomicUsize,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(writer: Connection, readers: Vec<Connection>, clock: &Arc<dyn Clock>) -> Self {
        let (sender, commands) = mpsc::channel(QUEUE);
        let mut running: Vec<JoinHandle<()>> = Vec::new();
        let its_clock = Arc::clone(clock);
        running.extend(spawn("ledger-writer", move || {
            write_loop(&writer, commands, its_clock.as_ref());
        }));
        let mut senders = Vec::new();
        for reader in readers {
            let (sender, queries) = mpsc::channel(QUEUE);
            let its_clock = Arc::clone(clock);
            running.extend(spawn("ledger-reader", move || {
                read_loop(&reader, queries, its_clock.as_ref());
            }));
            senders.push(sender);
        }
        Self {
            writer: Some(sender),
            readers: senders,
            turn: AtomicUsize::new(0),
            running,
        }
    }

    /// Runs `command` in a savepoint of the next transaction and replies after its commit.
    pub(super) fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        command: impl FnOnce(&Store<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let write: Write = Box::new(move |store| {
                let done = command(store).map_err(|failed| failed.into_ledger(doing));
                let kept = done.is_ok();
                let finish: Finish = Box::new(move |committed| {
                    // Nobody waiting means that the caller is gone; what is committed is committed.
                    drop(reply.send(done.and_then(|value| committed.map(|()| value))));
                });
                Settled { kept, finish }
            });
            let closed = || LedgerError::Unavailable { doing };
            let writer = self.writer.as_ref().ok_or_else(closed)?;
            writer.send(write).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        })
    }

    /// Runs `query` on a reader.
    pub(super) fn read<T: Send + 'static>(
        &self,
        lane: Lane,
        doing: &'static str,
        query: impl FnOnce(&Store<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> LedgerReply<'_, T> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let read: Read = Box::new(move |store| {
                drop(reply.send(query(store).map_err(|failed| failed.into_ledger(doing))));
            });
            let closed = || LedgerError::Unavailable { doing };
            let at = match lane {
                Lane::Quick => self.turn.fetch_add(1, Ordering::Relaxed) % QUICK_READERS,
                Lane::Slow => QUICK_READERS,
            };
            let reader = self.readers.get(at).ok_or_else(closed)?;
            reader.send(read).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.writer = None;
        self.readers.clear();
        for thread in self.running.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a ledger thread had died");
            }
        }
    }
}

/// A thread that cannot be started leaves its queue closed: every command then answers `Unavailable`.
fn spawn(name: &'static str, run: impl FnOnce() + Send + 'static) -> Option<JoinHandle<()>> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    started
        .inspect_err(|cause| tracing::error!(name, %cause, "a ledger thread did not start"))
        .ok()
}

fn read_loop(connection: &Connection, mut queries: mpsc::Receiver<Read>, clock: &dyn Clock) {
    while let Some(query) = queries.blocking_recv() {
        query(&Store {
            connection,
            now: clock.now(),
        });
    }
}

fn write_loop(connection: &Connection, mut commands: mpsc::Receiver<Write>, clock: &dyn Clock) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while let Some(first) = commands.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH_MAX {
            let Ok(next) = commands.try_recv() else { break };
            batch.push(next);
        }
        let (finishes, committed) = commit(connection, &mut batch, clock);
        for finish in finishes {
            finish(committed.clone());
        }
    }
}

/// One transaction for the whole batch. A command that fails is undone alone; a commit that fails undoes all.
fn commit(
    connection: &Connection,
    batch: &mut Vec<Write>,
    clock: &dyn Clock,
) -> (Vec<Finish>, Result<(), LedgerError>) {
    let failed = |doing| {
        move |cause: rusqlite::Error| LedgerError::Failed {
            doing,
            cause: Arc::new(cause),
        }
    };
    let mut finishes = Vec::with_capacity(batch.len());
    // On failure to begin, commands still run so that each reply finds its owner; nothing they do outlives them,
    // because the savepoint below is then the transaction, and it is rolled back.
    let begun = run(connection, "BEGIN IMMEDIATE").map_err(failed("beginning a transaction"));
    for command in batch.drain(..) {
        let saved = run(connection, "SAVEPOINT command");
        let settled = command(&Store {
            connection,
            now: clock.now(),
        });
        let kept = settled.kept && begun.is_ok() && saved.is_ok();
        let undone = if kept {
            Ok(())
        } else {
            run(connection, "ROLLBACK TO command")
        };
        let closed = undone.and_then(|()| run(connection, "RELEASE command"));
        if let Err(cause) = saved.and(closed) {
            (settled.finish)(Err(failed("closing a savepoint")(cause)));
        } else {
            finishes.push(settled.finish);
        }
    }
    if let Err(error) = begun {
        return (finishes, Err(error));
    }
    let committed = run(connection, "COMMIT").map_err(failed("committing"));
    if committed.is_err()
        && let Err(cause) = run(connection, "ROLLBACK")
    {
        tracing::error!(%cause, "a failed commit could not be rolled back");
    }
    (finishes, committed)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
