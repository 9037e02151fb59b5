//! One shopper's place, put into the words of the page and of the API.

use admission::{Place, PlaceState};
use domain::{Clock, Span, Timestamp};

use super::board::Posted;
use super::page::{Joining, PageState, PageView, WaitInterval};

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
        joining: joining(posted.view.state),
        ..posted.view.clone()
    }
}

/// The poll's JSON: the shopper's members written out, then those that everybody shares.
/// The ticket is named where it was just handed out.
///
/// Put together by hand, because this is the text that is written most: every value is a number, a
/// fixed word or base64url, so that nothing needs escaping.
pub(super) fn poll_json(posted: &Posted, place: &Place, ticket: Option<&str>, clock: &dyn Clock) -> String {
    let mut text = String::with_capacity(320 + posted.shared.len());
    push_word(&mut text, "{\"state\":", place.state.as_str());
    push_member(&mut text, ",\"number\":", Some(place.number.0));
    push_member(&mut text, ",\"rank\":", place.rank.map(|rank| rank.0));
    push_member(&mut text, ",\"position\":", place.position);
    match place.chance {
        Some(odds) => push_word(&mut text, ",\"chance\":", odds.as_str()),
        None => text.push_str(",\"chance\":null"),
    }
    match place.wait {
        Some(wait) => {
            push_member(
                &mut text,
                ",\"wait\":{\"min_seconds\":",
                Some(wait.min.as_secs_ceil()),
            );
            push_member(&mut text, ",\"max_seconds\":", Some(wait.max.as_secs_ceil()));
            text.push('}');
        }
        None => text.push_str(",\"wait\":null"),
    }
    push_member(
        &mut text,
        ",\"poll_after_ms\":",
        Some(place.poll_after.as_millis()),
    );
    if let Some(left) = place.claim_within {
        let now = clock.now();
        let time = |at: Timestamp| super::page::rfc3339(at.as_millis());
        push_word(&mut text, ",\"late_until\":", &time(now + left));
        let window = left - posted.snapshot.rules.late_grace;
        if window > Span::ZERO {
            push_word(&mut text, ",\"claim_deadline\":", &time(now + window));
        }
    }
    if let Some(ticket) = ticket {
        push_word(&mut text, ",\"ticket\":", ticket);
    }
    text.push_str(&posted.shared);
    text.push('}');
    text
}

/// Writes `name` and a word in quotes.
fn push_word(text: &mut String, name: &str, word: &str) {
    text.push_str(name);
    text.push('"');
    text.push_str(word);
    text.push('"');
}

/// Writes `name` and a number, or null.
fn push_member(text: &mut String, name: &str, value: Option<u64>) {
    text.push_str(name);
    match value {
        Some(value) => text.push_str(itoa::Buffer::new().format(value)),
        None => text.push_str("null"),
    }
}

/// What the drop says to somebody without a place is what joining again would come to.
const fn joining(without_a_place: PageState) -> Joining {
    match without_a_place {
        PageState::Joining => Joining::Open,
        PageState::SoldOut => Joining::SoldOut,
        PageState::Scheduled
        | PageState::Prequeue
        | PageState::Waiting
        | PageState::Called
        | PageState::RoomFull
        | PageState::Admitted
        | PageState::Lapsed
        | PageState::Left
        | PageState::Finished
        | PageState::Paused
        | PageState::Ended
        | PageState::Reject => Joining::Closed,
    }
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
