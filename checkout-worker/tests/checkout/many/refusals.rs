//! What the ledger refuses to start on, and what its tables refuse to whoever serves.

use checkout_worker::pace::Pace;
use checkout_worker::postgres::{PostgresConfig, PostgresOpenError};

use super::*;

async fn refused(url: &str) -> PostgresOpenError {
    let opened = PostgresLedger::open(PostgresConfig::new(url)).await;
    opened.expect_err("it must not open")
}

#[tokio::test]
async fn a_server_that_does_not_keep_what_it_commits_is_refused() {
    let forgetful = Postgres::start_with(&["fsync=off"]).await.unwrap();
    migrate(&forgetful.url()).await.unwrap();
    let error = refused(&forgetful.url()).await;
    assert!(
        matches!(error, PostgresOpenError::NotDurable { setting: "fsync" }),
        "{error:?}"
    );
    drop(forgetful);
    let server = postgres().await;
    let ledgers = processes(&server, "later", 10).await;
    let off = "ALTER DATABASE later SET synchronous_commit = off";
    server.sql("postgres", off).unwrap();
    let error = refused(&address(&server, "later")).await;
    let named = matches!(
        error,
        PostgresOpenError::NotDurable {
            setting: "synchronous_commit"
        }
    );
    assert!(named, "{error:?}");
    // Turned off for the whole server while we run: nothing more is promised.
    server
        .sql("postgres", "ALTER SYSTEM SET synchronous_commit = off")
        .unwrap();
    server
        .sql("postgres", "ALTER DATABASE later RESET synchronous_commit")
        .unwrap();
    server.restart().await.unwrap();
    let refused = ledgers[0].reserve(one_unit(1, 1)).await.unwrap_err();
    let cause = std::error::Error::source(&refused).expect("a cause").to_string();
    assert!(cause.contains("would not be kept"), "{refused:?}");
}

#[tokio::test]
async fn tables_that_are_behind_or_newer_are_refused_and_migrating_twice_is_harmless() {
    let server = postgres().await;
    let url = server.url();
    assert!(matches!(
        refused(&url).await,
        PostgresOpenError::Behind { version: 1 }
    ));
    let (one, other) = tokio::join!(migrate(&url), migrate(&url));
    one.unwrap();
    other.unwrap();
    open_postgres(&url).await;
    let newer = "INSERT INTO checkout.migration VALUES (99, 'later', now(), TRUE, '', 0)";
    server.sql("doorline", newer).unwrap();
    assert!(matches!(
        refused(&url).await,
        PostgresOpenError::Newer { version: 99 }
    ));
    server
        .sql("doorline", "DELETE FROM checkout.migration WHERE version = 99")
        .unwrap();
    server
        .sql("doorline", "UPDATE checkout.migration SET checksum = 'x'")
        .unwrap();
    assert!(matches!(
        refused(&url).await,
        PostgresOpenError::Foreign { version: 1 }
    ));
}

#[tokio::test]
async fn the_serving_role_sells_and_can_rewrite_no_history() {
    let server = postgres().await;
    let url = server.url();
    migrate(&url).await.unwrap();
    // The statements that the README tells operators to run.
    let readme = include_str!("../../../README.md");
    let (_, after) = readme.split_once("```sql\n").expect("the roles");
    let (roles, _) = after.split_once("```").expect("the end of the roles");
    for statement in roles
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        server.sql("doorline", statement).unwrap();
    }
    let serving = open_postgres(&url.replace("doorline@", "doorline_serve@")).await;
    let plan = DropPlan {
        drop: drop_id(),
        items: vec![item("AUR-42", 5)],
    };
    assert_eq!(serving.open_drop(plan).await.unwrap(), Opened::Done);
    let answer = serving.reserve(one_unit(1, 1)).await.unwrap();
    assert!(matches!(answer, Reservation::Placed(_)));
    serving.accept(OrderId(1), method(VISA)).await.unwrap();
    let pending = serving.pending(Channel::Workers, 10).await.unwrap();
    serving
        .delivered(pending.iter().map(|one| one.id).collect())
        .await
        .unwrap();
    let turn = Pace::new(serving.clone(), "drain/aurora", 20).turn().await;
    turn.expect("whoever serves may take turns");
    assert_audit_is_clean(&*serving).await;
    for forbidden in [
        "DELETE FROM checkout.stock_entry",
        "UPDATE checkout.stock_entry SET quantity = 2",
        "DELETE FROM checkout.orders",
        "DELETE FROM checkout.audit",
        "CREATE TABLE checkout.mine ()",
        "CREATE OR REPLACE FUNCTION checkout.ledger_now() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
    ] {
        let tried = server.sql("doorline", &format!("SET ROLE doorline_serve; {forbidden}"));
        assert!(tried.is_err(), "{forbidden}");
    }
    // Not even the owner rewrites the movements of units.
    assert!(
        server
            .sql("doorline", "DELETE FROM checkout.stock_entry")
            .is_err()
    );
    assert!(
        server
            .sql("doorline", "UPDATE checkout.audit SET by = 'nobody'")
            .is_err()
    );
}
