//! `kill -9` at dozens of random moments of a drop, orderly restarts, a full disk, a lost queue:
//! nobody loses a place, no order is lost, nothing is sold or charged twice. Run against the
//! real binary, judged by the shoppers, by the ledger and by the provider's own count of money.
//! A failure prints the seed that repeats it: `DOORLINE_CRASH_SEED=…`.

#[path = "crash/books.rs"]
mod books;
#[path = "crash/fire.rs"]
mod fire;
#[path = "crash/house.rs"]
mod house;
#[path = "crash/loss.rs"]
mod loss;
#[path = "crash/random.rs"]
mod random;
#[path = "crash/shopper.rs"]
mod shopper;
#[path = "crash/shutdown.rs"]
mod shutdown;
#[path = "crash/terms.rs"]
mod terms;

use std::time::Duration;

use anyhow::Context as _;
use sandbox::crowd::{Crowd, CrowdConfig, CrowdReport};
use sandbox::provider::{Fault, FaultPlan, FaultRule, WebhookFaults};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use books::{Books, settle};
use fire::{Kill, Part, fire};
use house::House;
use random::{Random, conclude, seed};
use terms::Terms;

/// Kills that a scenario has to survive before it proves anything.
const KILLS_MIN: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_survives_kills_from_prequeue_to_the_last_payment() {
    let seed = seed();
    conclude(seed, sold_out_under_fire(seed).await);
}

async fn sold_out_under_fire(seed: u64) -> anyhow::Result<()> {
    let terms = Terms {
        stock: 60,
        total_active_users: 40,
        new_users_per_minute: 240,
        prequeue: Duration::from_secs(7),
        shuffle: true,
        // Slow enough that kills fall between a request and its answer.
        faults: FaultPlan {
            seed,
            latency_ms_min: 10,
            latency_ms_max: 150,
            ..FaultPlan::default()
        },
        ..Terms::default()
    };
    let mut house = House::open(terms, seed).await?;
    let crowd = house.crowd(260, seed);
    let plan = [
        (Part::Prequeue, 5),
        (Part::Opening, 5),
        (Part::Selling, 8),
        (Part::Settling, 7),
    ];
    let (seen, kills) = under_fire(&mut house, crowd, &plan, seed).await?;
    let books = judged(&mut house, &seen, &kills).await?;
    anyhow::ensure!(kills.len() >= KILLS_MIN, "only {} kills", kills.len());
    let paid = books
        .orders
        .values()
        .filter(|order| order.state == "paid")
        .count();
    anyhow::ensure!(
        paid == 60,
        "{paid} of 60 units were sold to 260 shoppers: {seen:#?}"
    );
    anyhow::ensure!(
        seen.unfinished == 0,
        "some shoppers never got an answer: {seen:#?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_over_kills_while_the_provider_misbehaves() {
    let seed = seed();
    conclude(seed, limited_under_fire(seed).await);
}

async fn limited_under_fire(seed: u64) -> anyhow::Result<()> {
    let limit = 30;
    let terms = Terms {
        stock: 200,
        total_active_users: 14,
        new_users_per_minute: limit,
        prequeue: Duration::from_secs(1),
        faults: hostile(seed),
        ..Terms::default()
    };
    let mut house = House::open(terms, seed).await?;
    let mut crowd = house.crowd(120, seed);
    // Less than a minute after the start: no more than the limit may have been let in at all.
    crowd.deadline = Duration::from_secs(50);
    let plan = [(Part::Opening, 6), (Part::Selling, 8)];
    let (seen, kills) = under_fire(&mut house, crowd, &plan, seed).await?;
    judged(&mut house, &seen, &kills).await?;
    // Were the minute forgotten at a restart, each of them would let a room full of shoppers in.
    anyhow::ensure!(
        seen.counts.admitted * 2 > u64::from(limit),
        "hardly anybody was let in: {seen:#?}"
    );
    Ok(())
}

/// Answers lost, requests lost, errors, and events that come twice, late or never.
fn hostile(seed: u64) -> FaultPlan {
    FaultPlan {
        seed,
        latency_ms_min: 10,
        latency_ms_max: 250,
        hang_ms: 300,
        rules: vec![
            FaultRule::chance(Fault::LostAnswer, 0.06),
            FaultRule::chance(Fault::LostRequest, 0.03),
            FaultRule::chance(Fault::Unsaved500, 0.04),
            FaultRule::chance(Fault::Saved500AfterEffect, 0.01),
            FaultRule::chance(Fault::RateLimited, 0.03),
        ],
        webhooks: WebhookFaults {
            duplicate: 0.3,
            reorder: 0.3,
            drop: 0.3,
        },
        ..FaultPlan::default()
    }
}

/// Lets the crowd loose and the kills; both have ended when it returns, and the gateway serves.
async fn under_fire(
    house: &mut House,
    crowd: CrowdConfig,
    plan: &fire::Plan,
    seed: u64,
) -> anyhow::Result<(CrowdReport, Vec<Kill>)> {
    let crowd = Crowd::new(CrowdConfig {
        deadline: crowd.deadline.min(Duration::from_secs(90)),
        ..crowd
    });
    let (progress, mut walking) = (crowd.progress(), JoinSet::new());
    walking.spawn(crowd.run(CancellationToken::new()));
    let kills = fire(house, &progress, plan, &mut Random::new(seed)).await?;
    let seen = walking.join_next().await.context("the crowd went home")??;
    Ok((seen, kills))
}

/// Waits for the last order, kills once more, and compares all books after the restart.
async fn judged(house: &mut House, seen: &CrowdReport, kills: &[Kill]) -> anyhow::Result<Books> {
    settle(house).await?;
    // The books are compared at a provider that answers: a list of payments that is lost is no difference.
    house
        .provider()
        .set_faults(FaultPlan::default())
        .map_err(|error| anyhow::anyhow!(error))?;
    house.kill()?;
    house.start()?;
    house.serves().await?;
    let books = Books::compare(house, seen).await?;
    let fired: Vec<String> = kills.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        books.wrong.is_empty(),
        "after {} kills:\n{}\n\nkills:\n{}\n\n{seen:#?}\n\n{}",
        kills.len(),
        books.wrong.join("\n"),
        fired.join("\n"),
        house.log_tail()
    );
    Ok(books)
}
