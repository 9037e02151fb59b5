//! 100,000 reservations on 1,000 units of one SKU, over real connections to a gateway on a real Redis and a
//! real Postgres; beside it, what that Postgres commits per second when it does nothing else.
//!
//! `cargo bench -p gateway --bench reservations -- [--quick]`; `make bench` runs it. Everything is in this
//! process but the engines, so a connection costs it two file handles: 8,000 of them are open at once, each
//! with an order under way, and take the shoppers one after another.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

#[path = "reservations/stampede.rs"]
mod stampede;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::DropId;
use gateway::assembly::{self, Doorline, Ground, Role};
use gateway::config::Environment;
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::engine::postgres::Postgres;
use sandbox::engine::redis::Redis;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;

const SKU: &str = "AUR-42";
const STOCK: usize = 1_000;
/// Sessions of the database that commit at once, for the baseline.
const COMMITTING: usize = 32;
/// How long the baseline is measured.
const MEASURED_FOR: Duration = Duration::from_secs(3);
const ADMIN_TOKEN: &str = "a-token-for-this-run-only";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (shoppers, connections) = if quick { (5_000, 500) } else { (100_000, 8_000) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let measured = runtime
        .expect("a runtime")
        .block_on(measure(shoppers, connections));
    if let Err(error) = measured {
        panic!("{error}");
    }
}

async fn measure(shoppers: usize, connections: usize) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let redis = Redis::start().await.map_err(|error| words(&error))?;
    let postgres = Postgres::start().await.map_err(|error| words(&error))?;
    let folder = tempfile::tempdir().map_err(|error| words(&error))?;
    let commits = commits_per_second(&postgres.url())
        .await
        .map_err(|error| words(&error))?;
    let gateway = open(&redis, &postgres, folder.path())
        .await
        .map_err(|error| format!("{error:#}"))?;
    let drop = DropId::new("aurora").map_err(|error| words(&error))?;
    let orders = stampede::admit(&gateway.desk, &drop, SKU, shoppers).await?;
    let mut started = Instant::now();
    let answers = stampede::run(&[gateway.address], orders, connections, || {
        started = Instant::now();
    })
    .await?;
    let took = started.elapsed();
    let audit = gateway.checkout.audit().await.map_err(|error| words(&error))?;
    let metrics = metrics(&gateway).await.map_err(|error| words(&error))?;
    gateway.close().await;
    report(shoppers, connections, took, commits, &metrics);
    let expected = stampede::Answers::from([(201, STOCK), (409, shoppers - STOCK)]);
    if answers != expected || !audit.differences.is_empty() {
        return Err(format!("answers {answers:?}, audit {:?}", audit.differences));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn report(shoppers: usize, connections: usize, took: Duration, commits: f64, metrics: &str) {
    let asked = |store: &str, op: &str| {
        let series = format!("doorline_store_duration_seconds_count{{op=\"{op}\",store=\"{store}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.and_then(|count| count.parse().ok()).unwrap_or(0_u64)
    };
    let per_second = shoppers as f64 / took.as_secs_f64();
    let (reserved, joins) = (asked("ledger", "reserve"), asked("redis", "join"));
    println!("\nReservations: {shoppers} shoppers for {STOCK} units, {connections} connections open at once");
    println!(
        "  {per_second:>9.0} answered per second; {STOCK} reserved, all others told that nothing is left"
    );
    println!(
        "  {commits:>9.0} bare commits per second of the same Postgres, {COMMITTING} at once; {:.2} × that",
        per_second / commits
    );
    println!("  {reserved:>9} reached the ledger, the others were answered from the stock hint");
    println!(
        "  {:>9.4} operations of Redis per join, batched",
        joins as f64 / shoppers as f64
    );
}

/// The least that a durable write costs: one row per transaction.
async fn commits_per_second(url: &str) -> Result<f64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("CREATE TABLE baseline (id bigint GENERATED ALWAYS AS IDENTITY)")
        .execute(&mut connection)
        .await?;
    let (mut sessions, started) = (JoinSet::new(), Instant::now());
    for _ in 0..COMMITTING {
        let url = url.to_owned();
        sessions.spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            let mut commits = 0_u32;
            while started.elapsed() < MEASURED_FOR {
                sqlx::query("INSERT INTO baseline DEFAULT VALUES")
                    .execute(&mut connection)
                    .await?;
                commits += 1;
            }
            Ok::<_, sqlx::Error>(commits)
        });
    }
    let mut commits = 0.0;
    for session in sessions.join_all().await {
        commits += f64::from(session?);
    }
    Ok(commits / started.elapsed().as_secs_f64())
}

async fn metrics(gateway: &Doorline) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(format!("http://{}/metrics", gateway.admin_address));
    request.bearer_auth(ADMIN_TOKEN).send().await?.text().await
}

/// A gateway whose limits are out of the way, in front of a drop without a queue.
async fn open(redis: &Redis, postgres: &Postgres, folder: &Path) -> anyhow::Result<Doorline> {
    let (redis, postgres) = (redis.url(), postgres.url());
    let environment: Environment = [
        ("DOORLINE_ADMIN_TOKEN", ADMIN_TOKEN),
        ("DOORLINE_REDIS_URL", &redis),
        ("DOORLINE_POSTGRES_URL", &postgres),
    ]
    .into_iter()
    .collect();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://localhost\"\nmax_connections = 30000\n\
         max_connections_per_address = 30000\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [upstream]\nurl = \"http://127.0.0.1:9\"\n[backend]\nmode = \"distributed\"\ndata_dir = '{}'\n\
         [rate_limit]\nexempt = [\"127.0.0.0/8\"]\n\
         [payment]\nprovider = \"sandbox\"\napi_url = \"http://127.0.0.1:9\"\n\
         [[drop]]\nid = \"aurora\"\ntitle = \"Aurora\"\npaths = [\"/drops/aurora\"]\n\
         event_start_time = \"2026-01-01T00:00:00Z\"\nqueueing_method = \"passthrough\"\n\
         total_active_users = 200000\nnew_users_per_minute = 200000\nsession_duration = \"1h\"\n\
         [drop.checkout]\nreserve_for = \"30m\"\nper_shopper = 1\n\
         [[drop.item]]\nsku = \"{SKU}\"\ntitle = \"EU 42\"\nprice = {{ amount = 12900, currency = \"eur\" }}\n\
         stock = {STOCK}\n",
        folder.display()
    );
    let loaded = gateway::config::parse("the benchmark's configuration", &text, &[], &environment);
    let config = loaded.map_err(|report| anyhow::anyhow!("{report}"))?.config;
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment,
    };
    assembly::migrate(&config, &ground).await?;
    Doorline::open(&config, Role::Gateway, &ground).await
}
