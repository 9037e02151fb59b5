//! An answer that was lost: every operation is asked for again, and nothing happens twice. And a
//! server without memory left: nothing happens by half.

use super::*;

async fn house(rules: &DropRules) -> (Redis, Subject) {
    let redis = Redis::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let subject = gateways(&redis, &marks, 1, rules).await.remove(0);
    (redis, subject)
}

/// What a repetition must not change.
fn figures(view: &View) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        view.frontier,
        view.room,
        view.tally,
        view.revoked.clone(),
        view.control,
    )
}

#[tokio::test]
async fn joining_again_gives_the_same_places() {
    let (_redis, subject) = house(&contract::rules(10, 10)).await;
    let first: Vec<u64> = numbers(&subject.join(&[1, 2, 3]).await);
    let before = figures(&subject.view().await);
    assert_eq!(numbers(&subject.join(&[1, 2, 3]).await), first);
    assert_eq!(figures(&subject.view().await), before);
}

fn numbers(places: &[Result<Joined, JoinRefusal>]) -> Vec<u64> {
    places.iter().map(|place| place.unwrap().number.0).collect()
}

#[tokio::test]
async fn a_call_that_is_repeated_is_stale() {
    let (_redis, subject) = house(&contract::rules(10, 10)).await;
    subject.join(&[1, 2, 3]).await;
    let view = subject.view().await;
    let advance = Advance {
        version: view.version,
        calls: 2,
        pace: view.pace,
    };
    let (store, drop) = (&subject.store, &subject.drop);
    let first = store.advance(drop, advance, subject.at()).await.unwrap();
    assert_eq!(first, Ok(Rank(3)));
    let again = store.advance(drop, advance, subject.at()).await.unwrap();
    let version = view.version + 1;
    assert_eq!(again, Err(Stale { version }));
    assert_eq!(subject.view().await.frontier, Rank(3));
}

#[tokio::test]
async fn what_ends_a_stay_ends_it_once() {
    let (_redis, mut subject) = house(&contract::rules(10, 10)).await;
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(3).await.unwrap();
    for name in 1..=3 {
        assert!(admission(&subject.claim(name, name).await).is_some());
    }
    let id = |name| contract::claimant(name, Number(name)).admission;
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    subject.now += 1_000;
    let at = subject.at();
    let mut seen = Vec::new();
    for _ in 0..2 {
        store
            .end_session(&drop, id(1), EndReason::Revoked, at.now)
            .await
            .unwrap();
        store.note_decided(&drop, id(2), at.now).await.unwrap();
        let renewed = store.renew(&drop, vec![id(2), id(1)], at.now).await.unwrap();
        assert_eq!(renewed, [Some(at.now + Span::from_mins(10)), None]);
        for name in [3, 4] {
            let leaver = contract::claimant(name, Number(name));
            store.leave(&drop, leaver, at).await.unwrap();
        }
        seen.push(figures(&subject.view().await));
    }
    assert_eq!(seen[0], seen[1]);
    let view = subject.view().await;
    assert_eq!(
        (view.room.active, view.room.undecided, view.tally.left),
        (1, 0, 2)
    );
}

#[tokio::test]
async fn commands_that_are_repeated_leave_the_switches_as_they_stand() {
    let (_redis, mut subject) = house(&contract::rules(10, 10)).await;
    let (store, drop) = (subject.store.clone(), subject.drop.clone());
    for command in [
        Command::Pause,
        Command::QueueAll,
        Command::Drain,
        Command::Resume,
        Command::End,
    ] {
        let first = store.control(&drop, command, subject.at()).await.unwrap();
        let held = subject.view().await.held_since;
        subject.now += 500;
        let again = store.control(&drop, command, subject.at()).await.unwrap();
        assert_eq!(
            (again, subject.view().await.held_since),
            (first, held),
            "{command:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_memory_refuses_whole_operations() {
    let (redis, subject) = house(&contract::rules(10, 10)).await;
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(3).await.unwrap();
    assert!(admission(&subject.claim(1, 1).await).is_some());
    let before = figures(&subject.view().await);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    assert!(try_claim(&subject, 2).await.is_err());
    let leaver = contract::claimant(4, Number(4));
    let left = subject.store.leave(&subject.drop, leaver, subject.at()).await;
    assert!(left.is_err());
    assert!(subject.store.view(&subject.drop, subject.at()).await.is_err());
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    assert_eq!(figures(&until_back(&subject).await), before);
    assert!(admission(&subject.claim(2, 2).await).is_some());
}

/// Four gateways on a cluster: the limits are the drop's, not the gateway's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_gateways_on_a_cluster_meet_the_exact_limit() {
    let cluster = RedisCluster::start().await.unwrap();
    let marks: Arc<dyn Marks> = Arc::new(MemoryMarks::default());
    let rules = contract::rules(9, 100);
    let mut gateways = Vec::new();
    for _ in 0..4 {
        let store = store_on(cluster.urls(), true, marks.clone()).await;
        gateways.push(Arc::new(Subject::open(store, &rules).await));
    }
    gateways[0].join(&(1..=200).collect::<Vec<_>>()).await;
    gateways[1].call(200).await.unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for name in 1..=200_u64 {
        let gateway = gateways[usize::try_from(name % 4).unwrap()].clone();
        crowd.spawn(async move { gateway.claim(name, name).await });
    }
    let claims = crowd.join_all().await;
    assert_eq!(claims.iter().filter_map(admission).count(), 9);
    for gateway in &gateways {
        assert_eq!(gateway.view().await.room.active, 9);
    }
}
