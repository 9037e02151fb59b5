//! Telling the merchant's system: which notices are due, how tries ended, what is told once more.

use domain::{OrderId, Span};
use rusqlite::{Row, params};

use crate::ledger::{DueNotice, LEASE, Next, REPLAY_STEP, Replay, Replayed, Telling, Told, Untold};
use crate::row::{TellingRow, UntoldRow, hook_word, millis, telling_word};

use super::StoreError;
use super::orders::{key, load};
use super::thread::Store;

/// Rows of one list, whatever is asked for.
const LIST_MAX: u32 = 1_000;

/// Takes the notices whose turn it is. A row that cannot be ours is left to its lease: it must not hold up the others.
pub(super) fn due(store: &Store<'_>, limit: u32, horizon: Span) -> Result<Vec<DueNotice>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT b.id, b.order_id, b.notice, b.version, b.at, b.hook_tries FROM outbox b \
         WHERE b.notice IS NOT NULL AND b.hook = 'open' AND b.hook_due_at <= ?1 AND b.hook_leased_until <= ?1 \
         AND (b.hook_tries > 0 OR b.hook_due_at > ?2) \
         AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.order_id = b.order_id AND e.notice IS NOT NULL \
             AND e.hook = 'open' AND e.version < b.version) \
         ORDER BY b.hook_due_at, b.id LIMIT ?3",
    )?;
    let asked = params![millis(store.now), millis(store.now - horizon), limit];
    let rows: Vec<TellingRow> = statement
        .query_map(asked, telling_row)?
        .collect::<Result<_, _>>()?;
    let mut lease = store
        .connection
        .prepare_cached("UPDATE outbox SET hook_leased_until = ?1 WHERE id = ?2")?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        lease.execute(params![millis(store.now + LEASE), row.id])?;
        match whole(store, row) {
            Ok(notice) => due.extend(notice),
            Err(StoreError::Corrupt(row)) => {
                tracing::error!(order.id = %row.order, what = row.what, "a notice cannot be told");
            }
            Err(failed) => return Err(failed),
        }
    }
    Ok(due)
}

fn whole(store: &Store<'_>, row: TellingRow) -> Result<Option<DueNotice>, StoreError> {
    let order = load(store, row.order)?;
    Ok(order.map(|order| row.into_due(order)).transpose()?)
}

/// Notes how tries ended.
pub(super) fn told(store: &Store<'_>, told: &[Told]) -> Result<(), StoreError> {
    let mut note = store.connection.prepare_cached(
        "UPDATE outbox SET hook = ?2, hook_tries = ?3 + 1, hook_leased_until = 0, hook_outcome = ?4, \
         hook_due_at = coalesce(?5, hook_due_at) WHERE id = ?1 \
         AND CASE WHEN ?2 = 'taken' THEN hook IN ('open', 'given_up') ELSE hook = 'open' AND hook_tries = ?3 END",
    )?;
    // The order's next notice has waited for this one, and is as fresh as on its first day.
    let mut follow = store.connection.prepare_cached(
        "UPDATE outbox SET hook_due_at = ?2 WHERE order_id = (SELECT order_id FROM outbox WHERE id = ?1) \
         AND notice IS NOT NULL AND hook = 'open' AND hook_tries = 0 AND hook_due_at < ?2",
    )?;
    for one in told {
        let due_at = match one.next {
            Next::Again(wait) => Some(millis(store.now + wait)),
            Next::Taken | Next::GivenUp | Next::Skipped => None,
        };
        let changed = params![one.id, hook_word(one.next), one.tries, one.outcome, due_at];
        if note.execute(changed)? > 0 && due_at.is_none() {
            follow.execute(params![one.id, millis(store.now)])?;
        }
    }
    Ok(())
}

/// Lets old notices go that were never tried. One that waits behind an earlier one of its order was not tried because it
/// had no turn: it is not old before the earlier one has ended.
pub(super) fn forget(store: &Store<'_>, horizon: Span, limit: u32) -> Result<u32, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "UPDATE outbox SET hook = 'skipped', hook_outcome = 'too old' WHERE id IN (SELECT b.id FROM outbox b \
         WHERE b.notice IS NOT NULL AND b.hook = 'open' AND b.hook_due_at <= ?1 AND b.hook_tries = 0 \
         AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.order_id = b.order_id AND e.notice IS NOT NULL \
             AND e.hook = 'open' AND e.version < b.version) \
         ORDER BY b.hook_due_at LIMIT ?2)",
    )?;
    let gone = statement.execute(params![millis(store.now - horizon), limit])?;
    Ok(u32::try_from(gone).unwrap_or(u32::MAX))
}

/// Lists notices that were not taken.
pub(super) fn untold(store: &Store<'_>, telling: Telling, limit: u32) -> Result<Vec<Untold>, StoreError> {
    let by = match telling {
        Telling::Pending => "b.hook_due_at, b.id",
        Telling::GivenUp => "b.id",
    };
    let word = telling_word(telling);
    let sql = format!(
        "SELECT b.id, b.order_id, b.notice, b.version, b.at, b.hook_tries, o.drop_id, b.hook_due_at, b.hook_outcome \
         FROM outbox b JOIN orders o ON o.id = b.order_id \
         WHERE b.notice IS NOT NULL AND b.hook = '{word}' ORDER BY {by} LIMIT ?1"
    );
    let mut statement = store.connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![limit.clamp(1, LIST_MAX)])?;
    let mut untold = Vec::new();
    while let Some(row) = rows.next()? {
        let row = UntoldRow {
            of: telling_row(row)?,
            drop: row.get(6)?,
            due_at: row.get(7)?,
            outcome: row.get(8)?,
        };
        untold.push(row.into_untold(telling)?);
    }
    Ok(untold)
}

/// Makes notices due at once, as if they had never been tried.
pub(super) fn replay(store: &Store<'_>, what: Replay, after: i64) -> Result<Replayed, StoreError> {
    let messages = match what {
        Replay::Order(order) => of_order(store, order, after)?,
        Replay::Untaken(ago) => since(store, ago, after, "AND hook NOT IN ('none', 'taken')")?,
        Replay::Everything(ago) => since(store, ago, after, "")?,
    };
    let mut open = store
        .connection
        .prepare_cached("UPDATE outbox SET hook = 'open', hook_tries = 0, hook_due_at = ?1 WHERE id = ?2")?;
    for message in &messages {
        open.execute(params![millis(store.now), message])?;
    }
    Ok(Replayed::of(&messages))
}

fn of_order(store: &Store<'_>, order: OrderId, after: i64) -> Result<Vec<i64>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT id FROM outbox WHERE order_id = ?1 AND notice IS NOT NULL AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let found = statement.query_map(params![key(order), after, REPLAY_STEP], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Messages are numbered as time passes: looking for the last one before `ago` reads only what came after it.
fn since(store: &Store<'_>, ago: Span, after: i64, and: &str) -> Result<Vec<i64>, StoreError> {
    let sql = format!(
        "SELECT id FROM outbox WHERE id > max(?2, coalesce((SELECT id FROM outbox WHERE at < ?1 \
         ORDER BY id DESC LIMIT 1), 0)) AND notice IS NOT NULL AND at >= ?1 {and} ORDER BY id LIMIT ?3"
    );
    let mut statement = store.connection.prepare_cached(&sql)?;
    let asked = params![millis(store.now - ago), after, REPLAY_STEP];
    let found = statement.query_map(asked, |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn telling_row(row: &Row<'_>) -> rusqlite::Result<TellingRow> {
    Ok(TellingRow {
        id: row.get(0)?,
        order: OrderId(u128::from_be_bytes(row.get(1)?)),
        notice: row.get(2)?,
        version: row.get(3)?,
        at: row.get(4)?,
        tries: row.get(5)?,
    })
}
