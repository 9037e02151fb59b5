//! What operators and audits read and write: figures, sums, changes, and the log.

use domain::pool::Level;
use domain::saga::StateName;
use domain::{DropId, OrderId, Sku, Timestamp};

/// Figures of the ledger for metrics and for the outflow.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Gauges {
    /// Orders per drop and state.
    pub orders: Vec<(DropId, StateName, u64)>,
    /// Orders per kind of flag.
    pub flagged: Vec<(String, u64)>,
    /// Messages waiting in the outbox.
    pub outbox_pending: u64,
    /// When the oldest of them was written.
    pub outbox_oldest: Option<Timestamp>,
    /// Notices that the merchant's system has neither taken nor been given up on.
    pub untold: u64,
    /// When the oldest of them was written.
    pub untold_oldest: Option<Timestamp>,
    /// Notices given up on, that nobody has replayed.
    pub given_up: u64,
}

/// The ledger's books, each kept in two ways that must agree.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AuditSums {
    /// Stock rows against stock entries and live orders.
    pub stock: Vec<StockSums>,
    /// Orders that are PAID or REFUNDED.
    pub paid_orders: u64,
    /// Sum of their totals, in minor units.
    pub paid_total: u64,
    /// Sum of what the payment rows say was captured, in minor units.
    pub captured_total: u64,
    /// Payments captured whose order is not PAID or REFUNDED.
    pub captured_without_paid: u64,
    /// Orders PAID or REFUNDED without a captured payment of exactly their total.
    pub paid_without_capture: u64,
    /// Accepted orders (not final, not flagged) that nobody will ever look at: neither due, nor leased, nor in the outbox.
    pub forgotten: u64,
    /// The first [`FORGOTTEN_NAMED`] of those by id: the oldest.
    pub forgotten_orders: Vec<OrderId>,
}

/// How many forgotten orders an audit names. One is a bug already; a person mends these, counts again, and is told the next.
pub const FORGOTTEN_NAMED: u32 = 48;

/// One SKU's stock, counted in several ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StockSums {
    /// The drop.
    pub drop: DropId,
    /// The SKU.
    pub sku: Sku,
    /// What the stock rows say.
    pub level: Level,
    /// Units held by the entries: hold − void − sell.
    pub held_by_entries: i64,
    /// Units sold by the entries: sell − unsell.
    pub sold_by_entries: i64,
    /// Units of orders that are alive and not sold.
    pub held_by_orders: i64,
    /// Units of orders that are COMMITTED or PAID, or REFUNDED without restocking.
    pub sold_by_orders: i64,
}

/// What one drop came to, for the report after the sale.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sales {
    /// Orders per state; states without orders are left out.
    pub orders: Vec<(StateName, u64)>,
    /// Why orders came to nothing, per state and reason.
    pub reasons: Vec<(StateName, String, u64)>,
    /// What was captured and what was given back of it, per currency, in minor units.
    pub revenue: Vec<Revenue>,
    /// When the first and the last unit was sold.
    pub sold_between: Option<(Timestamp, Timestamp)>,
}

/// Money of one currency, in minor units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revenue {
    /// The currency, as the payments have it.
    pub currency: String,
    /// Captured.
    pub captured: u64,
    /// Given back of that.
    pub refunded: u64,
}

/// Most units that a SKU may have: sums over its buckets, and over the SKUs of a drop, stay far from any limit of a number.
pub const UNITS_MAX: u32 = 1_000_000_000;

/// A line for the operators' log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// What was done (`order.cancel`, `payments.pause`, …).
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// By whom: a role or a person's name, never a secret.
    pub by: String,
    /// How it was before, as JSON. The ledger fills in what it changes itself.
    pub before: Option<String>,
    /// How it is after, as JSON.
    pub after: Option<String>,
}

/// A line of the operators' log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLine {
    /// Rises with every line.
    pub id: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// By whom.
    pub by: String,
    /// How it was before, as JSON.
    pub before: Option<String>,
    /// How it is after, as JSON. A line without was written before something was tried outside of the ledger.
    pub after: Option<String>,
}

impl AuditEntry {
    /// A line that says nothing yet of before and after.
    pub fn new(action: &'static str, subject: &str, by: &str) -> Self {
        Self {
            action,
            subject: subject.to_owned(),
            by: by.to_owned(),
            before: None,
            after: None,
        }
    }

    /// The line that says how it ended, where one before says that it was begun.
    #[must_use]
    pub fn ended(self, after: String) -> Self {
        Self {
            after: Some(after),
            ..self
        }
    }

    /// The same line, with what was changed.
    #[must_use]
    pub fn changing(self, before: String, after: String) -> Self {
        Self {
            before: Some(before),
            after: Some(after),
            ..self
        }
    }
}

/// What an operator changed of one setting of a drop. What the setting means is not the ledger's to know.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change {
    /// The drop.
    pub drop: DropId,
    /// Which setting, by its name in the configuration.
    pub setting: String,
    /// What it is now.
    pub value: String,
    /// What was configured when it was changed. Once something else is configured, the change is over.
    pub over: String,
}

impl Change {
    /// What is in force of a setting that is `configured` so, after `changes`.
    pub fn in_force(changes: &[Self], drop: &DropId, setting: &str, configured: &str) -> String {
        let made = changes
            .iter()
            .find(|change| change.drop == *drop && change.setting == setting && change.over == configured);
        made.map_or(configured, |change| &change.value).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_stands_until_something_else_is_configured() {
        let drop = DropId::new("aurora").unwrap();
        let changes = [Change {
            drop: drop.clone(),
            setting: "rate".to_owned(),
            value: "7".to_owned(),
            over: "20".to_owned(),
        }];
        let other = DropId::new("borealis").unwrap();
        for (drop, setting, configured, in_force) in [
            (&drop, "rate", "20", "7"),
            (&drop, "rate", "21", "21"),
            (&drop, "limit", "20", "20"),
            (&other, "rate", "20", "20"),
        ] {
            assert_eq!(Change::in_force(&changes, drop, setting, configured), in_force);
        }
    }
}
