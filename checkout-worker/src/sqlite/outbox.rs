//! The outbox: messages written in the transaction of what they tell.

use domain::saga::{Effect, Order};
use domain::{DropId, OrderId, Span};
use rusqlite::params;

use crate::ledger::{Channel, Pending};
use crate::row::{NoticeRow, channel_name, millis, signed, timestamp};

use super::StoreError;
use super::orders::key;
use super::thread::Store;

/// Writes the messages among a step's effects. `returned` is how many units went back with it.
pub(super) fn post(
    store: &Store<'_>,
    order: &Order,
    effects: &[Effect],
    returned: u32,
) -> Result<(), StoreError> {
    for effect in effects {
        match effect {
            Effect::Drive => drive(store, order.id, order.version)?,
            Effect::Notice(notice) => {
                let mut statement = store.connection.prepare_cached(
                    "INSERT INTO outbox (channel, order_id, notice, version, returned, at, hook, hook_due_at) \
                     VALUES ('notices', ?1, ?2, ?3, ?4, ?5, 'open', ?5)",
                )?;
                let version = signed(order.version);
                statement.execute(params![
                    key(order.id),
                    notice.as_str(),
                    version,
                    returned,
                    millis(store.now)
                ])?;
            }
            Effect::Call(_) | Effect::Alarm(_) | Effect::SlowDown(_) | Effect::Halt => {}
        }
    }
    Ok(())
}

/// One message per order is enough: it says "look", and whoever looks sees everything.
fn drive(store: &Store<'_>, order: OrderId, version: u64) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO outbox (channel, order_id, version, at) VALUES ('workers', ?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    statement.execute(params![key(order), signed(version), millis(store.now)])?;
    Ok(())
}

/// Messages for orders that are due, that nobody has in hand, and that no message is on its way to. Says how many were
/// written. Shoppers at their bank are left out: a job reads about them.
pub(super) fn redrive(
    store: &Store<'_>,
    limit: u32,
    patience: Span,
    paused: &[DropId],
) -> Result<u32, StoreError> {
    // Orders that have a message already are left out before the limit counts, else a long backlog would hide others.
    // A published message speaks for the version it was written for: an order that has moved on since has seen it.
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO outbox (channel, order_id, version, at) \
         SELECT 'workers', id, version, ?1 FROM (SELECT id, version, due_at, \
             row_number() OVER (PARTITION BY drop_id ORDER BY due_at) AS place FROM orders \
             WHERE due_at <= ?1 AND due_at < 9223372036854775807 AND leased_until <= ?1 AND flag IS NULL \
             AND state <> 'action_required' \
             AND NOT (published_version = version AND published_at > ?3) \
             AND drop_id NOT IN (SELECT value FROM json_each(?4)) \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE order_id = orders.id AND channel = 'workers')) \
         WHERE place <= ?2 ORDER BY place, due_at LIMIT ?2 ON CONFLICT DO NOTHING",
    )?;
    let taken_for_lost = millis(store.now - patience);
    let names = paused.iter().map(DropId::as_str).collect::<Vec<_>>();
    let paused = serde_json::to_string(&names).expect("a list of names serializes");
    let written = statement.execute(params![millis(store.now), limit, taken_for_lost, paused])?;
    Ok(u32::try_from(written).unwrap_or(u32::MAX))
}

/// The drops with orders that are due and that nobody has in hand, and how many each has. Shoppers at their bank do not
/// count.
pub(super) fn due_drops(store: &Store<'_>) -> Result<Vec<(DropId, u64)>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT drop_id, count(*) FROM orders WHERE due_at <= ?1 AND due_at < 9223372036854775807 \
         AND leased_until <= ?1 AND flag IS NULL AND state <> 'action_required' GROUP BY drop_id",
    )?;
    let mut rows = statement.query(params![millis(store.now)])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, count): (String, i64) = (row.get(0)?, row.get(1)?);
        // A name that is none cannot be that of a drop: its orders cannot be read either.
        if let Ok(drop) = DropId::new(&name) {
            due.push((drop, count.unsigned_abs()));
        }
    }
    Ok(due)
}

/// The oldest undelivered messages of a channel.
pub(super) fn pending(store: &Store<'_>, channel: Channel, limit: u32) -> Result<Vec<Pending>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT b.id, b.order_id, b.at, b.notice, b.version, b.returned, o.drop_id, o.shopper, o.admission \
         FROM outbox b JOIN orders o ON o.id = b.order_id \
         WHERE b.channel = ?1 AND b.delivered_at IS NULL ORDER BY b.id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![channel_name(channel), limit])?;
    let mut pending = Vec::new();
    while let Some(row) = rows.next()? {
        let order = OrderId(u128::from_be_bytes(row.get(1)?));
        let message = NoticeRow {
            order,
            notice: row.get(3)?,
            version: row.get(4)?,
            returned: row.get(5)?,
            drop: row.get(6)?,
            shopper: row.get(7)?,
            admission: row.get(8)?,
        };
        let message = message.into_message()?;
        pending.push(Pending {
            id: row.get(0)?,
            order,
            message,
            at: timestamp(row.get(2)?),
        });
    }
    Ok(pending)
}

/// Marks messages as delivered. A worker's message has said all it had to say and is deleted, so that the next one can be
/// written; notices are kept as history.
pub(super) fn delivered(store: &Store<'_>, messages: &[i64]) -> Result<(), StoreError> {
    let mut delete = store
        .connection
        .prepare_cached("DELETE FROM outbox WHERE id = ?1 AND channel = 'workers'")?;
    let mut mark = store
        .connection
        .prepare_cached("UPDATE outbox SET delivered_at = ?1 WHERE id = ?2 AND delivered_at IS NULL")?;
    for message in messages {
        if delete.execute(params![message])? == 0 {
            mark.execute(params![millis(store.now), message])?;
        }
    }
    Ok(())
}

/// Notes that a durable broker holds these messages: the rows go, the orders remember.
pub(super) fn published(store: &Store<'_>, messages: &[i64]) -> Result<(), StoreError> {
    let mut remember = store.connection.prepare_cached(
        "UPDATE orders SET published_version = b.version, published_at = ?1 \
         FROM outbox b WHERE b.id = ?2 AND b.channel = 'workers' AND orders.id = b.order_id",
    )?;
    for message in messages {
        remember.execute(params![millis(store.now), message])?;
    }
    delivered(store, messages)
}

/// Notes that no broker holds a message of this order any more. Its row goes as well: a relay whose message was taken
/// before it was confirmed would else note afterwards that the broker holds it.
pub(super) fn postponed(store: &Store<'_>, order: OrderId) -> Result<(), StoreError> {
    for statement in [
        "UPDATE orders SET published_version = -1 WHERE id = ?1",
        "DELETE FROM outbox WHERE order_id = ?1 AND channel = 'workers'",
    ] {
        let mut forget = store.connection.prepare_cached(statement)?;
        forget.execute(params![key(order)])?;
    }
    Ok(())
}
