//! Telling the merchant's system: which notices are due, how tries ended, what is told once more. Several workers take
//! from one outbox: each skips what another has in hand, and no lock is held while a request is on its way.

use std::collections::BTreeSet;

use domain::Span;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::ledger::{DueNotice, LEASE, Next, REPLAY_STEP, Replay, Replayed, Telling, Told, Untold};
use crate::row::{TellingRow, UntoldRow, hook_word, telling_word};

use super::columns::{key, order};
use super::connect;
use super::orders::{Lock, read};
use super::trouble::Trouble;

/// Rows of one list, whatever is asked for.
const LIST_MAX: u32 = 1_000;

/// Takes the notices whose turn it is. An earlier notice of the same order was committed before a later one came to be, so
/// that nobody who sees the later one misses it. A row that cannot be ours is left to its lease: it must not hold up the
/// others.
pub(super) async fn due(c: &mut PgConnection, limit: u32, horizon: Span) -> Result<Vec<DueNotice>, Trouble> {
    let found = sqlx::query(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now), \
         mine AS MATERIALIZED (SELECT b.id FROM outbox b, clock \
             WHERE b.notice IS NOT NULL AND b.hook = 'open' \
             AND b.hook_due_at <= clock.now AND b.hook_leased_until <= clock.now \
             AND (b.hook_tries > 0 OR b.hook_due_at > clock.now - $2) \
             AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.order_id = b.order_id AND e.notice IS NOT NULL \
                 AND e.hook = 'open' AND e.version < b.version) \
             ORDER BY b.hook_due_at, b.id LIMIT $1 FOR UPDATE OF b SKIP LOCKED), \
         taken AS (UPDATE outbox b SET hook_leased_until = clock.now + $3 FROM mine, clock WHERE b.id = mine.id \
             RETURNING b.id, b.order_id, b.notice, b.version, b.at, b.hook_tries, b.hook_due_at) \
         SELECT id, order_id, notice, version, at, hook_tries FROM taken ORDER BY hook_due_at, id",
    )
    .bind(i64::from(limit))
    .bind(millis(horizon))
    .bind(millis(LEASE))
    .fetch_all(&mut *c)
    .await?;
    let rows: Vec<TellingRow> = found.iter().map(telling_row).collect::<Result<_, _>>()?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<_> = rows.iter().map(|row| row.order).collect();
    let orders = read(c, &wanted, Lock::None).await?;
    let whole = rows.into_iter().filter_map(|row| {
        let order = orders.get(&row.order)?.clone();
        let notice = order.and_then(|order| row.into_due(order));
        notice
            .inspect_err(|row| {
                tracing::error!(order.id = %row.order, what = row.what, "a notice cannot be told");
            })
            .ok()
    });
    Ok(whole.collect())
}

/// Notes how tries ended.
pub(super) async fn told(connection: &mut PgConnection, told: &[Told]) -> Result<(), Trouble> {
    let ids: Vec<i64> = told.iter().map(|one| one.id).collect();
    let waits = told.iter().map(|one| match one.next {
        Next::Again(wait) => Some(millis(wait)),
        Next::Taken | Next::GivenUp | Next::Skipped => None,
    });
    let mut transaction = connect::begin(connection).await?;
    // In the order of ids, as everybody locks them who marks several messages.
    sqlx::query("SELECT FROM outbox WHERE id = ANY ($1) ORDER BY id FOR UPDATE")
        .bind(&ids)
        .execute(&mut *transaction)
        .await?;
    let ended: Vec<Vec<u8>> = sqlx::query_scalar(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now) \
         UPDATE outbox b SET hook = k.hook, hook_tries = k.tries + 1, hook_leased_until = 0, \
         hook_outcome = k.outcome, hook_due_at = coalesce(clock.now + k.wait, b.hook_due_at) \
         FROM clock, unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) \
         AS k (id, hook, tries, wait, outcome) WHERE b.id = k.id AND CASE WHEN k.hook = 'taken' \
         THEN b.hook IN ('open', 'given_up') ELSE b.hook = 'open' AND b.hook_tries = k.tries END \
         RETURNING CASE WHEN k.wait IS NULL THEN b.order_id ELSE ''::bytea END",
    )
    .bind(&ids)
    .bind(
        told.iter()
            .map(|one| hook_word(one.next).to_owned())
            .collect::<Vec<_>>(),
    )
    .bind(told.iter().map(|one| i64::from(one.tries)).collect::<Vec<_>>())
    .bind(waits.collect::<Vec<Option<i64>>>())
    .bind(told.iter().map(|one| one.outcome.clone()).collect::<Vec<_>>())
    .fetch_all(&mut *transaction)
    .await?;
    // The order's next notice has waited for this one, and is as fresh as on its first day. One that somebody has locked
    // was written just now and needs nothing; waiting for it could close a circle.
    sqlx::query(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now), \
         next AS MATERIALIZED (SELECT id FROM outbox WHERE order_id = ANY ($1) AND notice IS NOT NULL \
             AND hook = 'open' AND hook_tries = 0 FOR UPDATE SKIP LOCKED) \
         UPDATE outbox b SET hook_due_at = greatest(b.hook_due_at, clock.now) FROM next, clock WHERE b.id = next.id",
    )
    .bind(ended)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Lets old notices go that were never tried. One that waits behind an earlier one of its order was not tried because it
/// had no turn: it is not old before the earlier one has ended.
pub(super) async fn forget(c: &mut PgConnection, horizon: Span, limit: u32) -> Result<u32, Trouble> {
    let gone = sqlx::query(
        "WITH clock AS MATERIALIZED (SELECT ledger_now() AS now), \
         old AS MATERIALIZED (SELECT b.id FROM outbox b, clock WHERE b.notice IS NOT NULL AND b.hook = 'open' \
             AND b.hook_due_at <= clock.now - $1 AND b.hook_tries = 0 \
             AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.order_id = b.order_id AND e.notice IS NOT NULL \
                 AND e.hook = 'open' AND e.version < b.version) \
             ORDER BY b.hook_due_at LIMIT $2 FOR UPDATE OF b SKIP LOCKED) \
         UPDATE outbox b SET hook = 'skipped', hook_outcome = 'too old' FROM old WHERE b.id = old.id",
    )
    .bind(millis(horizon))
    .bind(i64::from(limit))
    .execute(c)
    .await?
    .rows_affected();
    Ok(u32::try_from(gone).unwrap_or(u32::MAX))
}

/// Lists notices that were not taken.
pub(super) async fn untold(
    c: &mut PgConnection,
    telling: Telling,
    limit: u32,
) -> Result<Vec<Untold>, Trouble> {
    let by = match telling {
        Telling::Pending => "b.hook_due_at, b.id",
        Telling::GivenUp => "b.id",
    };
    let word = telling_word(telling);
    let sql = format!(
        "SELECT b.id, b.order_id, b.notice, b.version, b.at, b.hook_tries, o.drop_id, b.hook_due_at, b.hook_outcome \
         FROM outbox b JOIN orders o ON o.id = b.order_id \
         WHERE b.notice IS NOT NULL AND b.hook = '{word}' ORDER BY {by} LIMIT $1"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(i64::from(limit.clamp(1, LIST_MAX)))
        .fetch_all(c)
        .await?;
    let mut untold = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = UntoldRow {
            of: telling_row(row)?,
            drop: row.try_get(6)?,
            due_at: row.try_get(7)?,
            outcome: row.try_get(8)?,
        };
        untold.push(row.into_untold(telling)?);
    }
    Ok(untold)
}

/// Makes notices due at once, as if they had never been tried.
pub(super) async fn replay(c: &mut PgConnection, what: Replay, after: i64) -> Result<Replayed, Trouble> {
    let now: i64 = sqlx::query_scalar("SELECT ledger_now()")
        .fetch_one(&mut *c)
        .await?;
    let messages = match what {
        Replay::Order(order) => of_order(c, key(order), after).await?,
        Replay::Untaken(ago) => since(c, now, ago, after, "AND hook NOT IN ('none', 'taken')").await?,
        Replay::Everything(ago) => since(c, now, ago, after, "").await?,
    };
    let sql = "WITH again AS MATERIALIZED (SELECT id FROM outbox WHERE id = ANY ($1) ORDER BY id FOR UPDATE) \
               UPDATE outbox b SET hook = 'open', hook_tries = 0, hook_due_at = $2 FROM again WHERE b.id = again.id";
    sqlx::query(sql).bind(&messages).bind(now).execute(c).await?;
    Ok(Replayed::of(&messages))
}

async fn of_order(c: &mut PgConnection, order: [u8; 16], after: i64) -> Result<Vec<i64>, Trouble> {
    let sql =
        "SELECT id FROM outbox WHERE order_id = $1 AND notice IS NOT NULL AND id > $2 ORDER BY id LIMIT $3";
    let asked = sqlx::query_scalar(sql)
        .bind(order)
        .bind(after)
        .bind(i64::from(REPLAY_STEP));
    Ok(asked.fetch_all(c).await?)
}

/// Messages are numbered as time passes, but for the moment that a transaction takes: looking for the last one a minute
/// before reads only what came after it.
async fn since(
    c: &mut PgConnection,
    now: i64,
    ago: Span,
    after: i64,
    and: &'static str,
) -> Result<Vec<i64>, Trouble> {
    let sql = format!(
        "SELECT id FROM outbox WHERE id > greatest($2, coalesce((SELECT id FROM outbox WHERE at < $1 - 60000 \
         ORDER BY id DESC LIMIT 1), 0)) AND notice IS NOT NULL AND at >= $1 {and} ORDER BY id LIMIT $3"
    );
    let asked = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(now.saturating_sub(millis(ago)))
        .bind(after)
        .bind(i64::from(REPLAY_STEP));
    Ok(asked.fetch_all(c).await?)
}

fn millis(span: Span) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn telling_row(row: &PgRow) -> Result<TellingRow, sqlx::Error> {
    Ok(TellingRow {
        id: row.try_get(0)?,
        order: order(row, 1)?,
        notice: row.try_get(2)?,
        version: row.try_get(3)?,
        at: row.try_get(4)?,
        tries: row.try_get(5)?,
    })
}
