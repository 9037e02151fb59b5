//! Servers that forget, freeze, die and come back older.

use std::path::Path;

use super::*;

fn memory() -> Arc<dyn Marks> {
    Arc::new(MemoryMarks::default())
}

/// Ten joined, six called, four let in, of whom one was revoked; one waiting has left.
async fn busy(subject: &Subject) {
    subject.join(&(1..=10).collect::<Vec<_>>()).await;
    subject.call(6).await.unwrap();
    for name in 1..=4 {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    let (revoked, now) = (contract::claimant(4, Number(4)).admission, subject.at().now);
    subject
        .store
        .end_session(&subject.drop, revoked, EndReason::Revoked, now)
        .await
        .unwrap();
    let leaver = contract::claimant(9, Number(9));
    subject
        .store
        .leave(&subject.drop, leaver, subject.at())
        .await
        .unwrap();
    subject.store.flush(now).await.unwrap();
}

/// What must be the same before and after a loss.
fn essence(view: &View) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (
            view.frontier,
            view.lapsed_below,
            view.epoch,
            view.draw,
            view.commitment,
        ),
        (view.control, view.phase, view.revoked.clone(), view.calls.clone()),
        (view.room.waiting, view.room.active, view.room.claims_last_minute),
    )
}

/// After a loss nothing that was answered is different, and the limits know all that was before.
async fn judge_rebuilt(subject: &Subject, before: &View) {
    assert!(
        try_claim(subject, 5).await.is_err(),
        "nothing is granted on lost keys"
    );
    let after = until_back(subject).await;
    assert_eq!(essence(&after), essence(before));
    assert_ne!(after.version, before.version, "decisions of before are stale");
    assert!(matches!(
        subject.claim(1, 1).await,
        Claim::Admitted { repeated: true, .. }
    ));
    assert_eq!(subject.claim(4, 4).await, Claim::Finished);
    assert_eq!(subject.claim(9, 9).await, Claim::Left);
    assert_eq!(subject.claim(7, 7).await, Claim::NotCalled { position: 1 });
    assert!(matches!(subject.claim(5, 5).await, Claim::RoomFull { .. }));
    let number = subject.join(&[77]).await[0].unwrap().number;
    assert!(number.0 > 10, "{number:?} was given before");
    assert_eq!(subject.join(&[8]).await[0].unwrap().number, Number(8));
}

/// Four claims a minute: the minute is full after [`busy`].
fn rules() -> DropRules {
    contract::rules(10, 4)
}

#[tokio::test]
async fn a_flushed_server_is_found_out_and_its_keys_are_rebuilt() {
    let redis = Redis::start().await.unwrap();
    let subject = gateways(&redis, &memory(), 1, &rules()).await.remove(0);
    busy(&subject).await;
    let before = subject.view().await;
    assert!(redis.flush().await);
    judge_rebuilt(&subject, &before).await;
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_found_out() {
    let redis = Redis::start().await.unwrap();
    let subject = gateways(&redis, &memory(), 1, &rules()).await.remove(0);
    busy(&subject).await;
    let before = subject.view().await;
    redis.restart().await.unwrap();
    judge_rebuilt(&subject, &before).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_that_was_rolled_back_is_found_out_even_by_who_saw_nothing_since() {
    let config = ServerConfig {
        durable: true,
        ..ServerConfig::default()
    };
    let redis = Redis::start_with(config).await.unwrap();
    let mut pair = gateways(&redis, &memory(), 2, &rules()).await;
    let (idle, subject) = (pair.remove(0), pair.remove(0));
    subject.join(&[1, 2]).await;
    until_back(&idle).await;
    let older = tempfile::tempdir().unwrap();
    copy(redis.folder(), older.path());
    busy(&subject).await;
    let before = subject.view().await;
    redis.kill();
    std::fs::remove_dir_all(redis.folder().join("appendonlydir")).unwrap();
    copy(older.path(), redis.folder());
    redis.restart().await.unwrap();
    assert!(
        idle.store.join(&idle.drop, Vec::new(), idle.at()).await.is_err(),
        "no number is given twice"
    );
    judge_rebuilt(&idle, &before).await;
    assert_eq!(essence(&until_back(&subject).await), essence(&idle.view().await));
}

#[tokio::test]
async fn a_beat_that_runs_backwards_is_found_out() {
    let redis = Redis::start().await.unwrap();
    let subject = gateways(&redis, &memory(), 1, &rules()).await.remove(0);
    busy(&subject).await;
    let before = subject.view().await;
    redis
        .command(&["HSET", "doorline:{d:aurora}:head", "beat", "3"])
        .await
        .unwrap();
    judge_rebuilt(&subject, &before).await;
}

#[tokio::test]
async fn places_that_were_not_written_down_yet_come_back_with_their_ticket() {
    let redis = Redis::start().await.unwrap();
    let mut pair = gateways(&redis, &memory(), 2, &contract::rules(10, 10)).await;
    let (dies, subject) = (pair.remove(0), pair.remove(0));
    dies.join(&[1, 2, 3]).await;
    // Who was to write them down within half a second did not live so long.
    drop(dies);
    assert!(redis.flush().await);
    assert!(try_claim(&subject, 1).await.is_err());
    assert_eq!(until_back(&subject).await.room.waiting, 0);
    let next = subject.join(&[4]).await[0].unwrap().number.0;
    assert!((4..=2_100).contains(&next), "{next} is more than a block away");
    let held = Some(contract::claimant(2, Number(2)));
    let request = JoinRequest {
        shopper: contract::shopper(2),
        random: 0,
        held,
    };
    let joined = subject
        .store
        .join(&subject.drop, vec![request], subject.at())
        .await
        .unwrap();
    assert_eq!(joined[0].unwrap().number, Number(2));
    assert_eq!(subject.call(1).await, Ok(Rank(3)));
    assert!(admission(&subject.claim(2, 2).await).is_some());
}

#[tokio::test]
async fn a_frozen_server_grants_nothing_and_what_it_did_when_thawed_counts_once() {
    let redis = Redis::start().await.unwrap();
    let mut subject = gateways(&redis, &memory(), 1, &contract::rules(10, 2))
        .await
        .remove(0);
    subject.join(&[1, 2, 3]).await;
    // A server that does not know the script yet would not run what reaches it late.
    subject.claim(1, 1).await;
    subject.call(3).await.unwrap();
    redis.freeze();
    assert!(try_claim(&subject, 1).await.is_err());
    redis.thaw();
    assert_eq!(
        until_back(&subject).await.room.active,
        1,
        "it was done, but not answered"
    );
    // Whoever asks long after is let in then, and counts from then, and once.
    subject.now += 50_000;
    assert!(matches!(
        subject.claim(1, 1).await,
        Claim::Admitted { repeated: true, .. }
    ));
    assert!(admission(&subject.claim(2, 2).await).is_some());
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    subject.now += 10_500;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    assert_eq!(subject.view().await.room.active, 2);
    subject.now += 55_000;
    assert!(admission(&subject.claim(3, 3).await).is_some());
}

#[tokio::test]
async fn what_was_decided_in_an_era_that_is_over_is_not_answered() {
    let redis = Redis::start().await.unwrap();
    let marks = memory();
    let subject = gateways(&redis, &marks, 1, &contract::rules(10, 10))
        .await
        .remove(0);
    subject.join(&[1]).await;
    subject.call(1).await.unwrap();
    subject.store.flush(subject.at().now).await.unwrap();
    marks.begin_era(&subject.drop, subject.at().now).await.unwrap();
    assert!(try_claim(&subject, 1).await.is_err());
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let config = ServerConfig {
        eviction: Some("allkeys-lru"),
        ..ServerConfig::default()
    };
    let redis = Redis::start_with(config).await.unwrap();
    let config = RedisConfig {
        urls: vec![redis.url()],
        cluster: false,
    };
    let opened = RedisStore::open(config, memory(), Arc::new(Repeating::from(1))).await;
    let error = opened.err().unwrap().to_string();
    assert!(
        error.contains("allkeys-lru") && error.contains("noeviction"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_that_was_moved_ahead_draws_anew_and_voids_sessions() {
    let redis = Redis::start().await.unwrap();
    let pair = gateways(&redis, &memory(), 2, &contract::rules(10, 10)).await;
    let before = pair[0].view().await;
    let schedule = domain::Schedule {
        prequeue_start: Timestamp::EPOCH,
        event_start: Timestamp::from_millis(contract::START + 5_000),
        event_end: None,
    };
    let later = DropRules {
        schedule,
        ..contract::rules(10, 10)
    };
    for subject in &pair {
        subject.store.open(&later, subject.at()).await.unwrap();
    }
    let after = pair[1].view().await;
    assert_eq!((after.started, after.epoch), (false, before.epoch + 1));
    assert_ne!(after.commitment, before.commitment);
    assert_eq!(pair[0].view().await.commitment, after.commitment);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_nodes_die_one_after_the_other_is_rebuilt_each_time() {
    let cluster = RedisCluster::start().await.unwrap();
    let store = store_on(cluster.urls(), true, memory()).await;
    let subject = Subject::open(store, &rules()).await;
    busy(&subject).await;
    let before = subject.view().await;
    for node in cluster.nodes() {
        node.restart().await.unwrap();
        assert_eq!(essence(&until_back(&subject).await), essence(&before));
        assert!(matches!(
            subject.claim(1, 1).await,
            Claim::Admitted { repeated: true, .. }
        ));
        assert!(matches!(subject.claim(5, 5).await, Claim::RoomFull { .. }));
    }
}
