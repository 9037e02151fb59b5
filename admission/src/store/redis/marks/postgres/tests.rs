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
    let mut transaction = lent.begin().await.unwrap();
    assert!(is_in(&mut transaction, &drop_id(), era).await.unwrap());
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

/// Waits until the lock is free, and takes it.
async fn taken(marks: &PostgresMarks) -> Box<dyn Guard> {
    let taking = async {
        loop {
            if let Some(guard) = marks.lock(&drop_id()).await.unwrap() {
                return guard;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, taking).await.unwrap()
}

#[tokio::test]
async fn the_right_to_rebuild_is_kept_for_as_long_as_it_is_made_use_of() {
    let (_server, one, two, _) = pair().await;
    let guard = one.lock(&drop_id()).await.unwrap().unwrap();
    // Longer than any transaction of ours may stand still, and than this one may be silent.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(two.lock(&drop_id()).await.unwrap().is_none(), "it was ended");
    drop(guard);
    taken(&two).await;
}

#[tokio::test]
async fn who_freezes_in_the_middle_of_a_rebuild_loses_the_right_to_it_in_three_seconds() {
    let (_server, frozen, other, _) = pair().await;
    let lent = frozen.lend().await.unwrap();
    let held = lock::take(lent, &drop_id()).await.unwrap();
    assert!(held.is_some() && other.lock(&drop_id()).await.unwrap().is_none());
    let begun = tokio::time::Instant::now();
    taken(&other).await;
    let within = begun.elapsed();
    assert!(
        within > Duration::from_secs(2) && within < Duration::from_secs(6),
        "{within:?}"
    );
}

/// How many connections there are once all of them are back.
async fn at_rest(marks: &PostgresMarks) -> u32 {
    let (pool, back) = (&marks.pool, Duration::from_millis(5));
    let resting = async {
        while usize::try_from(pool.size()).unwrap() != pool.num_idle() {
            tokio::time::sleep(back).await;
        }
    };
    timeout(LONG, resting).await.unwrap();
    pool.size()
}

#[tokio::test]
async fn what_is_refused_costs_no_connection() {
    let (_server, one, two, era) = pair().await;
    let drop = drop_id();
    let _guard = one.lock(&drop).await.unwrap().unwrap();
    let dead = Era(era.0 - 1);
    let before = at_rest(&two).await;
    assert!(two.lock(&drop).await.unwrap().is_none());
    assert_eq!(at_rest(&two).await, before);
    let rows = vec![Row::Alive(noon(), Rank(1))];
    assert_eq!(two.write(&drop, dead, rows).await, Err(superseded()));
    assert_eq!(at_rest(&two).await, before);
    assert_eq!(two.start(&drop, dead, None).await, Err(superseded()));
    assert_eq!(at_rest(&two).await, before);
    assert_eq!(two.begin_epoch(&drop, dead, 9, None).await, Err(superseded()));
    assert_eq!(at_rest(&two).await, before);
}

/// Two sessions are over: one that was claimed a minute ago and more, and one just now. A gateway whose clock is ahead
/// sweeps out the one that no longer counts, and not the other.
#[tokio::test]
async fn a_clock_that_is_ahead_sweeps_out_nothing_that_counts() {
    let (server, marks, _, era) = pair().await;
    let present = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let present: u64 = server.sql("doorline", present).unwrap().parse().unwrap();
    let now = Timestamp::from_millis(present);
    let id = |name: u8| AdmissionId([name; 16]);
    let session = |name: u8, claimed_at: Timestamp| domain::sessions::Session {
        shopper: domain::ShopperKey([name; 16]),
        number: Number(name.into()),
        expires_at: claimed_at,
        claimed_at,
        has_decided: false,
    };
    let rows = vec![
        Row::Session(id(1), session(1, now - domain::Span::from_secs(70))),
        Row::Session(id(2), session(2, now)),
        Row::Over(id(1), None),
        Row::Over(id(2), None),
        Row::Alive(now + domain::Span::from_mins(2), Rank(1)),
    ];
    marks.write(&drop_id(), era, rows).await.unwrap();
    for (name, is_kept) in [(1, false), (2, true)] {
        assert_eq!(marks.knows(&drop_id(), id(name)).await, Ok(is_kept), "{name}");
    }
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
