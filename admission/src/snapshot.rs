//! One drop's queue at one moment, shared by every poll and every admitted request until the
//! next moment replaces it. A snapshot is never changed, only replaced.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::{AdmissionId, Bound, Control, DropRules, Phase, Rank, Readings, Span, Timestamp};

/// One drop's queue at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The rules it was taken under.
    pub rules: Arc<DropRules>,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Where the drop stands.
    pub phase: Phase,
    /// What the operator has asked for.
    pub control: Control,
    /// Sessions of other epochs are void.
    pub epoch: u32,
    /// Ranks below are called.
    pub frontier: Rank,
    /// Ranks below have lapsed.
    pub lapsed_below: Rank,
    /// When ranks were called: each entry covers the ranks from the entry before it (or from
    /// `lapsed_below`) up to, but without, its own.
    pub calls: Arc<[(Rank, Timestamp)]>,
    /// Time in which nobody's claim window runs, from this instant: set while paused.
    pub held_since: Option<Timestamp>,
    /// Shoppers waiting.
    pub waiting: u64,
    /// Active sessions.
    pub active_users: u64,
    /// Admissions in the last 60 seconds.
    pub admitted_last_minute: u64,
    /// Shoppers called per minute, as measured; none when nobody was called lately.
    pub outflow_per_minute: Option<u64>,
    /// Ranks the frontier passes per minute, as measured; what waits are estimated from.
    pub ranks_per_minute: Option<u64>,
    /// The bound that binds the outflow.
    pub bound: Bound,
    /// Admissions revoked lately: their tokens open nothing though they have not expired.
    pub revoked: Arc<BTreeSet<AdmissionId>>,
    /// The draw: what is public of it at this moment.
    pub draw: DrawView,
    /// What the rest of the house reported.
    pub readings: Readings,
    /// How long the first in line has waited.
    pub oldest_wait: Span,
    /// Whether the store could not be read since `taken_at`: still the best there is.
    pub stale: bool,
}

/// What is public of the draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DrawView {
    /// SHA-256 of the seed, published before the start.
    pub commitment: [u8; 32],
    /// After the start of a shuffled drop: the seed and the numbers it was drawn for (1 to cohort).
    pub revealed: Option<([u8; 32], u64)>,
}
