//! What can go wrong, and how it heals.

use std::time::Duration;

use anyhow::Context as _;
use gateway::demo::fleet::{Engine, Fleet, Member, MemberWires};
use sandbox::relay::{Relay, Weather};
use tokio::time::Instant;

use crate::pulse::{GO_ON_WITHIN, Pulse};

/// How long a frozen process stays frozen, and a bad wire bad. Longer than every deadline of ours towards an
/// engine, so that each of them is seen to strike.
const SPELL: Duration = Duration::from_secs(4);
/// How long a killed process stays away.
const AWAY: Duration = Duration::from_secs(1);
/// How long Postgres stays away when it is away for long.
const LONG_AWAY: Duration = Duration::from_secs(20);
/// How late everything passes a slow wire, in each direction.
pub(crate) const LATE: Duration = Duration::from_millis(80);
/// How often somebody comes to the gateway that is left, while the other one is cut off.
const COME_EVERY: Duration = Duration::from_millis(500);

/// So many orders at the provider that each of two workers has most likely some of them in hand.
const GATHERED: u32 = 4;
/// How long they may take to gather; there are none where everything is sold.
const GATHER_WITHIN: Duration = Duration::from_secs(3);
/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// Orders that a worker has in hand.
const LEASED: &str = "SELECT count(*) FROM checkout.orders WHERE leased_until > checkout.ledger_now()";
/// The database of the fleet.
const DATABASE: &str = "doorline";

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
    /// A worker is cut off from Postgres with orders in hand: what the provider answers cannot be written down.
    CutWhilePaying(usize),
    /// A wire is bad.
    Wire(Wire, Weather),
}

/// Between whom. Numbers choose a member and wrap around.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    /// Everybody who calls it, and an engine.
    All(Engine),
    /// One gateway and Redis or Postgres, while the other gateway reaches them.
    Gateway(usize, Engine),
    /// One worker and RabbitMQ or Postgres, while the other worker reaches them.
    Worker(usize, Engine),
    /// Everybody and the provider.
    Provider,
    /// The gateways and the shop.
    Shop,
    /// Shoppers and the gateways.
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

impl Wave {
    /// Strikes with all of them at once, and lets them heal. Where that leaves a gateway alone, it must go on.
    pub(crate) async fn strike(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let strikes = self.faults.iter().map(|fault| fault.strike(fleet));
        let strikes = futures_util::future::try_join_all(strikes);
        tokio::try_join!(strikes, self.others_go_on(fleet))?;
        Ok(())
    }

    /// Comes again and again to the gateway that is left alone, while the others are cut off, and is let in.
    async fn others_go_on(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let Some(spared) = self.spares(fleet) else {
            return Ok(());
        };
        let end = Instant::now() + SPELL;
        while Instant::now() < end {
            let let_in = Pulse::of(spared.address, GO_ON_WITHIN).await;
            let_in.with_context(|| format!("{} did not go on while others were cut off", spared.name))?;
            tokio::time::sleep(COME_EVERY).await;
        }
        Ok(())
    }

    /// A gateway that nothing is wrong with, where only single members are cut off from engines.
    fn spares<'f>(&self, fleet: &'f Fleet) -> Option<&'f Member> {
        let mut struck = Vec::new();
        for fault in &self.faults {
            match fault {
                Fault::Wire(Wire::Gateway(which, _), _) => struck.push(which % fleet.gateways.len()),
                // Nobody needs a worker to be let in.
                Fault::Wire(Wire::Worker(..), _) | Fault::CutWhilePaying(_) => {}
                Fault::Wire(Wire::All(_) | Wire::Provider | Wire::Shop | Wire::Front, _)
                | Fault::KillGateway(_)
                | Fault::FreezeGateway(_)
                | Fault::KillWorker(_)
                | Fault::FreezeWorker(_)
                | Fault::KillRedis
                | Fault::FreezeRedis
                | Fault::FlushRedis
                | Fault::RollBackRedis
                | Fault::KillRabbit
                | Fault::FreezeRabbit
                | Fault::WipeRabbit
                | Fault::KillPostgres
                | Fault::FreezePostgres
                | Fault::LosePostgres => return None,
            }
        }
        let mut gateways = fleet.gateways.iter().enumerate();
        gateways
            .find(|(which, _)| !struck.contains(which))
            .map(|(_, gateway)| gateway)
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
            Self::CutWhilePaying(which) => cut_while_paying(fleet, which).await,
            Self::Wire(wire, weather) => {
                let wires = wire.of(fleet)?;
                spell(|| set(&wires, weather), || set(&wires, Weather::Clear)).await
            }
        }
    }
}

impl Wire {
    /// The relays that it consists of.
    fn of(self, fleet: &Fleet) -> anyhow::Result<Vec<&Relay>> {
        let wires = fleet.wires.as_ref().context("a fleet with wires")?;
        Ok(match self {
            Self::All(engine) => wires.all_to(engine),
            Self::Gateway(which, engine) => vec![own(&wires.gateways, which, engine)?],
            Self::Worker(which, engine) => vec![own(&wires.workers, which, engine)?],
            Self::Provider => vec![&wires.provider],
            Self::Shop => vec![&wires.shop],
            Self::Front => vec![&fleet.front],
        })
    }
}

/// One member's own wire.
fn own(members: &[MemberWires], which: usize, engine: Engine) -> anyhow::Result<&Relay> {
    let wire = members[which % members.len()].to(engine);
    wire.with_context(|| format!("a member of that role has no wire to {engine:?}"))
}

fn set(wires: &[&Relay], weather: Weather) {
    for wire in wires {
        wire.set(weather);
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

/// Lets orders gather at a provider that says nothing, each leased and its attempt written down, and cuts a worker off
/// from Postgres just before the answers come.
async fn cut_while_paying(fleet: &Fleet, which: usize) -> anyhow::Result<()> {
    let provider = Wire::Provider.of(fleet)?;
    let ledger = Wire::Worker(which, Engine::Postgres).of(fleet)?;
    set(&provider, Weather::BlackHole);
    let until = Instant::now() + GATHER_WITHIN;
    let mut leased = 0;
    while leased < GATHERED && Instant::now() < until {
        tokio::time::sleep(COUNT_EVERY).await;
        leased = fleet.engines.postgres.sql(DATABASE, LEASED)?.parse()?;
    }
    println!("{leased} orders are in the workers' hands as one of these loses Postgres");
    set(&ledger, Weather::Cut);
    set(&provider, Weather::Clear);
    tokio::time::sleep(SPELL).await;
    set(&ledger, Weather::Clear);
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
