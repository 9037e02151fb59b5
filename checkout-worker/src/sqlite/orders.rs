//! Orders: read, list, and the compare-and-set that stores a step.

use domain::OrderId;
use domain::saga::{Flag, Operation, Order, StateName, StockMove};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use crate::ledger::{Applied, AttemptRow, Email, OrderFilter, OrderRecord, Sort, Transition};
use crate::reserving;
use crate::row::{Corrupt, ItemRow, Moved, OrderRow, flag_reason, millis, moved_money, signed, state_text};

use super::StoreError;
use super::thread::Store;
use super::{outbox, stock};

const COLUMNS: &str = "id, drop_id, shopper, state, version, data, tries, due_at, leased_until, flag, flag_reason, \
                       total, currency, email, reserved_until, created_at, changed_at, accepted_at";
/// Most rows of one list, whatever is asked for.
const LIST_MAX: u32 = 1_000;

/// The bytes under which an order's rows are kept.
pub(super) fn key(order: OrderId) -> [u8; 16] {
    order.0.to_be_bytes()
}

/// Reads one order with its items.
pub(super) fn load(store: &Store<'_>, order: OrderId) -> Result<Option<OrderRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = ?1");
    let mut statement = store.connection.prepare_cached(&sql)?;
    let raw = statement.query_row(params![key(order)], order_row).optional()?;
    raw.map(|raw| record(store, raw)).transpose()
}

/// Of orders with a version each, those that have moved on, and where to.
pub(super) fn newer(store: &Store<'_>, known: &[(OrderId, u64)]) -> Result<Vec<(OrderId, u64)>, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT version FROM orders WHERE id = ?1 AND version > ?2")?;
    let mut newer = Vec::new();
    for (order, version) in known {
        let asked = params![key(*order), signed(*version)];
        let now: Option<i64> = statement.query_row(asked, |row| row.get(0)).optional()?;
        newer.extend(now.map(|now| (*order, now.unsigned_abs())));
    }
    Ok(newer)
}

/// Lists orders by when they were made: ids are time-ordered.
pub(super) fn list(store: &Store<'_>, filter: &OrderFilter) -> Result<Vec<OrderRecord>, StoreError> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut with = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{condition} ?{}", values.len()));
    };
    if let Some(drop) = &filter.drop {
        with("drop_id =", Value::from(drop.as_str().to_owned()));
    }
    if let Some(before) = filter.changed_before {
        with("changed_at <", Value::from(millis(before)));
    }
    if let Some(by) = filter.due_by {
        with("due_at <=", Value::from(millis(by)));
    }
    let (beyond, direction) = match filter.sort {
        Sort::OldestFirst => ("id >", "ASC"),
        Sort::NewestFirst => ("id <", "DESC"),
    };
    if let Some(after) = filter.after {
        with(beyond, Value::from(key(after).to_vec()));
    }
    if filter.flagged {
        conditions.push("flag IS NOT NULL".to_owned());
    }
    if !filter.states.is_empty() {
        // Names of our own, without anything to escape.
        let names: Vec<String> = filter.states.iter().map(|state| format!("'{state}'")).collect();
        conditions.push(format!("state IN ({})", names.join(", ")));
    }
    let limit = filter.limit.clamp(1, LIST_MAX);
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE {} ORDER BY id {direction} LIMIT {limit}",
        conditions.join(" AND ")
    );
    let mut statement = store.connection.prepare_cached(&sql)?;
    let raw: Vec<OrderRow> = statement
        .query_map(params_from_iter(values), order_row)?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::with_capacity(raw.len());
    for raw in raw {
        match record(store, raw) {
            Ok(record) => found.push(record),
            Err(StoreError::Corrupt(row)) => row.left_out(),
            Err(failed) => return Err(failed),
        }
    }
    Ok(found)
}

/// Stores a step, if the order is still as the step left it.
pub(super) fn apply(store: &Store<'_>, transition: &Transition) -> Result<Applied, StoreError> {
    let step = &transition.step;
    let order = &step.order;
    let before = order.version.saturating_sub(1);
    if !update(store, order, before, step.from)? {
        return Ok(Applied::Conflict);
    }
    let returned = match step.stock {
        Some(movement) => stock::settle(store, order, movement)?,
        None => 0,
    };
    let given_back = if matches!(step.stock, Some(StockMove::Void | StockMove::Unsell)) {
        returned
    } else {
        0
    };
    record_payment(store, order)?;
    if let Some((operation, n, outcome)) = transition.outcome {
        record_outcome(store, order.id, operation, n, outcome)?;
    }
    if let Some(attempt) = &transition.attempt {
        record_attempt(store, order.id, attempt)?;
    }
    outbox::post(store, order, &step.effects, given_back)?;
    Ok(Applied::Done)
}

fn update(store: &Store<'_>, order: &Order, before: u64, from: StateName) -> Result<bool, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "UPDATE orders SET state = ?1, version = ?2, data = ?3, tries = ?4, due_at = ?5, leased_until = ?6, \
         flag = ?7, flag_reason = ?8, changed_at = ?9, accepted_at = coalesce(accepted_at, ?13) \
         WHERE id = ?10 AND version = ?11 AND state = ?12",
    )?;
    let changed = statement.execute(params![
        order.state.name().as_str(),
        signed(order.version),
        state_text(order),
        order.pace.tries,
        millis(order.pace.due),
        millis(order.pace.leased_until),
        order.flag.as_ref().map(Flag::as_str),
        flag_reason(order.flag.as_ref()),
        millis(store.now),
        key(order.id),
        signed(before),
        from.as_str(),
        (order.state.name() == StateName::Accepted).then_some(millis(store.now)),
    ])?;
    Ok(changed == 1)
}

/// The payment row repeats what the states say in a book of its own: one provider object per order, and what it captured.
fn record_payment(store: &Store<'_>, order: &Order) -> Result<(), StoreError> {
    let Some(Moved {
        payment,
        captured,
        refunded,
    }) = moved_money(order)
    else {
        return Ok(());
    };
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO payment (order_id, provider_id, captured, refunded, currency, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (order_id) DO UPDATE SET captured = max(captured, excluded.captured), \
         refunded = max(refunded, excluded.refunded), at = excluded.at WHERE provider_id = excluded.provider_id",
    )?;
    let written = statement.execute(params![
        key(order.id),
        payment.as_str(),
        signed(captured),
        signed(refunded),
        order.total.currency.as_str(),
        millis(store.now),
    ])?;
    if written == 0 {
        let what = format!("its payment changed to {payment}");
        let order = order.id;
        return Err(Corrupt { order, what }.into());
    }
    Ok(())
}

/// Puts an attempt on record. The same attempt again must send the same parameters; after a restore it goes under a key of
/// another space.
fn record_attempt(store: &Store<'_>, order: OrderId, attempt: &AttemptRow) -> Result<(), StoreError> {
    let mut insert = store.connection.prepare_cached(
        "INSERT INTO attempt (order_id, op, n, idempotency_key, params, first_sent_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (order_id, op, n) DO UPDATE SET idempotency_key = excluded.idempotency_key \
         WHERE params = excluded.params",
    )?;
    let written = insert.execute(params![
        key(order),
        attempt.operation.as_str(),
        attempt.n,
        attempt.key.as_str(),
        attempt.params,
        millis(attempt.first_sent),
    ])?;
    if written == 0 {
        return Err(StoreError::AttemptChanged(attempt.key.clone()));
    }
    Ok(())
}

fn record_outcome(
    store: &Store<'_>,
    order: OrderId,
    operation: Operation,
    n: u32,
    outcome: &str,
) -> Result<(), StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("UPDATE attempt SET outcome = ?1 WHERE order_id = ?2 AND op = ?3 AND n = ?4")?;
    statement.execute(params![outcome, key(order), operation.as_str(), n])?;
    Ok(())
}

fn order_row(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        id: row.get(0)?,
        drop: row.get(1)?,
        shopper: row.get(2)?,
        state: row.get(3)?,
        version: row.get(4)?,
        data: row.get(5)?,
        tries: row.get(6)?,
        due: row.get(7)?,
        leased_until: row.get(8)?,
        flag: row.get(9)?,
        flag_reason: row.get(10)?,
        total: row.get(11)?,
        currency: row.get(12)?,
        email: row.get(13)?,
        reserved_until: row.get(14)?,
        created_at: row.get(15)?,
        changed_at: row.get(16)?,
        accepted_at: row.get(17)?,
    })
}

fn record(store: &Store<'_>, row: OrderRow) -> Result<OrderRecord, StoreError> {
    let items = items(store, row.order())?;
    Ok(row.into_record(items)?)
}

fn items(store: &Store<'_>, order: OrderId) -> Result<Vec<ItemRow>, StoreError> {
    let mut statement = store
        .connection
        .prepare_cached("SELECT sku, quantity, amount FROM order_items WHERE order_id = ?1 ORDER BY line")?;
    let rows = statement.query_map(params![key(order)], |row| {
        Ok(ItemRow {
            sku: row.get(0)?,
            quantity: row.get(1)?,
            amount: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a new order with its items.
pub(super) fn insert(
    store: &Store<'_>,
    record: &OrderRecord,
    new: &crate::ledger::NewOrder,
) -> Result<(), StoreError> {
    let order = &record.order;
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO orders (id, drop_id, shopper, admission, client_key, request_hash, state, version, data, tries, \
         due_at, leased_until, total, currency, units, email, reserved_until, created_at, changed_at, accepted_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18, ?19)",
    )?;
    statement.execute(params![
        key(order.id),
        order.drop.as_str(),
        order.shopper.0,
        new.admission.0,
        new.client_key.as_str(),
        new.request_hash,
        order.state.name().as_str(),
        signed(order.version),
        state_text(order),
        order.pace.tries,
        millis(order.pace.due),
        millis(order.pace.leased_until),
        signed(order.total.amount),
        order.total.currency.as_str(),
        reserving::units(new),
        record.email.as_ref().map(Email::as_str),
        millis(record.reserved_until),
        millis(store.now),
        record.accepted_at.map(millis),
    ])?;
    let mut statement = store.connection.prepare_cached(
        "INSERT INTO order_items (order_id, line, sku, quantity, amount) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (at, item) in (0_u32..).zip(&record.items) {
        let (sku, quantity) = (item.line.sku.as_str(), item.line.quantity);
        statement.execute(params![
            key(order.id),
            at,
            sku,
            quantity,
            signed(item.price.amount)
        ])?;
    }
    Ok(())
}
