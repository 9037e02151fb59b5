//! The distributed house as processes on loopback: two gateways behind a round-robin, two workers, and
//! Redis, RabbitMQ and Postgres of their own. The distributed demo sells on it; the fault suites hurt it.

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

/// The wires between the processes and what they call, each of which can be made bad.
pub struct Wires {
    /// To Redis.
    pub redis: Relay,
    /// To RabbitMQ.
    pub rabbitmq: Relay,
    /// To Postgres.
    pub postgres: Relay,
    /// To the payment provider.
    pub provider: Relay,
    /// To the shop.
    pub shop: Relay,
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
    /// The wires that the processes were given, if any.
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

    /// The variables by which our processes find them, directly or over `wires`.
    #[must_use]
    pub fn variables(&self, wires: Option<&Wires>) -> Vec<(String, String)> {
        let over = |url: String, port: u16, wire: Option<&Relay>| match wire {
            Some(wire) => url.replacen(&port.to_string(), &wire.address().port().to_string(), 1),
            None => url,
        };
        let (redis, rabbitmq, postgres) = (&self.redis, &self.rabbitmq, &self.postgres);
        [
            (
                "DOORLINE_REDIS_URL",
                over(redis.url(), redis.port(), wires.map(|w| &w.redis)),
            ),
            (
                "DOORLINE_RABBITMQ_URL",
                over(rabbitmq.url(), rabbitmq.port(), wires.map(|w| &w.rabbitmq)),
            ),
            (
                "DOORLINE_POSTGRES_URL",
                over(postgres.url(), postgres.port(), wires.map(|w| &w.postgres)),
            ),
        ]
        .map(|(name, url)| (name.to_owned(), url))
        .into()
    }
}

impl Wires {
    /// Wires to the engines, the provider and the shop; all of them good.
    ///
    /// # Errors
    /// If there are no ports for them.
    pub async fn to(engines: &Engines, provider: SocketAddr, shop: SocketAddr) -> std::io::Result<Self> {
        let port = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        Ok(Self {
            redis: Relay::start(port(engines.redis.port())).await?,
            rabbitmq: Relay::start(port(engines.rabbitmq.port())).await?,
            postgres: Relay::start(port(engines.postgres.port())).await?,
            provider: Relay::start(vec![provider]).await?,
            shop: Relay::start(vec![shop]).await?,
        })
    }
}

impl Fleet {
    /// Brings the tables up to date, starts every process, and waits until each says that it is ready. They reach
    /// the engines over `wires`, or directly.
    pub async fn launch(plan: &FleetPlan, engines: Engines, wires: Option<Wires>) -> anyhow::Result<Self> {
        let mut variables = engines.variables(wires.as_ref());
        variables.extend(plan.variables.iter().cloned());
        migrate(plan, &variables).await?;
        let member = |role: &'static str, number: usize| Member::new(plan, &variables, role, number);
        let gateways: Vec<Member> = (1..=plan.gateways)
            .map(|number| member("gateway", number))
            .collect::<Result<_, _>>()?;
        let workers: Vec<Member> = (1..=plan.workers)
            .map(|number| member("worker", number))
            .collect::<Result<_, _>>()?;
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
        variables: &[(String, String)],
        role: &'static str,
        number: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("{role}-{number}");
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (address, admin) = (loopback(free_port()?), loopback(free_port()?));
        let data = plan.folder.join(&name);
        std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let (plan, variables) = (plan.clone(), variables.to_vec());
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
