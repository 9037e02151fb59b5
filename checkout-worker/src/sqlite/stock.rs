//! Stock rows and the movements of units.

use domain::pool::{self, BUCKETS_MAX, Bucket, Level, Slice};
use domain::saga::{Order, StockMove};
use domain::{DropId, Sku};
use rusqlite::params;

use crate::ledger::{AuditEntry, DropPlan, ItemPlan, Opened, StockChange, StockChanged, UNITS_MAX};
use crate::row::{Corrupt, log as told, millis};

use super::StoreError;
use super::log;
use super::orders::key;
use super::thread::Store;

/// The buckets of a SKU, in order; none where the drop does not sell it.
pub(super) fn buckets(store: &Store<'_>, drop: &DropId, sku: &Sku) -> Result<Vec<Bucket>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT total, held, sold FROM stock WHERE drop_id = ?1 AND sku = ?2 ORDER BY bucket",
    )?;
    let rows = statement.query_map(params![drop.as_str(), sku.as_str()], |row| {
        Ok(Bucket {
            total: row.get(0)?,
            held: row.get(1)?,
            sold: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The stock of a drop, by SKU.
pub(super) fn levels(store: &Store<'_>, drop: &DropId) -> Result<Vec<(Sku, Level)>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT sku, sum(total), sum(held), sum(sold) FROM stock WHERE drop_id = ?1 GROUP BY sku ORDER BY sku",
    )?;
    let mut rows = statement.query(params![drop.as_str()])?;
    let mut levels = Vec::new();
    while let Some(row) = rows.next()? {
        let sku: String = row.get(0)?;
        // A name that cannot be ours was written by hand; it sells nothing.
        let Ok(sku) = Sku::new(&sku) else { continue };
        levels.push((
            sku,
            Level {
                total: row.get(1)?,
                held: row.get(2)?,
                sold: row.get(3)?,
            },
        ));
    }
    Ok(levels)
}

/// Brings a drop's stock to what is configured, all of it or nothing. Where the configuration says what it said the last
/// time, the stock is as operators have left it.
pub(super) fn open_drop(store: &Store<'_>, plan: &DropPlan) -> Result<Opened, StoreError> {
    let mut all = Vec::with_capacity(plan.items.len());
    for item in &plan.items {
        if has_other_currency(store, &plan.drop, item)? {
            return Ok(Opened::OtherCurrency {
                sku: item.sku.clone(),
            });
        }
        let buckets = buckets(store, &plan.drop, &item.sku)?;
        if !buckets.is_empty() && is_as_configured(store, &plan.drop, item)? {
            continue;
        }
        let taken = sum(&buckets, |bucket| bucket.held.saturating_add(bucket.sold));
        if taken > item.stock {
            let (sku, configured) = (item.sku.clone(), item.stock);
            return Ok(Opened::TooFew {
                sku,
                configured,
                taken,
            });
        }
        all.push((item, buckets));
    }
    for (item, buckets) in all {
        let total = sum(&buckets, |bucket| bucket.total);
        if buckets.is_empty() {
            let fresh = pool::split(item.stock, item.buckets.clamp(1, BUCKETS_MAX));
            insert(store, &plan.drop, &item.sku, &fresh)?;
        } else if item.stock > total {
            enlarge(store, &plan.drop, &item.sku, &buckets, item.stock - total)?;
        } else {
            shrink(store, &plan.drop, &item.sku, &buckets, total - item.stock)?;
        }
        remember(store, &plan.drop, item)?;
    }
    Ok(Opened::Done)
}

/// Whether the last configuration that the stock was brought to allotted the same.
fn is_as_configured(store: &Store<'_>, drop: &DropId, item: &ItemPlan) -> Result<bool, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM configured WHERE drop_id = ?1 AND sku = ?2 AND units = ?3)",
    )?;
    let same = statement.query_row(params![drop.as_str(), item.sku.as_str(), item.stock], |row| {
        row.get(0)
    })?;
    Ok(same)
}

fn remember(store: &Store<'_>, drop: &DropId, item: &ItemPlan) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO configured (drop_id, sku, units) VALUES (?1, ?2, ?3) \
         ON CONFLICT (drop_id, sku) DO UPDATE SET units = excluded.units",
    )?;
    statement.execute(params![drop.as_str(), item.sku.as_str(), item.stock])?;
    Ok(())
}

/// Adds or withdraws units, and writes who did it.
pub(super) fn change(
    store: &Store<'_>,
    drop: &DropId,
    sku: &Sku,
    change: StockChange,
    entry: AuditEntry,
) -> Result<StockChanged, StoreError> {
    let before = buckets(store, drop, sku)?;
    if before.is_empty() {
        return Ok(StockChanged::UnknownSku);
    }
    match change {
        StockChange::Add(quantity) => {
            if Level::of(&before).total.saturating_add(quantity) > UNITS_MAX {
                return Ok(StockChanged::TooMany);
            }
            enlarge(store, drop, sku, &before, quantity)?;
        }
        StockChange::Withdraw(quantity) => {
            if !shrink(store, drop, sku, &before, quantity)? {
                return Ok(StockChanged::NotFree {
                    free: sum(&before, |bucket| bucket.free()),
                });
            }
        }
    }
    let after = Level::of(&buckets(store, drop, sku)?);
    log::note(store, &told::of_stock(entry, Level::of(&before), after))?;
    Ok(StockChanged::Done(after))
}

/// Holds the slices of a new order.
pub(super) fn hold(store: &Store<'_>, order: &Order, slices: &[Slice]) -> Result<(), StoreError> {
    for slice in slices {
        enter(store, order, "hold", slice)?;
        shift(
            store,
            &order.drop,
            slice,
            "UPDATE stock SET held = held + ?1 WHERE drop_id = ?2 AND sku = ?3 AND bucket = ?4",
        )?;
    }
    Ok(())
}

/// Moves all units that the order held. Says how many they are.
pub(super) fn settle(store: &Store<'_>, order: &Order, movement: StockMove) -> Result<u32, StoreError> {
    let (kind, sql) = match movement {
        StockMove::Void => (
            "void",
            "UPDATE stock SET held = held - ?1 WHERE drop_id = ?2 AND sku = ?3 AND bucket = ?4",
        ),
        StockMove::Sell => (
            "sell",
            "UPDATE stock SET held = held - ?1, sold = sold + ?1 WHERE drop_id = ?2 AND sku = ?3 AND bucket = ?4",
        ),
        StockMove::Unsell => (
            "unsell",
            "UPDATE stock SET sold = sold - ?1 WHERE drop_id = ?2 AND sku = ?3 AND bucket = ?4",
        ),
    };
    let mut units = 0_u32;
    for slice in held(store, order)? {
        enter(store, order, kind, &slice)?;
        shift(store, &order.drop, &slice, sql)?;
        units = units.saturating_add(slice.quantity);
    }
    Ok(units)
}

/// What the order's hold took from where.
fn held(store: &Store<'_>, order: &Order) -> Result<Vec<Slice>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT sku, bucket, quantity FROM stock_entry WHERE order_id = ?1 AND kind = 'hold' ORDER BY sku, bucket",
    )?;
    let mut rows = statement.query(params![key(order.id)])?;
    let mut slices = Vec::new();
    while let Some(row) = rows.next()? {
        let sku: String = row.get(0)?;
        let sku = Sku::new(&sku).map_err(|e| Corrupt {
            order: order.id,
            what: e.to_string(),
        })?;
        slices.push(Slice {
            sku,
            bucket: row.get(1)?,
            quantity: row.get(2)?,
        });
    }
    Ok(slices)
}

/// Writes one movement. Its key is taken for ever: the same units cannot make the same move twice.
fn enter(store: &Store<'_>, order: &Order, kind: &str, slice: &Slice) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO stock_entry (order_id, kind, sku, bucket, quantity, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let sku = slice.sku.as_str();
    statement.execute(params![
        key(order.id),
        kind,
        sku,
        slice.bucket,
        slice.quantity,
        millis(store.now)
    ])?;
    Ok(())
}

fn shift(store: &Store<'_>, drop: &DropId, slice: &Slice, sql: &str) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(sql)?;
    let changed = statement.execute(params![
        slice.quantity,
        drop.as_str(),
        slice.sku.as_str(),
        slice.bucket
    ])?;
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::Sqlite(rusqlite::Error::StatementChangedRows(changed)))
    }
}

fn insert(store: &Store<'_>, drop: &DropId, sku: &Sku, buckets: &[Bucket]) -> Result<(), StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("INSERT INTO stock (drop_id, sku, bucket, total) VALUES (?1, ?2, ?3, ?4)")?;
    for (at, bucket) in (0_u32..).zip(buckets) {
        statement.execute(params![drop.as_str(), sku.as_str(), at, bucket.total])?;
    }
    Ok(())
}

fn enlarge(
    store: &Store<'_>,
    drop: &DropId,
    sku: &Sku,
    buckets: &[Bucket],
    more: u32,
) -> Result<(), StoreError> {
    let count = u32::try_from(buckets.len()).unwrap_or(1);
    for (at, part) in (0_u32..).zip(pool::split(more, count)) {
        set_total(store, drop, sku, at, i64::from(part.total))?;
    }
    Ok(())
}

/// Takes free units out. Says whether there were enough; if not, nothing changed.
fn shrink(
    store: &Store<'_>,
    drop: &DropId,
    sku: &Sku,
    buckets: &[Bucket],
    fewer: u32,
) -> Result<bool, StoreError> {
    let Some(parts) = pool::spread(buckets, fewer, 0) else {
        return Ok(false);
    };
    for (at, part) in parts {
        set_total(store, drop, sku, at, -i64::from(part))?;
    }
    Ok(true)
}

fn set_total(store: &Store<'_>, drop: &DropId, sku: &Sku, bucket: u32, by: i64) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached(
        "UPDATE stock SET total = total + ?1 WHERE drop_id = ?2 AND sku = ?3 AND bucket = ?4",
    )?;
    statement.execute(params![by, drop.as_str(), sku.as_str(), bucket])?;
    Ok(())
}

fn has_other_currency(store: &Store<'_>, drop: &DropId, item: &ItemPlan) -> Result<bool, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM orders WHERE drop_id = ?1 AND currency <> ?2)")?;
    Ok(
        statement.query_row(params![drop.as_str(), item.price.currency.as_str()], |row| {
            row.get(0)
        })?,
    )
}

fn sum(buckets: &[Bucket], of: impl Fn(&Bucket) -> u32) -> u32 {
    buckets.iter().map(of).fold(0, u32::saturating_add)
}
