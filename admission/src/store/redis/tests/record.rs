//! The record in Postgres: what it keeps, and both engines dying under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbox::engine::postgres::Postgres;
use tokio::task::JoinSet;

use super::super::marks::postgres::PostgresMarks;
use super::super::marks::postgres::tests::opened;
use super::*;
use crate::Keys;

async fn record(postgres: &Postgres) -> Arc<dyn Marks> {
    Arc::new(opened(&postgres.url()).await)
}

/// Everything that is written comes back, as the double in memory gives it back: the same queue
/// is lived through over both, lost over both, and must be the same after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_and_its_double_give_back_the_same_queue() {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let rules = contract::rules(10, 8);
    let mut seen = Vec::new();
    for marks in [record(&postgres).await, Arc::new(MemoryMarks::default())] {
        assert!(redis.flush().await);
        let mut subject = gateways(&redis, &marks, 1, &rules).await.remove(0);
        live(&mut subject).await;
        assert!(redis.flush().await);
        assert!(try_claim(&subject, 7).await.is_err());
        let after = until_back(&subject).await;
        let places: Vec<_> = subject.join(&[1, 2, 5, 8, 9, 10]).await;
        let mut claims = Vec::new();
        subject.now += 3_000;
        for name in 1..=10 {
            claims.push(subject.claim(name, name).await);
        }
        seen.push((after, places, claims));
    }
    assert_eq!(seen[0], seen[1]);
}

/// A little of everything that is written down.
async fn live(subject: &mut Subject) {
    subject.join(&(1..=12).collect::<Vec<_>>()).await;
    subject.call(7).await.unwrap();
    for name in 1..=6 {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    let id = |name| contract::claimant(name, Number(name)).admission;
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    subject.now += 20_000;
    let at = subject.at();
    store.renew(&drop, vec![id(1), id(2)], at.now).await.unwrap();
    store.note_decided(&drop, id(2), at.now).await.unwrap();
    store
        .end_session(&drop, id(3), EndReason::Revoked, at.now)
        .await
        .unwrap();
    store
        .end_session(&drop, id(4), EndReason::Completed, at.now)
        .await
        .unwrap();
    store
        .leave(&drop, contract::claimant(5, Number(5)), at)
        .await
        .unwrap();
    store
        .leave(&drop, contract::claimant(8, Number(8)), at)
        .await
        .unwrap();
    store.control(&drop, Command::QueueAll, at).await.unwrap();
    subject.now += 5_000;
    store.control(&drop, Command::Resume, subject.at()).await.unwrap();
    store.control(&drop, Command::Drain, subject.at()).await.unwrap();
    store.flush(subject.at().now).await.unwrap();
}

#[tokio::test]
async fn a_record_that_is_not_kept_is_refused() {
    let postgres = Postgres::start_with(&["fsync=off"]).await.unwrap();
    let error = PostgresMarks::open(&postgres.url()).await.err().unwrap();
    assert!(error.to_string().contains("fsync"), "{error}");
}

fn kids(keys: &Keys) -> Vec<String> {
    let jwks = keys.jwks();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn all_gateways_have_the_same_keys_and_a_rotation_reaches_them_before_it_signs() {
    let postgres = Postgres::start().await.unwrap();
    let open = async |seed| {
        let shared = Arc::new(opened(&postgres.url()).await);
        Keys::shared(shared, &Repeating::from(seed)).await.unwrap()
    };
    let (one, two) = tokio::join!(open(1), open(100));
    assert_eq!(kids(&one), kids(&two));
    let visitor = crate::Visitor([7; 16]);
    let drop = DropId::new("aurora").unwrap();
    assert_eq!(one.shopper(&drop, &visitor), two.shopper(&drop, &visitor));

    let grow_old = || {
        let aged = "UPDATE admission.admission_key SET made_at = made_at - interval '1 minute'";
        postgres.sql("doorline", aged).unwrap();
    };
    grow_old();
    one.rotate(&Repeating::from(50)).await.unwrap();
    let again = one.rotate(&Repeating::from(60)).await;
    assert!(
        matches!(again, Err(crate::KeyError::TooSoon)),
        "nobody takes it for two"
    );
    let (first, rotated) = (kids(&two)[0].clone(), kids(&one));
    assert_eq!(
        (rotated.len(), &rotated[0]),
        (2, &first),
        "the old one still signs"
    );
    two.refresh().await.unwrap();
    assert_eq!(kids(&two), rotated);
    grow_old();
    two.refresh().await.unwrap();
    assert_eq!(
        kids(&two),
        [rotated[1].clone(), first],
        "the new one signs, the old one checks"
    );
    for seed in [70, 80] {
        one.rotate(&Repeating::from(seed)).await.unwrap();
        grow_old();
    }
    let kept = postgres
        .sql("doorline", "SELECT count(*) FROM admission.admission_key")
        .unwrap();
    assert_eq!(kept, "3", "generations that no longer count are removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_record_nothing_is_granted_and_what_was_asked_meanwhile_counts_once() {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let marks = record(&postgres).await;
    let subject = gateways(&redis, &marks, 1, &contract::rules(2, 2))
        .await
        .remove(0);
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    postgres.freeze();
    assert!(try_claim(&subject, 1).await.is_err());
    assert!(subject.store.view(&subject.drop, subject.at()).await.is_ok());
    postgres.thaw();
    postgres.restart().await.unwrap();
    let claim = loop {
        match try_claim(&subject, 1).await {
            Ok(claim) => break claim,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert!(admission(&claim).is_some() || matches!(claim, Claim::RoomFull { .. }));
    let view = subject.view().await;
    assert!(
        view.room.active <= 2 && view.room.claims_last_minute <= 2,
        "{:?}",
        view.room
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_gateways_one_rebuilds_and_all_go_on() {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let mut marks = Vec::new();
    for _ in 0..3 {
        marks.push(record(&postgres).await);
    }
    let mut subjects = Vec::new();
    for marks in &marks {
        subjects.extend(gateways(&redis, marks, 1, &contract::rules(10, 10)).await);
    }
    subjects[0].join(&(1..=50).collect::<Vec<_>>()).await;
    let now = subjects[0].at().now;
    subjects[0].store.flush(now).await.unwrap();
    let before = marks[0].standing(&subjects[0].drop).await.unwrap().unwrap().era;
    assert!(redis.flush().await);
    let (one, two, three) = tokio::join!(
        until_back(&subjects[0]),
        until_back(&subjects[1]),
        until_back(&subjects[2])
    );
    for view in [one, two, three] {
        assert_eq!(view.room.waiting, 50);
    }
    let after = marks[1].standing(&subjects[0].drop).await.unwrap().unwrap().era;
    assert_eq!(after.0, before.0 + 1, "one rebuilt, and once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_start_at_once_share_one_queue() {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let mut starting = JoinSet::new();
    for _ in 0..4 {
        let (urls, database) = (vec![redis.url()], postgres.url());
        starting.spawn(async move {
            let marks = Arc::new(opened(&database).await);
            let store = store_on(urls, false, marks).await;
            Subject::open(store, &contract::rules(10, 10)).await
        });
    }
    let gateways = starting.join_all().await;
    let commitment = gateways[0].view().await.commitment;
    for (number, gateway) in (1..).zip(&gateways) {
        assert_eq!(gateway.view().await.commitment, commitment);
        assert_eq!(gateway.join(&[number]).await[0].unwrap().number, Number(number));
    }
}

/// What gateways were answered, to be held against the store.
#[derive(Default)]
struct Answers {
    numbers: BTreeMap<u64, u64>,
    /// When a shopper was first told to be in: when asked for, and until when the session runs.
    admitted: BTreeMap<u64, (u64, u64)>,
    frontier: u64,
}

struct Chaos {
    gateways: Vec<Subject>,
    clock: AtomicU64,
    answers: Mutex<Answers>,
    stop: tokio_util::sync::CancellationToken,
}

impl Chaos {
    fn at(&self) -> Moment {
        Moment {
            now: Timestamp::from_millis(self.clock.fetch_add(1, Ordering::SeqCst)),
            stock: StockState::Left,
        }
    }

    /// A shopper joins, and claims until let in or everything is over.
    async fn shopper(&self, name: u64) {
        let gateway = &self.gateways[usize::try_from(name % 4).unwrap()];
        let mut held = None;
        while !self.stop.is_cancelled() {
            let request = JoinRequest {
                shopper: contract::shopper(name),
                random: 0,
                held,
            };
            let joined = gateway.store.join(&gateway.drop, vec![request], self.at()).await;
            if let Ok(places) = joined {
                let number = places[0].unwrap().number.0;
                let known = *self.answers.lock().unwrap().numbers.entry(name).or_insert(number);
                assert_eq!(known, number, "a place was lost");
                let claimant = contract::claimant(name, Number(number));
                held = Some(claimant);
                let at = self.at();
                let claim = gateway.store.claim(&gateway.drop, claimant, at).await;
                if let Ok(Claim::Admitted { expires_at, .. }) = claim {
                    let mut answers = self.answers.lock().unwrap();
                    answers
                        .admitted
                        .entry(name)
                        .or_insert((at.now.as_millis(), expires_at.as_millis()));
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn note_frontier(&self, frontier: Rank) {
        let mut answers = self.answers.lock().unwrap();
        answers.frontier = answers.frontier.max(frontier.0);
    }

    fn shown(&self) -> u64 {
        self.answers.lock().unwrap().frontier
    }

    /// What a gateway's caller does.
    async fn caller(&self, gateway: &Subject) {
        let mut turn = 0;
        while !self.stop.is_cancelled() {
            let (at, shown) = (self.at(), self.shown());
            if let Ok(view) = gateway.store.view(&gateway.drop, at).await {
                assert!(view.frontier.0 >= shown, "the frontier went back");
                self.note_frontier(view.frontier);
                let advance = Advance {
                    version: view.version,
                    calls: 7,
                    pace: view.pace,
                };
                // A refusal is another turn's business.
                drop(gateway.store.advance(&gateway.drop, advance, at).await);
            }
            turn += 1;
            if turn % 5 == 0 {
                drop(gateway.store.flush(self.at().now).await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Redis is flushed, killed and frozen while four gateways work; at the end nobody lost a place,
/// everybody who was let in still is, and the limits held for what was answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losses_under_load_cost_no_place_and_break_no_limit() {
    const ACTIVE: u32 = 150;
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let rules = DropRules {
        claim_window: Span::from_mins(600),
        session_duration: Span::from_mins(600),
        ..contract::rules(ACTIVE, 1_000)
    };
    let mut subjects = Vec::new();
    for _ in 0..4 {
        subjects.extend(gateways(&redis, &record(&postgres).await, 1, &rules).await);
    }
    let chaos = Arc::new(Chaos {
        gateways: subjects,
        clock: AtomicU64::new(contract::START),
        answers: Mutex::default(),
        stop: tokio_util::sync::CancellationToken::new(),
    });
    let mut tasks = JoinSet::new();
    for gateway in 0..4 {
        let chaos = chaos.clone();
        tasks.spawn(async move { chaos.caller(&chaos.gateways[gateway]).await });
    }
    for name in 1..=300 {
        let chaos = chaos.clone();
        tasks.spawn(async move { chaos.shopper(name).await });
    }
    let let_in = || chaos.answers.lock().unwrap().admitted.len();
    let mut reached = 0;
    for round in 0..9 {
        // Between two faults something must have happened, or the faults are about nothing.
        while let_in() <= reached && let_in() < ACTIVE as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        reached = let_in();
        match round % 3 {
            0 => assert!(redis.flush().await),
            1 => redis.restart().await.unwrap(),
            _ => {
                redis.freeze();
                tokio::time::sleep(Duration::from_millis(700)).await;
                redis.thaw();
            }
        }
    }
    while let_in() < ACTIVE as usize {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    chaos.stop.cancel();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    judge(&chaos, ACTIVE).await;
}

async fn judge(chaos: &Chaos, active: u32) {
    let gateway = &chaos.gateways[0];
    until_back(gateway).await;
    let (given, admitted) = {
        let answers = chaos.answers.lock().unwrap();
        (answers.numbers.clone(), answers.admitted.clone())
    };
    let numbers: BTreeSet<u64> = given.values().copied().collect();
    assert_eq!(numbers.len(), given.len(), "a number was given twice");
    assert_eq!(admitted.len(), active as usize);
    for name in admitted.keys() {
        let claimant = contract::claimant(*name, Number(given[name]));
        let claim = gateway
            .store
            .claim(&gateway.drop, claimant, chaos.at())
            .await
            .unwrap();
        assert!(
            matches!(claim, Claim::Admitted { repeated: true, .. }),
            "{name}: {claim:?}"
        );
    }
}

/// As many as an ordinary drop has in line, with the record in Postgres.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_places_are_rebuilt() {
    const PLACES: u64 = 100_000;
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let marks = record(&postgres).await;
    let subject = gateways(&redis, &marks, 1, &contract::rules(10, 10))
        .await
        .remove(0);
    for names in (1..=PLACES).collect::<Vec<_>>().chunks(1_000) {
        subject.join(names).await;
    }
    subject.store.flush(subject.at().now).await.unwrap();
    assert!(redis.flush().await);
    assert!(try_claim(&subject, 1).await.is_err());
    let after = until_back(&subject).await;
    assert_eq!(after.room.waiting, PLACES);
    let again = subject.join(&[1, 50_000, PLACES]).await;
    let numbers: Vec<u64> = again.iter().map(|place| place.unwrap().number.0).collect();
    assert_eq!(numbers, [1, 50_000, PLACES]);
}
