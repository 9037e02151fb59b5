//! Figures, and both sides of every book.

use domain::DropId;
use domain::saga::StateName;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::ledger::{AuditSums, Gauges, Revenue, Sales};
use crate::row::{
    ENTRIES, ORDERS, REVENUE, SOLD, STOCK, StockBooks, UNTOLD, forgotten, states, stock_sums, timestamp,
};

use super::columns::order;
use super::trouble::Trouble;

/// Figures for metrics.
pub(super) async fn gauges(c: &mut PgConnection) -> Result<Gauges, Trouble> {
    let mut gauges = Gauges::default();
    let found = sqlx::query("SELECT drop_id, state, count(*) FROM orders GROUP BY state, drop_id")
        .fetch_all(&mut *c)
        .await?;
    for row in &found {
        let (drop, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if let (Ok(drop), Some(state)) = (DropId::new(&drop), StateName::parse(&state)) {
            let count: i64 = row.try_get(2)?;
            gauges.orders.push((drop, state, count.unsigned_abs()));
        }
    }
    let found = sqlx::query("SELECT flag, count(*) FROM orders WHERE flag IS NOT NULL GROUP BY flag")
        .fetch_all(&mut *c)
        .await?;
    for row in &found {
        let count: i64 = row.try_get(1)?;
        gauges.flagged.push((row.try_get(0)?, count.unsigned_abs()));
    }
    let row = sqlx::query("SELECT count(*), min(at) FROM outbox WHERE delivered_at IS NULL")
        .fetch_one(&mut *c)
        .await?;
    gauges.outbox_pending = row.try_get::<i64, _>(0)?.unsigned_abs();
    gauges.outbox_oldest = row.try_get::<Option<i64>, _>(1)?.map(timestamp);
    let row = sqlx::query(UNTOLD).fetch_one(c).await?;
    gauges.untold = row.try_get::<i64, _>(0)?.unsigned_abs();
    gauges.untold_oldest = row.try_get::<Option<i64>, _>(1)?.map(timestamp);
    gauges.given_up = row.try_get::<i64, _>(2)?.unsigned_abs();
    Ok(gauges)
}

/// The state's own part of an order's data. Only what begins as we write it is parsed: one row that cannot be read must not
/// take the report from everybody.
const OWN_DATA: &str = "CASE WHEN data LIKE '{\"v\":%}' THEN data::json ->> 'is' END";

/// What a drop came to so far.
pub(super) async fn sales(c: &mut PgConnection, drop: &DropId) -> Result<Sales, Trouble> {
    let mut sales = Sales::default();
    let found = sqlx::query(AssertSqlSafe(states(OWN_DATA)))
        .bind(drop.as_str())
        .fetch_all(&mut *c)
        .await?;
    for row in &found {
        let (state, own): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        sales.count(&state, &own, row.try_get::<i64, _>(2)?.unsigned_abs());
    }
    let found = sqlx::query(REVENUE)
        .bind(drop.as_str())
        .fetch_all(&mut *c)
        .await?;
    for row in &found {
        sales.revenue.push(Revenue {
            currency: row.try_get(0)?,
            captured: row.try_get::<i64, _>(1)?.unsigned_abs(),
            refunded: row.try_get::<i64, _>(2)?.unsigned_abs(),
        });
    }
    let row = sqlx::query(SOLD).bind(drop.as_str()).fetch_one(c).await?;
    let between: (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    sales.sold_between = between.0.map(timestamp).zip(between.1.map(timestamp));
    Ok(sales)
}

/// Both sides of every book, read at one moment.
pub(super) async fn audit(connection: &mut PgConnection) -> Result<AuditSums, Trouble> {
    let mut snapshot = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let mut sums = money(&mut snapshot).await?;
    let mut books = StockBooks::new();
    for (sql, columns) in [(STOCK, 0..3), (ENTRIES, 3..5), (ORDERS, 5..7)] {
        let found = sqlx::query(sql).fetch_all(&mut *snapshot).await?;
        for row in &found {
            let book = books.entry((row.try_get(0)?, row.try_get(1)?)).or_default();
            for (at, cell) in book[columns.clone()].iter_mut().enumerate() {
                *cell = row.try_get(at + 2)?;
            }
        }
    }
    snapshot.rollback().await?;
    sums.stock = stock_sums(books);
    Ok(sums)
}

/// In the order in which [`money`] reads them.
const MONEY: &str = "SELECT \
    (SELECT count(*) FROM orders WHERE state IN ('paid', 'refunded')), \
    (SELECT coalesce(sum(total), 0)::bigint FROM orders WHERE state IN ('paid', 'refunded')), \
    (SELECT coalesce(sum(captured), 0)::bigint FROM payment), \
    (SELECT count(*) FROM payment p JOIN orders o ON o.id = p.order_id \
        WHERE p.captured > 0 AND o.state NOT IN ('paid', 'refunded')), \
    (SELECT count(*) FROM orders o LEFT JOIN payment p ON p.order_id = o.id \
        WHERE o.state IN ('paid', 'refunded') AND coalesce(p.captured, 0) <> o.total)";

async fn money(c: &mut PgConnection) -> Result<AuditSums, Trouble> {
    let row = sqlx::query(MONEY).fetch_one(&mut *c).await?;
    let forgotten = sqlx::query(AssertSqlSafe(forgotten("ledger_now()")))
        .fetch_all(c)
        .await?;
    let sum = |column: usize| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(column)?.unsigned_abs());
    Ok(AuditSums {
        stock: Vec::new(),
        paid_orders: sum(0)?,
        paid_total: sum(1)?,
        captured_total: sum(2)?,
        captured_without_paid: sum(3)?,
        paid_without_capture: sum(4)?,
        forgotten: forgotten
            .first()
            .map_or(Ok(0), |row| row.try_get::<i64, _>(1))?
            .unsigned_abs(),
        forgotten_orders: forgotten
            .iter()
            .map(|row| order(row, 0))
            .collect::<Result<_, _>>()?,
    })
}
