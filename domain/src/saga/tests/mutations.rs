//! The real thing survives every walk; each of the protocol's mutations dies in one.

use super::world::{Broken, Mutant, World};

/// Walks of the real thing. A failing one prints its seed; `World::new(seed, Mutant::None).live()` repeats it.
const SEEDS: u64 = 20_000;
/// Walks a mutant may take before it has to be caught: far fewer than the real thing survives.
const SEEDS_OF_A_MUTANT: u64 = 2_000;

fn caught(mutant: Mutant) -> Option<(u64, Broken)> {
    (1..=SEEDS_OF_A_MUTANT)
        .find_map(|seed| World::new(seed, mutant).live().err().map(|broken| (seed, broken)))
}

#[test]
fn no_walk_through_a_faulty_world_breaks_a_law() {
    for seed in 1..=SEEDS {
        if let Err(broken) = World::new(seed, Mutant::None).live() {
            panic!("seed {seed}: {broken}");
        }
    }
}

/// Every mistake, and the words of the laws that may catch it first.
const MUTANTS: &[(Mutant, &[&str])] = &[
    (Mutant::StockCheckWithoutGuard, &["hold or own"]),
    (Mutant::NewKeyOnRetry, &["two payments at once"]),
    (Mutant::CaptureBeforeCommit, &["is charged while"]),
    (Mutant::AutomaticCapture, &["is charged while"]),
    (Mutant::AcceptWithoutOutboxAndRedrive, &["is still accepted"]),
    (Mutant::NoReconciler, &["is still", "money still held"]),
    (Mutant::NoUncommit, &["is still committed"]),
    (Mutant::ReleaseTwice, &["Void"]),
    (Mutant::DeclineNotReleasing, &["1 held", "Void"]),
    (Mutant::CancelAfterCapture, &["is charged while", "unsell"]),
    (Mutant::LimitOutsideTransaction, &["one shopper holds"]),
    (Mutant::WebhookAppliedTwice, &["paid twice"]),
];

#[test]
fn every_mutation_of_the_protocol_is_caught_by_a_law_that_names_it() {
    for (mutant, laws) in MUTANTS {
        let (seed, broken) = caught(*mutant).unwrap_or_else(|| panic!("{mutant:?} was not caught"));
        assert!(
            laws.iter().any(|law| broken.contains(law)),
            "{mutant:?}, seed {seed}, broke another law: {broken}"
        );
    }
}
