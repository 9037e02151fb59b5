//! Why a shopper is refused in the queue, and when asking again could succeed: each refusal of the desk as a problem.

use admission::{Claimed, JoinError, LeaveError, Place, PlaceError};
use domain::Span;
use http::StatusCode;

use crate::edge::Problem;

/// Whether the page that a form comes from says itself why joining was refused. A queue that is full or cannot be reached
/// is not among it: the page would show the lost place as before, as if nothing had been tried.
pub(super) const fn page_explains(error: &JoinError) -> bool {
    match error {
        JoinError::NotOpen(_) | JoinError::Closed => true,
        JoinError::Full { .. } | JoinError::Unavailable(_) | JoinError::UnknownDrop => false,
    }
}

/// The keys were changed, and this gateway has not read the new ones yet.
pub(super) fn not_known_yet() -> Problem {
    unavailable(Span::from_secs(1))
}

pub(super) fn no_ticket() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no-ticket",
        "You have no place in this queue",
    )
    .detail("Join first: POST to this address with the visitor cookie.")
}

pub(super) fn place_problem(error: PlaceError) -> Problem {
    match error {
        PlaceError::UnknownDrop => unknown_drop(),
        PlaceError::BadTicket => no_ticket(),
    }
}

pub(super) fn unknown_drop() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-drop", "There is no such drop")
}

fn unavailable(retry_after: Span) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "queue-unavailable",
        "The queue cannot be reached",
    )
    .detail("Your place is safe: it is in your ticket.")
    .retry_after(retry_after)
}

/// A drop that admits nobody, until its merchant configures it otherwise: nobody can say when.
pub(super) fn closed() -> Problem {
    let title = "This drop admits nobody for now";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "drop-closed", title)
        .retry_after(Span::from_secs(60))
        .meant()
}

pub(super) fn join_problem(error: JoinError) -> Problem {
    match error {
        JoinError::UnknownDrop => unknown_drop(),
        JoinError::NotOpen(phase) => {
            Problem::new(StatusCode::CONFLICT, "not-open", "Joining is not possible now")
                .detail("See the drop's public state for when it opens.")
                .with("phase", phase.as_str())
        }
        JoinError::Closed => closed(),
        JoinError::Full { retry_after } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "queue-full",
            "The queue is full for the moment",
        )
        .retry_after(retry_after)
        .meant(),
        JoinError::Unavailable(error) => unavailable(error.retry_after),
    }
}

pub(super) fn leave_problem(error: LeaveError) -> Problem {
    match error {
        LeaveError::Place(error) => place_problem(error),
        LeaveError::Unavailable(error) => unavailable(error.retry_after),
    }
}

/// Why a claim was refused, and when another could succeed.
pub(super) fn claim_problem(refused: &Claimed) -> Problem {
    let gone = |slug, title| Problem::new(StatusCode::GONE, slug, title);
    let not_yet = |slug, title| Problem::new(StatusCode::CONFLICT, slug, title);
    match refused {
        Claimed::NotCalled(place) => not_called(place),
        Claimed::RoomFull { retry_after } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "room-full", "You are next")
                .detail("Everybody allowed in is inside; you go before anybody called later.")
                .retry_after(*retry_after)
        }
        Claimed::Paused => not_yet("paused", "The queue is paused").detail("Your place is kept."),
        Claimed::NotOpen => not_yet("not-called", "The drop has not started"),
        Claimed::Lapsed => gone("lapsed", "Your turn has passed").detail("Join again to go to the end."),
        Claimed::Left => gone("left", "This place was given up").detail("Join again to go to the end."),
        Claimed::Finished => gone("admission-used", "This place has been used"),
        Claimed::SoldOut => gone("sold-out", "Everything is sold"),
        Claimed::Ended => gone("ended", "The drop is over"),
        Claimed::Admitted(_) => Problem::not_found(),
    }
}

pub(super) fn not_called(place: &Place) -> Problem {
    let problem = Problem::new(StatusCode::CONFLICT, "not-called", "It is not your turn yet")
        .retry_after(place.poll_after);
    match place.position {
        Some(position) => problem.with("position", position),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_the_page_cannot_explain_is_not_hidden_by_it() {
        assert!(page_explains(&JoinError::NotOpen(domain::Phase::SoldOut)));
        assert!(page_explains(&JoinError::Closed));
        let retry_after = Span::from_secs(5);
        assert!(!page_explains(&JoinError::Full { retry_after }));
        assert!(!page_explains(&JoinError::UnknownDrop));
    }
}
