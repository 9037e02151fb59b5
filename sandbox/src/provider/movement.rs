//! The provider's own count of money: an append-only log of every movement, and its sums per order.
//!
//! It is the second witness. Whoever claims "charged exactly once" is checked against this log, not
//! against the words of the program that made the requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What happened to money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Movement {
    /// Set aside on the card.
    Authorised,
    /// Taken.
    Captured,
    /// An authorisation, or what a capture left of it, was given up.
    Released,
    /// Given back after a capture.
    Refunded,
    /// The card or the bank said no; no money moved.
    Declined,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// Milliseconds since the epoch on the provider's clock.
    pub at_ms: u64,
    /// What happened.
    pub movement: Movement,
    /// `pi_…`
    pub payment_intent: String,
    /// Value of the order metadata, when the purchase carries one.
    pub order: Option<String>,
    /// Minor units.
    pub amount: u64,
    /// Lower-case ISO 4217.
    pub currency: String,
}

/// Sums over one order. Amounts in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTally {
    /// Payment intents that authorised or captured anything.
    pub payment_intents: u64,
    /// Count of authorisations.
    pub authorisations: u64,
    /// Sum authorised.
    pub authorised: u64,
    /// Count of captures; more than one is a double charge.
    pub captures: u64,
    /// Sum captured.
    pub captured: u64,
    /// Sum of authorisations given up.
    pub released: u64,
    /// Sum refunded.
    pub refunded: u64,
    /// Count of declines.
    pub declines: u64,
}

impl OrderTally {
    /// Authorised and neither captured nor given up: money still set aside on somebody's card.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.authorised
            .saturating_sub(self.captured)
            .saturating_sub(self.released)
    }
}

/// The log summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Per value of the order metadata; purchases without it are under the empty string.
    pub orders: BTreeMap<String, OrderTally>,
}

impl Tally {
    /// Sums a log up.
    pub(crate) fn of(log: &[LogEntry]) -> Self {
        let mut orders: BTreeMap<String, OrderTally> = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        for entry in log {
            let order = orders.entry(entry.order.clone().unwrap_or_default()).or_default();
            match entry.movement {
                Movement::Authorised => {
                    order.authorisations += 1;
                    order.authorised = order.authorised.saturating_add(entry.amount);
                    if seen.insert(&entry.payment_intent) {
                        order.payment_intents += 1;
                    }
                }
                Movement::Captured => {
                    order.captures += 1;
                    order.captured = order.captured.saturating_add(entry.amount);
                }
                Movement::Released => order.released = order.released.saturating_add(entry.amount),
                Movement::Refunded => order.refunded = order.refunded.saturating_add(entry.amount),
                Movement::Declined => order.declines += 1,
            }
        }
        Self { orders }
    }

    /// Orders charged more than once: two captures, or more captured than one authorisation held.
    #[must_use]
    pub fn double_charged(&self) -> Vec<&str> {
        let twice = |tally: &OrderTally| tally.captures > 1;
        self.orders
            .iter()
            .filter(|(_, tally)| twice(tally))
            .map(|(order, _)| order.as_str())
            .collect()
    }

    /// Sum of all captures minus all refunds, in minor units, over all currencies alike.
    #[must_use]
    pub fn net_captured(&self) -> u64 {
        self.orders
            .values()
            .map(|tally| tally.captured.saturating_sub(tally.refunded))
            .fold(0, u64::saturating_add)
    }
}
