//! When a shopper's page asks again: the nearer the turn the sooner, and never all at once.

use domain::{Span, Timestamp};

use super::{Place, PlaceState};
use crate::snapshot::Snapshot;

/// Whoever is called, or about to be, must not lose the turn to a slow page.
const SOONEST: Span = Span::from_secs(1);

/// Half of this is still within the show horizon's usual ten seconds.
const LATEST_WAITING: Span = Span::from_secs(15);

/// Nothing will change soon, but a page left open shall find out.
const LATEST: Span = Span::from_secs(30);

/// Where no pace is known: positions served between two polls.
const POSITIONS_PER_POLL: u64 = 50;

/// When to ask again about `place`.
pub(super) fn after(place: &Place, snapshot: &Snapshot, now: Timestamp) -> Span {
    let base = match place.state {
        PlaceState::Called => SOONEST,
        PlaceState::Waiting => waiting(place),
        PlaceState::Prequeue => {
            let ahead = now.until(snapshot.rules.schedule.event_start);
            between(
                Span::from_millis(ahead.as_millis() / 10),
                Span::from_secs(2),
                LATEST,
            )
        }
        PlaceState::Paused => Span::from_secs(5),
        PlaceState::Admitted => Span::from_secs(10),
        PlaceState::Lapsed | PlaceState::Left | PlaceState::SoldOut | PlaceState::Ended => LATEST,
    };
    spread(base, place.number.0)
}

/// A sixth of the time that is left at least: five looks on the way, the last ones close.
fn waiting(place: &Place) -> Span {
    let left = match place.wait {
        Some(wait) => Span::from_millis(wait.min.as_millis() / 6),
        None => Span::from_millis(1_000 + place.position.unwrap_or(1) * 1_000 / POSITIONS_PER_POLL),
    };
    between(left, SOONEST, LATEST_WAITING)
}

fn between(span: Span, least: Span, most: Span) -> Span {
    span.max(least).min(most)
}

/// Up to a fifth more or less, by number: a crowd that arrived in one moment does not keep
/// coming back in one moment.
fn spread(base: Span, number: u64) -> Span {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let per_mille = 800 + mixed % 401;
    Span::from_millis(base.as_millis() * per_mille / 1_000)
}
