//! What a merchant decides about one drop's queue, as plain values. Configuration is converted
//! into this once; every queue operation reads it from here.

use crate::{DropId, Schedule, Span};

/// How waiting shoppers are served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueingMethod {
    /// In the order of joining, after the draw at the start where one is held.
    Fifo,
    /// A random waiting shopper for every free slot.
    Random,
    /// Nobody waits: shoppers are counted, limits are not applied.
    Passthrough,
    /// Nobody enters: a closed page.
    Reject,
}

impl QueueingMethod {
    /// The word of the configuration, the API and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Random => "random",
            Self::Passthrough => "passthrough",
            Self::Reject => "reject",
        }
    }
}

/// Whether everyone who joined before the start is put into a drawn order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shuffle {
    /// The cohort is drawn when the drop opens.
    AtEventStart,
    /// The order of joining holds from the first number on.
    Never,
}

/// Whether an active shopper's session is prolonged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Renewal {
    /// Each sign of life after half of the session starts it anew.
    Sliding,
    /// The session ends when its time is over, active or not.
    Fixed,
}

/// What a completed order means for the session it was made in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AfterOrder {
    /// The session ends, and its slot goes to the next shopper.
    EndSession,
    /// The shopper may go on until the session is over.
    KeepSession,
}

/// The hard limits of a drop: never exceeded, not for a second.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Sessions that may be active at once.
    pub total_active_users: u32,
    /// Admissions in any 60 seconds.
    pub new_users_per_minute: u32,
}

/// Everything the queue of one drop needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DropRules {
    /// Which drop.
    pub drop: DropId,
    /// When it opens and closes.
    pub schedule: Schedule,
    /// How waiting shoppers are served.
    pub method: QueueingMethod,
    /// Whether early joiners are drawn at the start. Only meaningful with [`QueueingMethod::Fifo`].
    pub shuffle: Shuffle,
    /// The hard limits.
    pub limits: Limits,
    /// How long an admitted shopper counts as active without a sign of life.
    pub session_duration: Span,
    /// Whether signs of life prolong a session.
    pub renewal: Renewal,
    /// What a completed order does to the session.
    pub after_order: AfterOrder,
    /// How long a called shopper may take to turn up.
    pub claim_window: Span,
    /// How much longer a late returner is still let in, once.
    pub late_grace: Span,
    /// The time within which an attentive page claims after a call. Unclaimed calls count as
    /// expected claims for this long only, so that a no-show idles capacity for seconds.
    pub show_horizon: Span,
    /// Shoppers called per unit of stock, in thousandths: 1,500 calls three shoppers for two units.
    pub overbooking_per_mille: u32,
    /// How long a reservation is held: the time the order backlog must be cleared in.
    pub reserve_for: Span,
    /// Most shoppers the queue remembers. Joining beyond it is refused for the moment.
    pub queue_capacity: u32,
}

impl DropRules {
    /// The defaults for `drop`: always open, first come first served, 500 active, 600 a minute.
    pub fn new(drop: DropId) -> Self {
        Self {
            drop,
            schedule: Schedule::ALWAYS,
            method: QueueingMethod::Fifo,
            shuffle: Shuffle::AtEventStart,
            limits: Limits {
                total_active_users: 500,
                new_users_per_minute: 600,
            },
            session_duration: Span::from_mins(10),
            renewal: Renewal::Sliding,
            after_order: AfterOrder::EndSession,
            claim_window: Span::from_mins(2),
            late_grace: Span::from_mins(10),
            show_horizon: Span::from_secs(10),
            overbooking_per_mille: 1_000,
            reserve_for: Span::from_mins(5),
            queue_capacity: 2_000_000,
        }
    }

    /// How long after a call the place is still good: the claim window and the grace together.
    pub fn patience(&self) -> Span {
        self.claim_window + self.late_grace
    }
}
