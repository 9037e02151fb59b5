//! Stock as configured and as operators change it.

use domain::pool::{self, BUCKETS_MAX, Bucket, Level};
use domain::{DropId, Sku};
use sqlx::{PgConnection, Row as _};

use crate::ledger::{AuditEntry, DropPlan, ItemPlan, Opened, StockChange, StockChanged, UNITS_MAX};
use crate::row::log as told;

use super::columns::count;
use super::trouble::Trouble;
use super::{connect, log};

/// The stock of a drop, by SKU.
pub(super) async fn levels(c: &mut PgConnection, drop: &DropId) -> Result<Vec<(Sku, Level)>, Trouble> {
    let found = sqlx::query(
        "SELECT sku, sum(total)::bigint, sum(held)::bigint, sum(sold)::bigint FROM stock \
         WHERE drop_id = $1 GROUP BY sku ORDER BY sku COLLATE \"C\"",
    )
    .bind(drop.as_str())
    .fetch_all(c)
    .await?;
    let mut levels = Vec::with_capacity(found.len());
    for row in &found {
        let sku: String = row.try_get(0)?;
        // A name that cannot be ours was written by hand; it sells nothing.
        if let Ok(sku) = Sku::new(&sku) {
            let level = Level {
                total: count(row, 1)?,
                held: count(row, 2)?,
                sold: count(row, 3)?,
            };
            levels.push((sku, level));
        }
    }
    Ok(levels)
}

/// Brings a drop's stock to what is configured, all of it or nothing. Processes that start at once do it one by one. Where
/// the configuration says what it said the last time, the stock is as operators have left it.
pub(super) async fn open_drop(connection: &mut PgConnection, plan: &DropPlan) -> Result<Opened, Trouble> {
    let mut transaction = connect::begin(connection).await?;
    let c = &mut *transaction;
    lock_drop(c, &plan.drop).await?;
    // By name, as everybody who locks stock does.
    let mut items: Vec<&ItemPlan> = plan.items.iter().collect();
    items.sort_by(|a, b| a.sku.cmp(&b.sku));
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        if has_other_currency(c, &plan.drop, item).await? {
            let sku = item.sku.clone();
            return Ok(Opened::OtherCurrency { sku });
        }
        let buckets = locked(c, &plan.drop, &item.sku).await?;
        if !buckets.is_empty() && is_as_configured(c, &plan.drop, item).await? {
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
            insert(c, &plan.drop, &item.sku, &fresh).await?;
        } else if item.stock > total {
            enlarge(c, &plan.drop, &item.sku, &buckets, item.stock - total).await?;
        } else {
            shrink(c, &plan.drop, &item.sku, &buckets, total - item.stock).await?;
        }
        remember(c, &plan.drop, item).await?;
    }
    transaction.commit().await?;
    Ok(Opened::Done)
}

/// Whether the last configuration that the stock was brought to allotted the same.
async fn is_as_configured(c: &mut PgConnection, drop: &DropId, item: &ItemPlan) -> Result<bool, Trouble> {
    let sql = "SELECT EXISTS (SELECT 1 FROM configured WHERE drop_id = $1 AND sku = $2 AND units = $3)";
    Ok(sqlx::query_scalar(sql)
        .bind(drop.as_str())
        .bind(item.sku.as_str())
        .bind(i64::from(item.stock))
        .fetch_one(c)
        .await?)
}

async fn remember(c: &mut PgConnection, drop: &DropId, item: &ItemPlan) -> Result<(), Trouble> {
    sqlx::query(
        "INSERT INTO configured (drop_id, sku, units) VALUES ($1, $2, $3) \
         ON CONFLICT (drop_id, sku) DO UPDATE SET units = excluded.units",
    )
    .bind(drop.as_str())
    .bind(item.sku.as_str())
    .bind(i64::from(item.stock))
    .execute(c)
    .await?;
    Ok(())
}

/// Adds or withdraws units, and writes who did it.
pub(super) async fn change(
    connection: &mut PgConnection,
    drop: &DropId,
    sku: &Sku,
    change: StockChange,
    entry: AuditEntry,
) -> Result<StockChanged, Trouble> {
    let mut transaction = connect::begin(connection).await?;
    let c = &mut *transaction;
    lock_drop(c, drop).await?;
    let before = locked(c, drop, sku).await?;
    if before.is_empty() {
        return Ok(StockChanged::UnknownSku);
    }
    match change {
        StockChange::Add(quantity) => {
            if Level::of(&before).total.saturating_add(quantity) > UNITS_MAX {
                return Ok(StockChanged::TooMany);
            }
            enlarge(c, drop, sku, &before, quantity).await?;
        }
        StockChange::Withdraw(quantity) => {
            if !shrink(c, drop, sku, &before, quantity).await? {
                let free = sum(&before, |bucket| bucket.free());
                return Ok(StockChanged::NotFree { free });
            }
        }
    }
    let after = Level::of(&locked(c, drop, sku).await?);
    log::note(c, &told::of_stock(entry, Level::of(&before), after)).await?;
    transaction.commit().await?;
    Ok(StockChanged::Done(after))
}

/// One change of a drop's stock at a time: a SKU that is not there yet has no row to lock.
async fn lock_drop(c: &mut PgConnection, drop: &DropId) -> Result<(), Trouble> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('stock'), hashtext($1))")
        .bind(drop.as_str())
        .execute(c)
        .await?;
    Ok(())
}

async fn locked(c: &mut PgConnection, drop: &DropId, sku: &Sku) -> Result<Vec<Bucket>, Trouble> {
    let found = sqlx::query(
        "SELECT total, held, sold FROM stock WHERE drop_id = $1 AND sku = $2 ORDER BY bucket FOR UPDATE",
    )
    .bind(drop.as_str())
    .bind(sku.as_str())
    .fetch_all(c)
    .await?;
    let bucket = |row| {
        Ok(Bucket {
            total: count(row, 0)?,
            held: count(row, 1)?,
            sold: count(row, 2)?,
        })
    };
    found.iter().map(bucket).collect()
}

async fn insert(c: &mut PgConnection, drop: &DropId, sku: &Sku, fresh: &[Bucket]) -> Result<(), Trouble> {
    sqlx::query(
        "INSERT INTO stock (drop_id, sku, bucket, total) \
         SELECT $1, $2, k.place - 1, k.total FROM unnest($3::bigint[]) WITH ORDINALITY AS k (total, place)",
    )
    .bind(drop.as_str())
    .bind(sku.as_str())
    .bind(
        fresh
            .iter()
            .map(|bucket| i64::from(bucket.total))
            .collect::<Vec<_>>(),
    )
    .execute(c)
    .await?;
    Ok(())
}

async fn enlarge(
    c: &mut PgConnection,
    drop: &DropId,
    sku: &Sku,
    buckets: &[Bucket],
    more: u32,
) -> Result<(), Trouble> {
    let shares = pool::split(more, u32::try_from(buckets.len()).unwrap_or(1));
    let by = (0_u32..)
        .zip(shares)
        .map(|(at, share)| (at, i64::from(share.total)));
    add(c, drop, sku, by.collect()).await
}

/// Takes free units out. Says whether there were enough; if not, nothing changed.
async fn shrink(
    c: &mut PgConnection,
    drop: &DropId,
    sku: &Sku,
    buckets: &[Bucket],
    fewer: u32,
) -> Result<bool, Trouble> {
    let Some(parts) = pool::spread(buckets, fewer, 0) else {
        return Ok(false);
    };
    let by = parts.into_iter().map(|(at, part)| (at, -i64::from(part)));
    add(c, drop, sku, by.collect()).await?;
    Ok(true)
}

async fn add(c: &mut PgConnection, drop: &DropId, sku: &Sku, by: Vec<(u32, i64)>) -> Result<(), Trouble> {
    let (numbers, units): (Vec<i64>, Vec<i64>) =
        by.into_iter().map(|(at, units)| (i64::from(at), units)).unzip();
    sqlx::query(
        "UPDATE stock s SET total = s.total + k.units FROM unnest($3::bigint[], $4::bigint[]) AS k (bucket, units) \
         WHERE s.drop_id = $1 AND s.sku = $2 AND s.bucket = k.bucket",
    )
    .bind(drop.as_str())
    .bind(sku.as_str())
    .bind(numbers)
    .bind(units)
    .execute(c)
    .await?;
    Ok(())
}

async fn has_other_currency(c: &mut PgConnection, drop: &DropId, item: &ItemPlan) -> Result<bool, Trouble> {
    let sql = "SELECT EXISTS (SELECT 1 FROM orders WHERE drop_id = $1 AND currency <> $2)";
    Ok(sqlx::query_scalar(sql)
        .bind(drop.as_str())
        .bind(item.price.currency.as_str())
        .fetch_one(c)
        .await?)
}

fn sum(buckets: &[Bucket], of: impl Fn(&Bucket) -> u32) -> u32 {
    buckets.iter().map(of).fold(0, u32::saturating_add)
}
