//! Everything in one folder, held by one process.

use std::sync::Arc;

use admission::{EmbeddedStore, Keys};
use anyhow::Context as _;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::turns::MemoryTurns;

use super::{Backend, QueueBackend};
use crate::assembly::data_dir::DataDir;
use crate::assembly::{Ground, Role};
use crate::config::Config;

/// Orders handed to workers at once; the rest wait in the outbox.
const BROKER_CAPACITY: usize = 1_024;

pub(super) fn open(config: &Config, role: Role, ground: &Ground) -> anyhow::Result<Backend> {
    anyhow::ensure!(
        role == Role::All,
        "backend.mode = \"embedded\" is one process that does everything"
    );
    let folder = &config.backend.data_dir;
    let hold = DataDir::hold(folder)?;
    let keys = Keys::open(folder, ground.entropy.as_ref()).context("cannot open the keys")?;
    let store = EmbeddedStore::open(folder, Arc::clone(&ground.entropy))?;
    Ok(Backend {
        ledger: Arc::new(SqliteLedger::open(folder, &ground.clock)?),
        broker: Arc::new(EmbeddedBroker::new(BROKER_CAPACITY)),
        turns: Arc::new(MemoryTurns::default()),
        queue: Some(QueueBackend {
            store: Arc::new(store),
            keys,
        }),
        signs: Vec::new(),
        hold: Box::new(hold),
    })
}
