//! Brings the gauges up to date when somebody scrapes: they cost nothing in between.

use admission::Snapshot;
use checkout_worker::driver::Shut;
use domain::outflow::Bound;
use domain::saga::StateName;
use domain::{DropId, Phase, Span};
use prometheus::IntGaugeVec;

use super::{Admin, Front, readiness};
use crate::telemetry::metrics::{Metrics, NO_LABELS};

/// Why an order may be set aside, as the ledger writes it.
const PARKED_REASONS: [&str; 4] = ["no_answer", "rejected", "key_mismatch", "amount_mismatch"];

pub(super) fn refresh(admin: &Admin) {
    let drops: Vec<DropId> = admin.drops.load().keys().cloned().collect();
    if let Some(front) = &admin.front {
        for drop in &drops {
            queue(&admin.metrics, front, drop);
        }
        let streams = front.room.open_streams() as u64;
        admin.metrics.event_streams.set(signed(streams));
    }
    checkout(admin);
    for (part, sign) in readiness::signs(admin) {
        admin
            .metrics
            .ready
            .with_label_values(&[part])
            .set(i64::from(sign.is_ok()));
    }
    let counted = admin.metrics.panics.with_label_values(&["task"]);
    counted.inc_by(admin.supervisor.panics().saturating_sub(counted.get()));
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn seconds(span: Span) -> f64 {
    span.as_duration().as_secs_f64()
}

fn queue(metrics: &Metrics, front: &Front, drop: &DropId) {
    let label = [drop.as_str()];
    if let Some(snapshot) = front.desk.snapshot(drop) {
        metrics
            .queue_waiting
            .with_label_values(&label)
            .set(signed(snapshot.waiting));
        metrics
            .queue_frontier
            .with_label_values(&label)
            .set(signed(snapshot.frontier.0));
        metrics
            .queue_oldest_wait
            .with_label_values(&label)
            .set(seconds(snapshot.oldest_wait));
        limits(metrics, &snapshot, &label);
        for (chance, shoppers) in admission::chances(&snapshot) {
            metrics
                .queue_chance
                .with_label_values(&[drop.as_str(), chance.as_str()])
                .set(signed(shoppers));
        }
        for phase in Phase::ALL {
            let stands = i64::from(phase == snapshot.phase);
            metrics
                .drop_phase
                .with_label_values(&[drop.as_str(), phase.as_str()])
                .set(stands);
        }
        for bound in Bound::ALL {
            let binds = i64::from(bound == snapshot.bound);
            metrics
                .outflow_bound
                .with_label_values(&[drop.as_str(), bound.as_str()])
                .set(binds);
        }
    }
    let Some(figures) = front.desk.figures(drop) else {
        return;
    };
    let grown = |family: &prometheus::IntCounterVec, labels: &[&str], now: u64| {
        let counter = family.with_label_values(labels);
        counter.inc_by(now.saturating_sub(counter.get()));
    };
    grown(&metrics.queue_joined, &label, figures.joined);
    grown(&metrics.admitted, &label, figures.admitted);
    grown(&metrics.no_shows, &label, figures.no_shows);
    grown(
        &metrics.estimate_hits,
        &[drop.as_str(), "yes"],
        figures.estimate_hits,
    );
    grown(
        &metrics.estimate_hits,
        &[drop.as_str(), "no"],
        figures.estimate_misses,
    );
}

/// What is held to a limit, beside the limit that is in force.
fn limits(metrics: &Metrics, snapshot: &Snapshot, label: &[&str]) {
    let limits = snapshot.rules.limits;
    let set = |family: &IntGaugeVec, count: i64| family.with_label_values(label).set(count);
    set(&metrics.active_users, signed(snapshot.active_users));
    set(&metrics.active_users_limit, i64::from(limits.total_active_users));
    set(
        &metrics.admitted_last_minute,
        signed(snapshot.admitted_last_minute),
    );
    set(
        &metrics.admitted_last_minute_limit,
        i64::from(limits.new_users_per_minute),
    );
}

fn checkout(admin: &Admin) {
    let (metrics, figures) = (&admin.metrics, admin.house.figures());
    for (drop, sku, level) in &admin.house.levels() {
        let set = |state: &str, units: u32| {
            metrics
                .stock_units
                .with_label_values(&[drop.as_str(), sku.as_str(), state])
                .set(i64::from(units));
        };
        set("available", level.available());
        set("reserved", level.held);
        set("sold", level.sold);
    }
    // All states of all drops, empty ones too: a series that comes and goes cannot be alerted on.
    for drop in admin.drops.load().keys() {
        for state in StateName::ALL {
            metrics
                .orders
                .with_label_values(&[drop.as_str(), state.as_str()])
                .set(0);
        }
    }
    for (drop, state, count) in &figures.gauges.orders {
        metrics
            .orders
            .with_label_values(&[drop.as_str(), state.as_str()])
            .set(signed(*count));
    }
    for reason in PARKED_REASONS {
        metrics.parked_orders.with_label_values(&[reason]).set(0);
    }
    for (reason, count) in &figures.gauges.flagged {
        metrics
            .parked_orders
            .with_label_values(&[reason.as_str()])
            .set(signed(*count));
    }
    for (drop, per_second) in &figures.drain {
        metrics
            .drain_per_second
            .with_label_values(&[drop.as_str()])
            .set(f64::from(*per_second));
    }
    metrics
        .breaker_open
        .with_label_values(&["provider"])
        .set(i64::from(figures.breaker_open));
    for (why, shut) in [("paused", Shut::Paused), ("halted", Shut::Halted)] {
        metrics
            .payments_shut
            .with_label_values(&[why])
            .set(i64::from(figures.shut == Some(shut)));
    }
    outbox(metrics, &figures.gauges, admin.house.now());
    webhooks(admin, &figures.gauges);
}

/// All zero where nobody is to be told: what is written down then waits for nobody.
fn webhooks(admin: &Admin, gauges: &checkout_worker::ledger::Gauges) {
    let metrics = &admin.metrics;
    let (pending, oldest, given_up) = if admin.has_webhooks {
        (gauges.untold, gauges.untold_oldest, gauges.given_up)
    } else {
        (0, None, 0)
    };
    metrics.merchant_webhooks_pending.set(signed(pending));
    metrics.merchant_webhooks_given_up.set(signed(given_up));
    let age = oldest.map_or(Span::ZERO, |oldest| admin.house.now().since(oldest));
    metrics
        .merchant_webhooks_oldest
        .with_label_values(NO_LABELS)
        .set(seconds(age));
}

fn outbox(metrics: &Metrics, gauges: &checkout_worker::ledger::Gauges, now: domain::Timestamp) {
    metrics.outbox_pending.set(signed(gauges.outbox_pending));
    let age = gauges
        .outbox_oldest
        .map_or(Span::ZERO, |oldest| now.since(oldest));
    metrics
        .outbox_oldest
        .with_label_values(NO_LABELS)
        .set(seconds(age));
}
