//! Admission's tables in Postgres, and how older ones become present ones.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr as _};

/// One entry per released change; entries are only ever added.
const MIGRATIONS: [(&str, &str); 1] = [(
    "queues",
    "CREATE TABLE admission_queue (
        drop_id text PRIMARY KEY,
        era bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 0,
        epoch bigint NOT NULL DEFAULT 1,
        number_end bigint NOT NULL DEFAULT 0,
        seed bytea NOT NULL,
        started boolean NOT NULL DEFAULT false,
        cohort bigint,
        paused boolean NOT NULL DEFAULT false,
        draining boolean NOT NULL DEFAULT false,
        ended boolean NOT NULL DEFAULT false,
        queue_all boolean NOT NULL DEFAULT false,
        held_since bigint,
        lapsed_below bigint NOT NULL DEFAULT 1,
        frontier bigint NOT NULL DEFAULT 1,
        alive_at bigint NOT NULL
    );
    CREATE TABLE admission_call (
        drop_id text NOT NULL,
        from_rank bigint NOT NULL,
        to_rank bigint NOT NULL,
        opened_at bigint NOT NULL,
        called_at bigint NOT NULL,
        called bigint NOT NULL,
        shown bigint NOT NULL,
        PRIMARY KEY (drop_id, from_rank)
    );
    CREATE TABLE admission_member (
        drop_id text NOT NULL,
        shopper bytea NOT NULL,
        number bigint NOT NULL,
        drawn bigint,
        joined_at bigint NOT NULL,
        state smallint NOT NULL,
        admission bytea,
        PRIMARY KEY (drop_id, shopper)
    );
    CREATE TABLE admission_session (
        drop_id text NOT NULL,
        admission bytea NOT NULL,
        shopper bytea NOT NULL,
        number bigint NOT NULL,
        claimed_at bigint NOT NULL,
        expires_at bigint NOT NULL,
        has_ordered boolean NOT NULL DEFAULT false,
        over boolean NOT NULL DEFAULT false,
        revoked_until bigint,
        PRIMARY KEY (drop_id, admission)
    );
    CREATE INDEX admission_session_over ON admission_session (drop_id, claimed_at) WHERE over;
    CREATE TABLE admission_identity (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        secret bytea NOT NULL
    );
    CREATE TABLE admission_key (
        generation bigint PRIMARY KEY,
        seal bytea NOT NULL,
        signer bytea NOT NULL,
        made_at timestamptz NOT NULL DEFAULT now()
    );",
)];

/// Where it is written down which of them were carried out: the checkout has a table of its own.
const TABLE: &str = "admission_migration";

/// Brings the tables to their present form. Of several gateways that start at once one does it,
/// the others wait.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (name, sql))| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(name), kind, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator.run_direct(None, connection, false).await
}
