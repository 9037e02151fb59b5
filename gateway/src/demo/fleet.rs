//! The distributed house as processes on loopback: two gateways behind a round-robin, two workers, and
//! Redis, RabbitMQ and Postgres of their own. The distributed demo sells on it; the fault suites hurt it.

mod wires;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use sandbox::engine::postgres::Postgres;
use sandbox::engine::rabbitmq::RabbitMq;
use sandbox::engine::redis::{Redis, RedisConfig};
use sandbox::engine::{Process, free_port};
use sandbox::relay::Relay;

use crate::config::Environment;

use wires::at_port;
pub use wires::{Engine, MemberWires, Wires};

/// How long an orderly end may take before a process is killed.
const END_WITHIN: Duration = Duration::from_secs(20);
/// How long one look at `/readyz` may take.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetPlan {
    /// The program: `doorline`.
    pub program: PathBuf,
    /// The configuration of all, in distributed mode; listeners and folders are set per process.
    pub config: PathBuf,
    /// A folder for logs and for what each process keeps.
    pub folder: PathBuf,
    /// Gateways to start.
    pub gateways: usize,
    /// Workers to start.
    pub workers: usize,
    /// Secrets that the configuration names, besides the addresses of the engines.
    pub variables: Vec<(String, String)>,
}

/// The three engines.
pub struct Engines {
    /// Redis; writes every change to disk, so that it may be rolled back to an older copy.
    pub redis: Redis,
    /// RabbitMQ.
    pub rabbitmq: RabbitMq,
    /// Postgres.
    pub postgres: Postgres,
}

/// One process of ours.
pub struct Member {
    /// What it is called in logs: `gateway-1`, `worker-2`.
    pub name: String,
    /// Where shoppers connect, for a gateway.
    pub address: SocketAddr,
    /// Where ops connect.
    pub admin: SocketAddr,
    process: Process,
}

/// Everything running.
pub struct Fleet {
    /// What shoppers connect to: takes turns among the gateways.
    pub front: Relay,
    /// The gateways.
    pub gateways: Vec<Member>,
    /// The workers.
    pub workers: Vec<Member>,
    /// The wires that the processes were given, if any; each member's at its own place in the order.
    pub wires: Option<Wires>,
    /// The engines. Let go last: fields are dropped in order.
    pub engines: Engines,
}

impl Engines {
    /// Starts all three at once.
    pub async fn start() -> anyhow::Result<Self> {
        let config = RedisConfig {
            durable: true,
            ..RedisConfig::default()
        };
        let (redis, rabbitmq, postgres) =
            tokio::try_join!(Redis::start_with(config), RabbitMq::start(), Postgres::start())?;
        Ok(Self {
            redis,
            rabbitmq,
            postgres,
        })
    }

    /// Where one of them listens.
    #[must_use]
    pub fn port(&self, engine: Engine) -> u16 {
        match engine {
            Engine::Redis => self.redis.port(),
            Engine::RabbitMq => self.rabbitmq.port(),
            Engine::Postgres => self.postgres.port(),
        }
    }

    fn url(&self, engine: Engine) -> String {
        match engine {
            Engine::Redis => self.redis.url(),
            Engine::RabbitMq => self.rabbitmq.url(),
            Engine::Postgres => self.postgres.url(),
        }
    }

    /// The variables by which one of our processes finds them: over wires of its own where it has some, else directly.
    #[must_use]
    pub fn variables(&self, wires: Option<&MemberWires>) -> Vec<(String, String)> {
        Engine::ALL
            .map(|engine| {
                let (url, port) = (self.url(engine), self.port(engine));
                let known = match wires.and_then(|wires| wires.to(engine)) {
                    Some(wire) => at_port(&url, port, wire.address().port()),
                    None => url,
                };
                (engine.variable().to_owned(), known)
            })
            .into()
    }
}

impl Fleet {
    /// Brings the tables up to date, starts every process, and waits until each says that it is ready. They reach
    /// the engines over `wires`, which were made for this plan, or directly.
    pub async fn launch(plan: &FleetPlan, engines: Engines, wires: Option<Wires>) -> anyhow::Result<Self> {
        migrate(plan, &told(plan, &engines, None)).await?;
        let of_gateways = wires.as_ref().map(|wires| wires.gateways.as_slice());
        let of_workers = wires.as_ref().map(|wires| wires.workers.as_slice());
        let gateways = crew(plan, &engines, "gateway", plan.gateways, of_gateways)?;
        let workers = crew(plan, &engines, "worker", plan.workers, of_workers)?;
        for member in gateways.iter().chain(&workers) {
            member.process.start()?;
        }
        for member in gateways.iter().chain(&workers) {
            member.ready().await?;
        }
        let front = Relay::start(gateways.iter().map(|gateway| gateway.address).collect()).await?;
        Ok(Self {
            front,
            gateways,
            workers,
            wires,
            engines,
        })
    }

    /// What each member did, as its own metrics say: admissions and joins of a gateway, payments of a worker.
    pub async fn shares(&self) -> anyhow::Result<Vec<String>> {
        let mut shares = Vec::new();
        for member in &self.gateways {
            let served = member.count("doorline_requests_total").await?;
            shares.push(format!("{} answered {served} requests", member.name));
        }
        for member in &self.workers {
            let asked = member.count("doorline_provider_requests_total").await?;
            shares.push(format!("{} made {asked} calls to the provider", member.name));
        }
        Ok(shares)
    }

    /// Ends every process in order: first those that shoppers reach.
    pub async fn end(self) {
        for member in self.gateways.iter().chain(&self.workers) {
            member.process.end(END_WITHIN).await;
        }
    }
}

/// All that a process is told through its environment.
fn told(plan: &FleetPlan, engines: &Engines, wires: Option<&MemberWires>) -> Vec<(String, String)> {
    let mut told = engines.variables(wires);
    told.extend(plan.variables.iter().cloned());
    told
}

/// So many members of one role, each on its own wires if there are any. None runs yet.
fn crew(
    plan: &FleetPlan,
    engines: &Engines,
    role: &'static str,
    count: usize,
    wires: Option<&[MemberWires]>,
) -> anyhow::Result<Vec<Member>> {
    let member = |which: usize| {
        // One that went round its wires would look as if it bore every fault.
        let own = wires.map(|wires| wires.get(which).context("a member has no wires"));
        Member::new(plan, told(plan, engines, own.transpose()?), role, which + 1)
    };
    (0..count).map(member).collect()
}

async fn migrate(plan: &FleetPlan, variables: &[(String, String)]) -> anyhow::Result<()> {
    let mut command = Command::new(&plan.program);
    command.arg("migrate").arg("--config").arg(&plan.config);
    command.envs(variables.iter().cloned());
    let done = tokio::task::spawn_blocking(move || command.output())
        .await?
        .context("cannot start the migration")?;
    anyhow::ensure!(
        done.status.success(),
        "the migration failed: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

impl Member {
    fn new(
        plan: &FleetPlan,
        variables: Vec<(String, String)>,
        role: &'static str,
        number: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("{role}-{number}");
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (address, admin) = (loopback(free_port()?), loopback(free_port()?));
        let data = plan.folder.join(&name);
        std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let plan = plan.clone();
        let process = Process::new(role, log_of(&plan.folder, &name), move || {
            let mut command = Command::new(&plan.program);
            command
                .args(["serve", "--role", role, "--config"])
                .arg(&plan.config)
                .args(["--set", &format!("server.listen={address}")])
                .args(["--set", &format!("admin.listen={admin}")])
                .args(["--set", &format!("backend.data_dir={}", data.display())])
                .args(["--set", "log.format=json"])
                .envs(variables.iter().cloned());
            command
        });
        Ok(Self {
            name,
            address,
            admin,
            process,
        })
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder()
            .timeout(LOOK_WITHIN)
            .no_proxy()
            .build()?;
        let url = format!("http://{}/readyz", self.admin);
        let looks = async || {
            let answer = http.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        };
        self.process
            .ready(looks)
            .await
            .with_context(|| format!("{} is not ready", self.name))
    }

    /// The sum of one of its counters over all labels.
    pub async fn count(&self, family: &str) -> anyhow::Result<u64> {
        let http = reqwest::Client::builder()
            .timeout(LOOK_WITHIN)
            .no_proxy()
            .build()?;
        let text = http
            .get(format!("http://{}/metrics", self.admin))
            .send()
            .await
            .with_context(|| format!("{} does not answer", self.name))?
            .text()
            .await?;
        let of_family = |line: &&str| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let value = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|value| value.parse::<u64>().ok())
        };
        Ok(text.lines().filter(of_family).filter_map(value).sum())
    }

    /// The process itself, to be hurt.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Where a member writes its log.
#[must_use]
pub fn log_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// An environment that holds `variables`, for a reader in this process.
#[must_use]
pub fn environment(variables: &[(String, String)]) -> Environment {
    variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
