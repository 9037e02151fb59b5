//! The outbox: messages are written with what they tell; here they are read, claimed and marked.

use domain::{DropId, OrderId, Span};
use sqlx::{PgConnection, Row as _};

use crate::ledger::{Channel, Pending};
use crate::row::{NoticeRow, channel_name, timestamp};

use super::columns::order;
use super::connect;
use super::trouble::Trouble;

/// How long a relay has messages to itself. One that died keeps them from the others for so long; one that lives claims
/// them anew when half of it is over.
const CLAIM: Span = Span::from_secs(10);

/// The oldest undelivered messages of a channel that no other relay has in hand, claimed for `relay`.
pub(super) async fn pending(
    c: &mut PgConnection,
    relay: i64,
    channel: Channel,
    limit: u32,
) -> Result<Vec<Pending>, Trouble> {
    let claim = i64::try_from(CLAIM.as_millis()).unwrap_or(i64::MAX);
    let found = sqlx::query(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now), \
         mine AS MATERIALIZED (SELECT b.id FROM outbox b, clock \
             WHERE b.channel = $1 AND b.delivered_at IS NULL \
             AND (b.claimed_by = $2 OR b.claimed_until <= clock.now) \
             ORDER BY b.id LIMIT $3 FOR UPDATE OF b SKIP LOCKED), \
         claimed AS (UPDATE outbox b SET claimed_by = $2, claimed_until = clock.now + $4 FROM mine, clock \
             WHERE b.id = mine.id AND (b.claimed_by <> $2 OR b.claimed_until < clock.now + $4 / 2)) \
         SELECT b.id, b.order_id, b.at, b.notice, b.version, b.returned, o.drop_id, o.shopper, o.admission \
         FROM mine JOIN outbox b ON b.id = mine.id JOIN orders o ON o.id = b.order_id ORDER BY b.id",
    )
    .bind(channel_name(channel))
    .bind(relay)
    .bind(i64::from(limit))
    .bind(claim)
    .fetch_all(c)
    .await?;
    let mut pending = Vec::with_capacity(found.len());
    for row in &found {
        let order: OrderId = order(row, 1)?;
        let message = NoticeRow {
            order,
            notice: row.try_get(3)?,
            version: row.try_get(4)?,
            returned: row.try_get(5)?,
            drop: row.try_get(6)?,
            shopper: row.try_get(7)?,
            admission: row.try_get(8)?,
        };
        pending.push(Pending {
            id: row.try_get(0)?,
            order,
            message: message.into_message()?,
            at: timestamp(row.try_get(2)?),
        });
    }
    Ok(pending)
}

/// Marks messages as delivered. A worker's message has said all it had to say and is deleted, so that the next one can be
/// written; notices are kept as history.
pub(super) async fn delivered(connection: &mut PgConnection, messages: &[i64]) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    // In the order of ids, so that two relays with one message in common do not wait for each other in a circle.
    sqlx::query("SELECT FROM outbox WHERE id = ANY ($1) ORDER BY id FOR UPDATE")
        .bind(messages)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM outbox WHERE id = ANY ($1) AND channel = 'workers'")
        .bind(messages)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE outbox SET delivered_at = ledger_now() WHERE id = ANY ($1) AND delivered_at IS NULL")
        .bind(messages)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// Notes that a durable broker holds these messages: the rows go, the orders remember.
pub(super) async fn published(connection: &mut PgConnection, messages: &[i64]) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    // Orders before their messages, and by id, as everybody else locks them.
    sqlx::query(
        "SELECT FROM orders WHERE id IN (SELECT order_id FROM outbox WHERE id = ANY ($1) AND channel = 'workers') \
         ORDER BY id FOR UPDATE",
    )
    .bind(messages)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "WITH gone AS (DELETE FROM outbox WHERE id = ANY ($1) AND channel = 'workers' RETURNING order_id, version) \
         UPDATE orders SET published_version = gone.version, published_at = ledger_now() \
         FROM gone WHERE orders.id = gone.order_id",
    )
    .bind(messages)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Messages for orders that are due and that nobody has in hand. Says how many were written. Orders that are being changed
/// are left out: whoever changes them says what is to come; and those whose message the broker holds, for `patience`: a
/// published message speaks for the version it was written for; and shoppers at their bank: a job reads about them.
pub(super) async fn redrive(
    c: &mut PgConnection,
    limit: u32,
    patience: Span,
    paused: Vec<DropId>,
) -> Result<u32, Trouble> {
    let paused: Vec<String> = paused.iter().map(DropId::to_string).collect();
    let now: i64 = sqlx::query_scalar("SELECT ledger_now()")
        .fetch_one(&mut *c)
        .await?;
    // Orders that have a message already are left out before the limit counts, else a long backlog would hide others. What
    // can change until a row is locked is looked at again, on the row that is locked.
    let written = sqlx::query(
        "INSERT INTO outbox (channel, order_id, version, at) SELECT 'workers', due.id, due.version, $1 FROM ( \
         SELECT o.id, o.version FROM orders o JOIN (SELECT id, due_at, \
             row_number() OVER (PARTITION BY drop_id ORDER BY due_at) AS place FROM orders \
             WHERE due_at <= $1 AND due_at < 9223372036854775807 AND leased_until <= $1 AND flag IS NULL \
             AND state <> 'action_required' \
             AND NOT (published_version = version AND published_at > $1 - $3) \
             AND drop_id <> ALL ($4) \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE order_id = orders.id AND channel = 'workers')) AS found \
         ON found.id = o.id AND found.place <= $2 \
         WHERE o.due_at <= $1 AND o.leased_until <= $1 AND o.flag IS NULL \
         AND NOT (o.published_version = o.version AND o.published_at > $1 - $3) \
         ORDER BY found.place, found.due_at LIMIT $2 FOR UPDATE OF o SKIP LOCKED) AS due ON CONFLICT DO NOTHING",
    )
    .bind(now)
    .bind(i64::from(limit))
    .bind(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX))
    .bind(paused)
    .execute(c)
    .await?
    .rows_affected();
    Ok(u32::try_from(written).unwrap_or(u32::MAX))
}

/// The drops with orders that are due and that nobody has in hand, and how many each has. Shoppers at their bank do not
/// count.
pub(super) async fn due_drops(c: &mut PgConnection) -> Result<Vec<(DropId, u64)>, Trouble> {
    let found = sqlx::query(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now) SELECT o.drop_id, count(*) FROM orders o, clock \
         WHERE o.due_at <= clock.now AND o.due_at < 9223372036854775807 AND o.leased_until <= clock.now \
         AND o.flag IS NULL AND o.state <> 'action_required' GROUP BY o.drop_id",
    )
    .fetch_all(c)
    .await?;
    let mut due = Vec::with_capacity(found.len());
    for row in &found {
        let count: i64 = row.try_get(1)?;
        // A name that is none cannot be that of a drop: its orders cannot be read either.
        if let Ok(drop) = DropId::new(row.try_get(0)?) {
            due.push((drop, count.unsigned_abs()));
        }
    }
    Ok(due)
}

/// Notes that no broker holds a message of this order any more. Its row goes as well: a relay whose message was taken
/// before it was confirmed would else note afterwards that the broker holds it.
pub(super) async fn postponed(connection: &mut PgConnection, order: OrderId) -> Result<(), Trouble> {
    let mut transaction = connect::begin(connection).await?;
    let id = order.0.to_be_bytes().to_vec();
    sqlx::query("UPDATE orders SET published_version = -1 WHERE id = $1")
        .bind(&id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM outbox WHERE order_id = $1 AND channel = 'workers'")
        .bind(&id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
