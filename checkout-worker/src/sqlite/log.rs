//! Provider events seen, durable switches, changed settings, and the operators' log.

use domain::saga::KeySpace;
use domain::{DropId, Timestamp};
use rusqlite::{Row, params};

use crate::ledger::{AuditEntry, AuditLine, Change, VERSIONS_SKIPPED};
use crate::row::{log as told, millis, signed, timestamp};

use super::StoreError;
use super::thread::Store;

/// Whether an event was recorded before.
pub(super) fn event_known(store: &Store<'_>, event: &str) -> Result<bool, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM provider_event WHERE event_id = ?1)")?;
    Ok(statement.query_row(params![event], |row| row.get(0))?)
}

/// Records an event; says whether it is the first time.
pub(super) fn record_event(store: &Store<'_>, event: &str, kind: &str) -> Result<bool, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO provider_event (event_id, kind, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(statement.execute(params![event, kind, millis(store.now)])? == 1)
}

/// The space that keys are drawn from.
pub(super) fn key_space(store: &Store<'_>) -> Result<KeySpace, StoreError> {
    let mut statement = store.connection.prepare_cached("SELECT space FROM key_space")?;
    Ok(KeySpace(statement.query_row([], |row| row.get(0))?))
}

/// Moves to the next space, leaves versions out, and writes who did it.
pub(super) fn next_key_space(store: &Store<'_>, entry: AuditEntry) -> Result<KeySpace, StoreError> {
    store
        .connection
        .execute("UPDATE key_space SET space = space + 1", [])?;
    store.connection.execute(
        "UPDATE orders SET version = version + ?1",
        params![signed(VERSIONS_SKIPPED)],
    )?;
    let space = key_space(store)?;
    note(store, &told::of_space(entry, space.0))?;
    Ok(space)
}

/// The names of the switches that are on.
pub(super) fn switches(store: &Store<'_>) -> Result<Vec<String>, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT name FROM switch WHERE is_on")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Sets a switch and writes who did it.
pub(super) fn set_switch(
    store: &Store<'_>,
    name: &str,
    on: bool,
    entry: AuditEntry,
) -> Result<(), StoreError> {
    let before = switches(store)?.iter().any(|is_on| is_on == name);
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO switch (name, is_on) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on",
    )?;
    statement.execute(params![name, on])?;
    note(store, &told::of_switch(entry, before, on))
}

/// Everything that operators have changed.
pub(super) fn changes(store: &Store<'_>) -> Result<Vec<Change>, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT drop_id, setting, value, over FROM changed ORDER BY drop_id, setting")?;
    let mut rows = statement.query([])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let drop: String = row.get(0)?;
        // A name that is none cannot be that of a configured drop: nobody asks for it.
        let Ok(drop) = DropId::new(&drop) else { continue };
        changes.push(Change {
            drop,
            setting: row.get(1)?,
            value: row.get(2)?,
            over: row.get(3)?,
        });
    }
    Ok(changes)
}

/// Keeps changes and writes who made them.
pub(super) fn change(store: &Store<'_>, made: &[Change], entry: AuditEntry) -> Result<(), StoreError> {
    let entry = told::of_settings(entry, &changes(store)?, made);
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO changed (drop_id, setting, value, over) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (drop_id, setting) DO UPDATE SET value = excluded.value, over = excluded.over",
    )?;
    for change in made {
        statement.execute(params![
            change.drop.as_str(),
            change.setting,
            change.value,
            change.over
        ])?;
    }
    note(store, &entry)
}

/// Writes a line in the operators' log.
pub(super) fn note(store: &Store<'_>, entry: &AuditEntry) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO audit (action, subject, by, at, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    statement.execute(params![
        entry.action,
        entry.subject,
        entry.by,
        millis(store.now),
        entry.before,
        entry.after
    ])?;
    Ok(())
}

/// The operators' log, the newest line first.
pub(super) fn noted(
    store: &Store<'_>,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<AuditLine>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT id, at, action, subject, by, before, after FROM audit WHERE at >= ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let line = |row: &Row<'_>| {
        Ok(AuditLine {
            id: row.get::<_, i64>(0)?.unsigned_abs(),
            at: timestamp(row.get(1)?),
            action: row.get(2)?,
            subject: row.get(3)?,
            by: row.get(4)?,
            before: row.get(5)?,
            after: row.get(6)?,
        })
    };
    let since = since.map_or(0, millis);
    let lines = statement.query_map(params![since, limit], line)?;
    Ok(lines.collect::<Result<_, _>>()?)
}
