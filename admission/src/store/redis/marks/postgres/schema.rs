//! Admission's tables in Postgres, and how older ones become present ones.

use std::borrow::Cow;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgConnection, SqlSafeStr as _};

use super::MarksOpenError;

/// Where the tables live. Other packages have schemas of their own in the same database.
pub(super) const SCHEMA: &str = "admission";

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

/// Where it is written down which of them were carried out.
const TABLE: &str = "admission.admission_migration";

/// Brings the tables to their present form, as the role that owns them. Of several that do so at once one does it, the others
/// wait.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    migrator().run_direct(None, connection, false).await
}

/// Refuses tables that are behind or that a newer version has changed. Whoever serves need not be allowed to change them.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), MarksOpenError> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(TABLE)
        .fetch_one(&mut *connection)
        .await?;
    let applied = if there {
        connection.list_applied_migrations(TABLE).await?
    } else {
        Vec::new()
    };
    let (done, wanted) = (applied.len(), MIGRATIONS.len());
    let ours = migrator();
    let as_ours = applied
        .iter()
        .zip(ours.iter())
        .all(|(done, ours)| done.version == ours.version && done.checksum == ours.checksum);
    match done.cmp(&wanted) {
        _ if !as_ours => Err(MarksOpenError::Foreign),
        std::cmp::Ordering::Less => Err(MarksOpenError::Behind),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(MarksOpenError::Foreign),
    }
}

fn migrator() -> Migrator {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (name, sql))| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(name), kind, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator.create_schema(SCHEMA);
    migrator
}
