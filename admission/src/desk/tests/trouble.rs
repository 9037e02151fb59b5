//! The store goes away, another process calls first, nobody may be called: what is shown, and
//! what is refused.

use std::sync::atomic::Ordering;

use domain::{Bound, Rank};

use super::*;

#[tokio::test]
async fn while_the_store_is_away_polls_go_on_and_nobody_comes_in() {
    let house = House::new(rules(1, 600)).await;
    let (first, second) = (house.join().await, house.join().await);
    let grant = house.admit(&first).await;
    let before = house.place(&second);
    house.store.set_away(true);
    house.until(|snapshot| snapshot.stale).await;
    assert_eq!(house.place(&second), before, "the place is worked out as before");
    let admitted = house.desk.verify(&aurora(), &grant.token, &first.0).unwrap();
    let (drop, desk) = (aurora(), &house.desk);
    let claimed = desk.claim(&drop, &second.1.ticket, &second.0).await;
    assert!(matches!(claimed, Err(LeaveError::Unavailable(_))), "{claimed:?}");
    let repeated = desk.claim(&drop, &first.1.ticket, &first.0).await;
    assert!(
        matches!(repeated, Err(LeaveError::Unavailable(_))),
        "{repeated:?}"
    );
    let left = desk.leave(&drop, &second.1.ticket, &second.0).await;
    assert!(matches!(left, Err(LeaveError::Unavailable(_))));
    assert!(desk.revoke(&drop, admitted.admission).await.is_err());
    assert!(desk.note_order(&drop, admitted.admission).await.is_err());
    assert!(desk.note_turned_away(&drop, admitted.admission).await.is_err());
    assert!(desk.reconfigure(vec![rules(9, 600)]).await.is_err());
    assert!(matches!(
        desk.control(&drop, Command::Pause).await,
        Err(JoinError::Unavailable(_))
    ));
    assert_eq!(house.place(&second).state, PlaceState::Waiting, "nobody has left");
    house.store.set_away(false);
    let after = house.until(|snapshot| !snapshot.stale).await;
    assert_eq!((after.active_users, after.control.paused), (1, false));
    assert!(
        desk.verify(&drop, &grant.token, &first.0).is_ok(),
        "refused, so not revoked"
    );
}

#[tokio::test]
async fn a_drop_whose_queue_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let entropy: Arc<dyn Entropy> = Arc::new(Repeating::from(1));
    let store = Faulty::over(Arc::new(
        EmbeddedStore::open(dir.path(), entropy.clone()).unwrap(),
    ));
    store.set_away(true);
    let parts = Parts {
        clock: Arc::new(StepClock::at(START)),
        store: Arc::new(store),
        keys: Arc::new(Keys::open(dir.path(), &*entropy).unwrap()),
        outside: Arc::new(Reported::default()),
        entropy,
    };
    let settings = Settings {
        issuer: "https://shop.example".to_owned(),
        drops: vec![rules(1, 1)],
        tick: Duration::from_millis(5),
        showing: Showing::Alone,
    };
    let OpenError::Drop { drop, .. } = Admission::open(parts, settings).await.err().unwrap();
    assert_eq!(drop, aurora());
}

#[tokio::test]
async fn who_is_overtaken_calls_nobody_twice() {
    let house = House::new(rules(3, 600)).await;
    house.store.overtaken.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        house.join().await;
    }
    house.until(|snapshot| snapshot.frontier >= Rank(4)).await;
    assert!(
        !house.store.stale.lock().unwrap().is_empty(),
        "nobody was overtaken"
    );
    // Whoever called, there are three slots, and three were called for them. The snapshot may count
    // seven waiting before the caller has decided about them: its bound is then an older one.
    let decided = |snapshot: &Snapshot| snapshot.waiting == 7 && snapshot.bound == Bound::Sessions;
    let snapshot = house.until(decided).await;
    assert_eq!(snapshot.frontier, Rank(4));
}

#[tokio::test]
async fn two_desks_on_one_store_call_as_one() {
    let house = House::new(rules(4, 600)).await;
    let settings = Settings {
        issuer: "https://shop.example".to_owned(),
        drops: vec![rules(4, 600)],
        tick: Duration::from_millis(5),
        showing: Showing::Alone,
    };
    let parts = Parts {
        clock: house.clock.clone(),
        entropy: Arc::new(Repeating::from(77)),
        store: house.store.clone(),
        keys: house.desk.inner.keys.clone(),
        outside: house.outside.clone(),
    };
    let other = Admission::open(parts, settings).await.unwrap();
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let (running, stopping) = (other.clone(), stop.clone());
    tasks.spawn(async move { running.run(stopping).await });
    let mut shoppers = Vec::new();
    for desk in [&house.desk, &other].into_iter().cycle().take(20) {
        let (visitor, _) = desk.greet();
        let joined = desk.join(&aurora(), &visitor, None).await.unwrap();
        shoppers.push((visitor, joined));
    }
    house.until(|snapshot| snapshot.waiting == 16).await;
    let mut inside = 0;
    for (desk, (visitor, joined)) in [&other, &house.desk].into_iter().cycle().zip(&shoppers) {
        let claimed = desk.claim(&aurora(), &joined.ticket, visitor).await.unwrap();
        inside += u32::from(matches!(claimed, Claimed::Admitted(_)));
    }
    assert_eq!(inside, 4);
    let snapshot = house.until(|snapshot| snapshot.active_users == 4).await;
    assert_eq!(snapshot.frontier, Rank(5));
    stop.cancel();
    tasks.join_all().await;
}

#[tokio::test]
async fn nobody_is_called_while_paused_draining_or_over() {
    let house = House::new(rules(10, 600)).await;
    for (command, bound, state) in [
        (Command::Pause, Bound::Paused, PlaceState::Paused),
        (Command::QueueAll, Bound::Paused, PlaceState::Paused),
    ] {
        house.desk.control(&aurora(), command).await.unwrap();
        let frontier = house.desk.snapshot(&aurora()).unwrap().frontier;
        let shopper = house.join().await;
        let held = house
            .until(|snapshot| snapshot.bound == bound && snapshot.waiting == 1)
            .await;
        assert_eq!(held.frontier, frontier, "{command:?}");
        assert_eq!(house.place(&shopper).state, state);
        house.desk.control(&aurora(), Command::Resume).await.unwrap();
        house.until(|snapshot| snapshot.waiting == 0).await;
        house.admit(&shopper).await;
    }
    house.desk.control(&aurora(), Command::Drain).await.unwrap();
    let late = house.desk.join(&aurora(), &house.desk.greet().0, None).await;
    assert_eq!(late.err(), Some(JoinError::NotOpen(Phase::Draining)));
    house.desk.control(&aurora(), Command::End).await.unwrap();
    house.until(|snapshot| snapshot.phase == Phase::Ended).await;
}
