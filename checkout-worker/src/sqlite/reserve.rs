//! Reserve, accept, expire: the three commands whose rules must hold within the transaction.

use domain::OrderId;
use domain::pool::Slice;
use domain::saga::{Event, Moment, PaymentMethod, Step};
use rusqlite::{OptionalExtension, params};

use crate::ledger::{Acceptance, Applied, NewOrder, OrderRecord, Reservation, Transition};
use crate::reserving;
use crate::row::{Corrupt, DEAD, millis};

use super::StoreError;
use super::orders;
use super::thread::Store;
use super::{outbox, stock};

/// Reserves, and accepts where a payment method is given. Everything is read before anything is written.
pub(super) fn reserve(store: &Store<'_>, new: &NewOrder) -> Result<Reservation, StoreError> {
    if let Some(earlier) = earlier(store, new)? {
        return Ok(earlier);
    }
    if let Some(order) = admission_holder(store, new)? {
        return Ok(Reservation::AdmissionSpent { order });
    }
    if let Some(refused) = reserving::over_limit(new, units_of_shopper(store, new)?) {
        return Ok(refused);
    }
    match reserving::choose(new, |sku| stock::buckets(store, &new.drop, sku))? {
        Ok(slices) => place(store, new, &slices),
        Err(refused) => Ok(refused),
    }
}

/// Accepts a reserved order, by the ledger's own clock.
pub(super) fn accept(
    store: &Store<'_>,
    order: OrderId,
    method: PaymentMethod,
) -> Result<Acceptance, StoreError> {
    let Some(record) = orders::load(store, order)? else {
        return Ok(Acceptance::Unknown);
    };
    match record
        .order
        .clone()
        .step(Event::Accept(method), Moment::at(store.now))
    {
        Err(refusal) => Ok(Acceptance::Refused(refusal)),
        Ok(step) => Ok(Acceptance::Accepted(Box::new(stored(store, record, step)?))),
    }
}

/// Releases reservations past their time, by the ledger's own clock.
pub(super) fn expire(store: &Store<'_>, limit: u32) -> Result<Vec<OrderRecord>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT id FROM orders WHERE state = 'reserved' AND reserved_until <= ?1 ORDER BY reserved_until LIMIT ?2",
    )?;
    let due: Vec<[u8; 16]> = statement
        .query_map(params![millis(store.now), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut released = Vec::with_capacity(due.len());
    for id in due {
        let Some(record) = orders::load(store, OrderId(u128::from_be_bytes(id)))? else {
            continue;
        };
        if let Ok(step) = record.order.clone().step(Event::Expire, Moment::at(store.now)) {
            released.push(stored(store, record, step)?);
        }
    }
    Ok(released)
}

/// Stores a step of an order that was read in this very transaction.
fn stored(store: &Store<'_>, record: OrderRecord, step: Step) -> Result<OrderRecord, StoreError> {
    let order = step.order.clone();
    let transition = Transition {
        step,
        attempt: None,
        outcome: None,
    };
    match orders::apply(store, &transition)? {
        Applied::Done => Ok(record.after(order, store.now)),
        Applied::Conflict => {
            let what = "it changed within one transaction".to_owned();
            let order = order.id;
            Err(Corrupt { order, what }.into())
        }
    }
}

/// What an earlier request under the same key came to.
fn earlier(store: &Store<'_>, new: &NewOrder) -> Result<Option<Reservation>, StoreError> {
    let mut statement = store.connection.prepare_cached(
        "SELECT id, request_hash FROM orders WHERE drop_id = ?1 AND shopper = ?2 AND client_key = ?3",
    )?;
    let found: Option<([u8; 16], [u8; 32])> = statement
        .query_row(
            params![new.drop.as_str(), new.shopper.0, new.client_key.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((id, request_hash)) = found else {
        return Ok(None);
    };
    let order = OrderId(u128::from_be_bytes(id));
    if request_hash != new.request_hash {
        return Ok(Some(Reservation::KeyMismatch { order }));
    }
    Ok(orders::load(store, order)?.map(Reservation::Repeated))
}

fn admission_holder(store: &Store<'_>, new: &NewOrder) -> Result<Option<OrderId>, StoreError> {
    let sql = format!("SELECT id FROM orders WHERE admission = ?1 AND state NOT IN {DEAD}");
    let mut statement = store.connection.prepare_cached(&sql)?;
    let id: Option<[u8; 16]> = statement
        .query_row(params![new.admission.0], |row| row.get(0))
        .optional()?;
    Ok(id.map(|id| OrderId(u128::from_be_bytes(id))))
}

/// Units of the shopper's orders that are alive. Refunded ones hold nothing any more.
fn units_of_shopper(store: &Store<'_>, new: &NewOrder) -> Result<u32, StoreError> {
    let sql = format!(
        "SELECT coalesce(sum(units), 0) FROM orders \
         WHERE drop_id = ?1 AND shopper = ?2 AND state NOT IN {DEAD} AND state <> 'refunded'"
    );
    let mut statement = store.connection.prepare_cached(&sql)?;
    let units: i64 = statement.query_row(params![new.drop.as_str(), new.shopper.0], |row| row.get(0))?;
    Ok(u32::try_from(units).unwrap_or(u32::MAX))
}

fn place(store: &Store<'_>, new: &NewOrder, slices: &[Slice]) -> Result<Reservation, StoreError> {
    let (record, effects) = reserving::placed(new, store.now);
    orders::insert(store, &record, new)?;
    stock::hold(store, &record.order, slices)?;
    outbox::post(store, &record.order, &effects, 0)?;
    Ok(Reservation::Placed(record))
}
