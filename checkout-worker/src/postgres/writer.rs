//! The task that owns the writing connection: what arrives while a commit is under way goes into the next one together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::ledger::LedgerError;

use super::batch::{self, Answer, Command};
use super::trouble::Trouble;

/// Commands that may wait for the writer. Beyond it callers wait their turn, and not for long.
const QUEUE: usize = 4_096;
/// Commands that share one commit. A full batch takes some 10 ms; larger ones hold the stock rows longer and gain little.
const BATCH_MAX: usize = 128;
/// Pauses before a batch is tried again after a deadlock, or after a connection that broke before the commit.
const RETRY_AFTER: [Duration; 3] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
];

/// One command with whoever waits for it.
struct Job {
    command: Command,
    doing: &'static str,
    reply: oneshot::Sender<Result<Answer, LedgerError>>,
}

/// Where commands are handed in.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    answer_within: Duration,
}

impl Writer {
    /// Starts the task. It ends, after what is queued, when this is dropped.
    pub(super) fn start(pool: PgPool, batch_within: Duration) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let desk = Desk {
            pool,
            batch_within,
            connection: None,
        };
        TaskTracker::new().spawn(desk.work(queue));
        Self {
            jobs,
            // Once for the batch before, once for its own, and as much again for tries.
            answer_within: batch_within * 4,
        }
    }

    /// Hands a command in and waits until its transaction's fate is known, or time is up.
    pub(super) async fn run(&self, doing: &'static str, command: Command) -> Result<Answer, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            command,
            doing,
            reply,
        };
        if self.jobs.send_timeout(job, self.answer_within).await.is_err() {
            return Err(LedgerError::Unavailable { doing });
        }
        match timeout(self.answer_within, answer).await {
            Ok(Ok(answered)) => answered,
            // The task died with the command in its hands, or is still at it: it may yet be stored.
            Ok(Err(_)) | Err(_) => Err(Trouble::UnsureTooLate.into_ledger(doing)),
        }
    }
}

/// What the task works with.
struct Desk {
    pool: PgPool,
    batch_within: Duration,
    connection: Option<PoolConnection<Postgres>>,
}

impl Desk {
    async fn work(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut jobs, BATCH_MAX).await > 0 {
            // Whoever gave up waiting was told that it is unsure; not doing it is the better half of that.
            jobs.retain(|job| !job.reply.is_closed());
            self.settle(std::mem::take(&mut jobs)).await;
        }
    }

    /// Runs all jobs together. If one of them spoils it for all, each runs alone, so that only that one fails.
    async fn settle(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        match self.together(&jobs).await {
            Ok(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    // Nobody waiting means that the caller is gone; what is committed is committed.
                    drop(job.reply.send(Ok(answer)));
                }
            }
            Err(trouble) if jobs.len() > 1 && trouble.blames_one() => {
                for job in jobs {
                    Box::pin(self.settle(vec![job])).await;
                }
            }
            Err(trouble) => {
                for job in jobs {
                    drop(job.reply.send(Err(trouble.clone().into_ledger(job.doing))));
                }
            }
        }
    }

    async fn together(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Trouble> {
        let mut pauses = RETRY_AFTER.iter();
        loop {
            let trouble = match self.once(jobs).await {
                Ok(answers) => return Ok(answers),
                Err(trouble) => trouble,
            };
            match pauses.next() {
                Some(pause) if trouble.may_pass() => tokio::time::sleep(*pause).await,
                _ => return Err(trouble),
            }
        }
    }

    async fn once(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        let commands: Vec<&Command> = jobs.iter().map(|job| &job.command).collect();
        let committing = AtomicBool::new(false);
        let ran = timeout(
            self.batch_within,
            batch::run(&mut connection, &commands, &committing),
        )
        .await;
        let done = ran.unwrap_or_else(|_| {
            Err(if committing.load(Ordering::Relaxed) {
                Trouble::UnsureTooLate
            } else {
                Trouble::TooLate
            })
        });
        match &done {
            Err(trouble) if !trouble.spares_connection() => {
                // Its transaction must never be found half-way by the next user; the server ends it when the socket closes.
                drop(connection.detach());
            }
            Ok(_) | Err(_) => self.connection = Some(connection),
        }
        done
    }
}
