//! What a reservation comes to, once a ledger has read what it needs: the same rules for every ledger.

use domain::pool::{Bucket, Line, Slice};
use domain::saga::{Effect, Event, Moment, Order, StateName};
use domain::{OrderId, Sku, Timestamp};

use crate::ledger::{NewOrder, OrderRecord, Reservation};

/// Units asked for, over all lines.
pub(crate) fn units(new: &NewOrder) -> u32 {
    new.items
        .iter()
        .map(|item| item.line.quantity)
        .fold(0, u32::saturating_add)
}

/// Refuses a shopper who has `has` units already and would have too many.
pub(crate) fn over_limit(new: &NewOrder, has: u32) -> Option<Reservation> {
    (has.saturating_add(units(new)) > new.per_shopper).then_some(Reservation::LimitExceeded {
        limit: new.per_shopper,
        has,
    })
}

/// Lets the domain's rule choose buckets for every line, or says why there is no choice; the table's CHECK is the guard
/// behind it. `buckets` gives those of a SKU in order, none where the drop does not sell it.
pub(crate) fn choose<E>(
    new: &NewOrder,
    mut buckets: impl FnMut(&Sku) -> Result<Vec<Bucket>, E>,
) -> Result<Result<Vec<Slice>, Reservation>, E> {
    let start = first_bucket(new.id);
    let (mut slices, mut left, mut short) = (Vec::new(), Vec::new(), false);
    for Line { sku, quantity } in new.items.iter().map(|item| &item.line) {
        let buckets = buckets(sku)?;
        if buckets.is_empty() {
            return Ok(Err(Reservation::UnknownSku(sku.clone())));
        }
        let free = buckets
            .iter()
            .map(|bucket| bucket.free())
            .fold(0, u32::saturating_add);
        left.push(Line {
            sku: sku.clone(),
            quantity: free,
        });
        match domain::pool::spread(&buckets, *quantity, start) {
            None => short = true,
            Some(parts) => slices.extend(parts.into_iter().map(|(bucket, quantity)| Slice {
                sku: sku.clone(),
                bucket,
                quantity,
            })),
        }
    }
    Ok(if short {
        Err(Reservation::SoldOut { left })
    } else {
        Ok(slices)
    })
}

/// The order that is placed, accepted at once where a payment method is given, and what follows from that.
pub(crate) fn placed(new: &NewOrder, now: Timestamp) -> (OrderRecord, Vec<Effect>) {
    let until = now + new.reserve_for;
    let order = Order::reserved(new.id, new.drop.clone(), new.shopper, new.total, until);
    let (order, effects) = match &new.method {
        None => (order, Vec::new()),
        Some(method) => match order.clone().step(Event::Accept(method.clone()), Moment::at(now)) {
            Ok(step) => (step.order, step.effects),
            // Only a reservation of no time at all is past its time at once; then it is a reservation and nothing more.
            Err(_) => (order, Vec::new()),
        },
    };
    let accepted_at = (order.state.name() == StateName::Accepted).then_some(now);
    let record = OrderRecord {
        order,
        items: new.items.clone(),
        email: new.email.clone(),
        created_at: now,
        reserved_until: until,
        changed_at: now,
        accepted_at,
    };
    (record, effects)
}

/// In which bucket an order looks first: the random end of its id, so that orders spread evenly.
fn first_bucket(order: OrderId) -> u32 {
    u32::try_from(order.0 & 0xffff_ffff).unwrap_or(0)
}
