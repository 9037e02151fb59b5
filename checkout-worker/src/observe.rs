//! What the checkout tells whoever watches it: metrics, alarms, and the rest of the house.

use std::time::Duration;

use domain::saga::{Alarm, StateName};
use domain::{DropId, OrderId, Span};

use crate::audit::AuditReport;
use crate::ledger::OrderNotice;

/// Receives what happens, as plain values. Calls come from the hot path: they must not block.
pub trait Observer: Send + Sync {
    /// An order changed its state. `from` is nothing for a new one.
    fn transition(&self, drop: &DropId, from: Option<StateName>, to: StateName) {
        let _ = (drop, from, to);
    }

    /// An order came to rest; `took` counts from its acceptance, or from its reservation where it was never accepted.
    fn finished(&self, drop: &DropId, state: StateName, took: Span) {
        let _ = (drop, state, took);
    }

    /// A request to the provider was answered. `outcome` is one of a small fixed set of words.
    fn provider_request(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        let _ = (operation, outcome, took);
    }

    /// A person should know.
    fn alarm(&self, alarm: Alarm, order: OrderId) {
        let _ = (alarm, order);
    }

    /// The merchant's systems, and the rest of the house, should know: at least once each. A paid order ends its
    /// shopper's session; returned units go to the next in the queue.
    fn notice(&self, notice: &OrderNotice) {
        let _ = notice;
    }

    /// The merchant's system was told, or not any more; `outcome` is one of a small fixed set of words.
    fn merchant_told(&self, outcome: &'static str) {
        let _ = outcome;
    }

    /// A webhook was handled; `outcome` is one of a small fixed set of words.
    fn webhook(&self, outcome: &'static str) {
        let _ = outcome;
    }

    /// A message could not be worked on and was put aside; `why` is one of a small fixed set of words. Any is worth a look:
    /// somebody else writes to our queue, or the ledger is not the one that the message was written for.
    fn message_refused(&self, why: &'static str) {
        let _ = why;
    }

    /// All books were compared, to the end: an audit that failed tells nobody.
    fn audited(&self, report: &AuditReport) {
        let _ = report;
    }

    /// The circuit breaker towards the provider opened or closed.
    fn breaker(&self, open: bool) {
        let _ = open;
    }
}

/// Hears everything and says nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl Observer for Silent {}
