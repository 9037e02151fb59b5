//! Results on the terminal: tables for people, JSON for programs.

mod report;

use std::io::Write;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::args::OutputForm;
use crate::admin::wire::log::LogLine;
use crate::admin::wire::stock::StockStatus;
use crate::admin::wire::webhooks::{Replayed, WebhookStatus};
use crate::admin::wire::{Audit, DropStatus, OrderStatus, RestoreStatus, SwitchStatus, Units};

pub(super) use report::report;

/// Shows drops.
pub(super) fn drops(drops: &[DropStatus], form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(&drops, out);
    }
    let head = [
        "drop",
        "phase",
        "waiting",
        "inside",
        "let in/min",
        "paced by",
        "oldest wait",
        "waited p50/p99",
        "stock left",
        "sold",
    ];
    let row = |drop: &DropStatus| {
        let units =
            |count: fn(&crate::admin::wire::Units) -> u32| -> u32 { drop.stock.values().map(count).sum() };
        vec![
            drop.drop.clone(),
            drop.phase.clone() + if drop.stale { " (stale)" } else { "" },
            drop.waiting.to_string(),
            format!("{}/{}", drop.active_users, drop.limits.total_active_users),
            format!(
                "{}/{}",
                drop.admitted_last_minute, drop.limits.new_users_per_minute
            ),
            drop.outflow_bound.clone(),
            format!("{} s", drop.oldest_wait_seconds),
            drop.wait_seconds.map_or_else(
                || "-".to_owned(),
                |waits| format!("{:.1}/{:.1} s", waits.p50, waits.p99),
            ),
            units(|units| units.available).to_string(),
            units(|units| units.sold).to_string(),
        ]
    };
    table(&head, &drops.iter().map(row).collect::<Vec<_>>(), out)
}

/// Shows where a switch left every drop.
pub(super) fn switched(
    what: &str,
    status: &SwitchStatus,
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(status, out);
    }
    let rows = status.drops.iter();
    let rows: Vec<Vec<String>> = rows
        .map(|(drop, word)| vec![drop.clone(), word.clone()])
        .collect();
    table(&["drop", what], &rows, out)
}

/// Shows a drop's stock.
pub(super) fn stock(status: &StockStatus, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(status, out);
    }
    let row = |(sku, units): (&String, &Units)| {
        let counts = [units.available, units.reserved, units.sold].map(|units| units.to_string());
        [vec![status.drop.clone(), sku.clone()], counts.to_vec()].concat()
    };
    table(
        &["drop", "sku", "available", "reserved", "sold"],
        &status.stock.iter().map(row).collect::<Vec<_>>(),
        out,
    )
}

/// Shows lines of the operators' log.
pub(super) fn log(lines: &[LogLine], form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(&lines, out);
    }
    let told = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
    let row = |line: &LogLine| {
        vec![
            line.at.clone(),
            line.by.clone(),
            line.action.clone(),
            line.subject.clone(),
            told(&line.before),
            told(&line.after),
        ]
    };
    table(
        &["at", "by", "action", "subject", "before", "after"],
        &lines.iter().map(row).collect::<Vec<_>>(),
        out,
    )
}

/// Shows orders.
pub(super) fn orders(orders: &[OrderStatus], form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(&orders, out);
    }
    let row = |order: &OrderStatus| {
        let items: Vec<String> = order
            .items
            .iter()
            .map(|(sku, quantity)| format!("{quantity} × {sku}"))
            .collect();
        vec![
            order.order.clone(),
            order.drop.clone(),
            order.state.clone(),
            items.join(", "),
            format!("{} {}", order.amount, order.currency),
            why(order),
            order.payment.clone().unwrap_or_default(),
            order.changed_at.clone(),
        ]
    };
    table(
        &[
            "order", "drop", "state", "items", "amount", "why", "payment", "changed",
        ],
        &orders.iter().map(row).collect::<Vec<_>>(),
        out,
    )
}

/// What holds an order up, with the provider's word for it, or why it came to nothing.
fn why(order: &OrderStatus) -> String {
    match (&order.flag, &order.flag_reason) {
        (Some(flag), Some(word)) => format!("{flag}: {word}"),
        (Some(flag), None) => flag.clone(),
        (None, _) => order.reason.clone().unwrap_or_default(),
    }
}

/// Shows events that were not taken.
pub(super) fn webhooks(
    events: &[WebhookStatus],
    form: OutputForm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(&events, out);
    }
    let row = |event: &WebhookStatus| {
        vec![
            event.order.clone(),
            event.event.clone(),
            event.version.to_string(),
            event.state.clone(),
            event.tries.to_string(),
            event.outcome.clone().unwrap_or_default(),
            event.next_try_at.clone().unwrap_or_default(),
            event.at.clone(),
        ]
    };
    table(
        &[
            "order",
            "event",
            "version",
            "state",
            "tries",
            "last outcome",
            "next try",
            "happened",
        ],
        &events.iter().map(row).collect::<Vec<_>>(),
        out,
    )
}

/// Shows what a replay came to.
pub(super) fn replayed(replayed: Replayed, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(&replayed, out);
    }
    let count = replayed.replayed;
    let noun = if count == 1 { "event is" } else { "events are" };
    writeln!(out, "{count} {noun} sent once more").context("the results cannot be written")
}

/// Shows an audit.
pub(super) fn audit(audit: &Audit, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(audit, out);
    }
    let stock = audit.stock.iter().map(|stock| {
        let units = [stock.total, stock.held, stock.sold].map(|units| units.to_string());
        [vec![stock.drop.clone(), stock.sku.clone()], units.to_vec()].concat()
    });
    table(
        &["drop", "sku", "units", "held", "sold"],
        &stock.collect::<Vec<_>>(),
        out,
    )?;
    writeln!(
        out,
        "{} orders paid: {} due, {} captured",
        audit.paid_orders, audit.paid_total, audit.captured_total
    )?;
    for difference in &audit.differences {
        let (what, subject) = (&difference.what, &difference.subject);
        writeln!(
            out,
            "DIFFERENCE {what} {subject}: {} expected, {} found",
            difference.expected, difference.found
        )?;
    }
    let verdict = if audit.clean {
        "every unit and every charge adds up"
    } else {
        "something does not add up"
    };
    writeln!(out, "{verdict}").context("the results cannot be written")
}

/// Shows what a restore came to.
pub(super) fn restored(status: &RestoreStatus, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(status, out);
    }
    writeln!(
        out,
        "payments since {} compared: {} seen, {} steps taken, {} without an order, {} left; keys are drawn from {}",
        status.since, status.seen, status.applied, status.unknown, status.left, status.key_space
    )?;
    if status.given_back > 0 {
        let count = status.given_back;
        writeln!(
            out,
            "money of {count} lost orders was given back: `doorline log` names each"
        )?;
    }
    self::audit(&status.audit, form, out)?;
    let verdict = if status.done {
        "restored: orders are taken again as soon as gateways and workers run"
    } else {
        "NOT restored: orders and payments stay stopped; mend what is left, then run this again"
    };
    writeln!(out, "{verdict}").context("the results cannot be written")
}

fn json(value: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(out, "{text}").context("the results cannot be written")
}

/// Writes columns as wide as their widest cell.
fn table(head: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> anyhow::Result<()> {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(head.get(column).map(|title| title.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let titles = head.iter().map(ToString::to_string).collect();
    for row in std::iter::once(titles).chain(rows.iter().cloned()) {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
