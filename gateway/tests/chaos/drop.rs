//! One drop under faults: the crowd comes, the faults strike, and both sides are counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway::assembly::Ground;
use gateway::config::Environment;
use gateway::demo::settings::Plan;
use gateway::demo::settle;
use gateway::demo::stage::{Form, Stage};
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::crowd::Crowd;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fault::Fault;

const SHOPPERS: u32 = 150;
const STOCK: u32 = 60;
/// Units that may all be in the hands of shoppers who are slow, or who will decline.
const LAST_UNITS: u64 = 10;
/// How long shoppers may take to get in again once the last fault has healed. The requirement is five
/// seconds; the rest is for the machine, which runs a whole shop and three engines on two cores.
const ADMITTING_WITHIN: Duration = Duration::from_secs(15);

/// Sells a drop while `faults` strike, each at its time after the drop opened, and compares all books.
///
/// Where they do not agree, the folder with every process's log is kept and named.
pub(crate) async fn sell_under(faults: &[(Duration, Fault)], seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sold = sell_in(folder.path(), faults, seed).await;
    match sold {
        Ok(()) => Ok(()),
        Err(failure) => Err(failure.context(format!("logs are in {}", folder.keep().display()))),
    }
}

async fn sell_in(folder: &Path, faults: &[(Duration, Fault)], seed: u64) -> anyhow::Result<()> {
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment: Environment::default(),
    };
    let form = Form::Distributed {
        program: PathBuf::from(env!("CARGO_BIN_EXE_doorline")),
        wires: true,
    };
    let mut plan = Plan::of(SHOPPERS, STOCK, ground.clock.now());
    plan.deadline = Duration::from_secs(150);
    let stage = Stage::set(&plan, &form, folder.join("house"), &ground).await?;
    let started = Instant::now();
    let crowd = Crowd::new(stage.crowd(&plan, seed));
    let progress = crowd.progress();
    let fleet = stage.fleet().context("a distributed stage has a fleet")?;
    let opening = started + plan.prequeue;
    let striking = async {
        for (at, fault) in faults {
            tokio::time::sleep_until(opening + *at).await;
            fault.strike(fleet).await.with_context(|| format!("{fault:?}"))?;
        }
        // Whoever still waits must get in again, as long as there are units that nobody holds: the last ones may
        // be in somebody's hands.
        let before = progress.counts();
        let units_free = before.paid + LAST_UNITS < u64::from(STOCK);
        let healed = Instant::now();
        while units_free
            && progress.counts().admitted == before.admitted
            && progress.counts().finished < u64::from(SHOPPERS)
        {
            if healed.elapsed() > ADMITTING_WITHIN {
                return Ok(Some(progress.counts()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(None)
    };
    let (seen, struck) = tokio::join!(crowd.run(CancellationToken::new()), striking);
    let stuck = struck?;
    let count = settle(&stage).await?;
    let settled = count.is_settled();
    let report = count.report(&plan, seed, &seen, started.elapsed());
    let audit = stage.checkout.audit().await?;
    anyhow::ensure!(settled, "orders without an end: {report:?}");
    anyhow::ensure!(report.is_clean(), "the books do not agree: {report:?}");
    anyhow::ensure!(audit.differences.is_empty(), "the ledger's audit: {audit:?}");
    anyhow::ensure!(seen.violations.is_empty(), "shoppers saw: {:?}", seen.violations);
    anyhow::ensure!(
        stuck.is_none(),
        "nobody was let in for {ADMITTING_WITHIN:?} after the last fault: {stuck:?}"
    );
    anyhow::ensure!(report.sold > 0, "nothing was sold: {report:?}");
    stage.strike().await;
    Ok(())
}
