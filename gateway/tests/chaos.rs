//! Drops on the distributed house while its processes, its engines and the wires between them are hurt:
//! killed, frozen, emptied, rolled back, cut off. After each drop the books of the ledger and of the
//! provider must agree, and nobody may have lost a place.
//!
//! `make test` runs a fixed list of faults. `make chaos` sets `DOORLINE_CHAOS_MINUTES` and draws faults at
//! random for so long; a failure prints the seed that repeats the list: `DOORLINE_CHAOS_SEED=…`.

#[path = "chaos/drop.rs"]
mod drop;
#[path = "chaos/fault.rs"]
mod fault;

use std::time::Duration;

use drop::sell_under;
use fault::Fault;

/// The fixed list, each at its time after the drop has opened. Times leave each fault room to heal.
const FIXED: [&[(u64, Fault)]; 2] = [
    &[
        (1, Fault::KillGateway(0)),
        (5, Fault::FlushRedis),
        (10, Fault::KillWorker(0)),
        (13, Fault::KillRedis),
        (18, Fault::FreezeWorker(1)),
        (24, Fault::KillRabbit),
    ],
    &[
        (1, Fault::FreezeGateway(1)),
        (6, Fault::KillPostgres),
        (12, Fault::RollBackRedis),
        (17, Fault::WipeRabbit),
        (30, Fault::BlackHolePostgres),
        (36, Fault::CutRedis),
    ],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_die_and_engines_that_forget_cost_nobody_a_place_or_a_cent() {
    match minutes() {
        Some(minutes) => random(minutes).await,
        None => fixed(FIXED[0], 1).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_roll_back_or_fall_silent_cost_nobody_a_place_or_a_cent() {
    if minutes().is_none() {
        fixed(FIXED[1], 2).await;
    }
}

async fn fixed(faults: &[(u64, Fault)], seed: u64) {
    let faults: Vec<(Duration, Fault)> = faults
        .iter()
        .map(|(at, fault)| (Duration::from_secs(*at), *fault))
        .collect();
    if let Err(failure) = sell_under(&faults, seed).await {
        panic!("under {faults:?}: {failure:?}");
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
        let faults = fault::draw(seed);
        if let Err(failure) = sell_under(&faults, seed).await {
            panic!("DOORLINE_CHAOS_SEED={seed} repeats it; under {faults:?}: {failure:?}");
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
