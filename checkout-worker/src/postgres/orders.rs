//! Orders: read by id, and listed.

use std::collections::{BTreeMap, BTreeSet};

use domain::OrderId;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder, Row as _};

use crate::ledger::{OrderFilter, OrderRecord, Sort};
use crate::row::{Corrupt, ItemRow, OrderRow, millis, signed};

use super::columns::{ORDER, key, order, order_row};
use super::trouble::Trouble;

/// Most rows of one list, whatever is asked for.
const LIST_MAX: u32 = 1_000;

/// Whether rows are kept from changing until the transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lock {
    None,
    Held,
}

/// Reads orders with their items. Those that are not there are left out.
pub(super) async fn read(
    c: &mut PgConnection,
    wanted: &BTreeSet<OrderId>,
    lock: Lock,
) -> Result<BTreeMap<OrderId, Result<OrderRecord, Corrupt>>, Trouble> {
    let keys: Vec<[u8; 16]> = wanted.iter().copied().map(key).collect();
    let lock = match lock {
        Lock::None => "",
        Lock::Held => "FOR UPDATE",
    };
    let sql = format!("SELECT {ORDER} FROM orders WHERE id = ANY ($1) ORDER BY id {lock}");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(keys)
        .fetch_all(&mut *c)
        .await?;
    records(c, &rows).await
}

/// Reads one order.
pub(super) async fn load(c: &mut PgConnection, order: OrderId) -> Result<Option<OrderRecord>, Trouble> {
    let mut found = read(c, &BTreeSet::from([order]), Lock::None).await?;
    Ok(found.remove(&order).transpose()?)
}

/// Of orders with a version each, those that have moved on, and where to.
pub(super) async fn newer(
    c: &mut PgConnection,
    known: &[(OrderId, u64)],
) -> Result<Vec<(OrderId, u64)>, Trouble> {
    let (keys, versions): (Vec<[u8; 16]>, Vec<i64>) = known
        .iter()
        .map(|(order, version)| (key(*order), signed(*version)))
        .unzip();
    let rows = sqlx::query(
        "SELECT orders.id, orders.version FROM unnest($1::bytea[], $2::bigint[]) AS known (id, version) \
         JOIN orders ON orders.id = known.id WHERE orders.version > known.version",
    )
    .bind(keys)
    .bind(versions)
    .fetch_all(c)
    .await?;
    rows.iter()
        .map(|row| Ok((order(row, 0)?, row.try_get::<i64, _>(1)?.unsigned_abs())))
        .collect()
}

/// Lists orders by when they were made: ids are time-ordered.
pub(super) async fn list(c: &mut PgConnection, filter: &OrderFilter) -> Result<Vec<OrderRecord>, Trouble> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new("SELECT ");
    query.push(ORDER).push(" FROM orders WHERE TRUE");
    if let Some(drop) = &filter.drop {
        query.push(" AND drop_id = ").push_bind(drop.as_str().to_owned());
    }
    if let Some(before) = filter.changed_before {
        query.push(" AND changed_at < ").push_bind(millis(before));
    }
    if let Some(by) = filter.due_by {
        query.push(" AND due_at <= ").push_bind(millis(by));
    }
    let (beyond, direction) = match filter.sort {
        Sort::OldestFirst => (" AND id > ", " ORDER BY id LIMIT "),
        Sort::NewestFirst => (" AND id < ", " ORDER BY id DESC LIMIT "),
    };
    if let Some(after) = filter.after {
        query.push(beyond).push_bind(key(after).to_vec());
    }
    if filter.flagged {
        query.push(" AND flag IS NOT NULL");
    }
    if !filter.states.is_empty() {
        let names: Vec<String> = filter.states.iter().map(ToString::to_string).collect();
        query.push(" AND state = ANY (").push_bind(names).push(")");
    }
    let limit = i64::from(filter.limit.clamp(1, LIST_MAX));
    query.push(direction).push_bind(limit);
    let rows = query.build().fetch_all(&mut *c).await?;
    let found = records(c, &rows).await?;
    let readable = |record: Result<OrderRecord, Corrupt>| record.inspect_err(Corrupt::left_out).ok();
    let mut found: Vec<OrderRecord> = found.into_values().filter_map(readable).collect();
    if filter.sort == Sort::NewestFirst {
        found.reverse();
    }
    Ok(found)
}

async fn records(
    c: &mut PgConnection,
    rows: &[PgRow],
) -> Result<BTreeMap<OrderId, Result<OrderRecord, Corrupt>>, Trouble> {
    let rows: Vec<OrderRow> = rows.iter().map(order_row).collect::<Result<_, _>>()?;
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<[u8; 16]> = rows.iter().map(|row| row.id).collect();
    let found = sqlx::query(
        "SELECT order_id, sku, quantity, amount FROM order_items WHERE order_id = ANY ($1) ORDER BY order_id, line",
    )
    .bind(keys)
    .fetch_all(c)
    .await?;
    let mut items: BTreeMap<OrderId, Vec<ItemRow>> = BTreeMap::new();
    for row in &found {
        items.entry(order(row, 0)?).or_default().push(ItemRow {
            sku: row.try_get(1)?,
            quantity: row.try_get(2)?,
            amount: row.try_get(3)?,
        });
    }
    let joined = rows.into_iter().map(|row| {
        let id = row.order();
        (id, row.into_record(items.remove(&id).unwrap_or_default()))
    });
    Ok(joined.collect())
}
