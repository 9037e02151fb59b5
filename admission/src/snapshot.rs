//! One drop's queue at one moment, shared by every poll and every admitted request until the
//! next moment replaces it. A snapshot is never changed, only replaced.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::queue::View;
use domain::{AdmissionId, Bound, Control, DropRules, Flow, Phase, Rank, Readings, Span, Timestamp};

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
    /// What waits are estimated from.
    pub flow: Flow,
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
    /// What the store said when it could last not be read, in words for an operator; nothing while it can be.
    pub trouble: Option<&'static str>,
    /// Who else shows positions.
    pub showing: Showing,
}

/// Who shows positions to the shoppers of a drop.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Showing {
    /// This gateway alone: its frontier only grows.
    #[default]
    Alone,
    /// Several. One is always the first to know of a call, and one may have heard of none for a while: what a shopper
    /// was shown by one is carried to the next by the shopper's browser, see [`crate::Shown`].
    Among,
}

/// What is public of the draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DrawView {
    /// SHA-256 of the seed, published before the start.
    pub commitment: [u8; 32],
    /// After the start of a shuffled drop: the seed and the numbers it was drawn for (1 to cohort).
    pub revealed: Option<([u8; 32], u64)>,
}

impl Snapshot {
    /// What a view shows, with the bound that was found to bind and what others reported.
    pub(crate) fn of(view: View, rules: Arc<DropRules>, bound: Bound, readings: Readings) -> Self {
        let revealed = view
            .draw
            .filter(|_| view.started)
            .map(|draw| (draw.seed.0, draw.cohort));
        Self {
            rules,
            taken_at: view.now,
            phase: view.phase,
            control: view.control,
            epoch: view.epoch,
            frontier: view.frontier,
            lapsed_below: view.lapsed_below,
            calls: view.calls.into(),
            held_since: view.held_since,
            waiting: view.room.waiting,
            active_users: view.room.active,
            admitted_last_minute: view.room.claims_last_minute,
            outflow_per_minute: view.calls_per_minute,
            flow: view.flow,
            bound,
            revoked: Arc::new(view.revoked.into_iter().collect()),
            draw: DrawView {
                commitment: view.commitment,
                revealed,
            },
            readings,
            oldest_wait: view.oldest_wait,
            stale: false,
            trouble: None,
            showing: Showing::default(),
        }
    }

    /// A queue of which nothing is known yet: nobody is called, nobody is let in.
    pub fn empty(rules: Arc<DropRules>, now: Timestamp) -> Self {
        Self {
            rules,
            taken_at: now,
            phase: Phase::Scheduled,
            control: Control::default(),
            epoch: 0,
            frontier: Rank(1),
            lapsed_below: Rank(1),
            calls: Arc::from([]),
            held_since: None,
            waiting: 0,
            active_users: 0,
            admitted_last_minute: 0,
            outflow_per_minute: None,
            flow: Flow::default(),
            bound: Bound::Phase,
            revoked: Arc::default(),
            draw: DrawView {
                commitment: [0; 32],
                revealed: None,
            },
            readings: Readings::default(),
            oldest_wait: Span::ZERO,
            stale: true,
            trouble: None,
            showing: Showing::default(),
        }
    }
}
