//! The audit: every book kept in two ways must agree, to the unit and to the cent.

use domain::Timestamp;

use crate::ledger::{AuditSums, StockSums};

/// What an audit found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditReport {
    /// When the books were read.
    pub at: Timestamp,
    /// The books.
    pub sums: AuditSums,
    /// Where they differ; empty when every unit and every charge adds up.
    pub differences: Vec<Difference>,
}

/// Two books that should agree and do not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which books: one of a small fixed set of words.
    pub what: &'static str,
    /// Of what: `drop sku`, an order where it is about one, or empty where it concerns the whole ledger.
    pub subject: String,
    /// What one book says.
    pub expected: i64,
    /// What the other says.
    pub found: i64,
}

/// Every word that [`Difference::what`] may be.
pub const BOOKS: [&str; 9] = [
    "held_by_entries",
    "held_by_orders",
    "sold_by_entries",
    "sold_by_orders",
    "oversold",
    "captured_total",
    "captured_without_paid",
    "paid_without_capture",
    "forgotten_orders",
];

impl AuditReport {
    /// Compares the books as read at `at`.
    pub fn of(sums: AuditSums, at: Timestamp) -> Self {
        let mut differences: Vec<Difference> = sums.stock.iter().flat_map(stock_differences).collect();
        let whole = |what, expected: u64, found: u64| Difference {
            what,
            subject: String::new(),
            expected: signed(expected),
            found: signed(found),
        };
        differences.extend([
            whole("captured_total", sums.paid_total, sums.captured_total),
            whole("captured_without_paid", 0, sums.captured_without_paid),
            whole("paid_without_capture", 0, sums.paid_without_capture),
        ]);
        differences.extend(sums.forgotten_orders.iter().map(|order| Difference {
            subject: order.to_string(),
            ..whole("forgotten_orders", 0, 1)
        }));
        let named = sums.forgotten_orders.len() as u64;
        differences.push(whole("forgotten_orders", 0, sums.forgotten.saturating_sub(named)));
        differences.retain(|difference| difference.expected != difference.found);
        Self {
            at,
            sums,
            differences,
        }
    }

    /// Whether everything adds up.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

fn stock_differences(sums: &StockSums) -> [Difference; 5] {
    let (held, sold) = (i64::from(sums.level.held), i64::from(sums.level.sold));
    let oversold = (held + sold - i64::from(sums.level.total)).max(0);
    let of = |what, expected, found| Difference {
        what,
        subject: format!("{} {}", sums.drop, sums.sku),
        expected,
        found,
    };
    [
        of("held_by_entries", held, sums.held_by_entries),
        of("held_by_orders", held, sums.held_by_orders),
        of("sold_by_entries", sold, sums.sold_by_entries),
        of("sold_by_orders", sold, sums.sold_by_orders),
        of("oversold", 0, oversold),
    ]
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
