//! The JSON of the operators' log.

use checkout_worker::ledger::AuditLine;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::room::page::rfc3339;

/// One line: who did what, when, and what it changed.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct LogLine {
    /// Rises with every line.
    pub id: u64,
    /// When it was written.
    pub at: String,
    /// Who did it.
    pub by: String,
    /// What was done: `stock.change`, `payments.pause`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// How it was before, where that can be told.
    pub before: Option<Value>,
    /// How it is after. A line with `before` alone was written before something was tried; how it ended stands in a later line.
    pub after: Option<Value>,
}

impl From<&AuditLine> for LogLine {
    fn from(line: &AuditLine) -> Self {
        // What is no JSON was written by hand: it is shown as the text it is.
        let told = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
        Self {
            id: line.id,
            at: rfc3339(line.at.as_millis()),
            by: line.by.clone(),
            action: line.action.clone(),
            subject: line.subject.clone(),
            before: line.before.as_ref().map(told),
            after: line.after.as_ref().map(told),
        }
    }
}
