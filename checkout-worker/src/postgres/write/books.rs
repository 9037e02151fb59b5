//! Writes what stands beside the orders: movements of units, payments, attempts and messages.

use domain::Timestamp;
use sqlx::PgConnection;

use crate::row::{millis, signed};

use super::super::columns::key;
use super::super::sheet::Writes;
use super::super::trouble::Trouble;
use super::expect_rows;

/// Writes the movements. Their keys are taken for ever: the same units cannot make the same move twice.
pub(super) async fn entries(c: &mut PgConnection, writes: &Writes, now: Timestamp) -> Result<(), Trouble> {
    if writes.entries.is_empty() {
        return Ok(());
    }
    let entries = &writes.entries;
    sqlx::query(
        "INSERT INTO stock_entry (order_id, kind, sku, bucket, quantity, at) SELECT *, $6 \
         FROM unnest($1::bytea[], $2::text[], $3::text[], $4::integer[], $5::bigint[])",
    )
    .bind(entries.iter().map(|entry| key(entry.order)).collect::<Vec<_>>())
    .bind(
        entries
            .iter()
            .map(|entry| entry.kind.to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(
        entries
            .iter()
            .map(|entry| entry.slice.sku.as_str().to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(
        entries
            .iter()
            .map(|entry| bucket(entry.slice.bucket))
            .collect::<Vec<_>>(),
    )
    .bind(
        entries
            .iter()
            .map(|entry| i64::from(entry.slice.quantity))
            .collect::<Vec<_>>(),
    )
    .bind(millis(now))
    .execute(c)
    .await?;
    Ok(())
}

/// Moves the units in their buckets. The guard repeats the table's CHECK, so that a bucket that has too little is told from
/// other trouble.
pub(super) async fn shifts(c: &mut PgConnection, writes: &Writes) -> Result<(), Trouble> {
    let Some(first) = writes.entries.first() else {
        return Ok(());
    };
    let shifts = &writes.stock;
    let written = sqlx::query(
        "UPDATE stock s SET held = s.held + k.held, sold = s.sold + k.sold \
         FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[]) \
         AS k (drop_id, sku, bucket, held, sold) \
         WHERE s.drop_id = k.drop_id AND s.sku = k.sku AND s.bucket = k.bucket \
         AND s.held + s.sold + k.held + k.sold <= s.total",
    )
    .bind(
        shifts
            .keys()
            .map(|(drop, _, _)| drop.as_str().to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(
        shifts
            .keys()
            .map(|(_, sku, _)| sku.as_str().to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(
        shifts
            .keys()
            .map(|(_, _, number)| bucket(*number))
            .collect::<Vec<_>>(),
    )
    .bind(shifts.values().map(|delta| delta.held).collect::<Vec<_>>())
    .bind(shifts.values().map(|delta| delta.sold).collect::<Vec<_>>())
    .execute(c)
    .await?
    .rows_affected();
    expect_rows(
        written,
        shifts.len(),
        first.order,
        "its units are not where its entries say",
    )
}

/// One provider object per order, and what it captured: a book of its own beside the states.
pub(super) async fn payments(c: &mut PgConnection, writes: &Writes, now: Timestamp) -> Result<(), Trouble> {
    let payments = &writes.payments;
    let Some(first) = payments.keys().next() else {
        return Ok(());
    };
    let written = sqlx::query(
        "INSERT INTO payment (order_id, provider_id, captured, refunded, currency, at) SELECT *, $6 \
         FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) \
         ON CONFLICT (order_id) DO UPDATE SET captured = greatest(payment.captured, excluded.captured), \
         refunded = greatest(payment.refunded, excluded.refunded), at = excluded.at \
         WHERE payment.provider_id = excluded.provider_id",
    )
    .bind(payments.keys().copied().map(key).collect::<Vec<_>>())
    .bind(
        payments
            .values()
            .map(|row| row.provider_id.clone())
            .collect::<Vec<_>>(),
    )
    .bind(
        payments
            .values()
            .map(|row| signed(row.captured))
            .collect::<Vec<_>>(),
    )
    .bind(
        payments
            .values()
            .map(|row| signed(row.refunded))
            .collect::<Vec<_>>(),
    )
    .bind(
        payments
            .values()
            .map(|row| row.currency.clone())
            .collect::<Vec<_>>(),
    )
    .bind(millis(now))
    .execute(c)
    .await?
    .rows_affected();
    expect_rows(
        written,
        payments.len(),
        *first,
        "its payment changed to another one",
    )
}

/// Notes how attempts ended.
pub(super) async fn outcomes(c: &mut PgConnection, writes: &Writes) -> Result<(), Trouble> {
    let outcomes = &writes.outcomes;
    if outcomes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE attempt a SET outcome = k.outcome \
         FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[]) AS k (order_id, op, n, outcome) \
         WHERE a.order_id = k.order_id AND a.op = k.op AND a.n = k.n",
    )
    .bind(
        outcomes
            .keys()
            .map(|(order, _, _)| key(*order))
            .collect::<Vec<_>>(),
    )
    .bind(
        outcomes
            .keys()
            .map(|(_, operation, _)| (*operation).to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(outcomes.keys().map(|(_, _, n)| i64::from(*n)).collect::<Vec<_>>())
    .bind(
        outcomes
            .values()
            .map(|outcome| (*outcome).to_owned())
            .collect::<Vec<_>>(),
    )
    .execute(c)
    .await?;
    Ok(())
}

/// Puts attempts on record. The same attempt again must send the same parameters.
pub(super) async fn attempts(c: &mut PgConnection, writes: &Writes) -> Result<(), Trouble> {
    let attempts = &writes.attempts;
    let Some(first) = attempts.values().next() else {
        return Ok(());
    };
    let written = sqlx::query(
        "INSERT INTO attempt (order_id, op, n, idempotency_key, params, first_sent_at) \
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[]) \
         ON CONFLICT (order_id, op, n) DO UPDATE SET idempotency_key = excluded.idempotency_key \
         WHERE attempt.params = excluded.params",
    )
    .bind(
        attempts
            .keys()
            .map(|(order, _, _)| key(*order))
            .collect::<Vec<_>>(),
    )
    .bind(
        attempts
            .keys()
            .map(|(_, operation, _)| (*operation).to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(attempts.keys().map(|(_, _, n)| i64::from(*n)).collect::<Vec<_>>())
    .bind(
        attempts
            .values()
            .map(|attempt| attempt.key.as_str().to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(
        attempts
            .values()
            .map(|attempt| attempt.params)
            .collect::<Vec<_>>(),
    )
    .bind(
        attempts
            .values()
            .map(|attempt| millis(attempt.first_sent))
            .collect::<Vec<_>>(),
    )
    .execute(c)
    .await?
    .rows_affected();
    if written == attempts.len() as u64 {
        Ok(())
    } else {
        Err(Trouble::AttemptChanged(first.key.clone()))
    }
}

/// Writes the messages, in the order in which they came to be.
pub(super) async fn messages(c: &mut PgConnection, writes: &Writes, now: Timestamp) -> Result<(), Trouble> {
    let messages = &writes.messages;
    if messages.is_empty() {
        return Ok(());
    }
    // One drive message per order is enough: it says "look", and whoever looks sees everything.
    sqlx::query(
        "INSERT INTO outbox (channel, order_id, notice, version, returned, at) \
         SELECT CASE WHEN k.notice IS NULL THEN 'workers' ELSE 'notices' END, k.order_id, k.notice, k.version, \
         k.returned, $5 FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY \
         AS k (order_id, notice, version, returned, place) ORDER BY k.place ON CONFLICT DO NOTHING",
    )
    .bind(messages.iter().map(|message| key(message.order)).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.notice.map(str::to_owned)).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| signed(message.version)).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| i64::from(message.returned)).collect::<Vec<_>>())
    .bind(millis(now))
    .execute(c)
    .await?;
    Ok(())
}

fn bucket(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
