//! What a drop came to, counted from both sides: our ledger and the provider's own log.

use serde::Serialize;

/// The demo's report, by the names of the interface page. Times in seconds or, where the
/// name says so, milliseconds.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Report {
    /// The drop's id.
    pub drop: String,
    /// The seed that repeats the run's crowd.
    pub seed: u64,
    /// Shoppers who came.
    pub shoppers: u64,
    /// Shoppers who got a number.
    pub joined: u64,
    /// Admissions granted.
    pub admitted: u64,
    /// Called shoppers who did not turn up within the claim window.
    pub no_shows: u64,
    /// Orders that ever held units.
    pub reserved: u64,
    /// Orders that were accepted for payment.
    pub orders_accepted: u64,
    /// Orders that were paid.
    pub paid: u64,
    /// Orders whose payment was declined.
    pub declined: u64,
    /// Orders that ended without a charge.
    pub released: u64,
    /// Units in the pool.
    pub stock: u64,
    /// Units that were sold.
    pub sold: u64,
    /// Units sold beyond the pool. Must be 0.
    pub oversold: u64,
    /// Orders charged more than once or for a wrong amount. Must be 0.
    pub double_charged: u64,
    /// Captures without a sold unit behind them. Must be 0.
    pub charged_without_stock: u64,
    /// Accepted orders that reached no end. Must be 0.
    pub accepted_lost: u64,
    /// Most sessions that were active at once.
    pub max_active_users: u64,
    /// Most admissions within any 60 seconds.
    pub max_admitted_in_60s: u64,
    /// The limits that were set.
    pub limits: Limits,
    /// From join to admission.
    pub wait_seconds: Wait,
    /// Latency of joining, as the shoppers saw it.
    pub join_ms: Latency,
    /// Latency of a status poll, as the shoppers saw it.
    pub poll_ms: Latency,
    /// From the first arrival to the end of the drop.
    pub duration_seconds: f64,
}

/// The two hard limits of a drop.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct Limits {
    /// Sessions at once.
    pub total_active_users: u64,
    /// Admissions in any 60 seconds.
    pub new_users_per_minute: u64,
}

/// Percentiles of the wait, in seconds.
#[derive(Clone, Copy, PartialEq, Default, Serialize, Debug)]
pub struct Wait {
    /// Half waited no longer.
    pub p50: f64,
    /// Nine of ten waited no longer.
    pub p90: f64,
    /// Ninety-nine of a hundred waited no longer.
    pub p99: f64,
    /// The longest wait.
    pub max: f64,
}

/// Percentiles of a latency, in milliseconds.
#[derive(Clone, Copy, PartialEq, Default, Serialize, Debug)]
pub struct Latency {
    /// Half took no longer.
    pub p50: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99: f64,
}

impl Report {
    /// Whether every figure that must be zero is zero and no limit was exceeded.
    pub fn is_clean(&self) -> bool {
        self.oversold == 0
            && self.double_charged == 0
            && self.charged_without_stock == 0
            && self.accepted_lost == 0
            && self.max_active_users <= self.limits.total_active_users
            && self.max_admitted_in_60s <= self.limits.new_users_per_minute
    }
}

#[cfg(test)]
mod tests;
