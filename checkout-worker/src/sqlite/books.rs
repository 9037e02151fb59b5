//! Figures, and both sides of every book.

use domain::saga::StateName;
use domain::{DropId, OrderId};
use rusqlite::{Row, params};

use crate::ledger::{AuditSums, Gauges, Revenue, Sales};
use crate::row::{
    ENTRIES, ORDERS, REVENUE, SOLD, STOCK, StockBooks, UNTOLD, forgotten, millis, states, stock_sums,
    timestamp,
};

use super::StoreError;
use super::thread::Store;

/// Figures for metrics.
pub(super) fn gauges(store: &Store<'_>) -> Result<Gauges, StoreError> {
    let mut gauges = Gauges::default();
    let mut statement = store
        .connection
        .prepare_cached("SELECT drop_id, state, count(*) FROM orders GROUP BY state, drop_id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (drop, state): (String, String) = (row.get(0)?, row.get(1)?);
        if let (Ok(drop), Some(state)) = (DropId::new(&drop), StateName::parse(&state)) {
            gauges.orders.push((drop, state, count(row, 2)?));
        }
    }
    let mut statement = store
        .connection
        .prepare_cached("SELECT flag, count(*) FROM orders WHERE flag IS NOT NULL GROUP BY flag")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        gauges.flagged.push((row.get(0)?, count(row, 1)?));
    }
    let mut statement = store
        .connection
        .prepare_cached("SELECT count(*), min(at) FROM outbox WHERE delivered_at IS NULL")?;
    let (pending, oldest) =
        statement.query_row([], |row| Ok((count(row, 0)?, row.get::<_, Option<i64>>(1)?)))?;
    (gauges.outbox_pending, gauges.outbox_oldest) = (pending, oldest.map(timestamp));
    let mut statement = store.connection.prepare_cached(UNTOLD)?;
    let (untold, oldest, given_up) = statement.query_row([], |row| {
        Ok((count(row, 0)?, row.get::<_, Option<i64>>(1)?, count(row, 2)?))
    })?;
    (gauges.untold, gauges.untold_oldest, gauges.given_up) = (untold, oldest.map(timestamp), given_up);
    Ok(gauges)
}

/// What a drop came to so far.
pub(super) fn sales(store: &Store<'_>, drop: &DropId) -> Result<Sales, StoreError> {
    let mut sales = Sales::default();
    let of_drop = params![drop.as_str()];
    let sql = states("CASE WHEN json_valid(data) THEN data ->> 'is' END");
    let mut statement = store.connection.prepare_cached(&sql)?;
    let mut rows = statement.query(of_drop)?;
    while let Some(row) = rows.next()? {
        let (state, own): (String, String) = (row.get(0)?, row.get(1)?);
        sales.count(&state, &own, count(row, 2)?);
    }
    let mut statement = store.connection.prepare_cached(REVENUE)?;
    let revenue = |row: &Row<'_>| {
        Ok(Revenue {
            currency: row.get(0)?,
            captured: count(row, 1)?,
            refunded: count(row, 2)?,
        })
    };
    let revenues = statement.query_map(of_drop, revenue)?;
    sales.revenue = revenues.collect::<Result<_, _>>()?;
    let mut statement = store.connection.prepare_cached(SOLD)?;
    let between: (Option<i64>, Option<i64>) =
        statement.query_row(of_drop, |row| Ok((row.get(0)?, row.get(1)?)))?;
    sales.sold_between = between.0.map(timestamp).zip(between.1.map(timestamp));
    Ok(sales)
}

/// Both sides of every book, read at one moment.
pub(super) fn audit(store: &Store<'_>) -> Result<AuditSums, StoreError> {
    let snapshot = store.connection.unchecked_transaction()?;
    let sums = read_books(store)?;
    snapshot.finish()?;
    Ok(sums)
}

fn read_books(store: &Store<'_>) -> Result<AuditSums, StoreError> {
    let mut books = StockBooks::new();
    let mut collect = |sql: &str, columns: &[usize]| -> Result<(), StoreError> {
        let mut statement = store.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let book = books.entry((row.get(0)?, row.get(1)?)).or_default();
            for (at, column) in columns.iter().enumerate() {
                if let Some(cell) = book.get_mut(*column) {
                    *cell = row.get(at + 2)?;
                }
            }
        }
        Ok(())
    };
    collect(STOCK, &[0, 1, 2])?;
    collect(ENTRIES, &[3, 4])?;
    collect(ORDERS, &[5, 6])?;
    let mut sums = money(store)?;
    sums.stock = stock_sums(books);
    Ok(sums)
}

fn money(store: &Store<'_>) -> Result<AuditSums, StoreError> {
    let one = |sql: &str| -> Result<u64, StoreError> {
        Ok(store
            .connection
            .prepare_cached(sql)?
            .query_row([], |row| count(row, 0))?)
    };
    let mut forgotten = store.connection.prepare_cached(&forgotten("?1"))?;
    let forgotten = forgotten
        .query_map(params![millis(store.now)], |row| {
            Ok((OrderId(u128::from_be_bytes(row.get(0)?)), count(row, 1)?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(AuditSums {
        stock: Vec::new(),
        paid_orders: one("SELECT count(*) FROM orders WHERE state IN ('paid', 'refunded')")?,
        paid_total: one("SELECT coalesce(sum(total), 0) FROM orders WHERE state IN ('paid', 'refunded')")?,
        captured_total: one("SELECT coalesce(sum(captured), 0) FROM payment")?,
        captured_without_paid: one(
            "SELECT count(*) FROM payment p JOIN orders o ON o.id = p.order_id \
             WHERE p.captured > 0 AND o.state NOT IN ('paid', 'refunded')",
        )?,
        paid_without_capture: one(
            "SELECT count(*) FROM orders o LEFT JOIN payment p ON p.order_id = o.id \
             WHERE o.state IN ('paid', 'refunded') AND coalesce(p.captured, 0) <> o.total",
        )?,
        forgotten: forgotten.first().map_or(0, |(_, many)| *many),
        forgotten_orders: forgotten.into_iter().map(|(order, _)| order).collect(),
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}
