//! Losses that come one after the other, or at a bad moment: what was given back for the first is not
//! forgotten with the second.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox::engine::postgres::Postgres;
use sandbox::relay::Relay;

use super::super::marks::postgres::tests::opened;
use super::faulty::Faulty;
use super::*;

fn memory() -> Arc<dyn Marks> {
    Arc::new(MemoryMarks::default())
}

/// Redis loses everything; the caller's tick puts it back.
pub(super) async fn lose(redis: &Redis, subject: &Subject) -> View {
    assert!(redis.flush().await);
    assert!(
        try_claim(subject, 1).await.is_err(),
        "nothing is granted on lost keys"
    );
    until_back(subject).await
}

fn expires_at(claim: &Claim) -> u64 {
    match claim {
        Claim::Admitted { expires_at, .. } => expires_at.as_millis(),
        other => panic!("not admitted: {other:?}"),
    }
}

/// How many hold a token that lives, of all who were ever told until when theirs does.
fn living(told: &[u64], now: u64) -> usize {
    told.iter().filter(|expires_at| **expires_at > now).count()
}

#[tokio::test]
async fn time_given_back_after_one_loss_is_kept_over_the_next() {
    let redis = Redis::start().await.unwrap();
    let rules = contract::rules(2, 100);
    let mut subject = gateways(&redis, &memory(), 1, &rules).await.remove(0);
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(4).await.unwrap();
    subject.claim(1, 1).await;
    subject.claim(2, 2).await;
    subject.store.flush(subject.at().now).await.unwrap();
    // An hour without a server: their sessions go on after it, and they are told so.
    subject.now += 3_600_000;
    lose(&redis, &subject).await;
    let mut told = vec![
        expires_at(&subject.claim(1, 1).await),
        expires_at(&subject.claim(2, 2).await),
    ];
    assert_eq!(living(&told, subject.now), 2);
    subject.now += 1_000;
    lose(&redis, &subject).await;
    for name in 3..=4 {
        if let claim @ Claim::Admitted { .. } = subject.claim(name, name).await {
            told.push(expires_at(&claim));
        }
    }
    assert_eq!(
        living(&told, subject.now),
        2,
        "more are inside than there are slots"
    );
    assert_eq!(
        expires_at(&subject.claim(1, 1).await),
        told[0] + 1_000,
        "the hour is given back once"
    );
}

#[tokio::test]
async fn time_given_back_by_an_operator_is_written_down_though_the_record_was_away() {
    let redis = Redis::start().await.unwrap();
    let marks = Arc::new(Faulty::over(memory()));
    let shared: Arc<dyn Marks> = marks.clone();
    let mut subject = gateways(&redis, &shared, 1, &contract::rules(1, 100))
        .await
        .remove(0);
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    subject.claim(1, 1).await;
    store
        .control(&drop, Command::QueueAll, subject.at())
        .await
        .unwrap();
    subject.now += 3_600_000;
    marks.set_away(true);
    assert!(store.control(&drop, Command::Resume, subject.at()).await.is_err());
    marks.set_away(false);
    store.control(&drop, Command::Resume, subject.at()).await.unwrap();
    store.flush(subject.at().now).await.unwrap();
    assert_eq!(
        lose(&redis, &subject).await.room.active,
        1,
        "the session was ended"
    );
}

/// Over the double and over Postgres: the minute is full before the loss and after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_does_not_empty_the_rolling_minute() {
    let (redis, postgres) = tokio::join!(Redis::start(), Postgres::start());
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let kept: Arc<dyn Marks> = Arc::new(opened(&postgres.url()).await);
    for marks in [memory(), kept] {
        assert!(redis.flush().await);
        let mut subject = gateways(&redis, &marks, 1, &contract::rules(10, 2))
            .await
            .remove(0);
        subject.join(&[1, 2, 3]).await;
        subject.call(3).await.unwrap();
        subject.claim(1, 1).await;
        subject.claim(2, 2).await;
        // A gateway whose clock is two minutes ahead says that it is alive.
        subject.now += 120_000;
        subject.store.flush(subject.at().now).await.unwrap();
        subject.now -= 119_000;
        lose(&redis, &subject).await;
        let claim = subject.claim(3, 3).await;
        assert!(matches!(claim, Claim::RoomFull { .. }), "{claim:?}");
    }
}

#[tokio::test]
async fn the_last_in_line_is_read_back_though_nobody_had_written_the_place_down() {
    let redis = Redis::start().await.unwrap();
    let rules = contract::rules(10, 100);
    let subject = gateways(&redis, &memory(), 1, &rules).await.remove(0);
    subject.join(&[1, 2, 3]).await;
    assert_eq!(lose(&redis, &subject).await.room.waiting, 3);
    assert_eq!(subject.call(3).await, Ok(Rank(4)));
}

#[tokio::test]
async fn a_place_whose_first_answer_was_lost_is_written_down_by_the_repeated_one() {
    let redis = Redis::start().await.unwrap();
    let mut pair = gateways(&redis, &memory(), 2, &contract::rules(10, 100)).await;
    let (dies, subject) = (pair.remove(0), pair.remove(0));
    dies.join(&[1]).await;
    // It is gone before anything was written down or answered.
    drop(dies);
    let again = subject.join(&[1]).await[0].unwrap();
    assert!(again.repeated);
    assert_eq!(lose(&redis, &subject).await.room.waiting, 1);
    assert_eq!(subject.join(&[1]).await[0].unwrap().number, again.number);
}

#[tokio::test]
async fn places_that_another_gateway_could_not_know_of_are_brought_back() {
    let redis = Redis::start().await.unwrap();
    let pair = gateways(&redis, &memory(), 2, &contract::rules(10, 100)).await;
    pair[0].join(&[1, 2]).await;
    pair[1].join(&[3, 4]).await;
    let (store, drop) = (&pair[1].store, &pair[1].drop);
    let leaver = contract::claimant(4, Number(4));
    store.leave(drop, leaver, pair[1].at()).await.unwrap();
    // The first puts together what it knows; the second comes after it.
    assert_eq!(lose(&redis, &pair[0]).await.room.waiting, 2);
    assert!(try_claim(&pair[1], 3).await.is_err());
    assert_eq!(
        until_back(&pair[1]).await.room.waiting,
        3,
        "and nobody who has left"
    );
    assert_eq!(pair[1].join(&[3]).await[0].unwrap().number, Number(3));
    assert_eq!(pair[0].call(3).await, Ok(Rank(4)));
}

/// Makes `follower` a replica of `leader`, and waits until it has all of it.
async fn follow(follower: &Redis, leader: &Redis) {
    let at_once = ["CONFIG", "SET", "repl-diskless-sync-delay", "0"];
    leader.command(&at_once).await.unwrap();
    let port = leader.port().to_string();
    follower
        .command(&["REPLICAOF", "127.0.0.1", &port])
        .await
        .unwrap();
    loop {
        let role = follower.command(&["INFO", "replication"]).await;
        if role.is_some_and(|role| role.contains("master_link_status:up")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_on_a_server_that_takes_no_writes_stops_nobody() {
    let (old, new) = tokio::join!(Redis::start(), Redis::start());
    let (old, new) = (old.unwrap(), new.unwrap());
    let marks = Arc::new(Faulty::over(memory()));
    let shared: Arc<dyn Marks> = marks.clone();
    let rules = contract::rules(10, 100);
    let left_behind = gateways(&old, &shared, 1, &rules).await.remove(0);
    left_behind.join(&[1, 2]).await;
    left_behind.store.flush(left_behind.at().now).await.unwrap();
    let subject = gateways(&new, &shared, 1, &rules).await.remove(0);
    follow(&old, &new).await;
    let begun = marks.eras.load(Ordering::SeqCst);
    for _ in 0..5 {
        let view = left_behind.store.view(&left_behind.drop, left_behind.at());
        assert!(view.await.is_err(), "a replica shows nothing");
    }
    assert_eq!(
        marks.eras.load(Ordering::SeqCst),
        begun,
        "nothing was to be rebuilt there"
    );
    subject.call(2).await.unwrap();
    assert!(admission(&subject.claim(1, 1).await).is_some());
}

/// A store that works with the first of two servers; its address leads to the second for whoever connects from now on.
async fn moved_behind_its_name() -> (Redis, Redis, Relay, Subject) {
    let (old, new) = tokio::join!(Redis::start(), Redis::start());
    let (old, new) = (old.unwrap(), new.unwrap());
    let address = |redis: &Redis| SocketAddr::from(([127, 0, 0, 1], redis.port()));
    // The first connection only looks at the server, the second is the one that is worked with; whoever connects
    // after that comes to the new one.
    let relay = Relay::start(vec![address(&new), address(&old)]).await.unwrap();
    let store = store_on(vec![format!("redis://{}", relay.address())], false, memory()).await;
    let subject = Subject::open(store, &contract::rules(10, 100)).await;
    subject.join(&[1]).await;
    assert_eq!(relay.carried(), [1, 1]);
    subject.store.flush(subject.at().now).await.unwrap();
    (old, new, relay, subject)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_a_server_that_became_a_replica_is_left() {
    let (old, new, _relay, subject) = moved_behind_its_name().await;
    follow(&old, &new).await;
    let back = tokio::time::timeout(Duration::from_secs(20), until_back(&subject)).await;
    assert_eq!(back.unwrap().room.waiting, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_a_server_that_fell_silent_is_left() {
    let (old, _new, _relay, subject) = moved_behind_its_name().await;
    // It hangs, and its connections with it; the name leads to another one by now.
    old.freeze();
    let back = tokio::time::timeout(Duration::from_secs(20), until_back(&subject)).await;
    assert_eq!(back.unwrap().room.waiting, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_is_not_answered_in_time_connects_anew_once() {
    let redis = Redis::start().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], redis.port()));
    let relay = Relay::start(vec![address]).await.unwrap();
    let store = store_on(vec![format!("redis://{}", relay.address())], false, memory()).await;
    let subject = Arc::new(Subject::open(store, &contract::rules(10, 100)).await);
    subject.join(&(1..=100).collect::<Vec<_>>()).await;
    let before = relay.carried()[0];
    redis.freeze();
    let mut crowd = tokio::task::JoinSet::new();
    for name in 1..=100 {
        let subject = subject.clone();
        crowd.spawn(async move { assert!(try_claim(&subject, name).await.is_err()) });
    }
    crowd.join_all().await;
    redis.thaw();
    until_back(&subject).await;
    // Once; but for a busy machine that is itself too slow now and then.
    let connected = relay.carried()[0] - before;
    assert!(
        (1..=5).contains(&connected),
        "{connected} times for a hundred requests"
    );
}

#[tokio::test]
async fn what_was_written_before_the_record_went_away_is_not_written_again() {
    let redis = Redis::start().await.unwrap();
    let marks = Arc::new(Faulty::over(memory()));
    let store = store_on(vec![redis.url()], false, marks.clone()).await;
    let subject = Subject::open(store.clone(), &contract::rules(10, 100)).await;
    let (shelf, now) = (store.shelf(&subject.drop).unwrap(), subject.at().now);
    let id = |name| contract::claimant(name, Number(name)).admission;
    shelf.write_later((1..=10_500).map(|name| Row::Stamped(id(name), now)));
    assert!(redis.flush().await);
    assert!(try_claim(&subject, 1).await.is_err());
    // Ten thousand rows are one transaction.
    marks.set_left(1);
    let view = subject.store.view(&subject.drop, subject.at());
    assert!(view.await.is_err());
    assert_eq!(shelf.answers_behind(now).len(), 500);
    marks.set_left(usize::MAX);
    until_back(&subject).await;
    assert!(shelf.answers_behind(now).is_empty());
}

#[tokio::test]
async fn an_era_that_somebody_began_and_did_not_use_is_left_behind() {
    let redis = Redis::start().await.unwrap();
    let marks = memory();
    let subject = gateways(&redis, &marks, 1, &contract::rules(10, 100))
        .await
        .remove(0);
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    subject.store.flush(subject.at().now).await.unwrap();
    let now = subject.at().now;
    marks.begin_era(&subject.drop, now).await.unwrap();
    assert!(try_claim(&subject, 1).await.is_err());
    until_back(&subject).await;
    assert!(admission(&subject.claim(1, 1).await).is_some());
}

#[tokio::test]
async fn keys_that_one_server_began_are_not_finished_on_another() {
    let config = ServerConfig {
        durable: true,
        ..ServerConfig::default()
    };
    let redis = Redis::start_with(config).await.unwrap();
    let store = store(&redis).await;
    let subject = Subject::open(store.clone(), &contract::rules(10, 100)).await;
    let keys = &store.shelf(&subject.drop).unwrap().keys;
    let step = async |script: &Named, words: Words| {
        let mut reply = store.link.run(script, keys, &words).await.unwrap();
        reply.text().unwrap()
    };
    let era = || Words::default().number(7);
    let place = || era().text("HSET").number(2).text("somebody").text("Q:1::0:");
    let head = || era().text("beat").number(0);
    let scripts = &store.scripts;
    assert_eq!(step(&scripts.begin, era()).await, "OK");
    assert_eq!(step(&scripts.fill, place()).await, "OK");
    redis.restart().await.unwrap();
    // The connection is found broken by whoever asks first.
    while store.link.probe(keys).await.is_err() {}
    let kept = redis
        .command(&["GET", "doorline:{d:aurora}:rebuild"])
        .await
        .unwrap();
    assert!(kept.contains("7:"), "what was begun is still there: {kept}");
    assert_eq!(step(&scripts.fill, place()).await, "STALE");
    assert_eq!(step(&scripts.publish, head()).await, "STALE");
    assert_eq!(step(&scripts.begin, era()).await, "OK");
    assert_eq!(step(&scripts.fill, place()).await, "OK");
    assert_eq!(step(&scripts.publish, head()).await, "OK");
}
