//! Counts what happens in the checkout, and passes on what the rest of the house must know:
//! a completed order ends its shopper's session.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::audit::{AuditReport, BOOKS};
use checkout_worker::ledger::OrderNotice;
use checkout_worker::observe::Observer;
use domain::saga::{Alarm, StateName};
use domain::{DropId, OrderId, Span, Timestamp};

use super::metrics::{Metrics, NO_LABELS};

/// Why a message is put aside, as the checkout says it.
const REFUSED_MESSAGES: [&str; 2] = ["unknown_order", "unreadable"];

/// Receives the checkout's notices.
pub trait Listening: Send + Sync {
    /// An order came to this state in this process. Comes from the hot path: it must not block.
    fn transition(&self, to: StateName);

    /// An order came to an end that the merchant and the queue should know of. At least once.
    fn notice(&self, notice: &OrderNotice);
}

/// The checkout's observer over the process's metrics.
pub struct CheckoutCounts {
    metrics: Metrics,
    listening: Arc<dyn Listening>,
}

impl CheckoutCounts {
    /// Counts into `metrics` and passes notices on to `listening`. What is alerted on shows as zero from
    /// the start: the increase to 1 of a series that did not exist is not seen as one.
    pub fn new(metrics: Metrics, listening: Arc<dyn Listening>) -> Self {
        for alarm in Alarm::ALL {
            let _ = metrics.alarms.with_label_values(&[alarm.as_str()]);
        }
        for why in REFUSED_MESSAGES {
            let _ = metrics.messages_refused.with_label_values(&[why]);
        }
        metrics.audit_finished.with_label_values(NO_LABELS).set(0.0);
        Self { metrics, listening }
    }
}

impl Observer for CheckoutCounts {
    fn transition(&self, drop: &DropId, from: Option<StateName>, to: StateName) {
        self.listening.transition(to);
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

    fn merchant_told(&self, outcome: &'static str) {
        self.metrics.merchant_webhooks.with_label_values(&[outcome]).inc();
    }

    fn webhook(&self, outcome: &'static str) {
        self.metrics.webhooks.with_label_values(&[outcome]).inc();
    }

    /// Every book shows, as zero where all is well: a series that comes and goes cannot be alerted on.
    fn audited(&self, report: &AuditReport) {
        for book in BOOKS {
            let of_book = report.differences.iter().filter(|found| found.what == book);
            let units = of_book.map(|found| (found.expected - found.found).abs()).sum();
            self.metrics
                .audit_difference
                .with_label_values(&[book])
                .set(units);
        }
        let at = report.at.since(Timestamp::EPOCH).as_duration().as_secs_f64();
        self.metrics.audit_finished.with_label_values(NO_LABELS).set(at);
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

#[cfg(test)]
mod tests {
    use checkout_worker::audit::Difference;
    use checkout_worker::ledger::AuditSums;

    use super::*;

    struct Deaf;

    impl Listening for Deaf {
        fn transition(&self, _: StateName) {}
        fn notice(&self, _: &OrderNotice) {}
    }

    fn counts() -> (Metrics, CheckoutCounts) {
        let metrics = Metrics::new().unwrap();
        (metrics.clone(), CheckoutCounts::new(metrics, Arc::new(Deaf)))
    }

    fn report(differences: &[(&'static str, i64, i64)]) -> AuditReport {
        let clean = AuditReport::of(AuditSums::default(), Timestamp::from_millis(1));
        let differences = differences.iter().map(|(what, expected, found)| Difference {
            what,
            subject: String::new(),
            expected: *expected,
            found: *found,
        });
        AuditReport {
            differences: differences.collect(),
            ..clean
        }
    }

    #[test]
    fn differences_of_one_book_add_up_without_cancelling_and_go_when_mended() {
        let (metrics, counts) = counts();
        counts.audited(&report(&[
            ("oversold", 0, 3),
            ("oversold", 2, 0),
            ("captured_total", 5, 4),
        ]));
        let shown = |book: &str| metrics.audit_difference.with_label_values(&[book]).get();
        assert_eq!((shown("oversold"), shown("captured_total")), (5, 1));
        counts.audited(&report(&[]));
        assert_eq!((shown("oversold"), shown("captured_total")), (0, 0));
        let text = String::from_utf8(metrics.encode()).unwrap();
        for book in BOOKS {
            assert!(
                text.contains(&format!("doorline_audit_difference{{what=\"{book}\"}} 0")),
                "{book}"
            );
        }
    }

    #[test]
    fn what_is_alerted_on_shows_as_zero_before_it_happens() {
        let (metrics, _) = counts();
        let text = String::from_utf8(metrics.encode()).unwrap();
        for line in [
            "doorline_alarms_total{alarm=\"forbidden\"} 0",
            "doorline_alarms_total{alarm=\"stray\"} 0",
            "doorline_messages_refused_total{why=\"unknown_order\"} 0",
            "doorline_audit_finished_timestamp_seconds 0",
        ] {
            assert!(text.contains(line), "{line} is missing");
        }
    }

    #[test]
    fn an_audit_that_came_to_its_end_shows_when_the_books_were_read() {
        let (metrics, counts) = counts();
        let shown = || metrics.audit_finished.with_label_values(NO_LABELS).get();
        assert!(shown().abs() < f64::EPSILON, "none has come to its end");
        let at = Timestamp::from_millis(1_700_000_000_500);
        counts.audited(&AuditReport { at, ..report(&[]) });
        assert!((shown() - 1_700_000_000.5).abs() < 0.001);
    }

    #[test]
    fn the_breaker_shows_while_it_is_open() {
        let (metrics, counts) = counts();
        let shown = || metrics.breaker_open.with_label_values(&["provider"]).get();
        counts.breaker(true);
        assert_eq!(shown(), 1);
        counts.breaker(false);
        assert_eq!(shown(), 0);
    }

    #[test]
    fn only_paid_orders_count_towards_how_long_a_checkout_takes() {
        let (metrics, counts) = counts();
        let drop = DropId::new("aurora").unwrap();
        counts.finished(&drop, StateName::Declined, Span::from_secs(1));
        counts.finished(&drop, StateName::Paid, Span::from_secs(2));
        let seen = metrics.checkout_duration.with_label_values(&["aurora"]);
        assert_eq!(seen.get_sample_count(), 1);
        assert!((seen.get_sample_sum() - 2.0).abs() < f64::EPSILON);
    }
}
