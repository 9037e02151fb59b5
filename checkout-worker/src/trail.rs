//! An order's trail in the log, from the edge to the provider and back: every line of it names the order as `order.id`,
//! where it is known.

use std::time::Duration;

use domain::saga::{Order, PaymentId, StateName};
use domain::{DropId, OrderId};

use crate::provider::ProviderCall;

/// The target of the trail's lines. How many there are is bounded by stock and drain.
pub const TARGET: &str = "order";

/// A shopper placed the order; `request` names the request in its answer and in other logs. A repetition, of which there may
/// be any number, is told only to who looks for a fault, and so is paying: it shows in the step that it leads to.
pub fn placed(order: OrderId, drop: &DropId, request: &str, is_new: bool) {
    if is_new {
        tracing::info!(
            target: TARGET,
            { order.id = %order, drop.id = %drop, request.id = request },
            "an order was placed"
        );
    } else {
        tracing::debug!(
            target: TARGET,
            { order.id = %order, drop.id = %drop, request.id = request },
            "an order was asked for again"
        );
    }
}

/// A shopper pays for an order that was placed before.
pub fn to_be_paid(order: OrderId, drop: &DropId, request: &str) {
    tracing::debug!(
        target: TARGET,
        { order.id = %order, drop.id = %drop, request.id = request },
        "an order is to be paid"
    );
}

/// The order came into another state.
pub(crate) fn went_on(order: &Order, from: StateName) {
    let (to, payment) = (
        order.state.name(),
        order.state.payment().map(tracing::field::display),
    );
    tracing::info!(
        target: TARGET,
        { order.id = %order.id, drop.id = %order.drop, %from, %to, payment.id = payment },
        "an order went on"
    );
}

/// The provider was asked for something, and answered or not.
pub(crate) fn asked(call: &ProviderCall, outcome: &str, took: Duration) {
    let operation = call.call.asked().as_str();
    let n = call.call.attempt().map(|(_, attempt)| attempt.n);
    let took_ms = millis(took);
    tracing::info!(
        target: TARGET,
        { order.id = %call.order, drop.id = %call.drop, operation, n, outcome, took_ms },
        "the provider was asked"
    );
}

/// A payment was read by its name, outside of any step of an order. Whose it is, the answer says; without one it may not be
/// known.
pub(crate) fn read(order: Option<OrderId>, payment: &PaymentId, outcome: &str, took: Duration) {
    let (order, took_ms) = (order.map(tracing::field::display), millis(took));
    tracing::info!(
        target: TARGET,
        { order.id = order, payment.id = %payment, outcome, took_ms },
        "a payment was read"
    );
}

/// The provider told of the order by itself, in an event of that name and kind.
pub(crate) fn told(order: OrderId, event: &str, kind: &str, outcome: &str) {
    tracing::info!(
        target: TARGET,
        { order.id = %order, event.id = event, event.kind = kind, outcome },
        "the provider told of an order"
    );
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
