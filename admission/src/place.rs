//! A shopper's place in the queue, worked out from ticket and snapshot alone: one subtraction
//! and a look at the call history, no store.

use domain::{Chance, Number, Rank, Span, Wait};

/// How a place stands. The names are those of the API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PlaceState {
    /// The drop has not started.
    Prequeue,
    /// In line.
    Waiting,
    /// It is this shopper's turn: claim now.
    Called,
    /// Let in.
    Admitted,
    /// Called, and not come in time.
    Lapsed,
    /// Given up, replaced by a newer place, or used up.
    Left,
    /// Everything is sold.
    SoldOut,
    /// The drop is over.
    Ended,
    /// Held by the operator; the place is kept and no time runs.
    Paused,
}

/// Everything a shopper is told about a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// How it stands.
    pub state: PlaceState,
    /// Order of joining.
    pub number: Number,
    /// Order of service; none before the draw is held.
    pub rank: Option<Rank>,
    /// How many ranks until it is called, plus one; none when it is not in line or not drawn yet.
    pub position: Option<u64>,
    /// Whether units will be left; none where the drop sells nothing.
    pub chance: Option<Chance>,
    /// How long it will take; none when unknown.
    pub wait: Option<Wait>,
    /// When to ask again.
    pub poll_after: Span,
    /// While called: how much of the claim window and its grace is left.
    pub claim_within: Option<Span>,
}

/// Why there is no place to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlaceError {
    /// The drop is not configured.
    #[error("no such drop")]
    UnknownDrop,
    /// Not a ticket of ours, or of another drop or visitor.
    #[error("not a valid ticket for this drop and visitor")]
    BadTicket,
}

impl PlaceState {
    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prequeue => "prequeue",
            Self::Waiting => "waiting",
            Self::Called => "called",
            Self::Admitted => "admitted",
            Self::Lapsed => "lapsed",
            Self::Left => "left",
            Self::SoldOut => "sold_out",
            Self::Ended => "ended",
            Self::Paused => "paused",
        }
    }
}
