//! A house as a merchant runs it: the real binary in a process of its own, in front of the demo
//! shop. The payment provider lives in the test's process, so its books outlive every crash and
//! are a second witness.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use sandbox::crowd::CrowdConfig;
use sandbox::provider::{Provider, ProviderConfig, RunningProvider, WebhookTarget};
use sandbox::shop::{RunningShop, Shop, ShopConfig};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::random::{Random, fresh_seed};
use crate::terms::{Places, Terms};

const ADMIN_TOKEN: &str = "token-of-the-crash-test";
const WEBHOOK_SECRET: &str = "whsec_of_the_crash_test";
/// A start or an end that takes longer than this is a failure, not slowness.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of the program's log that a failure shows.
const LOG_LINES_SHOWN: usize = 40;

/// Everything around one gateway process, and the process while it runs.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) terms: Terms,
    pub(crate) starts: u32,
    folder: TempDir,
    program: PathBuf,
    provider: RunningProvider,
    shop: RunningShop,
    pub(crate) http: reqwest::Client,
    running: Option<Child>,
    opens_at: Instant,
}

impl House {
    /// Sets everything up and starts the gateway.
    pub(crate) async fn open(terms: Terms, seed: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // A copy: a build beside the test must not swap the program between two starts.
        let program = folder.path().join("doorline");
        std::fs::copy(env!("CARGO_BIN_EXE_doorline"), &program).context("copying the program")?;
        // Not the run's seed: scenarios that repeat one side by side need ports of their own.
        let mut random = Random::new(fresh_seed());
        let address = free_port(&mut random)?;
        let provider = Provider::start(ProviderConfig {
            webhook: Some(WebhookTarget {
                url: format!("http://{address}/.doorline/v1/webhooks/stripe"),
                secret: WEBHOOK_SECRET.to_owned(),
            }),
            seed,
            faults: terms.faults.clone(),
            ..ProviderConfig::default()
        })
        .await?;
        let shop = Shop::start(ShopConfig {
            provider_url: Some(provider.url()),
            origin_guard: true,
            ..ShopConfig::default()
        })
        .await?;
        // One request per connection: none is left over from a process that is gone.
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let mut house = Self {
            address,
            admin: free_port(&mut random)?,
            opens_at: Instant::now() + terms.prequeue,
            terms,
            starts: 0,
            folder,
            program,
            provider,
            shop,
            http,
            running: None,
        };
        let places = Places {
            address: house.address,
            admin: house.admin,
            shop: house.shop.url(),
            provider: house.provider.url(),
            data_dir: house.data_dir(),
        };
        std::fs::write(
            house.folder.path().join("config.toml"),
            house.terms.config(&places),
        )?;
        house.start()?;
        house.serves().await?;
        Ok(house)
    }

    /// The provider's books.
    pub(crate) fn provider(&self) -> &Provider {
        self.provider.provider()
    }

    /// Where the gateway keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// How long until the drop starts.
    pub(crate) fn opens_in(&self) -> Duration {
        self.opens_at.saturating_duration_since(Instant::now())
    }

    /// A crowd for this house; ends when the last has gone home.
    pub(crate) fn crowd(&self, shoppers: u32, seed: u64) -> CrowdConfig {
        CrowdConfig {
            provider_url: Some(self.provider.url()),
            starts_in: self.opens_in(),
            share_before_start: 0.6,
            ramp: Duration::from_secs(6),
            ..CrowdConfig::new(self.address, shoppers, seed)
        }
    }

    /// Starts the process; it may not serve yet.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.running.is_none(), "the gateway runs already");
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let limit = self.terms.file_blocks_max.filter(|_| self.starts == 0);
        let mut command = match limit {
            None => Command::new(&self.program),
            // A write beyond the limit fails as on a full disk, once the signal is ignored.
            Some(blocks) => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(&self.program);
                shell
            }
        };
        self.with_arguments(&mut command)
            .stdout(Stdio::null())
            // A pipe would fill up under the limit's errors, and a file would be limited itself.
            .stderr(if limit.is_some() {
                Stdio::null()
            } else {
                Stdio::from(log)
            });
        self.running = Some(command.spawn().context("starting doorline")?);
        self.starts += 1;
        Ok(())
    }

    /// Runs another process on the same configuration and the same data to its end.
    pub(crate) async fn run_another(&self) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        self.with_arguments(&mut command);
        Ok(tokio::task::spawn_blocking(move || command.output()).await??)
    }

    fn with_arguments<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .arg("serve")
            .arg("--config")
            .arg(self.folder.path().join("config.toml"))
            .env("DOORLINE_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .stdin(Stdio::null())
    }

    /// Waits until shoppers are answered.
    pub(crate) async fn serves(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let url = format!("http://{}/.doorline/v1/drops/aurora", self.address);
        loop {
            if let Some(child) = &mut self.running
                && let Some(status) = child.try_wait()?
            {
                self.running = None;
                anyhow::bail!("the gateway ended by itself ({status}):\n{}", self.log_tail());
            }
            let answer = self.http.get(&url).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < until,
                "the gateway does not serve:\n{}",
                self.log_tail()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `kill -9`: the process ends between two instructions.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.running.take() {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the gateway had ended by itself ({status}):\n{}", self.log_tail());
            }
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM: the process is asked to end.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        let child = self.running.as_ref().context("the gateway does not run")?;
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -TERM {}", child.id()))
            .status()?;
        anyhow::ensure!(sent.success(), "the signal could not be sent");
        Ok(())
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> anyhow::Result<bool> {
        match &mut self.running {
            None => Ok(false),
            Some(child) => Ok(child.try_wait()?.is_none()),
        }
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + PATIENCE;
        let child = self.running.as_mut().context("the gateway does not run")?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.running = None;
                return Ok(status);
            }
            if Instant::now() >= until {
                anyhow::bail!("the gateway does not end:\n{}", self.log_tail());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads from the admin API.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("http://{}/admin/v1/{path}", self.admin);
        let answer = self.http.get(&url).bearer_auth(ADMIN_TOKEN).send().await?;
        read(answer).await.with_context(|| format!("GET {path}"))
    }

    /// Commands through the admin API.
    pub(crate) async fn tell<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("http://{}/admin/v1/{path}", self.admin);
        let answer = self.http.post(&url).bearer_auth(ADMIN_TOKEN).send().await?;
        read(answer).await.with_context(|| format!("POST {path}"))
    }

    /// The end of what the program logged.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    /// Lines of the log that say that something is wrong with the program itself.
    pub(crate) fn log_alarms(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let is_alarm = |line: &&str| line.contains("panicked") || line.contains("the books differ");
        text.lines().filter(is_alarm).map(str::to_owned).collect()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended already; either way nothing is left behind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> anyhow::Result<T> {
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("reading {text}"))
}

/// A port that nobody listens on, below those that the kernel gives to outgoing connections and those that other tests
/// give to engines: one of these could take it while the gateway is down.
fn free_port(random: &mut Random) -> anyhow::Result<SocketAddr> {
    for _ in 0..100 {
        let port = u16::try_from(random.within(10_000..=11_999))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port")
}
