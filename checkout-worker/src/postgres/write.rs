//! Writes a sheet: one statement per table, whatever the number of commands. Each statement must touch exactly the rows it
//! was given, or the transaction fails.

mod books;

use domain::OrderId;
use domain::saga::Flag;
use sqlx::PgConnection;

use crate::ledger::{Email, OrderRecord};
use crate::reserving;
use crate::row::{Corrupt, flag_reason, millis, signed, state_text};

use super::columns::key;
use super::sheet::Sheet;
use super::trouble::Trouble;

/// Writes everything. Orders come first: the other tables refer to them.
pub(super) async fn all(c: &mut PgConnection, sheet: &Sheet) -> Result<(), Trouble> {
    let Sheet { now, writes, .. } = sheet;
    new_orders(c, sheet).await?;
    changed_orders(c, sheet).await?;
    books::entries(c, writes, *now).await?;
    books::shifts(c, writes).await?;
    books::payments(c, writes, *now).await?;
    books::outcomes(c, writes).await?;
    books::attempts(c, writes).await?;
    books::messages(c, writes, *now).await
}

async fn new_orders(c: &mut PgConnection, sheet: &Sheet) -> Result<(), Trouble> {
    let placed: Vec<_> = (sheet.writes.placed.values())
        .filter_map(|new| Some((new, sheet.orders.get(&new.id)?.as_ref().ok()?)))
        .collect();
    if placed.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$new:pat_param, $record:pat_param| $value:expr) => {
            placed
                .iter()
                .map(|($new, $record)| $value)
                .collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO orders (id, drop_id, shopper, admission, client_key, request_hash, state, version, data, tries, \
         due_at, leased_until, total, currency, units, email, reserved_until, created_at, changed_at, accepted_at) \
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::text[], \
         $8::bigint[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], \
         $15::bigint[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[])",
    )
    .bind(column!(|new, _| key(new.id)))
    .bind(column!(|new, _| new.drop.as_str().to_owned()))
    .bind(column!(|new, _| new.shopper.0))
    .bind(column!(|new, _| new.admission.0))
    .bind(column!(|new, _| new.client_key.as_str().to_owned()))
    .bind(column!(|new, _| new.request_hash))
    .bind(column!(|_, record| record.order.state.name().as_str().to_owned()))
    .bind(column!(|_, record| signed(record.order.version)))
    .bind(column!(|_, record| state_text(&record.order)))
    .bind(column!(|_, record| i64::from(record.order.pace.tries)))
    .bind(column!(|_, record| millis(record.order.pace.due)))
    .bind(column!(|_, record| millis(record.order.pace.leased_until)))
    .bind(column!(|_, record| signed(record.order.total.amount)))
    .bind(column!(|_, record| record.order.total.currency.as_str().to_owned()))
    .bind(column!(|new, _| i64::from(reserving::units(new))))
    .bind(column!(|_, record| record.email.as_ref().map(|email: &Email| email.as_str().to_owned())))
    .bind(column!(|_, record| millis(record.reserved_until)))
    .bind(column!(|_, record| millis(record.created_at)))
    .bind(column!(|_, record| millis(record.changed_at)))
    .bind(column!(|_, record| record.accepted_at.map(millis)))
    .execute(&mut *c)
    .await?;
    let records: Vec<&OrderRecord> = placed.iter().map(|(_, record)| *record).collect();
    items(c, &records).await
}

async fn items(c: &mut PgConnection, records: &[&OrderRecord]) -> Result<(), Trouble> {
    let (mut orders, mut lines, mut skus) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quantities, mut amounts) = (Vec::new(), Vec::new());
    for record in records {
        for (line, item) in (0_i32..).zip(&record.items) {
            orders.push(key(record.order.id));
            lines.push(line);
            skus.push(item.line.sku.as_str().to_owned());
            quantities.push(i64::from(item.line.quantity));
            amounts.push(signed(item.price.amount));
        }
    }
    sqlx::query(
        "INSERT INTO order_items (order_id, line, sku, quantity, amount) \
         SELECT * FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[])",
    )
    .bind(orders)
    .bind(lines)
    .bind(skus)
    .bind(quantities)
    .bind(amounts)
    .execute(c)
    .await?;
    Ok(())
}

/// The rows are locked since they were read, so that the compare-and-set cannot fail; it is written all the same, because
/// a mistake in the locking must not become a lost step.
async fn changed_orders(c: &mut PgConnection, sheet: &Sheet) -> Result<(), Trouble> {
    let changed: Vec<_> = (sheet.writes.changed.iter())
        .filter(|(id, _)| !sheet.writes.placed.contains_key(id))
        .filter_map(|(id, read)| Some((read, sheet.orders.get(id)?.as_ref().ok()?)))
        .collect();
    let Some((_, first)) = changed.first() else {
        return Ok(());
    };
    macro_rules! column {
        (|$read:pat_param, $record:pat_param| $value:expr) => {
            changed
                .iter()
                .map(|($read, $record)| $value)
                .collect::<Vec<_>>()
        };
    }
    let written = sqlx::query(
        "UPDATE orders o SET state = k.state, version = k.version, data = k.data, tries = k.tries, due_at = k.due_at, \
         leased_until = k.leased_until, flag = k.flag, flag_reason = k.flag_reason, changed_at = k.changed_at, \
         accepted_at = k.accepted_at \
         FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], \
         $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::bigint[]) \
         AS k (id, read_version, read_state, state, version, data, tries, due_at, leased_until, flag, flag_reason, \
         changed_at, accepted_at) WHERE o.id = k.id AND o.version = k.read_version AND o.state = k.read_state",
    )
    .bind(column!(|_, record| key(record.order.id)))
    .bind(column!(|read, _| signed(read.0)))
    .bind(column!(|read, _| read.1.as_str().to_owned()))
    .bind(column!(|_, record| record.order.state.name().as_str().to_owned()))
    .bind(column!(|_, record| signed(record.order.version)))
    .bind(column!(|_, record| state_text(&record.order)))
    .bind(column!(|_, record| i64::from(record.order.pace.tries)))
    .bind(column!(|_, record| millis(record.order.pace.due)))
    .bind(column!(|_, record| millis(record.order.pace.leased_until)))
    .bind(column!(|_, record| record.order.flag.as_ref().map(|flag: &Flag| flag.as_str().to_owned())))
    .bind(column!(|_, record| flag_reason(record.order.flag.as_ref()).map(str::to_owned)))
    .bind(column!(|_, record| millis(record.changed_at)))
    .bind(column!(|_, record| record.accepted_at.map(millis)))
    .execute(c)
    .await?
    .rows_affected();
    expect_rows(
        written,
        changed.len(),
        first.order.id,
        "it changed while it was locked",
    )
}

/// Fewer rows than were given mean that a row was not as it must be. Alone in its transaction, a command's order is named.
fn expect_rows(written: u64, wanted: usize, order: OrderId, what: &str) -> Result<(), Trouble> {
    if usize::try_from(written) == Ok(wanted) {
        return Ok(());
    }
    let what = what.to_owned();
    Err(Corrupt { order, what }.into())
}
