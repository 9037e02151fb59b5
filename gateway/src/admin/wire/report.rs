//! The JSON of the report after a sale. Names that the demo's report has mean the same here.

use std::collections::BTreeMap;

use checkout_worker::ledger::Sales;
use domain::saga::StateName;
use serde::{Deserialize, Serialize};

use super::{Difference, Limits, Units, WaitSeconds};

/// `GET drops/{drop}/report`: what a drop came to so far.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
pub struct Report {
    /// The drop's id.
    pub drop: String,
    /// What shoppers read.
    pub title: String,
    /// When it was counted.
    pub at: String,
    /// Where the drop stands.
    pub phase: String,
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in.
    pub admitted: u64,
    /// Called shoppers who did not turn up.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Most sessions at once.
    pub max_active_users: u64,
    /// Most admissions in any 60 seconds.
    pub max_admitted_in_60s: u64,
    /// The limits in force now.
    pub limits: Limits,
    /// How long those waited whom this process let in since it started; nothing where it let nobody in.
    pub wait_seconds: Option<WaitSeconds>,
    /// Orders that ever held units.
    pub reserved: u64,
    /// Orders by their state in the ledger.
    pub orders: BTreeMap<String, u64>,
    /// Declined orders by reason.
    pub declined: BTreeMap<String, u64>,
    /// Orders that were let go, and orders whose payment was lost before it was captured, by reason.
    pub released: BTreeMap<String, u64>,
    /// Units by SKU.
    pub stock: BTreeMap<String, Units>,
    /// Money by currency.
    pub revenue: BTreeMap<String, Money>,
    /// When the first unit was sold.
    pub first_sale_at: Option<String>,
    /// When the last unit was sold.
    pub last_sale_at: Option<String>,
    /// Whether every unit and every charge adds up, over all drops.
    pub clean: bool,
    /// What does not.
    pub differences: Vec<Difference>,
}

/// Money of one currency, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Money {
    /// Captured.
    pub captured: u64,
    /// Given back of that.
    pub refunded: u64,
}

/// Orders by their state in the ledger.
pub fn orders(sales: &Sales) -> BTreeMap<String, u64> {
    let orders = sales.orders.iter();
    orders
        .map(|(state, count)| (state.as_str().to_owned(), *count))
        .collect()
}

/// Why orders came to one of these states. A reason belongs to one of them only.
pub fn reasons(sales: &Sales, states: &[StateName]) -> BTreeMap<String, u64> {
    let reasons = sales.reasons.iter();
    reasons
        .filter(|(state, ..)| states.contains(state))
        .map(|(_, why, count)| (why.clone(), *count))
        .collect()
}

/// Money by currency.
pub fn revenue(sales: &Sales) -> BTreeMap<String, Money> {
    let money = sales.revenue.iter().map(|revenue| {
        let (captured, refunded) = (revenue.captured, revenue.refunded);
        (revenue.currency.clone(), Money { captured, refunded })
    });
    money.collect()
}
