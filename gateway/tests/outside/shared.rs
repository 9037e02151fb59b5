//! Several gateways in this process on one Redis and one Postgres.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway::assembly::{self, Doorline, Ground, Role};
use gateway::config::{Config, Environment};
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::engine::postgres::Postgres;
use sandbox::engine::redis::Redis;
use tempfile::TempDir;

use crate::client::Browser;
use crate::house::{ADMIN_TOKEN, Terms, WEBHOOK_SECRET};

/// The gateways with their engines, which are let go last.
pub(crate) struct SharedHouse {
    pub(crate) gateways: Vec<Doorline>,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    text: String,
    _folder: TempDir,
}

impl SharedHouse {
    pub(crate) async fn open(gateways: usize, terms: Terms) -> Self {
        let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
        let (redis, postgres) = (redis.expect("Redis"), postgres.expect("Postgres"));
        let folder = tempfile::tempdir().expect("a folder");
        // Nobody pays here and nobody reaches the shop: neither has to be there.
        let nowhere = "http://127.0.0.1:9";
        let text = terms
            .text(nowhere, nowhere, folder.path())
            .replace("[backend]", "[backend]\nmode = \"distributed\"");
        let (config, ground) = configured(&text, &redis.url(), &postgres.url());
        assembly::migrate(&config, &ground).await.expect("tables");
        let mut opened = Vec::new();
        for _ in 0..gateways {
            let gateway = Doorline::open(&config, Role::Gateway, &ground).await;
            opened.push(gateway.expect("a gateway"));
        }
        Self {
            gateways: opened,
            redis,
            postgres,
            text,
            _folder: folder,
        }
    }

    /// One more gateway, which finds Postgres at `postgres`.
    pub(crate) async fn another(&self, postgres: &str) -> anyhow::Result<Doorline> {
        let (config, ground) = configured(&self.text, &self.redis.url(), postgres);
        Doorline::open(&config, Role::Gateway, &ground).await
    }

    /// A new browser at a gateway.
    pub(crate) fn browser(&self, gateway: usize) -> Browser {
        Browser::new(self.gateways[gateway].address)
    }

    /// How often a gateway has asked a store for something.
    pub(crate) async fn asked(&self, gateway: usize, store: &str, op: &str) -> u64 {
        let counts = self.counts(gateway, store).await;
        counts.get(op).copied().unwrap_or(0)
    }

    /// How often a gateway has asked Redis for what.
    pub(crate) async fn asked_of_redis(&self, gateway: usize) -> BTreeMap<String, u64> {
        self.counts(gateway, "redis").await
    }

    async fn counts(&self, gateway: usize, store: &str) -> BTreeMap<String, u64> {
        let admin = Browser::new(self.gateways[gateway].admin_address);
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let text = admin.always("authorization", &bearer).get("/metrics").await.body;
        let count = |line: &str| {
            let series = line.strip_prefix("doorline_store_duration_seconds_count{op=\"")?;
            let (op, rest) = series.split_once("\",store=\"")?;
            let (of, count) = rest.split_once("\"} ")?;
            (of == store).then(|| (op.to_owned(), count.parse().expect("a count")))
        };
        text.lines().filter_map(count).collect()
    }

    pub(crate) async fn close(self) {
        for gateway in self.gateways {
            gateway.close().await;
        }
    }
}

fn configured(text: &str, redis: &str, postgres: &str) -> (Config, Ground) {
    let environment: Environment = [
        ("TEST_ADMIN_TOKEN", ADMIN_TOKEN),
        ("TEST_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("DOORLINE_REDIS_URL", redis),
        ("DOORLINE_POSTGRES_URL", postgres),
    ]
    .into_iter()
    .collect();
    let loaded = gateway::config::parse("config.toml", text, &[], &environment);
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment,
    };
    (loaded.unwrap_or_else(|report| panic!("{report}")).config, ground)
}
