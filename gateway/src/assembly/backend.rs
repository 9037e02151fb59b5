//! What stands behind the ports: everything in one folder, or Redis, RabbitMQ and Postgres.

mod distributed;
mod embedded;

use std::sync::Arc;

use admission::Keys;
use admission::store::QueueStore;
use checkout_worker::broker::Broker;
use checkout_worker::ledger::Ledger;
use checkout_worker::turns::Turns;

use super::{Ground, Role};
use crate::admin::Sign;
use crate::config::{BackendMode, Config};
use crate::telemetry::metrics::Metrics;

/// The adapters of one process, opened.
pub(super) struct Backend {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) broker: Arc<dyn Broker>,
    /// Rates, over all processes that share the ledger.
    pub(super) turns: Arc<dyn Turns>,
    /// For the roles that hold the door.
    pub(super) queue: Option<QueueBackend>,
    /// How the adapters show whether they can do their work.
    pub(super) signs: Vec<Sign>,
    /// Whatever has to be held as long as the adapters are in use. Let go last.
    pub(super) hold: Box<dyn std::any::Any + Send + Sync>,
}

/// What the queue stands on.
pub(super) struct QueueBackend {
    pub(super) store: Arc<dyn QueueStore>,
    pub(super) keys: Keys,
}

impl Backend {
    /// Opens what `role` needs.
    pub(super) async fn open(
        config: &Config,
        role: Role,
        ground: &Ground,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        match config.backend.mode {
            BackendMode::Embedded => embedded::open(config, role, ground),
            BackendMode::Distributed => distributed::open(config, role, ground, metrics).await,
        }
    }
}

/// Brings the tables of the servers up to date; what one process keeps in a folder it migrates itself.
pub(super) async fn migrate(config: &Config, ground: &Ground) -> anyhow::Result<()> {
    match config.backend.mode {
        BackendMode::Embedded => Ok(()),
        BackendMode::Distributed => distributed::migrate(config, ground).await,
    }
}
