//! Columns of Postgres rows as the types we use, checked on the way.

use domain::OrderId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::row::OrderRow;

/// What an order's row is made of, in the order that [`order_row`] reads.
pub(super) const ORDER: &str = "id, drop_id, shopper, state, version, data, tries, due_at, leased_until, flag, flag_reason, \
                                total, currency, email, reserved_until, created_at, changed_at, accepted_at";

/// The bytes under which an order's rows are kept.
pub(super) fn key(order: OrderId) -> [u8; 16] {
    order.0.to_be_bytes()
}

/// The order that a column names.
pub(super) fn order(row: &PgRow, column: usize) -> Result<OrderId, sqlx::Error> {
    Ok(OrderId(u128::from_be_bytes(row.try_get(column)?)))
}

/// A count of units, tries, or the like.
pub(super) fn count(row: &PgRow, column: usize) -> Result<u32, sqlx::Error> {
    let found: i64 = row.try_get(column)?;
    u32::try_from(found).map_err(|cause| sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: Box::new(cause),
    })
}

/// A bucket's number.
pub(super) fn bucket(row: &PgRow, column: usize) -> Result<u32, sqlx::Error> {
    let found: i32 = row.try_get(column)?;
    Ok(found.unsigned_abs())
}

/// A whole order.
pub(super) fn order_row(row: &PgRow) -> Result<OrderRow, sqlx::Error> {
    Ok(OrderRow {
        id: row.try_get(0)?,
        drop: row.try_get(1)?,
        shopper: row.try_get(2)?,
        state: row.try_get(3)?,
        version: row.try_get(4)?,
        data: row.try_get(5)?,
        tries: row.try_get(6)?,
        due: row.try_get(7)?,
        leased_until: row.try_get(8)?,
        flag: row.try_get(9)?,
        flag_reason: row.try_get(10)?,
        total: row.try_get(11)?,
        currency: row.try_get(12)?,
        email: row.try_get(13)?,
        reserved_until: row.try_get(14)?,
        created_at: row.try_get(15)?,
        changed_at: row.try_get(16)?,
        accepted_at: row.try_get(17)?,
    })
}
