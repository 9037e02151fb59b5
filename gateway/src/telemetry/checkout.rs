//! Counts what happens in the checkout, and passes on what the rest of the house must know:
//! a completed order ends its shopper's session.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::ledger::OrderNotice;
use checkout_worker::observe::Observer;
use domain::saga::{Alarm, StateName};
use domain::{DropId, OrderId, Span};

use super::metrics::Metrics;

/// Receives the checkout's notices.
pub trait Listening: Send + Sync {
    /// An order came to an end that the merchant and the queue should know of. At least once.
    fn notice(&self, notice: &OrderNotice);
}

/// The checkout's observer over the process's metrics.
pub struct CheckoutCounts {
    metrics: Metrics,
    listening: Arc<dyn Listening>,
}

impl CheckoutCounts {
    /// Counts into `metrics` and passes notices on to `listening`.
    pub fn new(metrics: Metrics, listening: Arc<dyn Listening>) -> Self {
        Self { metrics, listening }
    }
}

impl Observer for CheckoutCounts {
    fn transition(&self, drop: &DropId, from: Option<StateName>, to: StateName) {
        let from = from.map_or("none", StateName::as_str);
        self.metrics
            .order_transitions
            .with_label_values(&[drop.as_str(), from, to.as_str()])
            .inc();
    }

    fn finished(&self, drop: &DropId, state: StateName, took: Span) {
        if state == StateName::Paid {
            let seconds = took.as_duration().as_secs_f64();
            self.metrics
                .checkout_duration
                .with_label_values(&[drop.as_str()])
                .observe(seconds);
        }
    }

    fn provider_request(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.metrics
            .provider_requests
            .with_label_values(&[operation, outcome])
            .inc();
        self.metrics
            .provider_duration
            .with_label_values(&[operation])
            .observe(took.as_secs_f64());
    }

    fn alarm(&self, alarm: Alarm, order: OrderId) {
        tracing::error!(alarm = alarm.as_str(), order.id = %order, "an order needs a person to look at it");
        self.metrics.alarms.with_label_values(&[alarm.as_str()]).inc();
    }

    fn notice(&self, notice: &OrderNotice) {
        self.listening.notice(notice);
    }

    fn webhook(&self, outcome: &'static str) {
        self.metrics.webhooks.with_label_values(&[outcome]).inc();
    }

    fn message_refused(&self, why: &'static str) {
        self.metrics.messages_refused.with_label_values(&[why]).inc();
    }

    fn breaker(&self, open: bool) {
        if open {
            tracing::warn!(
                "the payment provider does not answer: calls fail fast, orders keep being accepted"
            );
        } else {
            tracing::info!("the payment provider answers again");
        }
        self.metrics
            .breaker_open
            .with_label_values(&["provider"])
            .set(i64::from(open));
    }
}
