//! What can go wrong, and how it heals.

use std::time::Duration;

use anyhow::Context as _;
use gateway::demo::fleet::{Fleet, Wires};
use sandbox::relay::{Relay, Weather};

/// How long a frozen process stays frozen, and a bad wire bad. Longer than every deadline of ours towards an
/// engine, so that each of them is seen to strike.
const SPELL: Duration = Duration::from_secs(4);
/// How long a killed process stays away.
const AWAY: Duration = Duration::from_secs(1);

/// One fault. Numbers choose a process and wrap around.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    KillGateway(usize),
    FreezeGateway(usize),
    KillWorker(usize),
    FreezeWorker(usize),
    KillRedis,
    FreezeRedis,
    FlushRedis,
    /// Redis comes back with what it held some seconds ago.
    RollBackRedis,
    KillRabbit,
    FreezeRabbit,
    WipeRabbit,
    KillPostgres,
    FreezePostgres,
    CutRedis,
    CutPostgres,
    CutRabbit,
    BlackHoleRedis,
    BlackHolePostgres,
    SlowPostgres,
}

const ALL: [Fault; 21] = [
    Fault::KillGateway(0),
    Fault::KillGateway(1),
    Fault::FreezeGateway(0),
    Fault::KillWorker(0),
    Fault::KillWorker(1),
    Fault::FreezeWorker(1),
    Fault::KillRedis,
    Fault::FreezeRedis,
    Fault::FlushRedis,
    Fault::RollBackRedis,
    Fault::KillRabbit,
    Fault::FreezeRabbit,
    Fault::WipeRabbit,
    Fault::KillPostgres,
    Fault::FreezePostgres,
    Fault::CutRedis,
    Fault::CutPostgres,
    Fault::CutRabbit,
    Fault::BlackHoleRedis,
    Fault::BlackHolePostgres,
    Fault::SlowPostgres,
];

/// A list of faults that depends on `seed` alone: six, some seconds apart, two of them at once now and then.
pub(crate) fn draw(seed: u64) -> Vec<(Duration, Fault)> {
    let mut state = seed;
    let mut next = move || {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let mut at = 1;
    let mut faults = Vec::new();
    for _ in 0..6 {
        let chosen = usize::try_from(next() % 21).expect("below 21");
        faults.push((Duration::from_secs(at), ALL[chosen]));
        at += next() % 7;
    }
    faults
}

impl Fault {
    /// Does it, and lets it heal.
    pub(crate) async fn strike(self, fleet: &Fleet) -> anyhow::Result<()> {
        let engines = &fleet.engines;
        match self {
            Self::KillGateway(which) => kill(fleet, which, true).await,
            Self::KillWorker(which) => kill(fleet, which, false).await,
            Self::FreezeGateway(which) => {
                let member = &fleet.gateways[which % fleet.gateways.len()];
                spell(|| member.process().freeze(), || member.process().thaw()).await
            }
            Self::FreezeWorker(which) => {
                let member = &fleet.workers[which % fleet.workers.len()];
                spell(|| member.process().freeze(), || member.process().thaw()).await
            }
            Self::KillRedis => {
                engines.redis.kill();
                tokio::time::sleep(AWAY).await;
                Ok(engines.redis.restart().await?)
            }
            Self::FreezeRedis => spell(|| engines.redis.freeze(), || engines.redis.thaw()).await,
            Self::FlushRedis => {
                anyhow::ensure!(engines.redis.flush().await, "Redis was not flushed");
                Ok(())
            }
            Self::RollBackRedis => roll_back(fleet).await,
            Self::KillRabbit => {
                engines.rabbitmq.kill();
                tokio::time::sleep(AWAY).await;
                Ok(engines.rabbitmq.restart().await?)
            }
            Self::FreezeRabbit => spell(|| engines.rabbitmq.freeze(), || engines.rabbitmq.thaw()).await,
            Self::WipeRabbit => Ok(engines.rabbitmq.wipe().await?),
            Self::KillPostgres => {
                engines.postgres.kill();
                tokio::time::sleep(AWAY).await;
                Ok(engines.postgres.restart().await?)
            }
            Self::FreezePostgres => spell(|| engines.postgres.freeze(), || engines.postgres.thaw()).await,
            Self::CutRedis => weather(wires(fleet)?, |wires| &wires.redis, Weather::Cut).await,
            Self::CutPostgres => weather(wires(fleet)?, |wires| &wires.postgres, Weather::Cut).await,
            Self::CutRabbit => weather(wires(fleet)?, |wires| &wires.rabbitmq, Weather::Cut).await,
            Self::BlackHoleRedis => weather(wires(fleet)?, |wires| &wires.redis, Weather::BlackHole).await,
            Self::BlackHolePostgres => {
                weather(wires(fleet)?, |wires| &wires.postgres, Weather::BlackHole).await
            }
            Self::SlowPostgres => {
                let slow = Weather::Slow(Duration::from_millis(80));
                weather(wires(fleet)?, |wires| &wires.postgres, slow).await
            }
        }
    }
}

fn wires(fleet: &Fleet) -> anyhow::Result<&Wires> {
    fleet.wires.as_ref().context("a fleet with wires")
}

async fn kill(fleet: &Fleet, which: usize, gateway: bool) -> anyhow::Result<()> {
    let members = if gateway { &fleet.gateways } else { &fleet.workers };
    let member = &members[which % members.len()];
    member.process().kill();
    tokio::time::sleep(AWAY).await;
    member.process().start()?;
    member.ready().await
}

async fn spell(begin: impl Fn(), end: impl Fn()) -> anyhow::Result<()> {
    begin();
    tokio::time::sleep(SPELL).await;
    end();
    Ok(())
}

async fn weather(wires: &Wires, wire: impl Fn(&Wires) -> &Relay, weather: Weather) -> anyhow::Result<()> {
    spell(|| wire(wires).set(weather), || wire(wires).set(Weather::Clear)).await
}

/// Keeps a copy of Redis's files, lets some seconds pass, and brings the copy back.
async fn roll_back(fleet: &Fleet) -> anyhow::Result<()> {
    let redis = &fleet.engines.redis;
    let copy = tempfile::tempdir()?;
    let files = redis.folder().join("appendonlydir");
    copy_folder(&files, copy.path())?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    redis.kill();
    std::fs::remove_dir_all(&files)?;
    std::fs::create_dir(&files)?;
    copy_folder(copy.path(), &files)?;
    Ok(redis.restart().await?)
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
