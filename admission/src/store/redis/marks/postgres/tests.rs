//! Gateways that stand still: what they hold is taken from them, and nobody waits for them for ever.

use std::time::Duration;

use sandbox::engine::postgres::Postgres as Server;
use tokio::time::timeout;

use super::*;

/// Far longer than the server's deadlines: what is not over by then never will be.
const LONG: Duration = Duration::from_secs(20);

fn drop_id() -> DropId {
    DropId::new("aurora").unwrap()
}

fn noon() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// The record on tables that are up to date.
pub(crate) async fn opened(url: &str) -> PostgresMarks {
    PostgresMarks::migrate(url).await.unwrap();
    PostgresMarks::open(url).await.unwrap()
}

/// Two gateways on one server, in the first era of a drop.
async fn pair() -> (Server, PostgresMarks, PostgresMarks, Era) {
    let server = Server::start().await.unwrap();
    let open = async || opened(&server.url()).await;
    let (one, two) = (open().await, open().await);
    one.create(&drop_id(), Seed([1; 32]), noon()).await.unwrap();
    let (era, _) = one.begin_era(&drop_id(), noon()).await.unwrap();
    (server, one, two, era)
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let value = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    value.fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stands_still_is_ended_and_the_others_go_on() {
    let (_server, frozen, other, era) = pair().await;
    let mut lent = frozen.lend().await.unwrap();
    let mut transaction = begin(&mut lent, &drop_id(), era).await.unwrap().unwrap();
    let alive = vec![Row::Alive(noon(), Rank(1))];
    write::all(&mut transaction, &drop_id(), alive.clone())
        .await
        .unwrap();
    let going_on = async {
        while other.raise_frontier(&drop_id(), era, Rank(5)).await.is_err() {}
        while other.write(&drop_id(), era, alive.clone()).await.is_err() {}
    };
    assert!(timeout(LONG, going_on).await.is_ok(), "the row is held for ever");
    assert!(transaction.commit().await.is_err(), "it holds nothing any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_while_it_hung_takes_no_connection_with_it() {
    let (server, marks, _, era) = pair().await;
    // Somebody who keeps no rule of ours holds the row.
    let mut holder = PgConnection::connect(&server.url()).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM admission.admission_queue FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let marks = marks.clone();
        crowd.spawn(async move {
            let raised = marks.raise_frontier(&drop_id(), era, Rank(5)).await;
            assert!(raised.is_err(), "the row is held");
        });
    }
    // Those at the front are given up by who asked, the rest at their deadline.
    let drop = drop_id();
    for _ in 0..8 {
        let hasty = marks.raise_numbers(&drop, era, Number(9));
        assert!(timeout(Duration::from_millis(50), hasty).await.is_err());
    }
    crowd.join_all().await;
    let standing = marks.standing(&drop_id()).await.unwrap().unwrap();
    assert_eq!(standing.era, era);
    held.rollback().await.unwrap();
    assert_eq!(marks.raise_frontier(&drop_id(), era, Rank(5)).await, Ok(()));
}

#[tokio::test]
async fn reading_a_queue_back_has_its_time_and_everything_else_its_deadline() {
    let (_server, marks, _, _) = pair().await;
    let mut lent = marks.lend().await.unwrap();
    for (name, value) in [
        ("statement_timeout", "2s"),
        ("lock_timeout", "1s"),
        ("idle_in_transaction_session_timeout", "2s"),
    ] {
        assert_eq!(setting(&mut lent, name).await, value, "{name}");
    }
    let mut reading = lent.begin().await.unwrap();
    connect::take_time(&mut reading).await.unwrap();
    assert_eq!(setting(&mut reading, "statement_timeout").await, "1min");
    reading.commit().await.unwrap();
    assert_eq!(setting(&mut lent, "statement_timeout").await, "2s");
}

#[tokio::test]
async fn the_right_to_rebuild_outlasts_the_deadlines_of_other_transactions() {
    let (_server, one, two, _) = pair().await;
    let guard = one.lock(&drop_id()).await.unwrap().unwrap();
    tokio::time::sleep(ANSWER_WITHIN + Duration::from_millis(500)).await;
    assert!(two.lock(&drop_id()).await.unwrap().is_none(), "it was ended");
    drop(guard);
    let free = async { while two.lock(&drop_id()).await.unwrap().is_none() {} };
    assert!(timeout(LONG, free).await.is_ok());
}

#[tokio::test]
async fn whoever_serves_changes_no_table_and_refuses_those_that_are_not_its_own() {
    let server = Server::start().await.unwrap();
    let refused = async || PostgresMarks::open(&server.url()).await.err().unwrap();
    assert!(matches!(refused().await, MarksOpenError::Behind));
    drop(opened(&server.url()).await);
    let newer = "INSERT INTO admission.admission_migration VALUES (99, 'later', now(), TRUE, '', 0)";
    server.sql("doorline", newer).unwrap();
    assert!(matches!(refused().await, MarksOpenError::Foreign));
    let changed = "DELETE FROM admission.admission_migration WHERE version = 99; \
                   UPDATE admission.admission_migration SET checksum = 'x'";
    server.sql("doorline", changed).unwrap();
    assert!(matches!(refused().await, MarksOpenError::Foreign));
}

/// The statements that the README tells operators to run, after the ledger's.
#[tokio::test]
async fn the_owner_needs_no_rights_elsewhere_and_the_serving_role_can_do_its_work() {
    let server = Server::start().await.unwrap();
    for statement in [
        "CREATE ROLE doorline_own LOGIN",
        "GRANT CREATE ON DATABASE doorline TO doorline_own",
        "CREATE ROLE doorline_serve LOGIN",
    ] {
        server.sql("doorline", statement).unwrap();
    }
    let url = |role: &str| server.url().replace("doorline@", &format!("{role}@"));
    PostgresMarks::migrate(&url("doorline_own")).await.unwrap();
    let readme = include_str!("../../../../../README.md");
    let (_, after) = readme.split_once("```sql\n").expect("the grants");
    let (grants, _) = after.split_once("```").expect("their end");
    server.sql("doorline", grants).unwrap();
    let marks = PostgresMarks::open(&url("doorline_serve")).await.unwrap();
    marks.create(&drop_id(), Seed([1; 32]), noon()).await.unwrap();
    let (era, _) = marks.begin_era(&drop_id(), noon()).await.unwrap();
    marks.raise_numbers(&drop_id(), era, Number(1_024)).await.unwrap();
    let session = domain::sessions::Session {
        shopper: domain::ShopperKey([7; 16]),
        number: Number(1),
        expires_at: noon(),
        claimed_at: noon(),
        has_decided: false,
    };
    let rows = vec![
        Row::Session(AdmissionId([9; 16]), session),
        Row::Extended(AdmissionId([9; 16]), noon()),
        Row::Ordered(AdmissionId([9; 16])),
        Row::Over(AdmissionId([9; 16]), Some(noon())),
        Row::Alive(noon(), Rank(1)),
    ];
    marks.write(&drop_id(), era, rows).await.unwrap();
    let keys = crate::Keys::shared(Arc::new(marks), &crate::testing::Repeating::from(1)).await;
    let aged = "UPDATE admission.admission_key SET made_at = made_at - interval '1 minute'";
    server.sql("doorline", aged).unwrap();
    keys.unwrap()
        .rotate(&crate::testing::Repeating::from(2))
        .await
        .unwrap();
    let forbidden = "SET ROLE doorline_serve; CREATE TABLE admission.mine ()";
    assert!(server.sql("doorline", forbidden).is_err());
}
