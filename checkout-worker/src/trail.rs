//! An order's trail in the log, from the edge to the provider and back: every line of it names the order as `order.id`.

use std::time::Duration;

use domain::saga::Step;
use domain::{DropId, OrderId};

use crate::provider::ProviderCall;

/// The target of the trail's lines. How many there are is bounded by stock and drain.
pub const TARGET: &str = "order";

/// A shopper placed the order, or repeated the request that did; `request` names the request in answer and logs.
pub fn placed(order: OrderId, drop: &DropId, request: &str, is_new: bool) {
    tracing::info!(
        target: TARGET,
        { order.id = %order, drop.id = %drop, request.id = request, is_new },
        "an order was placed"
    );
}

/// A shopper pays for an order that was placed before.
pub fn to_be_paid(order: OrderId, drop: &DropId, request: &str) {
    tracing::info!(
        target: TARGET,
        { order.id = %order, drop.id = %drop, request.id = request },
        "an order is to be paid"
    );
}

/// The order came into another state.
pub(crate) fn went_on(step: &Step) {
    let (order, from, to) = (&step.order, step.from, step.order.state.name());
    let payment = order.state.payment().map(tracing::field::display);
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
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        target: TARGET,
        { order.id = %call.order, drop.id = %call.drop, operation, n, outcome, took_ms },
        "the provider was asked"
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
