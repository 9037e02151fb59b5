//! The ledger's tables: brought up to date by the role that owns them, checked by the role that serves.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use sqlx::migrate::{Migrate as _, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, SqlSafeStr as _};

use super::PostgresOpenError;

/// Where the tables live. Other packages have schemas of their own in the same database.
pub(super) const SCHEMA: &str = "checkout";
/// Where it is written which migrations ran.
const TABLE: &str = "checkout.migration";
/// Every migration, oldest first. One that was released is never edited: its checksum is on record.
const MIGRATIONS: [(i64, &str, &str); 8] = [
    (
        1,
        "ledger",
        include_str!("../../migrations/postgres/0001_ledger.sql"),
    ),
    (2, "pace", include_str!("../../migrations/postgres/0002_pace.sql")),
    (
        3,
        "changed",
        include_str!("../../migrations/postgres/0003_changed.sql"),
    ),
    (
        4,
        "telling",
        include_str!("../../migrations/postgres/0004_telling.sql"),
    ),
    (
        5,
        "key_space",
        include_str!("../../migrations/postgres/0005_key_space.sql"),
    ),
    (
        6,
        "configured",
        include_str!("../../migrations/postgres/0006_configured.sql"),
    ),
    (
        7,
        "before_after",
        include_str!("../../migrations/postgres/0007_before_after.sql"),
    ),
    (
        8,
        "accepted",
        include_str!("../../migrations/postgres/0008_accepted.sql"),
    ),
];

/// Creates the ledger's tables or brings them up to date. Needs the role that owns them; safe to run twice at once.
///
/// # Errors
/// If Postgres cannot be reached or refuses, or if a newer Doorline has been here.
pub async fn migrate(url: &str) -> Result<(), PostgresOpenError> {
    let mut connection = options(url)?
        .connect()
        .await
        .map_err(|cause| PostgresOpenError::Connect { cause })?;
    let done = migrator().run(&mut connection).await;
    // The work is done or has failed by now; how we part changes neither.
    drop(connection.close().await);
    done.map_err(|cause| PostgresOpenError::Migration { cause })
}

/// Parses the address, and sees to it that our tables are found and nobody else's.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, PostgresOpenError> {
    let options = PgConnectOptions::from_str(url).map_err(|cause| PostgresOpenError::Address { cause })?;
    Ok(options
        .application_name("doorline-ledger")
        .options([("search_path", SCHEMA)]))
}

/// Refuses tables that are behind or that a newer version has changed.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), PostgresOpenError> {
    let failed = |cause| PostgresOpenError::Connect { cause };
    let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(TABLE)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let mut applied = BTreeMap::new();
    if there {
        let unfinished = connection.dirty_version(TABLE).await;
        if let Some(version) = unfinished.map_err(|cause| PostgresOpenError::Migration { cause })? {
            return Err(PostgresOpenError::Behind { version });
        }
        let found = connection.list_applied_migrations(TABLE).await;
        for one in found.map_err(|cause| PostgresOpenError::Migration { cause })? {
            applied.insert(one.version, one.checksum);
        }
    }
    let ours = migrator();
    for wanted in ours.iter() {
        match applied.remove(&wanted.version) {
            None => {
                return Err(PostgresOpenError::Behind {
                    version: wanted.version,
                });
            }
            Some(checksum) if checksum != wanted.checksum => {
                return Err(PostgresOpenError::Foreign {
                    version: wanted.version,
                });
            }
            Some(_) => {}
        }
    }
    match applied.into_keys().next_back() {
        Some(version) => Err(PostgresOpenError::Newer { version }),
        None => Ok(()),
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(migrations.into());
    migrator.create_schema(SCHEMA);
    migrator.dangerous_set_table_name(TABLE);
    migrator
}
