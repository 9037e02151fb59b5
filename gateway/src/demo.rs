//! `doorline demo`: a whole flash sale in one process, over real sockets on loopback. The
//! gateway, a shop and a payment provider serve; a simulated crowd comes, waits, buys and
//! pays; at the end two independent counts say whether every unit and every charge adds up.

mod count;
mod progress;
pub mod report;
mod settings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use domain::{DropId, Entropy};
use sandbox::crowd::{Crowd, CrowdConfig, CrowdReport};
use sandbox::provider::{Provider, ProviderConfig, RunningProvider, WebhookTarget};
use sandbox::shop::{RunningShop, Shop, ShopConfig};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::assembly::{Doorline, Ground, Role};
use crate::cli::args::DemoOptions;
use count::Count;
use report::Report;
use settings::{DROP, Plan};

/// After the crowd has gone home: how long the last reservations, payments and webhooks may take.
const SETTLE: Duration = Duration::from_secs(30);

/// The whole show.
struct Stage {
    house: Doorline,
    provider: RunningProvider,
    shop: RunningShop,
    data_dir: PathBuf,
}

/// Runs the demo and says whether its report is clean.
pub async fn run(options: &DemoOptions, ground: &Ground, stop: CancellationToken) -> anyhow::Result<bool> {
    let seed = options
        .seed
        .unwrap_or_else(|| random_seed(ground.entropy.as_ref()));
    let plan = Plan::of(options.shoppers, options.stock, ground.clock.now());
    let stage = Stage::set(&plan, ground).await?;
    progress::announce(&stage.house, &plan, options);
    let started = Instant::now();
    let crowd = Crowd::new(stage.crowd(&plan, options, seed));
    let bars = progress::Bars::start(&crowd, &stage.house, &plan, options);
    let witnessed = crowd.run(stop.clone()).await;
    let count = stage.settle().await?;
    bars.finish();
    let report = count.report(&plan, seed, &witnessed, started.elapsed());
    deliver(&report, &witnessed, options.report.as_deref())?;
    if !options.exit && !stop.is_cancelled() {
        progress::keep_serving(&stage.house);
        stop.cancelled().await;
    }
    stage.strike().await;
    Ok(report.is_clean() && witnessed.violations.is_empty())
}

fn random_seed(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0_u8; 4];
    entropy.fill(&mut bytes);
    u64::from(u32::from_le_bytes(bytes))
}

impl Stage {
    async fn set(plan: &Plan, ground: &Ground) -> anyhow::Result<Self> {
        let data_dir = std::env::temp_dir().join(format!("doorline-demo-{}", std::process::id()));
        let secret = "whsec_of_the_demo";
        let provider = Provider::start(ProviderConfig::default())
            .await
            .context("the sandbox provider")?;
        let shop = Shop::start(ShopConfig {
            provider_url: Some(provider.url()),
            origin_guard: true,
            ..ShopConfig::default()
        })
        .await
        .context("the demo shop")?;
        let config = plan.config(&shop.url(), &provider.url(), &data_dir)?;
        let ground = Ground {
            environment: settings::environment(secret),
            ..ground.clone()
        };
        let house = Doorline::open(&config, Role::All, &ground).await?;
        let url = format!("http://{}/.doorline/v1/webhooks/stripe", house.address);
        provider.provider().set_webhook(Some(WebhookTarget {
            url,
            secret: secret.to_owned(),
        }));
        Ok(Self {
            house,
            provider,
            shop,
            data_dir,
        })
    }

    fn crowd(&self, plan: &Plan, options: &DemoOptions, seed: u64) -> CrowdConfig {
        CrowdConfig {
            provider_url: Some(self.provider.url()),
            quantity_max: 1,
            starts_in: plan.prequeue,
            share_before_start: 0.6,
            ramp: plan.ramp,
            deadline: plan.deadline,
            ..CrowdConfig::new(self.house.address, options.shoppers, seed)
        }
    }

    /// Waits until no order is under way any more, then counts both sides.
    async fn settle(&self) -> anyhow::Result<Count> {
        let until = Instant::now() + SETTLE;
        loop {
            let count = Count::take(&self.house, self.provider.provider()).await?;
            if count.is_settled() || Instant::now() >= until {
                return Ok(count);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn strike(self) {
        self.house.close().await;
        self.shop.shutdown().await;
        self.provider.shutdown().await;
        if let Err(error) = std::fs::remove_dir_all(&self.data_dir) {
            tracing::warn!(%error, path = %self.data_dir.display(), "the demo's folder cannot be removed");
        }
    }
}

/// Prints the report and, if asked, writes it to a file.
fn deliver(report: &Report, seen: &CrowdReport, file: Option<&Path>) -> anyhow::Result<()> {
    progress::print_report(report, seen);
    if let Some(file) = file {
        let text = serde_json::to_string_pretty(report).context("a report of plain numbers")?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The demo's drop.
pub(crate) fn drop_id() -> DropId {
    DropId::new(DROP).expect("a name that fits")
}
