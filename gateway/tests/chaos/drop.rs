//! One drop under faults: the crowd comes, the faults strike, and both sides are counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use checkout_worker::OrderView;
use checkout_worker::ledger::OrderFilter;
use domain::OrderId;
use domain::saga::StateName;
use gateway::assembly::Ground;
use gateway::config::Environment;
use gateway::demo::settings::Plan;
use gateway::demo::settle;
use gateway::demo::stage::{Form, Stage, Wiring};
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::crowd::Crowd;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fault::Wave;
use crate::pulse::{self, LET_IN_WITHIN, Pulse};

const SHOPPERS: u32 = 150;
const STOCK: u32 = 60;
/// By when every order that had been accepted when the last fault healed must have come to its end.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// Sells a drop while `waves` strike, and compares all books.
///
/// Where they do not agree, the folder with every process's log is kept and named.
pub(crate) async fn sell_under(waves: &[Wave], seed: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sold = sell_in(folder.path(), waves, seed).await;
    match sold {
        Ok(()) => Ok(()),
        Err(failure) => Err(failure.context(format!("logs are in {}", folder.keep().display()))),
    }
}

async fn sell_in(folder: &Path, waves: &[Wave], seed: u64) -> anyhow::Result<()> {
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment: Environment::default(),
    };
    let form = Form::Distributed {
        program: PathBuf::from(env!("CARGO_BIN_EXE_doorline")),
        wires: Wiring::Breakable,
    };
    let mut plan = Plan::of(SHOPPERS, STOCK, Duration::from_secs(8), ground.clock.now());
    plan.deadline = Duration::from_secs(150);
    pulse::DROP.clone_into(&mut plan.also);
    let stage = Stage::set(&plan, &form, folder.join("house"), &ground).await?;
    let started = Instant::now();
    let crowd = Crowd::new(stage.crowd(&plan, seed));
    let opening = started + plan.prequeue;
    let (seen, struck) = tokio::join!(
        crowd.run(CancellationToken::new()),
        strike_all(&stage, waves, opening)
    );
    struck?;
    let count = settle(&stage).await?;
    let settled = count.is_settled();
    let report = count.report(&plan, seed, &seen, started.elapsed());
    let audit = stage.checkout.audit().await?;
    anyhow::ensure!(settled, "orders without an end: {report:?}");
    anyhow::ensure!(report.is_clean(), "the books do not agree: {report:?}");
    anyhow::ensure!(audit.differences.is_empty(), "the ledger's audit: {audit:?}");
    anyhow::ensure!(seen.violations.is_empty(), "shoppers saw: {:?}", seen.violations);
    anyhow::ensure!(report.sold > 0, "nothing was sold: {report:?}");
    stage.strike().await;
    Ok(())
}

/// Strikes wave by wave. After each the door must open again in time; after the last, accepted orders must end.
async fn strike_all(stage: &Stage, waves: &[Wave], opening: Instant) -> anyhow::Result<()> {
    let fleet = stage.fleet().context("a distributed stage has a fleet")?;
    for wave in waves {
        tokio::time::sleep_until(opening + wave.at).await;
        wave.strike(fleet).await.with_context(|| format!("{wave:?}"))?;
        let paused = Pulse::of(fleet.front.address(), LET_IN_WITHIN).await;
        let paused = paused.with_context(|| format!("after {wave:?}"))?;
        println!("{:?}: let in again after {paused:?}", wave.faults);
    }
    let under_way = accepted_and_open(stage).await?;
    let until = Instant::now() + ENDED_WITHIN;
    loop {
        let mut late = accepted_and_open(stage).await?;
        late.retain(|order, _| under_way.contains_key(order));
        if late.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < until,
            "accepted before the last fault healed, and without an end {ENDED_WITHIN:?} after it: {late:?}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Orders that were accepted and have not come to their end.
async fn accepted_and_open(stage: &Stage) -> anyhow::Result<BTreeMap<OrderId, OrderView>> {
    let filter = OrderFilter {
        limit: 1_000,
        ..OrderFilter::default()
    };
    let orders = stage.checkout.orders(filter).await?;
    let open = orders
        .into_iter()
        .filter(|order| order.ledger_state != StateName::Reserved && !order.ledger_state.is_end());
    Ok(open.map(|order| (order.order, order)).collect())
}
