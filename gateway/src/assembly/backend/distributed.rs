//! Many processes on Redis, RabbitMQ and Postgres.

use super::Backend;
use crate::assembly::{Ground, Role};
use crate::config::Config;

pub(super) async fn open(_config: &Config, _role: Role, _ground: &Ground) -> anyhow::Result<Backend> {
    anyhow::bail!("soon")
}

pub(in crate::assembly) async fn migrate(_config: &Config, _ground: &Ground) -> anyhow::Result<()> {
    anyhow::bail!("soon")
}
