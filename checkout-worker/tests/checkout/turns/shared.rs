//! Several processes' worth of paces and workers over one real Postgres.

use std::collections::BTreeMap;
use std::sync::Mutex;

use checkout_worker::observe::Observer;
use checkout_worker::pace::Pace;
use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::{Checkout, CheckoutConfig, Ports};
use domain::saga::StateName;
use domain::{Clock, Timestamp};
use sandbox::provider::{FaultPlan, Provider, ProviderConfig, RunningProvider};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::support::{RunningClock, VISA, config, place, ports, purchase};
use super::*;

/// What a second sees at most: the rate, its tenth, and one. The time of a turn is read after it was given, which on a busy
/// machine may be a while; hence another tenth.
fn most(rate: usize) -> usize {
    rate + rate / 5 + 1
}

fn most_in_a_second(mut taken: Vec<Instant>) -> usize {
    taken.sort_unstable();
    let within = |at: usize| {
        let end = taken[at] + Duration::from_secs(1);
        taken[at..].iter().take_while(|turn| **turn < end).count()
    };
    (0..taken.len()).map(within).max().unwrap_or(0)
}

/// Takes turns until `end`, as six orders of one worker would.
async fn take(pace: Arc<Pace>, end: Instant) -> Vec<Instant> {
    let mut waiting = JoinSet::new();
    for _ in 0..6 {
        let pace = pace.clone();
        waiting.spawn(async move {
            let mut taken = Vec::new();
            while let Ok(turn) = tokio::time::timeout_at(end, pace.turn()).await {
                turn.unwrap();
                taken.push(Instant::now());
            }
            taken
        });
    }
    waiting.join_all().await.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_keep_one_rate_between_them_and_one_alone_has_all_of_it() {
    const RATE: usize = 60;
    let server = postgres().await;
    let url = server.fresh_database("three").unwrap();
    checkout_worker::postgres::migrate(&url).await.unwrap();
    let mut paces = Vec::new();
    for _ in 0..3 {
        let turns: Arc<dyn Turns> = open_postgres(&url).await;
        paces.push(Arc::new(Pace::new(turns, "drain/aurora", 60)));
    }
    let end = Instant::now() + Duration::from_secs(4);
    let mut taking = JoinSet::new();
    for pace in &paces {
        taking.spawn(take(pace.clone(), end));
    }
    let together = taking.join_all().await;
    assert!(
        together.iter().all(|taken| !taken.is_empty()),
        "each gets its share"
    );
    let together = together.concat();
    let given = together.len();
    assert!(given >= RATE * 2, "{given} turns in four seconds");
    let seen = most_in_a_second(together);
    assert!(seen <= most(RATE), "{seen} turns within a second");
    let end = Instant::now() + Duration::from_secs(3);
    let alone = take(paces[0].clone(), end).await;
    assert!(
        alone.len() >= RATE * 3 / 2,
        "{} turns in three seconds",
        alone.len()
    );
    assert!(most_in_a_second(alone) <= most(RATE));
}

/// Counts what a worker heard from the provider, by operation and outcome.
#[derive(Default)]
struct Answers(Mutex<BTreeMap<(&'static str, &'static str), u32>>);

impl Observer for Answers {
    fn provider_request(&self, operation: &'static str, outcome: &'static str, _: Duration) {
        *self.0.lock().unwrap().entry((operation, outcome)).or_default() += 1;
    }
}

impl Answers {
    fn requests(&self) -> u32 {
        self.0.lock().unwrap().values().sum()
    }

    fn refused(&self) -> u32 {
        let heard = self.0.lock().unwrap();
        let limited = heard
            .iter()
            .filter(|((_, outcome), _)| *outcome == "rate_limited");
        limited.map(|(_, count)| count).sum()
    }
}

struct Worker {
    checkout: Checkout,
    answers: Arc<Answers>,
}

/// A worker in a process of its own: nothing but the database is shared.
async fn worker(url: &str, provider: &RunningProvider, per_second: u32) -> Worker {
    let ledger = open_postgres(url).await;
    let turns: Arc<dyn Turns> = ledger.clone();
    let client = StripeConfig {
        url: provider.url(),
        requests_per_second: per_second,
        timeout: Duration::from_secs(10),
        ..StripeConfig::new("sk_test_sandbox")
    };
    let client = Arc::new(Stripe::new(&client, &turns).unwrap());
    let clock: Arc<dyn Clock> = RunningClock::from(Timestamp::from_millis(provider.clock().now_ms()));
    let answers = Arc::new(Answers::default());
    let ports = Ports {
        turns,
        observer: answers.clone(),
        ..ports(ledger, client, clock)
    };
    let config = CheckoutConfig {
        concurrency: 32,
        ..config(200)
    };
    let checkout = Checkout::open(config, ports).await.unwrap();
    Worker { checkout, answers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_together_never_exceed_what_the_provider_allows() {
    const ORDERS: u8 = 80;
    // Each worker alone would stay below the limit; both at that rate would not.
    const CONFIGURED: u32 = 16;
    const ALLOWED: u32 = 25;
    let server = postgres().await;
    let url = server.fresh_database("workers").unwrap();
    checkout_worker::postgres::migrate(&url).await.unwrap();
    let faults = FaultPlan {
        requests_per_second: ALLOWED,
        ..FaultPlan::default()
    };
    let settings = ProviderConfig {
        faults,
        ..ProviderConfig::default()
    };
    let provider = Provider::start(settings).await.unwrap();
    let workers = [
        worker(&url, &provider, CONFIGURED).await,
        worker(&url, &provider, CONFIGURED).await,
    ];
    let mut orders = Vec::new();
    for shopper in 1..=ORDERS {
        orders.push(place(&workers[0].checkout, purchase(shopper, Some(VISA))).await);
    }
    let stop = CancellationToken::new();
    let drop = async {
        for order in &orders {
            while !workers[0]
                .checkout
                .view(*order)
                .await
                .unwrap()
                .unwrap()
                .state
                .is_final()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        stop.cancel();
    };
    let running = async {
        tokio::join!(
            workers[0].checkout.run(stop.clone()),
            workers[1].checkout.run(stop.clone()),
            drop
        )
    };
    tokio::time::timeout(Duration::from_mins(1), running)
        .await
        .expect("eighty orders come to their end");
    for worker in &workers {
        assert_eq!(worker.answers.refused(), 0, "no request was one too many");
        assert!(worker.answers.requests() > 0, "both took part");
    }
    for order in &orders {
        let view = workers[1].checkout.view(*order).await.unwrap().unwrap();
        assert_eq!(view.ledger_state, StateName::Paid);
    }
}
