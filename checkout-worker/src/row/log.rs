//! What the operators' log says of before and after, the same in every SQL ledger.

use domain::pool::Level;
use serde_json::{Map, Value, json};

use crate::ledger::{AuditEntry, Change};

/// The line of a stock change.
pub(crate) fn of_stock(entry: AuditEntry, before: Level, after: Level) -> AuditEntry {
    let text =
        |level: Level| json!({ "total": level.total, "held": level.held, "sold": level.sold }).to_string();
    entry.changing(text(before), text(after))
}

/// The line of a switch that stops something.
pub(crate) fn of_switch(entry: AuditEntry, before: bool, after: bool) -> AuditEntry {
    let text = |on| json!(if on { "paused" } else { "running" }).to_string();
    entry.changing(text(before), text(after))
}

/// The line of changed settings: what was in force by the `known` changes, and what is now.
pub(crate) fn of_settings(entry: AuditEntry, known: &[Change], made: &[Change]) -> AuditEntry {
    let told = |value: &dyn Fn(&Change) -> String| {
        let members = made.iter();
        let members = members.map(|change| (change.setting.clone(), Value::String(value(change))));
        Value::Object(members.collect::<Map<_, _>>()).to_string()
    };
    let before = told(&|change| Change::in_force(known, &change.drop, &change.setting, &change.over));
    let after = told(&|change| change.value.clone());
    entry.changing(before, after)
}

/// The line of a new key space.
pub(crate) fn of_space(entry: AuditEntry, after: u32) -> AuditEntry {
    entry.changing(after.saturating_sub(1).to_string(), after.to_string())
}
