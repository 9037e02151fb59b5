//! Many processes on Redis, RabbitMQ and Postgres.

use std::sync::Arc;
use std::time::Duration;

use admission::{KeyError, Keys, MarksOpenError, PostgresMarks, RedisConfig, RedisOpenError, RedisStore};
use anyhow::Context as _;
use checkout_worker::broker::Broker;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::broker::rabbitmq::{RabbitMqBroker, RabbitMqConfig};
use checkout_worker::postgres::{self, PostgresConfig, PostgresLedger, PostgresOpenError};
use tokio::time::Instant;

use super::{Backend, QueueBackend};
use crate::admin::Sign;
use crate::assembly::{Ground, Role};
use crate::config::{Config, Secret};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::stores::RedisWatch;

/// How long a start waits for engines that are away.
const START_WITHIN: Duration = Duration::from_mins(1);
/// How soon it tries again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

pub(super) async fn open(
    config: &Config,
    role: Role,
    ground: &Ground,
    metrics: &Metrics,
) -> anyhow::Result<Backend> {
    let address = postgres_of(config, ground)?;
    let ledger = patiently(
        "the ledger in Postgres",
        async || PostgresLedger::open(PostgresConfig::new(address.expose())).await,
        PostgresOpenError::may_pass,
    )
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
    PostgresMarks::migrate(address.expose())
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
    let marks = patiently(
        "the queue's record in Postgres",
        async || PostgresMarks::open(postgres.expose()).await,
        |error| matches!(error, MarksOpenError::Connect(_) | MarksOpenError::Late),
    )
    .await
    .context("cannot open the queue's record in Postgres")?;
    let marks = Arc::new(marks);
    let keys = patiently(
        "the keys in Postgres",
        async || Keys::shared(Arc::clone(&marks) as _, ground.entropy.as_ref()).await,
        |error| matches!(error, KeyError::Shared(_)),
    )
    .await
    .context("cannot open the keys in Postgres")?;
    let store = patiently(
        "the queues in Redis",
        async || {
            RedisStore::open(
                redis.clone(),
                Arc::clone(&marks) as _,
                Arc::clone(&ground.entropy),
            )
            .await
        },
        |error| matches!(error, RedisOpenError::Connect(_)),
    )
    .await
    .context("cannot open the queues in Redis")?
    .watched_by(Arc::new(RedisWatch::new(metrics)));
    Ok(QueueBackend {
        store: Arc::new(store),
        keys,
    })
}

/// Opens something on an engine, again and again while the engine is only away: where both lost their power they come back
/// together, and the engine may be the slower one.
async fn patiently<T, E: std::error::Error + 'static>(
    what: &'static str,
    open: impl AsyncFn() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let end = Instant::now() + START_WITHIN;
    let mut is_told = false;
    loop {
        match open().await {
            Err(error) if may_pass(&error) && Instant::now() < end => {
                if !is_told {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(what, error, "an engine is away; waiting for it");
                    is_told = true;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            opened => return opened,
        }
    }
}
