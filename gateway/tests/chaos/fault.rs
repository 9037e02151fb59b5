//! What can go wrong, and how it heals.

use std::time::Duration;

use anyhow::Context as _;
use gateway::demo::fleet::{Fleet, Member};
use sandbox::relay::{Relay, Weather};

/// How long a frozen process stays frozen, and a bad wire bad. Longer than every deadline of ours towards an
/// engine, so that each of them is seen to strike.
const SPELL: Duration = Duration::from_secs(4);
/// How long a killed process stays away.
const AWAY: Duration = Duration::from_secs(1);

/// How long Postgres stays away when it is away for long.
const LONG_AWAY: Duration = Duration::from_secs(20);
/// How late everything passes a slow wire, in each direction.
const LATE: Duration = Duration::from_millis(80);

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
    /// Killed, and away for [`LONG_AWAY`].
    LosePostgres,
    /// The wire to somebody is bad.
    Wire(Wire, Weather),
}

/// Who is at the other end of a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    Redis,
    Rabbit,
    Postgres,
    Provider,
    Shop,
    /// Shoppers, at the gateways.
    Front,
}

/// Faults that strike together.
#[derive(Clone, Debug)]
pub(crate) struct Wave {
    /// When, from the opening of the drop; later if the wave before has not healed by then.
    pub(crate) at: Duration,
    /// Which, each at somebody else.
    pub(crate) faults: Vec<Fault>,
}

/// What may be drawn. All with one number strike the same part of the house, and never together.
const ALL: &[(u8, Fault)] = &[
    (0, Fault::KillGateway(0)),
    (0, Fault::FreezeGateway(0)),
    (1, Fault::KillGateway(1)),
    (1, Fault::FreezeGateway(1)),
    (2, Fault::KillWorker(0)),
    (2, Fault::FreezeWorker(0)),
    (3, Fault::KillWorker(1)),
    (3, Fault::FreezeWorker(1)),
    (4, Fault::KillRedis),
    (4, Fault::FreezeRedis),
    (4, Fault::FlushRedis),
    (4, Fault::RollBackRedis),
    (4, Fault::Wire(Wire::Redis, Weather::Cut)),
    (4, Fault::Wire(Wire::Redis, Weather::BlackHole)),
    (4, Fault::Wire(Wire::Redis, Weather::Slow(LATE))),
    (5, Fault::KillRabbit),
    (5, Fault::FreezeRabbit),
    (5, Fault::WipeRabbit),
    (5, Fault::Wire(Wire::Rabbit, Weather::Cut)),
    (5, Fault::Wire(Wire::Rabbit, Weather::BlackHole)),
    (5, Fault::Wire(Wire::Rabbit, Weather::Slow(LATE))),
    (6, Fault::KillPostgres),
    (6, Fault::FreezePostgres),
    (6, Fault::LosePostgres),
    (6, Fault::Wire(Wire::Postgres, Weather::Cut)),
    (6, Fault::Wire(Wire::Postgres, Weather::BlackHole)),
    (6, Fault::Wire(Wire::Postgres, Weather::Slow(LATE))),
    (7, Fault::Wire(Wire::Provider, Weather::Cut)),
    (7, Fault::Wire(Wire::Provider, Weather::BlackHole)),
    (7, Fault::Wire(Wire::Provider, Weather::Slow(LATE))),
    (8, Fault::Wire(Wire::Shop, Weather::Cut)),
    (8, Fault::Wire(Wire::Shop, Weather::BlackHole)),
    (8, Fault::Wire(Wire::Shop, Weather::Slow(LATE))),
    (9, Fault::Wire(Wire::Front, Weather::Cut)),
    (9, Fault::Wire(Wire::Front, Weather::BlackHole)),
    (9, Fault::Wire(Wire::Front, Weather::Slow(LATE))),
];

/// Waves that depend on `seed` alone: six, some seconds apart, every second one of two faults.
pub(crate) fn draw(seed: u64) -> Vec<Wave> {
    let mut state = seed;
    let mut next = move |below: usize| {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let drawn = (mixed ^ (mixed >> 31)) % u64::try_from(below).expect("a small number");
        usize::try_from(drawn).expect("below a usize")
    };
    let mut at = 1;
    let mut waves = Vec::new();
    for wave in 0..6 {
        let (part, first) = ALL[next(ALL.len())];
        let others: Vec<Fault> = ALL
            .iter()
            .filter(|(other, _)| *other != part)
            .map(|(_, fault)| *fault)
            .collect();
        let second = others[next(others.len())];
        waves.push(Wave {
            at: Duration::from_secs(at),
            faults: if wave % 2 == 0 {
                vec![first]
            } else {
                vec![first, second]
            },
        });
        at += u64::try_from(2 + next(6)).expect("a small number");
    }
    waves
}

impl Wave {
    /// Strikes with all of them at once, and lets them heal.
    pub(crate) async fn strike(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let strikes = self.faults.iter().map(|fault| fault.strike(fleet));
        futures_util::future::try_join_all(strikes).await?;
        Ok(())
    }
}

impl Fault {
    /// Does it, and lets it heal.
    async fn strike(self, fleet: &Fleet) -> anyhow::Result<()> {
        let engines = &fleet.engines;
        match self {
            Self::KillGateway(which) => kill(&fleet.gateways, which).await,
            Self::KillWorker(which) => kill(&fleet.workers, which).await,
            Self::FreezeGateway(which) => freeze(&fleet.gateways, which).await,
            Self::FreezeWorker(which) => freeze(&fleet.workers, which).await,
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
            Self::KillPostgres | Self::LosePostgres => {
                engines.postgres.kill();
                let long = self == Self::LosePostgres;
                tokio::time::sleep(if long { LONG_AWAY } else { AWAY }).await;
                Ok(engines.postgres.restart().await?)
            }
            Self::FreezePostgres => spell(|| engines.postgres.freeze(), || engines.postgres.thaw()).await,
            Self::Wire(wire, weather) => {
                let wire = wire.of(fleet)?;
                spell(|| wire.set(weather), || wire.set(Weather::Clear)).await
            }
        }
    }
}

impl Wire {
    fn of(self, fleet: &Fleet) -> anyhow::Result<&Relay> {
        let wires = fleet.wires.as_ref().context("a fleet with wires")?;
        Ok(match self {
            Self::Redis => &wires.redis,
            Self::Rabbit => &wires.rabbitmq,
            Self::Postgres => &wires.postgres,
            Self::Provider => &wires.provider,
            Self::Shop => &wires.shop,
            Self::Front => &fleet.front,
        })
    }
}

async fn kill(members: &[Member], which: usize) -> anyhow::Result<()> {
    let member = &members[which % members.len()];
    member.process().kill();
    tokio::time::sleep(AWAY).await;
    member.process().start()?;
    member.ready().await
}

async fn freeze(members: &[Member], which: usize) -> anyhow::Result<()> {
    let member = &members[which % members.len()];
    spell(|| member.process().freeze(), || member.process().thaw()).await
}

async fn spell(begin: impl Fn(), end: impl Fn()) -> anyhow::Result<()> {
    begin();
    tokio::time::sleep(SPELL).await;
    end();
    Ok(())
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
