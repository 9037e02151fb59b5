//! Restarts without warning: the file is copied away at a moment of its own choosing, as a
//! `kill -9` would leave it, and a new store is opened on the copy.

use domain::{Number, QueueingMethod};

use super::*;
use crate::store::contract::shopper;
use crate::store::{Going, JoinRequest, Went};

/// The files as they are at this instant, in a folder of their own.
pub(super) fn snatch(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["queue.db", "queue.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

async fn reopened(dir: &Path, rules: &DropRules, now: u64) -> Subject {
    let mut subject = Subject {
        store: open(dir),
        drop: rules.drop.clone(),
        now,
        stock: domain::StockState::Left,
    };
    let latest = subject.store.open(rules, subject.at()).await.unwrap();
    subject.now = latest.as_millis();
    subject
}

#[tokio::test]
async fn numbers_given_just_before_a_crash_are_never_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 10);
    let subject = Subject::open(open(dir.path()), &rules).await;
    let given: Vec<u64> = subject
        .join(&(1..=700).collect::<Vec<_>>())
        .await
        .iter()
        .map(|j| j.unwrap().number.0)
        .collect();
    let copy = snatch(dir.path());
    let after = reopened(copy.path(), &rules, subject.now).await;
    let next = after.join(&[9_999]).await[0].unwrap().number.0;
    assert!(next > *given.iter().max().unwrap(), "{next}");
    // Who was forgotten brings the place back.
    let request = JoinRequest {
        shopper: shopper(650),
        random: 0,
        held: Some(contract::claimant(650, Number(650))),
    };
    let joined = after
        .store
        .join(&after.drop, vec![request], after.at())
        .await
        .unwrap();
    assert_eq!(joined[0].unwrap().number, Number(650));
}

#[tokio::test]
async fn claims_limits_frontier_and_ends_are_on_disk_before_they_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(2, 100);
    let subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(3).await.unwrap();
    for name in [1, 2] {
        assert!(matches!(subject.claim(name, name).await, Claim::Admitted { .. }));
    }
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now).await;
    assert_eq!(after.view().await.frontier, subject.view().await.frontier);
    assert!(matches!(after.claim(3, 3).await, Claim::RoomFull { .. }));
    assert!(matches!(
        after.claim(1, 1).await,
        Claim::Admitted { repeated: true, .. }
    ));

    let ended = contract::claimant(1, Number(1)).admission;
    subject
        .store
        .end_session(&subject.drop, ended, EndReason::Revoked, subject.at().now)
        .await
        .unwrap();
    subject
        .store
        .leave(&subject.drop, contract::claimant(4, Number(4)), subject.at())
        .await
        .unwrap();
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now).await;
    assert_eq!(after.view().await.revoked, [ended]);
    assert_eq!(after.claim(4, 4).await, Claim::Left);
    assert!(matches!(
        after.claim(3, 3).await,
        Claim::Admitted { repeated: false, .. }
    ));
}

#[tokio::test]
async fn the_rolling_minute_survives_a_crash_though_its_sessions_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(100, 2);
    let subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    for name in [1, 2] {
        let ended = contract::claimant(name, Number(name)).admission;
        assert!(matches!(subject.claim(name, name).await, Claim::Admitted { .. }));
        subject
            .store
            .end_session(&subject.drop, ended, EndReason::Left, subject.at().now)
            .await
            .unwrap();
    }
    let mut after = reopened(snatch(dir.path()).path(), &rules, subject.now + 20_000).await;
    assert!(matches!(after.claim(3, 3).await, Claim::RoomFull { .. }));
    after.now = subject.now + 60_250;
    assert!(matches!(after.claim(3, 3).await, Claim::Admitted { .. }));
}

#[tokio::test]
async fn controls_and_the_draw_survive() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::from_millis(contract::START + 10_000);
    let schedule = domain::Schedule {
        prequeue_start: Timestamp::EPOCH,
        event_start: start,
        event_end: None,
    };
    let rules = DropRules {
        schedule,
        ..contract::rules(10, 10)
    };
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2, 3, 4, 5]).await;
    subject.now += 10_000;
    let drawn = subject.view().await;
    subject
        .store
        .control(&subject.drop, Command::Pause, subject.at())
        .await
        .unwrap();
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now)
        .await
        .view()
        .await;
    assert_eq!(
        (after.draw, after.commitment, after.started),
        (drawn.draw, drawn.commitment, true)
    );
    assert!(after.control.paused && after.epoch >= drawn.epoch);
}

#[tokio::test]
async fn a_commitment_once_shown_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::open(open(dir.path()), &contract::rules(10, 10)).await;
    let shown = subject.view().await.commitment;
    let copy = snatch(dir.path());
    let other = Arc::new(EmbeddedStore::open(copy.path(), Arc::new(Repeating::from(77))).unwrap());
    let after = Subject::open(other, &contract::rules(10, 10)).await;
    assert_eq!(after.view().await.commitment, shown);
}

#[tokio::test]
async fn a_clock_set_back_over_a_restart_does_not_turn_time_back() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 10);
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.now += 500_000;
    subject.store.flush(subject.at().now).await.unwrap();
    let latest = subject.at().now;
    let store = open(snatch(dir.path()).path());
    let early = Moment {
        now: Timestamp::from_millis(contract::START),
        ..subject.at()
    };
    assert_eq!(store.open(&rules, early).await, Ok(latest));
}

#[tokio::test]
async fn drawn_ranks_are_kept_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let rules = DropRules {
        method: QueueingMethod::Random,
        ..contract::rules(10, 10)
    };
    let subject = Subject::open(open(dir.path()), &rules).await;
    let before: Vec<_> = subject.join(&[1, 2, 3]).await;
    subject.store.flush(subject.at().now).await.unwrap();
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now).await;
    let found: Vec<_> = after.join(&[1, 2, 3]).await;
    for (before, found) in before.iter().zip(found) {
        assert_eq!(before.unwrap().drawn, found.unwrap().drawn);
    }
}

#[tokio::test]
async fn closing_in_order_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 10);
    let subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&(1..=300).collect::<Vec<_>>()).await;
    subject.store.flush(subject.at().now).await.unwrap();
    let now = subject.now;
    drop(subject);
    let after = reopened(dir.path(), &rules, now).await;
    assert_eq!(after.view().await.room.waiting, 300);
    let found = after.join(&[17]).await[0].unwrap();
    assert_eq!((found.number, found.repeated), (Number(17), true));
}

#[tokio::test]
async fn sessions_that_count_for_nothing_are_swept_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut subject = Subject::open(open(dir.path()), &contract::rules(10, 100)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    subject.claim(1, 1).await;
    let rows = || {
        let connection = rusqlite::Connection::open(dir.path().join("queue.db")).unwrap();
        connection
            .query_row("SELECT count(*) FROM session", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(rows(), 1);
    subject.now += 11 * 60_000;
    subject.view().await;
    subject.store.flush(subject.at().now).await.unwrap();
    subject.now += 10_000;
    subject.store.flush(subject.at().now).await.unwrap();
    assert_eq!(rows(), 0);
}

#[tokio::test]
async fn what_time_has_ended_is_on_disk_under_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 10);
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2]).await;
    subject.call(1).await.unwrap();
    subject.claim(1, 1).await;
    let over_at = subject.now + 600_000;
    subject.now = over_at;
    // Ends the session of the first, and changes nothing that would have to be written for it.
    assert!(matches!(subject.claim(2, 2).await, Claim::NotCalled { .. }));
    subject.now -= 599_000;
    subject.call(1).await.unwrap();
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now).await;
    assert_eq!(after.claim(1, 1).await, Claim::Finished);
    assert!(
        after.now >= over_at,
        "it is over, and the hour says that it still runs"
    );
}

#[tokio::test]
async fn after_a_restart_everybody_inside_may_have_gone_to_order() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 10);
    let subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    subject.claim(1, 1).await;
    let copy = snatch(dir.path());
    let after = reopened(copy.path(), &rules, subject.now).await;
    after.claim(2, 2).await;
    let asked = [1, 2].map(|name| (contract::claimant(name, Number(name)).admission, Going::Perhaps));
    let now = after.at().now;
    let went = after.store.go_to_order(&after.drop, asked.to_vec(), now);
    assert_eq!(went.await.unwrap(), [Went::Perhaps, Went::Never]);
}

#[tokio::test]
async fn what_has_happened_is_counted_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(1, 10);
    let subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2, 3, 4]).await;
    subject.call(3).await.unwrap();
    subject.claim(1, 1).await;
    subject.claim(2, 2).await;
    let leaver = contract::claimant(4, Number(4));
    subject
        .store
        .leave(&subject.drop, leaver, subject.at())
        .await
        .unwrap();
    subject.store.flush(subject.at().now).await.unwrap();
    let before = subject.view().await.tally;
    assert_eq!((before.joined, before.admitted, before.left), (4, 1, 1));
    assert_eq!((before.room_full, before.active_max), (1, 1));
    let after = reopened(snatch(dir.path()).path(), &rules, subject.now).await;
    assert_eq!(after.view().await.tally, before);
    after.join(&[5]).await;
    assert_eq!(after.view().await.tally.joined, 5);
}
