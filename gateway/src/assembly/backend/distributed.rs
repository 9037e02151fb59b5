//! Many processes on Redis, RabbitMQ and Postgres.

use std::sync::Arc;

use admission::{Keys, PostgresMarks, RedisConfig, RedisStore};
use anyhow::Context as _;
use checkout_worker::broker::Broker;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::broker::rabbitmq::{RabbitMqBroker, RabbitMqConfig};
use checkout_worker::postgres::{self, PostgresConfig, PostgresLedger};

use super::{Backend, QueueBackend};
use crate::admin::Sign;
use crate::assembly::{Ground, Role};
use crate::config::{Config, Secret};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::stores::RedisWatch;

pub(super) async fn open(
    config: &Config,
    role: Role,
    ground: &Ground,
    metrics: &Metrics,
) -> anyhow::Result<Backend> {
    let address = postgres_of(config, ground)?;
    let ledger = PostgresLedger::open(PostgresConfig::new(address.expose()))
        .await
        .context("cannot open the ledger in Postgres")?;
    let ledger = Arc::new(ledger);
    let (broker, signs) = match role {
        Role::All | Role::Worker => broker(config, ground)?,
        // A gateway only writes the outbox; a worker's relay carries it.
        Role::Gateway => (Arc::new(EmbeddedBroker::new(1)) as Arc<dyn Broker>, Vec::new()),
    };
    let queue = match role {
        Role::All | Role::Gateway => Some(queue(config, ground, &address, metrics).await?),
        Role::Worker => None,
    };
    Ok(Backend {
        turns: Arc::clone(&ledger) as _,
        ledger,
        broker,
        queue,
        signs,
        hold: Box::new(()),
    })
}

/// Brings both packages' tables up to date.
pub(super) async fn migrate(config: &Config, ground: &Ground) -> anyhow::Result<()> {
    let address = postgres_of(config, ground)?;
    postgres::migrate(address.expose())
        .await
        .context("cannot migrate the ledger's tables")?;
    PostgresMarks::open(address.expose())
        .await
        .context("cannot migrate the queue's tables")?;
    Ok(())
}

fn postgres_of(config: &Config, ground: &Ground) -> anyhow::Result<Secret> {
    let source = &config.backend.postgres_url;
    Ok(source.require("the address of Postgres", &ground.environment)?)
}

fn broker(config: &Config, ground: &Ground) -> anyhow::Result<(Arc<dyn Broker>, Vec<Sign>)> {
    let source = &config.backend.rabbitmq_url;
    let address = source.require("the address of RabbitMQ", &ground.environment)?;
    let broker = RabbitMqBroker::open(RabbitMqConfig::new(address.expose()))?;
    let links = broker.links();
    let sign = Sign {
        name: "broker",
        look: Box::new(move || {
            let links = *links.borrow();
            if links.publishing && links.consuming {
                Ok(())
            } else {
                Err("RabbitMQ is away; orders are worked on without it".to_owned())
            }
        }),
    };
    Ok((Arc::new(broker), vec![sign]))
}

async fn queue(
    config: &Config,
    ground: &Ground,
    postgres: &Secret,
    metrics: &Metrics,
) -> anyhow::Result<QueueBackend> {
    let source = &config.backend.redis_url;
    let address = source.require("the address of Redis", &ground.environment)?;
    let urls: Vec<String> = address
        .expose()
        .split(',')
        .map(|url| url.trim().to_owned())
        .collect();
    let redis = RedisConfig {
        cluster: urls.len() > 1,
        urls,
    };
    let marks = PostgresMarks::open(postgres.expose())
        .await
        .context("cannot open the queue's record in Postgres")?;
    let marks = Arc::new(marks);
    let keys = Keys::shared(Arc::clone(&marks) as _, ground.entropy.as_ref())
        .await
        .context("cannot open the keys in Postgres")?;
    let store = RedisStore::open(redis, marks, Arc::clone(&ground.entropy))
        .await
        .context("cannot open the queues in Redis")?
        .watched_by(Arc::new(RedisWatch::new(metrics)));
    Ok(QueueBackend {
        store: Arc::new(store),
        keys,
    })
}
