//! A disk that fails: nothing is answered that is not on it, and nothing is lost when it is back.

use super::*;

/// Takes a table away from under the journal, as a broken disk would.
fn rename(dir: &Path, from: &str, to: &str) {
    let connection = rusqlite::Connection::open(dir.join("queue.db")).unwrap();
    connection
        .busy_timeout(std::time::Duration::from_secs(5))
        .unwrap();
    connection
        .execute(&format!("ALTER TABLE {from} RENAME TO {to}"), [])
        .unwrap();
}

#[tokio::test]
async fn while_the_disk_fails_nobody_is_let_in_and_nothing_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::open(open(dir.path()), &contract::rules(10, 10)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    rename(dir.path(), "session", "lost_session");
    let ticket = contract::claimant(1, domain::Number(1));
    for _ in 0..3 {
        let refused = subject
            .store
            .claim(&subject.drop, ticket, subject.at())
            .await
            .unwrap_err();
        assert_eq!(refused.retry_after, Span::from_secs(1));
    }
    assert!(subject.store.view(&subject.drop, subject.at()).await.is_err());
    rename(dir.path(), "lost_session", "session");
    assert!(matches!(
        subject.claim(1, 1).await,
        Claim::Admitted { repeated: true, .. }
    ));
    assert_eq!(subject.view().await.room.active, 1);
}

#[tokio::test]
async fn what_a_failing_disk_refused_is_written_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let subject = Subject::open(store.clone(), &contract::rules(10, 10)).await;
    subject.join(&[1, 2]).await;
    subject.call(2).await.unwrap();
    rename(dir.path(), "member", "lost_member");
    let ticket = contract::claimant(1, domain::Number(1));
    assert!(
        subject
            .store
            .leave(&subject.drop, ticket, subject.at())
            .await
            .is_err()
    );
    rename(dir.path(), "lost_member", "member");
    store.flush(subject.at().now).await.unwrap();
    drop((subject, store));
    let reopened = Subject::open(open(dir.path()), &contract::rules(10, 10)).await;
    assert_eq!(reopened.claim(1, 1).await, Claim::Left);
    assert!(matches!(reopened.claim(2, 2).await, Claim::Admitted { .. }));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("queue.db"),
        "this is not a database, it only is called one",
    )
    .unwrap();
    let error = EmbeddedStore::open(dir.path(), Arc::new(Repeating::from(1)))
        .err()
        .unwrap();
    assert_eq!(error.path, dir.path().join("queue.db"));
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_and_not_a_guess() {
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::open(open(dir.path()), &contract::rules(10, 10)).await;
    subject.join(&[1]).await;
    subject.store.flush(subject.at().now).await.unwrap();
    let at = subject.at();
    drop(subject);
    let connection = rusqlite::Connection::open(dir.path().join("queue.db")).unwrap();
    for (spoil, mend) in [
        ("UPDATE member SET state = 7", "UPDATE member SET state = 0"),
        ("UPDATE member SET number = -1", "UPDATE member SET number = 1"),
        ("UPDATE queue SET frontier = -5", "UPDATE queue SET frontier = 1"),
    ] {
        connection.execute(spoil, []).unwrap();
        let store = open(dir.path());
        assert!(store.open(&contract::rules(10, 10), at).await.is_err(), "{spoil}");
        connection.execute(mend, []).unwrap();
    }
    assert!(open(dir.path()).open(&contract::rules(10, 10), at).await.is_ok());
}
