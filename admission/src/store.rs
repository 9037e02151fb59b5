//! The port to whatever keeps the queues: memory with a journal, or Redis.

pub mod embedded;

/// Keeps the queues of all drops.
pub trait QueueStore: Send + Sync {}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the queue store at {path}")]
pub struct StoreOpenError {
    /// Where it is.
    pub path: std::path::PathBuf,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
