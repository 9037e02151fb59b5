//! A shopper's place in the queue, worked out from ticket and snapshot alone: one subtraction
//! and a look at the call history, no store.

use domain::draw::{Draw, Seed};
use domain::{Chance, Number, Phase, QueueingMethod, Rank, Shuffle, Span, Timestamp, Wait, queue};

use crate::shown::Shown;
use crate::snapshot::Snapshot;
use crate::ticket::Ticket;

mod poll;
#[cfg(test)]
mod tests;

/// A ticket given this long before a snapshot is counted in it: a join is in the store when it is answered, so all that lies
/// between is how far two gateways' clocks are apart.
const TAKEN_UP_WITHIN: Span = Span::from_secs(2);

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
    /// What the position was counted from, for the browser to carry on; none where no other gateway could count from
    /// less.
    pub shown: Option<Shown>,
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

/// What the desk has seen of a place itself, newer than any snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sighting {
    /// Let in until then.
    Admitted(Timestamp),
    /// Turned away before a full room, and expected back until then.
    RoomFull(Timestamp),
    /// Given up, replaced or used up.
    Gone,
}

impl Place {
    /// How the place of `ticket` stands.
    pub(crate) fn of(ticket: &Ticket, seen: Option<Sighting>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let rank = rank_of(ticket, snapshot);
        let (state, claim_within) = match rank {
            Some(rank) if seen.is_none() && is_forgotten(ticket, rank, snapshot) => {
                (PlaceState::Called, Some(snapshot.rules.patience()))
            }
            _ => state_of(rank, seen, snapshot, now),
        };
        let queued = match state {
            PlaceState::Waiting | PlaceState::Paused => rank.filter(|rank| *rank >= snapshot.frontier),
            PlaceState::Prequeue
            | PlaceState::Called
            | PlaceState::Admitted
            | PlaceState::Lapsed
            | PlaceState::Left
            | PlaceState::SoldOut
            | PlaceState::Ended => None,
        };
        let position = queued
            .map(|rank| queue::position(snapshot.rules.method, rank, snapshot.frontier, snapshot.waiting));
        let place = Self {
            state,
            number: ticket.number,
            rank,
            position,
            chance: position.and_then(|position| chance(position, snapshot)),
            wait: queued
                .filter(|_| state == PlaceState::Waiting)
                .and_then(|rank| wait(rank, snapshot)),
            poll_after: Span::ZERO,
            claim_within,
            shown: position.and_then(|_| Shown::by(snapshot)),
        };
        Self {
            poll_after: poll::after(&place, snapshot, now),
            ..place
        }
    }

    /// The same place for a shopper who has been shown `before`, perhaps by a gateway that knows of calls which this one
    /// has not heard of: the position never goes back.
    #[must_use]
    pub fn not_behind(self, before: Option<Shown>) -> Self {
        let (Some(now), Some(before)) = (self.shown, before) else {
            return self;
        };
        let Some(further) = before.further_than(now) else {
            return self;
        };
        Self {
            position: self
                .position
                .map(|position| position.saturating_sub(further).max(1)),
            shown: Some(before),
            ..self
        }
    }
}

/// The rank, once it can be known: with a draw ahead, no number has one.
fn rank_of(ticket: &Ticket, snapshot: &Snapshot) -> Option<Rank> {
    let rules = &snapshot.rules;
    match (ticket.drawn, snapshot.draw.revealed) {
        (Some(rank), _) => Some(rank),
        (None, Some((seed, cohort))) => Some(
            Draw {
                seed: Seed(seed),
                cohort,
            }
            .rank(ticket.number),
        ),
        (None, None) => {
            let to_be_drawn = rules.shuffle == Shuffle::AtEventStart
                && rules.method == QueueingMethod::Fifo
                && matches!(snapshot.phase, Phase::Scheduled | Phase::Prequeue);
            (!to_be_drawn).then_some(Rank(ticket.number.0))
        }
    }
}

/// Whether the store has lost a place: it says that nobody waits, though this ticket was given long before it said so. Who
/// joined in the last half second before a crash is in no book, and nobody is called from an empty line: such a shopper
/// is sent to claim, for a claim brings the ticket, and the place with it, back.
fn is_forgotten(ticket: &Ticket, rank: Rank, snapshot: &Snapshot) -> bool {
    snapshot.phase == Phase::Open
        && !snapshot.stale
        && snapshot.waiting == 0
        && rank >= snapshot.frontier
        && ticket.joined_at + TAKEN_UP_WITHIN < snapshot.taken_at
}

fn state_of(
    rank: Option<Rank>,
    seen: Option<Sighting>,
    snapshot: &Snapshot,
    now: Timestamp,
) -> (PlaceState, Option<Span>) {
    match (snapshot.phase, seen) {
        (Phase::Ended, _) => (PlaceState::Ended, None),
        (Phase::Scheduled | Phase::Prequeue, Some(Sighting::Gone)) => (PlaceState::Left, None),
        (Phase::Scheduled | Phase::Prequeue, _) => (PlaceState::Prequeue, None),
        // Held with everybody else: the session stands still, so that its time tells nothing, and goes on afterwards. Whether
        // it was over before only the store knows, for it may have been renewed; who is told to wait in vain learns it then.
        (_, Some(Sighting::Admitted(_))) if snapshot.control.queue_all => (PlaceState::Paused, None),
        (_, Some(Sighting::Admitted(until))) if now < until => (PlaceState::Admitted, None),
        (_, Some(Sighting::Gone | Sighting::Admitted(_))) => (PlaceState::Left, None),
        (Phase::SoldOut, _) => (PlaceState::SoldOut, None),
        (Phase::Paused, _) => (PlaceState::Paused, None),
        (Phase::Open | Phase::Draining, seen) => {
            let back = matches!(seen, Some(Sighting::RoomFull(until)) if now < until);
            rank.map_or((PlaceState::Waiting, None), |rank| {
                by_call(rank, back, snapshot, now)
            })
        }
    }
}

/// How a place stands by the call history.
fn by_call(rank: Rank, back: bool, snapshot: &Snapshot, now: Timestamp) -> (PlaceState, Option<Span>) {
    let patience = snapshot.rules.patience();
    if snapshot.rules.method == QueueingMethod::Passthrough || back {
        return (PlaceState::Called, Some(patience));
    }
    if rank >= snapshot.frontier {
        return (PlaceState::Waiting, None);
    }
    if rank < snapshot.lapsed_below {
        return (PlaceState::Lapsed, None);
    }
    let index = snapshot.calls.partition_point(|(to, _)| *to <= rank);
    let left = snapshot
        .calls
        .get(index)
        .map_or(patience, |(_, called_at)| now.until(*called_at + patience));
    if left == Span::ZERO {
        (PlaceState::Lapsed, None)
    } else {
        (PlaceState::Called, Some(left))
    }
}

fn chance(position: u64, snapshot: &Snapshot) -> Option<Chance> {
    let readings = &snapshot.readings;
    let stock = readings.stock?;
    if snapshot.phase == Phase::Draining {
        return Some(Chance::Gone);
    }
    // Ranks that belong to nobody take no units: those known to wait are the most there can be.
    let ahead = position.saturating_sub(1).min(snapshot.waiting);
    let (conversion, units) = (readings.conversion_per_mille, readings.units_per_order_per_mille);
    Some(Chance::estimate(stock, ahead, conversion, units))
}

/// How many of those in line are told each chance now, the best first. Empty where no stock is known; nobody where no
/// position is shown.
#[must_use]
pub fn chances(snapshot: &Snapshot) -> Vec<(Chance, u64)> {
    let in_line = match snapshot.phase {
        Phase::Open | Phase::Paused | Phase::Draining | Phase::SoldOut => snapshot.waiting,
        Phase::Scheduled | Phase::Prequeue | Phase::Ended => 0,
    };
    // The further back, the smaller the chance: the line is cut where it falls.
    let with_at_least = |least: Chance| {
        let (mut with, mut without) = (0, in_line);
        while with < without {
            let middle = with.midpoint(without);
            if chance(middle + 1, snapshot).is_some_and(|told| told >= least) {
                with = middle + 1;
            } else {
                without = middle;
            }
        }
        with
    };
    if chance(1, snapshot).is_none() {
        return Vec::new();
    }
    let mut counted = 0;
    let mut counts = Vec::with_capacity(Chance::ALL.len());
    for told in Chance::ALL {
        let upto = with_at_least(told);
        counts.push((told, upto - counted));
        counted = upto;
    }
    counts
}

fn wait(rank: Rank, snapshot: &Snapshot) -> Option<Wait> {
    if snapshot.phase != Phase::Open {
        return None;
    }
    let ahead = rank.0.saturating_sub(snapshot.frontier.0).saturating_add(1);
    Wait::estimate(ahead, &snapshot.flow)
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
