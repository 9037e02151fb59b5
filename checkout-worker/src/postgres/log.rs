//! Provider events seen, durable switches, and the operators' log.

use sqlx::PgConnection;

use crate::ledger::AuditEntry;

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

/// Reads a switch; one that was never set is off.
pub(super) async fn switch(c: &mut PgConnection, name: &str) -> Result<bool, Trouble> {
    let sql = "SELECT coalesce((SELECT is_on FROM switch WHERE name = $1), FALSE)";
    Ok(sqlx::query_scalar(sql).bind(name).fetch_one(c).await?)
}

/// Sets a switch and writes who did it.
pub(super) async fn set_switch(
    connection: &mut PgConnection,
    name: &str,
    on: bool,
    entry: &AuditEntry,
) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    sqlx::query(
        "INSERT INTO switch (name, is_on) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET is_on = excluded.is_on",
    )
    .bind(name)
    .bind(on)
    .execute(&mut *transaction)
    .await?;
    note(&mut transaction, entry).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes a line in the operators' log.
pub(super) async fn note(c: &mut PgConnection, entry: &AuditEntry) -> Result<(), Trouble> {
    sqlx::query("INSERT INTO audit (action, subject, by, at) VALUES ($1, $2, $3, ledger_now())")
        .bind(entry.action)
        .bind(&entry.subject)
        .bind(&entry.by)
        .execute(c)
        .await?;
    Ok(())
}
