//! `doorline demo`: a whole flash sale in one process, over real sockets on loopback. The
//! gateway, a shop and a payment provider serve; a simulated crowd comes, waits, buys and
//! pays; at the end two independent counts say whether every unit and every charge adds up.

pub mod count;
pub mod fleet;
mod progress;
pub mod report;
pub mod settings;
pub mod stage;

use std::time::Duration;

use anyhow::Context as _;
use domain::Entropy;
use sandbox::crowd::Crowd;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::assembly::Ground;
use crate::cli::args::{DemoOptions, OutputForm};
use count::Count;
use settings::Plan;
use stage::{Form, Stage, Wiring};

/// After the crowd has gone home: how long the last reservations, payments and webhooks may take.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs the demo and says whether its report is clean. As JSON the report is all that is written to standard output.
pub async fn run(
    options: &DemoOptions,
    output: OutputForm,
    ground: &Ground,
    stop: CancellationToken,
) -> anyhow::Result<bool> {
    let seed = options
        .seed
        .unwrap_or_else(|| random_seed(ground.entropy.as_ref()));
    let opens_in = Duration::from_secs(options.opens_in);
    let plan = Plan::of(options.shoppers, options.stock, opens_in, ground.clock.now());
    let form = if options.distributed {
        let program = std::env::current_exe().context("cannot find this program")?;
        Form::Distributed {
            program,
            wires: Wiring::Direct,
        }
    } else {
        Form::Embedded
    };
    let folder = std::env::temp_dir().join(format!("doorline-demo-{}", std::process::id()));
    let stage = Stage::set(&plan, &form, folder, ground).await?;
    let for_people = output == OutputForm::Table;
    if for_people && !options.quiet {
        progress::announce(&stage, &plan);
    }
    let started = Instant::now();
    let crowd = Crowd::new(stage.crowd(&plan, seed));
    let bars = progress::Bars::start(&crowd, &stage, &plan, options)?;
    let witnessed = crowd.run(stop.clone()).await;
    let count = settle(&stage).await?;
    bars.finish();
    let report = count.report(&plan, seed, &witnessed, started.elapsed());
    let text = serde_json::to_string_pretty(&report).context("a report of plain numbers")?;
    if let Some(file) = &options.report {
        let written = std::fs::write(file, format!("{text}\n"));
        written.with_context(|| format!("cannot write {}", file.display()))?;
    }
    if for_people {
        progress::print_report(&report, &witnessed);
        progress::print_shares(&stage.shares().await?);
    } else {
        progress::print_json(&text);
    }
    if !options.exit && !stop.is_cancelled() {
        if for_people {
            progress::keep_serving(&stage);
        }
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

/// Waits until no order is under way any more, half a minute at most, then counts both sides.
pub async fn settle(stage: &Stage) -> anyhow::Result<Count> {
    let until = Instant::now() + SETTLE;
    loop {
        let count = Count::take(stage).await?;
        if count.is_settled() || Instant::now() >= until {
            return Ok(count);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
