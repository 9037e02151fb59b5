//! The report after a sale, for people.

use std::collections::BTreeMap;
use std::io::Write;

use super::{json, table};
use crate::admin::wire::WaitSeconds;
use crate::admin::wire::report::Report;
use crate::cli::args::OutputForm;

/// Shows what a drop came to.
pub(in crate::cli) fn report(report: &Report, form: OutputForm, out: &mut dyn Write) -> anyhow::Result<()> {
    if form == OutputForm::Json {
        return json(report, out);
    }
    let rows: Vec<Vec<String>> = queue(report)
        .into_iter()
        .chain(sale(report))
        .map(|(what, figure)| vec![what, figure])
        .collect();
    let title = format!("{} ({})", report.drop, report.phase);
    table(&[title.as_str(), report.at.as_str()], &rows, out)?;
    for difference in &report.differences {
        let (what, subject) = (&difference.what, &difference.subject);
        let (expected, found) = (difference.expected, difference.found);
        writeln!(
            out,
            "DIFFERENCE {what} {subject}: {expected} expected, {found} found"
        )?;
    }
    Ok(())
}

/// A line of the table.
type Line = (String, String);

fn line(what: &str, figure: &(impl ToString + ?Sized)) -> Line {
    (what.to_owned(), figure.to_string())
}

fn queue(report: &Report) -> Vec<Line> {
    let limits = report.limits;
    let beside = |most: u64, limit: u32| format!("{most} of {limit}");
    vec![
        line("joined", &report.joined),
        line("let in", &report.admitted),
        line("did not turn up", &report.no_shows),
        line("left", &report.left),
        line(
            "most inside at once",
            &beside(report.max_active_users, limits.total_active_users),
        ),
        line(
            "most let in within 60 s",
            &beside(report.max_admitted_in_60s, limits.new_users_per_minute),
        ),
        line("waited", &waits(report.wait_seconds)),
    ]
}

/// Percentiles of waits, as people say them.
fn waits(waits: Option<WaitSeconds>) -> String {
    let Some(waits) = waits else {
        return "-".to_owned();
    };
    let WaitSeconds { p50, p90, p99, max } = waits;
    format!("p50 {p50:.1} s, p90 {p90:.1} s, p99 {p99:.1} s, longest {max:.1} s")
}

fn sale(report: &Report) -> Vec<Line> {
    let mut lines = vec![line("orders", &report.reserved)];
    let counted = |what: &str, counts: &BTreeMap<String, u64>| -> Vec<Line> {
        let each = counts.iter();
        each.map(|(name, count)| line(&format!("{what} {name}"), count))
            .collect()
    };
    lines.extend(counted("orders", &report.orders));
    lines.extend(counted("declined:", &report.declined));
    lines.extend(counted("released:", &report.released));
    for (sku, units) in &report.stock {
        let figure = format!(
            "{} sold, {} held, {} left",
            units.sold, units.reserved, units.available
        );
        lines.push(line(&format!("units {sku}"), &figure));
    }
    for (currency, money) in &report.revenue {
        let figure = format!("{} captured, {} given back", money.captured, money.refunded);
        lines.push(line(&format!("money {currency}"), &figure));
    }
    for (what, at) in [
        ("first sale", &report.first_sale_at),
        ("last sale", &report.last_sale_at),
    ] {
        lines.push(line(what, at.as_deref().unwrap_or("-")));
    }
    let books = if report.clean {
        "every unit and every charge adds up"
    } else {
        "something does not add up"
    };
    lines.push(line("books", books));
    lines
}
