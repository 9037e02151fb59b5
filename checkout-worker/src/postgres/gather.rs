//! Locks and reads what the commands of one transaction need, always in the same order so that transactions wait for each
//! other and never in a circle: advisory locks of shoppers and admissions, orders by id, buckets by name and number.

use std::collections::{BTreeMap, BTreeSet};

use domain::pool::{Bucket, Slice};
use domain::{AdmissionId, DropId, OrderId, ShopperKey, Sku};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::ledger::{ClientKey, NewOrder};
use crate::row::{Corrupt, DEAD, timestamp};

use super::columns::{bucket, count, key, order};
use super::orders;
use super::sheet::Sheet;
use super::trouble::Trouble;

/// Stands for "all buckets" in a list of buckets to lock.
const ALL: i32 = -1;

/// Serializes everything that one shopper, and one admission, asks for, over all processes: limits and keys are then
/// judged on what is committed.
pub(super) async fn lock_shoppers(c: &mut PgConnection, reserving: &[&NewOrder]) -> Result<(), Trouble> {
    let mut keys = BTreeSet::new();
    for new in reserving {
        keys.insert(lock_key(new.drop.as_str().as_bytes(), &new.shopper.0));
        keys.insert(lock_key(b"/admission", &new.admission.0));
    }
    let keys: Vec<i64> = keys.into_iter().collect();
    sqlx::query("SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k")
        .bind(keys)
        .execute(c)
        .await?;
    Ok(())
}

/// A lock's number. Two names that share one by chance wait for each other and nothing else.
fn lock_key(of: &[u8], name: &[u8]) -> i64 {
    let digest = Sha256::new().chain_update(of).chain_update(name).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// Reads what is on record about the shoppers' requests, admissions and units. Their locks must be held.
pub(super) async fn read_shoppers(
    c: &mut PgConnection,
    sheet: &mut Sheet,
    reserving: &[&NewOrder],
) -> Result<(), Trouble> {
    let column = |of: fn(&NewOrder) -> String| reserving.iter().map(|new| of(new)).collect::<Vec<_>>();
    let drops = column(|new| new.drop.as_str().to_owned());
    let client_keys = column(|new| new.client_key.as_str().to_owned());
    let shoppers: Vec<[u8; 16]> = reserving.iter().map(|new| new.shopper.0).collect();
    let admissions: Vec<[u8; 16]> = reserving.iter().map(|new| new.admission.0).collect();
    let found = sqlx::query(
        "SELECT o.id, o.request_hash, o.drop_id, o.shopper, o.client_key \
         FROM unnest($1::text[], $2::bytea[], $3::text[]) AS k (drop_id, shopper, client_key) \
         JOIN orders o USING (drop_id, shopper, client_key)",
    )
    .bind(&drops)
    .bind(&shoppers)
    .bind(&client_keys)
    .fetch_all(&mut *c)
    .await?;
    for row in &found {
        let (drop, client_key): (String, String) = (row.try_get(2)?, row.try_get(4)?);
        if let (Ok(drop), Some(client_key)) = (DropId::new(&drop), ClientKey::new(&client_key)) {
            let name = (drop, ShopperKey(row.try_get(3)?), client_key);
            sheet.requests.insert(name, (order(row, 0)?, row.try_get(1)?));
        }
    }
    let sql = format!("SELECT admission, id FROM orders WHERE admission = ANY ($1) AND state NOT IN {DEAD}");
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(&admissions)
        .fetch_all(&mut *c)
        .await?;
    for row in &found {
        sheet
            .admissions
            .insert(AdmissionId(row.try_get(0)?), order(row, 1)?);
    }
    // Refunded orders hold nothing any more.
    let sql = format!(
        "SELECT o.drop_id, o.shopper, sum(o.units)::bigint \
         FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::bytea[]) AS k (drop_id, shopper)) AS k \
         JOIN orders o USING (drop_id, shopper) \
         WHERE o.state NOT IN {DEAD} AND o.state <> 'refunded' GROUP BY o.drop_id, o.shopper"
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(&drops)
        .bind(&shoppers)
        .fetch_all(c)
        .await?;
    for row in &found {
        let drop: String = row.try_get(0)?;
        if let Ok(drop) = DropId::new(&drop) {
            sheet
                .units
                .insert((drop, ShopperKey(row.try_get(1)?)), count(row, 2)?);
        }
    }
    Ok(())
}

/// Locks and reads orders that are to change, and reads (`looked_at`) orders that are only answered with.
pub(super) async fn read_orders(
    c: &mut PgConnection,
    sheet: &mut Sheet,
    changing: &BTreeSet<OrderId>,
    looked_at: &BTreeSet<OrderId>,
) -> Result<(), Trouble> {
    if !changing.is_empty() {
        sheet
            .orders
            .append(&mut orders::read(c, changing, orders::Lock::Held).await?);
    }
    let rest: BTreeSet<OrderId> = looked_at.difference(changing).copied().collect();
    if !rest.is_empty() {
        sheet
            .orders
            .append(&mut orders::read(c, &rest, orders::Lock::None).await?);
    }
    Ok(())
}

/// Reads what orders hold or held.
pub(super) async fn read_held(
    c: &mut PgConnection,
    sheet: &mut Sheet,
    moving: &BTreeSet<OrderId>,
) -> Result<(), Trouble> {
    let keys: Vec<[u8; 16]> = moving.iter().copied().map(key).collect();
    let found = sqlx::query(
        "SELECT order_id, sku, bucket, quantity FROM stock_entry \
         WHERE order_id = ANY ($1) AND kind = 'hold' ORDER BY order_id, sku, bucket",
    )
    .bind(keys)
    .fetch_all(c)
    .await?;
    for row in &found {
        let (order, sku): (OrderId, String) = (order(row, 0)?, row.try_get(1)?);
        let sku = Sku::new(&sku).map_err(|e| Corrupt {
            order,
            what: e.to_string(),
        })?;
        sheet.held.entry(order).or_default().push(Slice {
            sku,
            bucket: bucket(row, 2)?,
            quantity: count(row, 3)?,
        });
    }
    Ok(())
}

/// Locks and reads buckets: all of the SKUs that are reserved from, and those that `moving` orders hold units in.
pub(super) async fn lock_stock(
    c: &mut PgConnection,
    sheet: &mut Sheet,
    reserving: &[&NewOrder],
) -> Result<(), Trouble> {
    let mut wanted: BTreeMap<(DropId, Sku), BTreeSet<i32>> = BTreeMap::new();
    for new in reserving {
        for item in &new.items {
            wanted.insert((new.drop.clone(), item.line.sku.clone()), BTreeSet::from([ALL]));
        }
    }
    for (order, slices) in &sheet.held {
        let Some(Ok(record)) = sheet.orders.get(order) else {
            continue;
        };
        for slice in slices {
            let numbers = wanted
                .entry((record.order.drop.clone(), slice.sku.clone()))
                .or_default();
            if !numbers.contains(&ALL) {
                numbers.insert(i32::try_from(slice.bucket).unwrap_or(i32::MAX));
            }
        }
    }
    let (mut drops, mut skus, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for ((drop, sku), of_sku) in wanted {
        for number in of_sku {
            drops.push(drop.as_str().to_owned());
            skus.push(sku.as_str().to_owned());
            numbers.push(number);
        }
    }
    if drops.is_empty() {
        return Ok(());
    }
    let found = sqlx::query(
        "SELECT s.drop_id, s.sku, s.bucket, s.total, s.held, s.sold \
         FROM unnest($1::text[], $2::text[], $3::integer[]) AS k (drop_id, sku, bucket) \
         JOIN stock s ON s.drop_id = k.drop_id AND s.sku = k.sku AND (k.bucket < 0 OR s.bucket = k.bucket) \
         ORDER BY s.drop_id, s.sku, s.bucket FOR UPDATE OF s",
    )
    .bind(drops)
    .bind(skus)
    .bind(numbers)
    .fetch_all(c)
    .await?;
    for row in &found {
        let (drop, sku): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        // Names that cannot be ours were written by hand; they sell nothing.
        if let (Ok(drop), Ok(sku)) = (DropId::new(&drop), Sku::new(&sku)) {
            let found = Bucket {
                total: count(row, 3)?,
                held: count(row, 4)?,
                sold: count(row, 5)?,
            };
            sheet
                .buckets
                .entry((drop, sku))
                .or_default()
                .insert(bucket(row, 2)?, found);
        }
    }
    Ok(())
}

/// Reads the ledger's clock, after everything that may have had to be waited for, and makes sure once more that what is
/// about to be committed will be kept: settings can change while we run.
pub(super) async fn read_clock(c: &mut PgConnection, sheet: &mut Sheet) -> Result<(), Trouble> {
    let row = sqlx::query(
        "SELECT ledger_now(), current_setting('fsync') <> 'off' AND current_setting('synchronous_commit') <> 'off'",
    )
    .fetch_one(c)
    .await?;
    sheet.now = timestamp(row.try_get(0)?);
    if row.try_get(1)? {
        Ok(())
    } else {
        Err(Trouble::NotDurable)
    }
}
