//! Provider events seen, durable switches, changed settings, and the operators' log.

use domain::saga::KeySpace;
use domain::{DropId, Timestamp};
use sqlx::{PgConnection, Row as _};

use crate::ledger::{AuditEntry, AuditLine, Change, VERSIONS_SKIPPED};
use crate::row::{log as told, millis, signed, timestamp};

use super::connect;
use super::trouble::Trouble;

/// Whether an event was recorded before.
pub(super) async fn event_known(c: &mut PgConnection, event: &str) -> Result<bool, Trouble> {
    let sql = "SELECT EXISTS (SELECT 1 FROM provider_event WHERE event_id = $1)";
    Ok(sqlx::query_scalar(sql).bind(event).fetch_one(c).await?)
}

/// Records an event; says whether it is the first time.
pub(super) async fn record_event(c: &mut PgConnection, event: &str, kind: &str) -> Result<bool, Trouble> {
    let written = sqlx::query(
        "INSERT INTO provider_event (event_id, kind, at) VALUES ($1, $2, ledger_now()) ON CONFLICT DO NOTHING",
    )
    .bind(event)
    .bind(kind)
    .execute(c)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// The space that keys are drawn from.
pub(super) async fn key_space(c: &mut PgConnection) -> Result<KeySpace, Trouble> {
    let space: i64 = sqlx::query_scalar("SELECT space FROM key_space")
        .fetch_one(c)
        .await?;
    Ok(KeySpace(u32::try_from(space).unwrap_or(u32::MAX)))
}

/// Moves to the next space, leaves versions out, and writes who did it.
pub(super) async fn next_key_space(
    connection: &mut PgConnection,
    entry: AuditEntry,
) -> Result<KeySpace, Trouble> {
    let mut transaction = connect::begin(connection).await?;
    sqlx::query("UPDATE key_space SET space = space + 1")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE orders SET version = version + $1")
        .bind(signed(VERSIONS_SKIPPED))
        .execute(&mut *transaction)
        .await?;
    let space = key_space(&mut transaction).await?;
    note(&mut transaction, &told::of_space(entry, space.0)).await?;
    transaction.commit().await?;
    Ok(space)
}

/// The names of the switches that are on.
pub(super) async fn switches(c: &mut PgConnection) -> Result<Vec<String>, Trouble> {
    let sql = "SELECT name FROM switch WHERE is_on";
    Ok(sqlx::query_scalar(sql).fetch_all(c).await?)
}

/// Sets a switch and writes who did it.
pub(super) async fn set_switch(
    connection: &mut PgConnection,
    name: &str,
    on: bool,
    entry: AuditEntry,
) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    one_at_a_time(&mut transaction).await?;
    let before = switches(&mut transaction)
        .await?
        .iter()
        .any(|is_on| is_on == name);
    sqlx::query(
        "INSERT INTO switch (name, is_on) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on",
    )
    .bind(name)
    .bind(on)
    .execute(&mut *transaction)
    .await?;
    note(&mut transaction, &told::of_switch(entry, before, on)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Everything that operators have changed.
pub(super) async fn changes(c: &mut PgConnection) -> Result<Vec<Change>, Trouble> {
    let sql = "SELECT drop_id, setting, value, \"over\" FROM changed ORDER BY drop_id, setting";
    let rows = sqlx::query(sql).fetch_all(c).await?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        // A name that is none cannot be that of a configured drop: nobody asks for it.
        let Ok(drop) = DropId::new(row.try_get(0)?) else {
            continue;
        };
        changes.push(Change {
            drop,
            setting: row.try_get(1)?,
            value: row.try_get(2)?,
            over: row.try_get(3)?,
        });
    }
    Ok(changes)
}

/// Keeps changes and writes who made them.
pub(super) async fn change(
    connection: &mut PgConnection,
    made: &[Change],
    entry: AuditEntry,
) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    one_at_a_time(&mut transaction).await?;
    let known = changes(&mut transaction).await?;
    let entry = told::of_settings(entry, &known, made);
    for change in made {
        sqlx::query(
            "INSERT INTO changed (drop_id, setting, value, \"over\") VALUES ($1, $2, $3, $4) \
             ON CONFLICT (drop_id, setting) DO UPDATE SET value = excluded.value, \"over\" = excluded.\"over\"",
        )
        .bind(change.drop.as_str())
        .bind(&change.setting)
        .bind(&change.value)
        .bind(&change.over)
        .execute(&mut *transaction)
        .await?;
    }
    note(&mut transaction, &entry).await?;
    transaction.commit().await?;
    Ok(())
}

/// One operator's change at a time, so that what a line calls "before" is what the line before it left.
async fn one_at_a_time(c: &mut PgConnection) -> Result<(), Trouble> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('operators'), 0)")
        .execute(c)
        .await?;
    Ok(())
}

/// Writes a line in the operators' log.
pub(super) async fn note(c: &mut PgConnection, entry: &AuditEntry) -> Result<(), Trouble> {
    sqlx::query(
        "INSERT INTO audit (action, subject, by, at, before, after) VALUES ($1, $2, $3, ledger_now(), $4, $5)",
    )
    .bind(entry.action)
    .bind(&entry.subject)
    .bind(&entry.by)
    .bind(&entry.before)
    .bind(&entry.after)
    .execute(c)
    .await?;
    Ok(())
}

/// The operators' log, the newest line first.
pub(super) async fn noted(
    c: &mut PgConnection,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<AuditLine>, Trouble> {
    let found = sqlx::query(
        "SELECT id, at, action, subject, by, before, after FROM audit WHERE at >= $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(since.map_or(0, millis))
    .bind(i64::from(limit))
    .fetch_all(c)
    .await?;
    let line = |row: &sqlx::postgres::PgRow| {
        Ok(AuditLine {
            id: row.try_get::<i64, _>(0)?.unsigned_abs(),
            at: timestamp(row.try_get(1)?),
            action: row.try_get(2)?,
            subject: row.try_get(3)?,
            by: row.try_get(4)?,
            before: row.try_get(5)?,
            after: row.try_get(6)?,
        })
    };
    found.iter().map(line).collect()
}
