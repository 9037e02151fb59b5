//! The whole shop in one thread: seeded shoppers over the real rules of `domain`, with stand-ins for every port that
//! crash, lose, repeat, reorder and lie about the time. After every step the laws of the house are checked.
//!
//! One seed is one run, for ever. A failure prints the seed and the command that repeats it. `DOORLINE_SIM_SEEDS` sets
//! how many seeds each profile runs, `DOORLINE_SIM_SEED` runs one alone, `DOORLINE_SIM_LINES` sets how much of its history
//! a failure shows.

use std::panic::{AssertUnwindSafe, catch_unwind};

mod simulator {
    pub(crate) mod agenda;
    pub(crate) mod door;
    pub(crate) mod driver;
    pub(crate) mod faults;
    pub(crate) mod jobs;
    pub(crate) mod laws;
    pub(crate) mod ledger;
    pub(crate) mod mutation;
    pub(crate) mod plan;
    pub(crate) mod provider;
    pub(crate) mod random;
    pub(crate) mod shopper;
    pub(crate) mod store;
    pub(crate) mod witness;
    pub(crate) mod world;
}

use simulator::mutation::{Law, Mutation, Violation};
use simulator::plan::Profile;
use simulator::world::World;

/// Seeds per profile, unless told otherwise.
const SEEDS: u64 = 600;
/// Lines of history that a failure shows, unless told otherwise.
const LINES: u64 = 60;
/// Seeds within which a mutation has to be caught.
const SEEDS_PER_MUTATION: u64 = 300;

/// Runs one seed; a failure comes with the last steps, where they were asked for.
fn run(
    profile: Profile,
    seed: u64,
    mutation: Option<Mutation>,
    lines: usize,
) -> Result<u64, (Violation, String)> {
    let mut world = World::new(profile, seed, mutation, lines);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match outcome {
        Ok(Ok(())) => return Ok(world.steps),
        Ok(Err(violation)) => violation,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Violation {
                law: Law::Assertions,
                what: text.unwrap_or_default(),
            }
        }
    };
    Err((violation, world.history()))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Runs every seed of a profile.
fn explore(profile: Profile) {
    let seeds = match number("DOORLINE_SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("DOORLINE_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if run(profile, seed, None, 0).is_err() {
            let lines = number("DOORLINE_SIM_LINES").unwrap_or(LINES);
            let lines = usize::try_from(lines).expect("a number of lines");
            let (violation, history) = run(profile, seed, None, lines).expect_err("one seed is one run");
            panic!(
                "\nprofile {name}, seed {seed}: {:?} is broken: {}\n\nthe last steps:\n{history}\nrepeat it:\n  \
                 DOORLINE_SIM_SEED={seed} cargo test -p domain --test simulator -- --exact {name}\n",
                violation.law,
                violation.what,
                name = profile.name(),
            );
        }
    }
}

#[test]
fn calm() {
    explore(Profile::Calm);
}

#[test]
fn crashes() {
    explore(Profile::Crashes);
}

#[test]
fn provider_storm() {
    explore(Profile::Storm);
}

#[test]
fn writes_fail() {
    explore(Profile::WritesFail);
}

#[test]
fn clock_jumps() {
    explore(Profile::Clock);
}

#[test]
fn everything() {
    explore(Profile::Everything);
}

/// Builds the shop wrongly in one way, and requires that one of the laws it breaks notices.
fn must_be_caught(mutation: Mutation, profile: Profile) {
    for seed in 1..=SEEDS_PER_MUTATION {
        if let Err((violation, _)) = run(profile, seed, Some(mutation), 0) {
            let understood = mutation.breaks().contains(&violation.law);
            assert!(
                understood,
                "{mutation:?} was caught by {:?}: {}",
                violation.law, violation.what
            );
            return;
        }
    }
    panic!(
        "{mutation:?} went unnoticed through {SEEDS_PER_MUTATION} seeds of {}",
        profile.name()
    );
}

macro_rules! caught {
    ($($name:ident: $mutation:ident in $profile:ident;)*) => {
        mod caught {
            use super::{Mutation, Profile, must_be_caught};
            $(
                #[test]
                fn $name() {
                    must_be_caught(Mutation::$mutation, Profile::$profile);
                }
            )*
        }
    };
}

caught! {
    stock_check_without_guard: StockWithoutGuard in Calm;
    a_new_key_on_retry: NewKeyOnRetry in Storm;
    capture_before_commit: CaptureBeforeCommit in Calm;
    automatic_capture_with_plain_cancel: AutomaticCapture in Calm;
    a_call_before_its_attempt_is_on_record: CallBeforeCommit in Calm;
    accept_without_outbox_and_redrive: AcceptWithoutOutboxAndRedrive in Calm;
    no_reconciler: NoReconciler in Storm;
    no_uncommit_of_an_expired_authorisation: NoUncommit in Storm;
    release_twice: ReleaseTwice in Everything;
    decline_not_releasing: DeclineNotReleasing in Calm;
    cancel_that_wins_after_capture: CancelWinsAfterCapture in Calm;
    limit_checked_outside_the_transaction: LimitOutsideTransaction in Calm;
    webhook_applied_twice: WebhookAppliedTwice in Storm;
    block_bound_not_durable: BlockBoundNotDurable in Crashes;
    claim_not_durable: ClaimNotDurable in Crashes;
    frontier_not_durable: FrontierNotDurable in Crashes;
    draw_not_durable: DrawNotDurable in Crashes;
    downtime_that_counts: DowntimeCounts in Crashes;
    a_caller_asleep: CallerAsleep in Calm;
    tries_forgotten_at_a_proven_absence: TriesForgotten in WritesFail;
}
