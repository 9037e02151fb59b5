//! Faults by chance: a list of waves that depends on a seed alone.

use std::time::Duration;

use gateway::demo::fleet::Engine;
use sandbox::relay::Weather;

use crate::fault::{Fault, LATE, Wave, Wire};

/// Parts of the house. Two faults that strike the same part never strike together.
type Parts = &'static [u8];

/// What may be drawn, besides bad wires.
const STRIKES: &[(Parts, Fault)] = &[
    (&[0], Fault::KillGateway(0)),
    (&[0], Fault::FreezeGateway(0)),
    (&[1], Fault::KillGateway(1)),
    (&[1], Fault::FreezeGateway(1)),
    (&[2], Fault::KillWorker(0)),
    (&[2], Fault::FreezeWorker(0)),
    (&[3], Fault::KillWorker(1)),
    (&[3], Fault::FreezeWorker(1)),
    (&[4], Fault::KillRedis),
    (&[4], Fault::FreezeRedis),
    (&[4], Fault::FlushRedis),
    (&[4], Fault::RollBackRedis),
    (&[5], Fault::KillRabbit),
    (&[5], Fault::FreezeRabbit),
    (&[5], Fault::WipeRabbit),
    (&[6], Fault::KillPostgres),
    (&[6], Fault::FreezePostgres),
    (&[6], Fault::LosePostgres),
    (&[6, 7], Fault::CutWhilePaying(0)),
    (&[6, 7], Fault::CutWhilePaying(1)),
];

/// Wires that may be drawn. One member's wire to an engine counts as a part of that engine.
const WIRES: &[(Parts, Wire)] = &[
    (&[4], Wire::All(Engine::Redis)),
    (&[4], Wire::Gateway(0, Engine::Redis)),
    (&[4], Wire::Gateway(1, Engine::Redis)),
    (&[5], Wire::All(Engine::RabbitMq)),
    (&[5], Wire::Worker(0, Engine::RabbitMq)),
    (&[5], Wire::Worker(1, Engine::RabbitMq)),
    (&[6], Wire::All(Engine::Postgres)),
    (&[6], Wire::Gateway(0, Engine::Postgres)),
    (&[6], Wire::Gateway(1, Engine::Postgres)),
    (&[6], Wire::Worker(0, Engine::Postgres)),
    (&[6], Wire::Worker(1, Engine::Postgres)),
    (&[7], Wire::Provider),
    (&[8], Wire::Shop),
    (&[9], Wire::Front),
];

/// How a wire may be bad.
const WEATHERS: [Weather; 3] = [Weather::Cut, Weather::BlackHole, Weather::Slow(LATE)];

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
    let all = all();
    let mut at = 1;
    let mut waves = Vec::new();
    for wave in 0..6 {
        let (parts, first) = all[next(all.len())];
        let others: Vec<Fault> = all
            .iter()
            .filter(|(other, _)| !other.iter().any(|part| parts.contains(part)))
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

/// Everything that may be drawn, each as likely as any other.
fn all() -> Vec<(Parts, Fault)> {
    let bad = |&(parts, wire): &(Parts, Wire)| WEATHERS.map(|weather| (parts, Fault::Wire(wire, weather)));
    let wires = WIRES.iter().flat_map(bad);
    STRIKES.iter().copied().chain(wires).collect()
}
