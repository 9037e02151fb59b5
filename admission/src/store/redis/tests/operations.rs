//! What Redis is asked for: nothing per poll, and next to nothing per join.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use domain::Clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::RedisConfig as ServerAddress;
use super::*;
use crate::desk::{Admission, Parts, Settings};
use crate::keys::Keys;
use crate::snapshot::Showing;
use crate::testing::StepClock;

/// Counts commands by name.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Watch for Counts {
    fn sent(&self, op: &'static str, _: Duration) {
        *self.0.lock().unwrap().entry(op).or_default() += 1;
    }
}

impl Counts {
    fn of(&self, op: &str) -> u64 {
        self.0.lock().unwrap().get(op).copied().unwrap_or(0)
    }

    fn all(&self) -> u64 {
        self.0.lock().unwrap().values().sum()
    }
}

struct Quiet;

impl crate::Outside for Quiet {
    fn readings(&self, _: &DropId) -> domain::Readings {
        domain::Readings::default()
    }
}

/// A desk that only does what it is asked to: its caller looks once and then never again.
async fn desk(redis: &Redis, counts: &Arc<Counts>, folder: &std::path::Path) -> Admission {
    let clock: Arc<dyn Clock> = Arc::new(StepClock::at(contract::START));
    let entropy: Arc<dyn Entropy> = Arc::new(Repeating::from(1));
    let config = ServerAddress {
        urls: vec![redis.url()],
        cluster: false,
    };
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let store = RedisStore::open(config, marks, entropy.clone()).await.unwrap();
    let parts = Parts {
        clock,
        keys: Arc::new(Keys::open(folder, entropy.as_ref()).unwrap()),
        entropy,
        store: Arc::new(store.watched_by(counts.clone())),
        outside: Arc::new(Quiet),
    };
    let settings = Settings {
        issuer: "https://shop.example".to_owned(),
        drops: vec![contract::rules(1, 1)],
        tick: Duration::from_hours(1),
        showing: Showing::Among,
    };
    Admission::open(parts, settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_share_operations_and_polls_need_none() {
    const CROWD: u64 = 4_000;
    let (redis, counts) = (Redis::start().await.unwrap(), Arc::new(Counts::default()));
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(&redis, &counts, folder.path()).await;
    let (stop, runner) = (CancellationToken::new(), desk.clone());
    let mut tasks = JoinSet::new();
    let stopping = stop.clone();
    tasks.spawn(async move { runner.run(stopping).await });
    let drop = contract::rules(1, 1).drop;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (desk, drop) = (desk.clone(), drop.clone());
        crowd.spawn(async move {
            let (visitor, _) = desk.greet();
            let joined = desk.join(&drop, &visitor, None).await.unwrap();
            (visitor, joined.ticket)
        });
    }
    let places = crowd.join_all().await;
    let joins = counts.of("join");
    assert!(joins * 20 < CROWD, "{joins} operations for {CROWD} joins");
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    let before = counts.all();
    for (visitor, ticket) in &places {
        assert!(desk.place(&drop, ticket, visitor).is_ok());
    }
    assert_eq!(counts.all(), before, "a poll asked Redis for something");
}

#[tokio::test]
async fn every_command_is_told_of_by_its_name() {
    let (redis, counts) = (Redis::start().await.unwrap(), Arc::new(Counts::default()));
    let config = ServerAddress {
        urls: vec![redis.url()],
        cluster: false,
    };
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let store = RedisStore::open(config, marks, Arc::new(Repeating::from(1)))
        .await
        .unwrap();
    let store = Arc::new(store.watched_by(counts.clone()));
    let subject = Subject::open(store, &contract::rules(10, 10)).await;
    subject.join(&[1, 2]).await;
    subject.call(1).await.unwrap();
    subject.claim(1, 1).await;
    let before = counts.of("view");
    subject.view().await;
    assert_eq!(counts.of("view"), before + 1);
    for op in ["begin", "publish", "configure", "join", "advance", "claim"] {
        assert!(counts.of(op) > 0, "{op}");
    }
    redis.freeze();
    assert!(try_claim(&subject, 2).await.is_err());
    redis.thaw();
    assert!(
        counts.of("claim") >= 2,
        "what was not answered was sent all the same"
    );
}
