//! One transaction for many commands: lock, read, decide, write, commit.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::OrderId;
use domain::saga::PaymentMethod;
use sqlx::PgConnection;

use crate::ledger::{Acceptance, Applied, NewOrder, OrderRecord, Reservation, Transition};

use super::columns::order;
use super::connect;
use super::gather;
use super::sheet::Sheet;
use super::trouble::Trouble;
use super::write;

/// A command that shares its transaction with others.
pub(super) enum Command {
    Reserve(Box<NewOrder>),
    Accept(OrderId, PaymentMethod),
    Apply(Box<Transition>),
}

/// What came of a command.
pub(super) enum Answer {
    Reserved(Box<Reservation>),
    Accepted(Acceptance),
    Applied(Applied),
}

/// Runs all commands, in their order, in one transaction. Either every answer is durable or nothing was changed, unless
/// the trouble says that it is unsure. `committing` rises when the commit is sent.
pub(super) async fn run(
    connection: &mut PgConnection,
    commands: &[&Command],
    committing: &AtomicBool,
) -> Result<Vec<Answer>, Trouble> {
    let mut transaction = connect::begin(connection).await?;
    let mut sheet = gathered(&mut transaction, commands).await?;
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        answers.push(match command {
            Command::Reserve(new) => Answer::Reserved(Box::new(sheet.reserve(new)?)),
            Command::Accept(order, method) => Answer::Accepted(sheet.accept(*order, method)?),
            Command::Apply(transition) => Answer::Applied(sheet.apply(transition)?),
        });
    }
    write::all(&mut transaction, &sheet).await?;
    committing.store(true, Ordering::Relaxed);
    transaction
        .commit()
        .await
        .map_err(|cause| Trouble::from(cause).at_commit())?;
    Ok(answers)
}

async fn gathered(c: &mut PgConnection, commands: &[&Command]) -> Result<Sheet, Trouble> {
    let mut sheet = Sheet::default();
    let (mut reserving, mut changing, mut moving) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for command in commands {
        match command {
            Command::Reserve(new) => reserving.push(&**new),
            Command::Accept(order, _) => {
                changing.insert(*order);
            }
            Command::Apply(transition) => {
                let step = &transition.step;
                changing.insert(step.order.id);
                if step.stock.is_some() {
                    moving.insert(step.order.id);
                }
            }
        }
    }
    if !reserving.is_empty() {
        gather::lock_shoppers(c, &reserving).await?;
        gather::read_shoppers(c, &mut sheet, &reserving).await?;
    }
    let earlier: BTreeSet<OrderId> = sheet.requests.values().map(|(order, _)| *order).collect();
    gather::read_orders(c, &mut sheet, &changing, &earlier).await?;
    if !moving.is_empty() {
        gather::read_held(c, &mut sheet, &moving).await?;
    }
    gather::lock_stock(c, &mut sheet, &reserving).await?;
    gather::read_clock(c, &mut sheet).await?;
    Ok(sheet)
}

/// Releases reservations past their time. Orders that another process has in hand are left to it: two sweepers share the
/// work and never wait for each other.
pub(super) async fn expire(connection: &mut PgConnection, limit: u32) -> Result<Vec<OrderRecord>, Trouble> {
    let mut transaction = connect::begin(connection).await?;
    let found = sqlx::query(
        "SELECT id FROM orders WHERE state = 'reserved' AND reserved_until <= ledger_now() \
         ORDER BY reserved_until LIMIT $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(i64::from(limit))
    .fetch_all(&mut *transaction)
    .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let due: BTreeSet<OrderId> = found.iter().map(|row| order(row, 0)).collect::<Result<_, _>>()?;
    let mut sheet = Sheet::default();
    gather::read_orders(&mut transaction, &mut sheet, &due, &BTreeSet::new()).await?;
    gather::read_held(&mut transaction, &mut sheet, &due).await?;
    gather::lock_stock(&mut transaction, &mut sheet, &[]).await?;
    gather::read_clock(&mut transaction, &mut sheet).await?;
    let mut released = Vec::with_capacity(due.len());
    for order in due {
        match sheet.expire(order) {
            Ok(record) => released.extend(record),
            // One row that cannot be ours must not keep the units of all others.
            Err(corrupt) => {
                tracing::error!(order.id = %corrupt.order, what = corrupt.what, "an order cannot be read");
            }
        }
    }
    write::all(&mut transaction, &sheet).await?;
    transaction.commit().await?;
    Ok(released)
}
