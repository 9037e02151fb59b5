//! One shopper's place, put into the words of the page and of the API.

use admission::{Place, PlaceState};
use domain::{Span, Timestamp};

use super::board::Posted;
use super::page::{PageState, PageView, WaitInterval};

/// The page's view of `place`: the drop's board with the shopper's own figures filled in.
pub(super) fn view(posted: &Posted, place: &Place, now: Timestamp) -> PageView {
    let late_grace = posted.snapshot.rules.late_grace;
    // `claim_within` runs to the end of the grace; the window proper ends earlier by the grace.
    let window_left = place
        .claim_within
        .map(|left| left - late_grace)
        .filter(|left| *left > Span::ZERO);
    PageView {
        state: page_state(place.state),
        number: Some(place.number.0),
        rank: place.rank.map(|rank| rank.0),
        position: place.position,
        wait: place.wait.map(|wait| WaitInterval {
            min_seconds: wait.min.as_secs_ceil(),
            max_seconds: wait.max.as_secs_ceil(),
        }),
        chance: place.chance,
        claim_deadline_ms: window_left.map(|left| (now + left).as_millis()),
        late_until_ms: place.claim_within.map(|left| (now + left).as_millis()),
        poll_after_ms: place.poll_after.as_millis(),
        now_ms: now.as_millis(),
        ..posted.view.clone()
    }
}

/// The poll's JSON: the shopper's members written out, then those that everybody shares.
/// The ticket is named where it was just handed out.
pub(super) fn poll_json(posted: &Posted, place: &Place, ticket: Option<&str>, now: Timestamp) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(320 + posted.shared.len());
    let null = |value: Option<u64>| value.map_or_else(|| "null".to_owned(), |number| number.to_string());
    // Writing to a string cannot fail; every value is a number, a fixed word or base64url.
    let _ = write!(
        text,
        "{{\"state\":\"{}\",\"number\":{}",
        place.state.as_str(),
        place.number.0
    );
    let _ = write!(text, ",\"rank\":{}", null(place.rank.map(|rank| rank.0)));
    let _ = write!(text, ",\"position\":{}", null(place.position));
    match place.chance {
        Some(odds) => drop(write!(text, ",\"chance\":\"{}\"", odds.as_str())),
        None => text.push_str(",\"chance\":null"),
    }
    match place.wait {
        Some(wait) => {
            let (min, max) = (wait.min.as_secs_ceil(), wait.max.as_secs_ceil());
            let _ = write!(text, ",\"wait\":{{\"min_seconds\":{min},\"max_seconds\":{max}}}");
        }
        None => text.push_str(",\"wait\":null"),
    }
    let _ = write!(text, ",\"poll_after_ms\":{}", place.poll_after.as_millis());
    if let Some(left) = place.claim_within {
        let deadlines = super::page::rfc3339((now + left).as_millis());
        let _ = write!(text, ",\"late_until\":\"{deadlines}\"");
        let window = left - posted.snapshot.rules.late_grace;
        if window > Span::ZERO {
            let _ = write!(
                text,
                ",\"claim_deadline\":\"{}\"",
                super::page::rfc3339((now + window).as_millis())
            );
        }
    }
    if let Some(ticket) = ticket {
        let _ = write!(text, ",\"ticket\":\"{ticket}\"");
    }
    text.push_str(&posted.shared);
    text.push('}');
    text
}

fn page_state(state: PlaceState) -> PageState {
    match state {
        PlaceState::Prequeue => PageState::Prequeue,
        PlaceState::Waiting => PageState::Waiting,
        PlaceState::Called => PageState::Called,
        PlaceState::Admitted => PageState::Admitted,
        PlaceState::Lapsed => PageState::Lapsed,
        PlaceState::Left => PageState::Left,
        PlaceState::SoldOut => PageState::SoldOut,
        PlaceState::Ended => PageState::Ended,
        PlaceState::Paused => PageState::Paused,
    }
}

#[cfg(test)]
mod tests;
