//! The two signals of a shutdown, cheap to look at on every poll of every connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Serving; winding down; cutting.
#[derive(Default, Debug)]
pub(super) struct Drain {
    stage: AtomicU8,
    changed: Arc<Notify>,
}

impl Drain {
    /// Asks every connection to finish what it has begun.
    pub(super) fn begin(&self) {
        self.advance(1);
    }

    /// Ends every connection at once.
    pub(super) fn cut(&self) {
        self.advance(2);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stage.load(Ordering::Acquire) >= 1
    }

    pub(super) fn is_cut(&self) -> bool {
        self.stage.load(Ordering::Acquire) >= 2
    }

    /// Wakes whoever polls it when the stage changes. Look at the stage after polling it the
    /// first time: a change in between is then not missed.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Returns once the drain has begun.
    pub(super) async fn begun(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.has_begun() {
                return;
            }
            changed.await;
        }
    }

    fn advance(&self, stage: u8) {
        self.stage.store(stage, Ordering::Release);
        self.changed.notify_waiters();
    }
}
