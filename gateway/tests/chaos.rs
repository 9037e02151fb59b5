//! Drops on the distributed house while its processes, its engines and the wires between them are hurt:
//! killed, frozen, emptied, rolled back, cut off, for everybody or for one process alone. After each drop the
//! books of the ledger and of the provider must agree, and nobody may have lost a place.
//!
//! `make test` runs a fixed list of faults. `make chaos` sets `DOORLINE_CHAOS_MINUTES` and draws faults at
//! random for so long; a failure prints the seed that repeats the list: `DOORLINE_CHAOS_SEED=…`.

#![expect(
    clippy::print_stdout,
    reason = "whoever runs `make chaos` wants to see how it goes"
)]

#[path = "chaos/draw.rs"]
mod draw;
#[path = "chaos/drop.rs"]
mod drop;
#[path = "chaos/fault.rs"]
mod fault;
#[path = "chaos/pulse.rs"]
mod pulse;

use std::time::Duration;

use drop::sell_under;
use fault::{Fault, LATE, Wave, Wire};
use gateway::demo::fleet::Engine;
use sandbox::relay::Weather;

/// Faults that strike together, and when.
type Fixed = (u64, &'static [Fault]);

/// Processes die and freeze, Redis forgets.
const PROCESSES: &[Fixed] = &[
    (1, &[Fault::KillGateway(0)]),
    (4, &[Fault::FlushRedis]),
    (7, &[Fault::KillWorker(0), Fault::FreezeGateway(1)]),
    (12, &[Fault::KillRedis]),
    (15, &[Fault::FreezeWorker(1), Fault::KillGateway(1)]),
    (20, &[Fault::KillRabbit, Fault::KillWorker(1)]),
];

/// Engines freeze, roll back and lose all they had.
const ENGINES: &[Fixed] = &[
    (1, &[Fault::KillPostgres]),
    (4, &[Fault::RollBackRedis]),
    (8, &[Fault::FreezeRedis]),
    (13, &[Fault::WipeRabbit]),
    (16, &[Fault::FreezePostgres, Fault::FreezeRabbit]),
    (21, &[Fault::LosePostgres, Fault::FlushRedis]),
];

/// Wires between any two go bad: those of everybody to an engine, or those of one member while the other goes on.
const WIRES: &[Fixed] = &[
    (1, &[Fault::Wire(Wire::All(Engine::Redis), Weather::Cut)]),
    // Some seconds are left in which shoppers come in again, so that there are orders to be in a worker's hands.
    (
        8,
        &[
            Fault::Wire(Wire::Gateway(0, Engine::Redis), Weather::BlackHole),
            Fault::CutWhilePaying(0),
        ],
    ),
    (
        15,
        &[
            Fault::Wire(Wire::Provider, Weather::BlackHole),
            Fault::Wire(Wire::Front, Weather::Cut),
        ],
    ),
    (
        20,
        &[
            Fault::Wire(Wire::Gateway(1, Engine::Postgres), Weather::Cut),
            Fault::Wire(Wire::Worker(1, Engine::RabbitMq), Weather::BlackHole),
        ],
    ),
    (
        25,
        &[
            Fault::Wire(Wire::All(Engine::Postgres), Weather::BlackHole),
            Fault::Wire(Wire::All(Engine::RabbitMq), Weather::Cut),
        ],
    ),
    (
        30,
        &[
            Fault::Wire(Wire::All(Engine::Postgres), Weather::Slow(LATE)),
            Fault::Wire(Wire::Provider, Weather::Cut),
            Fault::Wire(Wire::Shop, Weather::Cut),
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_die_and_freeze_cost_nobody_a_place_or_a_cent() {
    match minutes() {
        Some(minutes) => random(minutes).await,
        None => fixed(PROCESSES, 1).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_roll_back_or_go_away_cost_nobody_a_place_or_a_cent() {
    if minutes().is_none() {
        fixed(ENGINES, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wires_that_delay_cut_and_swallow_cost_nobody_a_place_or_a_cent() {
    if minutes().is_none() {
        fixed(WIRES, 3).await;
    }
}

async fn fixed(waves: &[Fixed], seed: u64) {
    let waves: Vec<Wave> = waves
        .iter()
        .map(|(at, faults)| Wave {
            at: Duration::from_secs(*at),
            faults: faults.to_vec(),
        })
        .collect();
    if let Err(failure) = sell_under(&waves, seed).await {
        panic!("under {waves:?}: {failure:?}");
    }
}

/// Drops under random faults until `minutes` are over.
async fn random(minutes: u64) {
    let end = tokio::time::Instant::now() + Duration::from_secs(minutes * 60);
    let mut seed = std::env::var("DOORLINE_CHAOS_SEED").map_or_else(
        |_| u64::from(std::process::id()),
        |seed| seed.parse().expect("DOORLINE_CHAOS_SEED is a number"),
    );
    while tokio::time::Instant::now() < end {
        let waves = draw::draw(seed);
        println!("DOORLINE_CHAOS_SEED={seed}");
        if let Err(failure) = sell_under(&waves, seed).await {
            panic!("DOORLINE_CHAOS_SEED={seed} repeats it; under {waves:?}: {failure:?}");
        }
        seed += 1;
    }
}

fn minutes() -> Option<u64> {
    let minutes = std::env::var("DOORLINE_CHAOS_MINUTES").ok()?;
    // Bounded, so that a typing error does not run for a week.
    Some(
        minutes
            .parse::<u64>()
            .expect("DOORLINE_CHAOS_MINUTES is a number")
            .min(60),
    )
}
