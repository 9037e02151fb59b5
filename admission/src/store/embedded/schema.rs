//! The tables of `queue.db`, and how an older file becomes a present one.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

/// One entry per released change; entries are only ever added.
const MIGRATIONS: &[M<'static>] = &[M::up(QUEUES), M::up(TALLY)];

/// The queues.
const QUEUES: &str = "CREATE TABLE queue (
        drop_id TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        number_end INTEGER NOT NULL,
        seed BLOB NOT NULL,
        started INTEGER NOT NULL,
        cohort INTEGER,
        paused INTEGER NOT NULL,
        draining INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        queue_all INTEGER NOT NULL,
        held_since INTEGER,
        lapsed_below INTEGER NOT NULL,
        frontier INTEGER NOT NULL,
        alive_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE call (
        drop_id TEXT NOT NULL,
        from_rank INTEGER NOT NULL,
        to_rank INTEGER NOT NULL,
        opened_at INTEGER NOT NULL,
        called_at INTEGER NOT NULL,
        called INTEGER NOT NULL,
        shown INTEGER NOT NULL,
        PRIMARY KEY (drop_id, from_rank)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member (
        drop_id TEXT NOT NULL,
        shopper BLOB NOT NULL,
        number INTEGER NOT NULL,
        drawn INTEGER,
        joined_at INTEGER NOT NULL,
        state INTEGER NOT NULL,
        admission BLOB,
        PRIMARY KEY (drop_id, shopper)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE session (
        drop_id TEXT NOT NULL,
        admission BLOB NOT NULL,
        shopper BLOB NOT NULL,
        number INTEGER NOT NULL,
        claimed_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        has_ordered INTEGER NOT NULL,
        over INTEGER NOT NULL,
        revoked_until INTEGER,
        PRIMARY KEY (drop_id, admission)
    ) STRICT, WITHOUT ROWID;";

/// What has happened in a queue, so that a report does not begin with the last restart.
const TALLY: &str = "ALTER TABLE queue ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN admitted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN no_shows INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN gave_up INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN room_full INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN active_max INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN claims_max INTEGER NOT NULL DEFAULT 0;";

/// Brings the file to the present form and sets what has to be set on every connection.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), rusqlite_migration::Error> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    Migrations::from_slice(MIGRATIONS).to_latest(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        Migrations::from_slice(MIGRATIONS).validate().unwrap();
    }

    #[test]
    fn a_file_of_before_goes_on_with_nothing_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(dir.path().join("queue.db")).unwrap();
        Migrations::from_slice(MIGRATIONS)
            .to_version(&mut connection, 1)
            .unwrap();
        let row = "INSERT INTO queue VALUES ('aurora', 1, 256, x'00', 0, NULL, 0, 0, 0, 0, NULL, 1, 1, 5)";
        connection.execute(row, []).unwrap();
        prepare(&mut connection).unwrap();
        let kept = "SELECT number_end, joined + admitted + no_shows + gave_up + room_full + active_max + claims_max FROM queue";
        let kept: (i64, i64) = connection
            .query_row(kept, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(kept, (256, 0));
    }

    #[test]
    fn commits_are_synced_to_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(dir.path().join("queue.db")).unwrap();
        prepare(&mut connection).unwrap();
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        let sync: i64 = connection
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!((mode.as_str(), sync), ("wal", 2));
    }
}
