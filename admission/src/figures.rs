//! What happened in a drop's queue since the process started, as plain values for whoever
//! publishes metrics. Counters only grow.

use domain::Span;

/// Bounds of the wait histogram in seconds; a wait falls into the first bucket it fits in, and
/// longer ones into the last of [`Figures::wait_buckets`].
pub const WAIT_BUCKETS_SECS: [u64; 12] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600];

/// Counters and gauges of one drop.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in, each admission once.
    pub admitted: u64,
    /// Called shoppers whose window and grace passed unused.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Shoppers admitted inside the interval they were told when they joined.
    pub estimate_hits: u64,
    /// Shoppers admitted outside of it.
    pub estimate_misses: u64,
    /// Claims that met a full room.
    pub room_full: u64,
    /// Admissions by time waited, per bucket of [`WAIT_BUCKETS_SECS`] and one for longer waits.
    pub wait_buckets: [u64; WAIT_BUCKETS_SECS.len() + 1],
    /// Sum of all waits, in milliseconds.
    pub wait_millis_sum: u64,
    /// Shoppers waiting now.
    pub waiting: u64,
    /// Active sessions now.
    pub active_users: u64,
    /// Most sessions ever active at once.
    pub active_users_max: u64,
    /// Most admissions ever seen in any 60 seconds.
    pub admitted_in_60s_max: u64,
    /// How long the first in line has waited.
    pub oldest_wait: Span,
}
