//! Owns every long-lived task of the process. A task that panics is counted, logged and
//! started again after a pause, so that one bug in a job does not quietly end the job.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause before a task that panicked is started again. One second: long enough not to
/// spin on a bug that strikes at once, short against every deadline the jobs guard.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Starts, restarts and drains tasks. Cheap to clone; all clones own the same tasks.
#[derive(Clone, Default, Debug)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    panics: Arc<AtomicU64>,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token that tells every task to come to an end.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many tasks have died of a panic since the start.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Runs what `start` returns until it ends or the supervisor stops; starts it again after a panic.
    pub fn keep<F, T>(&self, name: &'static str, start: F)
    where
        F: Fn(CancellationToken) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (stop, panics) = (self.stop.clone(), Arc::clone(&self.panics));
        let inner = self.tracker.clone();
        self.tracker.spawn(async move {
            while let Err(death) = inner.spawn(start(stop.clone())).await {
                if !death.is_panic() {
                    return;
                }
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "a task panicked and is started again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RESTART_PAUSE) => {}
                }
            }
        });
    }

    /// Runs what `start` returns, once: for what owns a socket and cannot be started again. A
    /// panic is counted and logged.
    pub fn once<F, T>(&self, name: &'static str, start: F)
    where
        F: FnOnce(CancellationToken) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let (work, panics, inner) = (
            start(self.stop.clone()),
            Arc::clone(&self.panics),
            self.tracker.clone(),
        );
        self.tracker.spawn(async move {
            if inner.spawn(work).await.is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "a task panicked");
            }
        });
    }

    /// Tells all tasks to end and waits for them, at most `patience`. Says whether all did.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_started_again() {
        let supervisor = Supervisor::new();
        let starts = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&starts);
        supervisor.keep("unlucky", move |stop| {
            let round = seen.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(round > 0, "the first start dies");
                stop.cancelled().await;
            }
        });
        while starts.load(Ordering::SeqCst) < 2 {
            tokio::time::advance(Duration::from_millis(100)).await;
            tokio::task::yield_now().await;
        }
        assert!(supervisor.drain(Duration::from_secs(5)).await);
        assert_eq!(supervisor.panics(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_gives_up_on_a_task_that_does_not_listen() {
        let supervisor = Supervisor::new();
        supervisor.keep("deaf", |_| std::future::pending());
        assert!(!supervisor.drain(Duration::from_secs(1)).await);
    }
}
