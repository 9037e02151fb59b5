//! Answers that leave late: the rolling minute is about when somebody is told to be in.

use std::time::Duration;

use domain::Number;
use tokio::time::Instant;

use super::restart::snatch;
use super::*;

/// Keeps the disk busy for a while: whatever is written meanwhile waits.
fn busy(dir: &Path, span: Duration) -> std::thread::JoinHandle<()> {
    let connection = rusqlite::Connection::open(dir.join("queue.db")).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(span);
        connection.execute_batch("ROLLBACK").unwrap();
    })
}

fn is_in(claim: &Claim) -> bool {
    matches!(claim, Claim::Admitted { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_late_counts_from_then_over_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 2);
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2, 3]).await;
    subject.call(3).await.unwrap();
    let disk = busy(dir.path(), Duration::from_millis(900));
    let (one, two) = tokio::join!(subject.claim(1, 1), subject.claim(2, 2));
    assert!(is_in(&one) && is_in(&two));
    disk.join().unwrap();
    // A minute after they were asked for, and not yet after they were answered.
    subject.now += 60_500;
    assert!(matches!(subject.claim(3, 3).await, Claim::RoomFull { .. }));
    subject.store.flush(subject.at().now).await.unwrap();
    let now = subject.now;
    drop(subject);
    let mut after = Subject::open(open(dir.path()), &rules).await;
    after.now = now;
    assert!(matches!(after.claim(3, 3).await, Claim::RoomFull { .. }));
    after.now += 10_000;
    assert!(is_in(&after.claim(3, 3).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_late_counts_from_then_though_nothing_was_written_since() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 1);
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    subject.store.flush(subject.at().now).await.unwrap();
    let disk = busy(dir.path(), Duration::from_millis(900));
    assert!(is_in(&subject.claim(1, 1).await));
    disk.join().unwrap();
    // A view waits for what is on its way to the disk, and puts nothing there itself.
    subject.view().await;
    let copy = snatch(dir.path());
    subject.now += 60_500;
    let mut after = Subject::open(open(copy.path()), &rules).await;
    after.now = subject.now;
    assert!(matches!(after.claim(2, 2).await, Claim::RoomFull { .. }));
    after.now += 10_000;
    assert!(is_in(&after.claim(2, 2).await));
}

#[tokio::test]
async fn a_claim_that_could_not_be_answered_counts_from_the_repeated_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut subject = Subject::open(open(dir.path()), &contract::rules(10, 1)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    let given_up = {
        let (store, drop, at) = (subject.store.clone(), subject.drop.clone(), subject.at());
        let disk = busy(dir.path(), Duration::from_millis(300));
        let claim = store.claim(&drop, contract::claimant(1, Number(1)), at);
        let answer = tokio::time::timeout(Duration::from_millis(10), claim).await;
        disk.join().unwrap();
        answer
    };
    assert!(given_up.is_err(), "nobody waits for the answer any more");
    subject.now += 30_000;
    assert!(is_in(&subject.claim(1, 1).await));
    subject.now += 31_000;
    assert!(matches!(subject.claim(2, 2).await, Claim::RoomFull { .. }));
    subject.now += 30_000;
    assert!(is_in(&subject.claim(2, 2).await));
}

#[tokio::test]
async fn who_was_answered_in_time_may_ask_again_and_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let rules = contract::rules(10, 1);
    let mut subject = Subject::open(open(dir.path()), &rules).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    let asked = Instant::now();
    assert!(is_in(&subject.claim(1, 1).await));
    let took = u64::try_from(asked.elapsed().as_millis()).unwrap();
    subject.now += 30_000;
    assert!(is_in(&subject.claim(1, 1).await));
    subject.now += 30_250 + took;
    assert!(is_in(&subject.claim(2, 2).await));
    // After a restart nobody knows who was answered; who has long been in is not turned away.
    subject.store.flush(subject.at().now).await.unwrap();
    let now = subject.now;
    drop(subject);
    let mut after = Subject::open(open(dir.path()), &rules).await;
    after.now = now;
    assert!(is_in(&after.claim(1, 1).await));
}
