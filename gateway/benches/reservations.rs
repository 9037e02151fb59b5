//! 100,000 reservations at once on 1,000 units of one SKU: every shopper has a connection of its own, open before the
//! first order goes out, to one of several gateways on a real Redis and a real Postgres; beside it, what that
//! Postgres commits per second when it does nothing else.
//!
//! `cargo bench -p gateway --bench reservations -- [--quick]`; `make bench` runs it. Gateways and shoppers are
//! processes, as many of each as it takes to stay below what one process may hold open.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

#[path = "reservations/crowd.rs"]
mod crowd;
#[path = "reservations/stampede.rs"]
mod stampede;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::DropId;
use gateway::assembly::{Doorline, Ground, Role};
use gateway::demo::fleet::{self, Engines, Fleet, FleetPlan};
use gateway::system::{SystemClock, SystemEntropy};
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

/// Connections that one process takes, on either side: below the 20,000 files that some systems allow at most.
const PER_PROCESS: usize = 17_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let done = if let Some(at) = arguments.iter().position(|argument| argument == crowd::FLAG) {
        runtime.block_on(crowd::work(&arguments[at + 1..]))
    } else {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        runtime.block_on(measure(if quick { 5_000 } else { 100_000 }))
    };
    if let Err(error) = done {
        panic!("{error}");
    }
}

async fn measure(shoppers: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| words(&error))?;
    let engines = Engines::start().await.map_err(|error| words(&error))?;
    let commits = commits_per_second(&engines.postgres.url())
        .await
        .map_err(|error| words(&error))?;
    let gateways = shoppers.div_ceil(PER_PROCESS).max(2);
    let (fleet, office) = open(folder.path(), gateways, engines)
        .await
        .map_err(|error| words(&error))?;
    let drop = DropId::new("aurora").map_err(|error| words(&error))?;
    let orders = stampede::admit(&office.desk, &drop, SKU, shoppers).await?;
    let addresses: Vec<_> = fleet.gateways.iter().map(|gateway| gateway.address).collect();
    let crowds = crowd::Crowds::gather(folder.path(), &addresses, &drop, orders).await?;
    let started = Instant::now();
    let answers = crowds.run().await?;
    let took = started.elapsed();
    let audit = office.checkout.audit().await.map_err(|error| words(&error))?;
    let asked = Asked::of(&fleet, &office).await.map_err(|error| words(&error))?;
    office.close().await;
    fleet.end().await;
    report(shoppers, gateways, took, commits, &asked, &answers);
    let expected = BTreeMap::from([(201, STOCK), (409, shoppers - STOCK)]);
    if answers.by_status != expected || !audit.differences.is_empty() {
        return Err(format!("answers {answers:?}, audit {:?}", audit.differences));
    }
    Ok(())
}

fn words(error: &dyn std::fmt::Display) -> String {
    format!("{error:#}")
}

/// The gateways as processes, and one in this process on the stores of the others: it lets everybody in beforehand, and
/// audits afterwards.
async fn open(folder: &Path, gateways: usize, engines: Engines) -> anyhow::Result<(Fleet, Doorline)> {
    let text = config(folder);
    let path = folder.join("config.toml");
    std::fs::write(&path, &text)?;
    let mut variables = vec![("DOORLINE_ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned())];
    let plan = FleetPlan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_doorline")),
        config: path,
        folder: folder.to_owned(),
        gateways,
        workers: 0,
        variables: variables.clone(),
    };
    variables.extend(engines.variables(None));
    let fleet = Fleet::launch(&plan, engines, None).await?;
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment: fleet::environment(&variables),
    };
    let loaded = gateway::config::parse("the benchmark's configuration", &text, &[], &ground.environment);
    let config = loaded.map_err(|report| anyhow::anyhow!("{report}"))?.config;
    let office = Doorline::open(&config, Role::Gateway, &ground).await?;
    Ok((fleet, office))
}

/// What the stores were asked for, over all processes.
#[derive(Default)]
struct Asked {
    reserve: u64,
    join: u64,
}

impl Asked {
    async fn of(fleet: &Fleet, office: &Doorline) -> Result<Self, reqwest::Error> {
        let mut asked = Self::default();
        for gateway in &fleet.gateways {
            asked.add(&metrics(gateway.admin).await?);
        }
        asked.add(&metrics(office.admin_address).await?);
        Ok(asked)
    }

    fn add(&mut self, metrics: &str) {
        let count = |store: &str, op: &str| {
            let series = format!("doorline_store_duration_seconds_count{{op=\"{op}\",store=\"{store}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
            count.and_then(|count| count.parse().ok()).unwrap_or(0_u64)
        };
        self.reserve += count("ledger", "reserve");
        self.join += count("redis", "join");
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn report(
    shoppers: usize,
    gateways: usize,
    took: Duration,
    commits: f64,
    asked: &Asked,
    answers: &stampede::Answers,
) {
    let per_second = shoppers as f64 / took.as_secs_f64();
    println!(
        "\nReservations: {shoppers} shoppers for {STOCK} units, each with a connection of its own, all open at once, \
         at {gateways} gateways"
    );
    println!(
        "  {per_second:>9.0} answered per second; {STOCK} reserved, all others told that nothing is left"
    );
    println!(
        "  {:>9} times somebody was told to come again first, because too many were being served",
        answers.again
    );
    println!(
        "  {commits:>9.0} bare commits per second of the same Postgres, {COMMITTING} at once; {:.2} × that",
        per_second / commits
    );
    println!(
        "  {:>9} reached the ledger, the others were answered from the stock hint",
        asked.reserve
    );
    println!(
        "  {:>9.4} operations of Redis per join, batched",
        asked.join as f64 / shoppers as f64
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

async fn metrics(admin: SocketAddr) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(format!("http://{admin}/metrics"));
    request.bearer_auth(ADMIN_TOKEN).send().await?.text().await
}

/// Limits that are out of the way, and a drop without a queue.
fn config(folder: &Path) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://localhost\"\nmax_connections = 18000\n\
         max_connections_per_address = 18000\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [upstream]\nurl = \"http://127.0.0.1:9\"\n[backend]\nmode = \"distributed\"\ndata_dir = '{}'\n\
         [rate_limit]\nexempt = [\"127.0.0.0/8\"]\n\
         [payment]\nprovider = \"sandbox\"\napi_url = \"http://127.0.0.1:9\"\n\
         [[drop]]\nid = \"aurora\"\ntitle = \"Aurora\"\npaths = [\"/drops/aurora\"]\n\
         event_start_time = \"2026-01-01T00:00:00Z\"\nqueueing_method = \"passthrough\"\n\
         total_active_users = 200000\nnew_users_per_minute = 200000\nsession_duration = \"1h\"\n\
         [drop.checkout]\nreserve_for = \"30m\"\nper_shopper = 1\n\
         [[drop.item]]\nsku = \"{SKU}\"\ntitle = \"EU 42\"\nprice = {{ amount = 12900, currency = \"eur\" }}\n\
         stock = {STOCK}\n",
        folder.join("office").display()
    )
}
