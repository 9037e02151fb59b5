//! Provider events seen, durable switches, changed settings, and the operators' log.

use domain::DropId;
use domain::saga::KeySpace;
use rusqlite::params;

use crate::ledger::{AuditEntry, Change};
use crate::row::millis;

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

/// Moves to the next space and writes who did it.
pub(super) fn next_key_space(store: &Store<'_>, entry: &AuditEntry) -> Result<KeySpace, StoreError> {
    store
        .connection
        .execute("UPDATE key_space SET space = space + 1", [])?;
    note(store, entry)?;
    key_space(store)
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
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO switch (name, is_on) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on",
    )?;
    statement.execute(params![name, on])?;
    note(store, entry)
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
pub(super) fn change(store: &Store<'_>, changes: &[Change], entry: &AuditEntry) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO changed (drop_id, setting, value, over) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (drop_id, setting) DO UPDATE SET value = excluded.value, over = excluded.over",
    )?;
    for change in changes {
        statement.execute(params![
            change.drop.as_str(),
            change.setting,
            change.value,
            change.over
        ])?;
    }
    note(store, entry)
}

/// Writes a line in the operators' log.
pub(super) fn note(store: &Store<'_>, entry: &AuditEntry) -> Result<(), StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("INSERT INTO audit (action, subject, by, at) VALUES (?1, ?2, ?3, ?4)")?;
    statement.execute(params![entry.action, entry.subject, entry.by, millis(store.now)])?;
    Ok(())
}
