//! What the queue has to know of the rest of the house, brought to it as values: admission and
//! checkout never meet, the gateway carries the readings from one to the other.

use domain::{DropId, Readings};

/// Where the caller reads stock, backlog, drain rate and upstream health a few times a second.
///
/// Called from the tick, so it must answer from memory, at once. A stale answer is harmless: it
/// makes the outflow lag by as much; hard limits do not depend on it.
pub trait Outside: Send + Sync {
    /// The latest readings for `drop`.
    fn readings(&self, drop: &DropId) -> Readings;
}
