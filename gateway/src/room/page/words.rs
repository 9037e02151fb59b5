//! How numbers, spans and instants are worded for shoppers. The page's script words the same
//! values the same way (`assets/room/words.js`); one table of cases holds both to it
//! (`tests/browser/words.json`).

use super::view::{Chance, PageState, PageView, StockTotal, WaitInterval};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// Above this many minutes a wait is worded in hours: nobody plans by "about 110 minutes".
const MINUTES_MAX: u64 = 90;

/// A count with thousands separated: `12,480`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An estimated wait as an interval, rounded outwards so that it stays true.
pub fn wait_phrase(wait: WaitInterval) -> String {
    let (low, high) = (wait.min_seconds, wait.max_seconds.max(wait.min_seconds));
    if high < MINUTE {
        return "less than a minute".to_owned();
    }
    let (low_minutes, high_minutes) = (low / MINUTE, high.div_ceil(MINUTE));
    if high_minutes <= MINUTES_MAX {
        return match (low_minutes, high_minutes) {
            (_, 1) => "about a minute".to_owned(),
            (0, high) => format!("up to {high} minutes"),
            (low, high) if low == high => format!("about {low} minutes"),
            (low, high) => format!("about {low} to {high} minutes"),
        };
    }
    match (low / HOUR, high.div_ceil(HOUR)) {
        (0, high) => format!("up to {high} hours"),
        (low, high) if low == high => format!("about {low} hours"),
        (low, high) => format!("about {low} to {high} hours"),
    }
}

/// Seconds as a clock: `4:05`, `1:02:03`, and days before that: `2 days`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE);
    if seconds >= 2 * DAY {
        format!("{} days", seconds / DAY)
    } else if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{minutes}:{rest:02}")
    }
}

/// A span as it is spoken: `2 minutes`, `90 seconds`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        MINUTE => "1 minute".to_owned(),
        seconds if seconds >= MINUTE && seconds.is_multiple_of(MINUTE) => {
            format!("{} minutes", seconds / MINUTE)
        }
        seconds => format!("{seconds} seconds"),
    }
}

/// How many are ahead, as a sentence.
pub(super) fn ahead_sentence(ahead: u64) -> String {
    match ahead {
        0 => "Nobody is ahead of you.".to_owned(),
        1 => "1 person is ahead of you.".to_owned(),
        ahead => format!("{} people are ahead of you.", grouped(ahead)),
    }
}

/// The chance as a word.
pub(super) const fn chance_word(chance: Chance) -> &'static str {
    match chance {
        Chance::Likely => "Likely",
        Chance::Possible => "Possible",
        Chance::Unlikely => "Unlikely",
        Chance::Gone => "None",
    }
}

/// What is left of the pool, as a phrase.
pub(super) fn stock_phrase(stock: StockTotal) -> String {
    match (stock.available, stock.reserved) {
        (0, 0) => "Sold out".to_owned(),
        (0, reserved) => format!("None free, {} at checkout", grouped(reserved)),
        (available, _) => format!("{} of {}", grouped(available), grouped(stock.all())),
    }
}

/// An instant in words, in UTC; the script replaces it by the shopper's local time.
pub(super) fn utc(ms: u64) -> String {
    instant(ms).map_or_else(String::new, |at| at.strftime("%A %-d %B, %H:%M UTC").to_string())
}

/// An instant as RFC 3339 in UTC, for attributes and JSON.
pub fn rfc3339(ms: u64) -> String {
    instant(ms).map_or_else(String::new, |at| at.to_string())
}

fn instant(ms: u64) -> Option<jiff::Timestamp> {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
}

/// The large writing on the door: a small line, a big word or number, a small line below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Face {
    pub(super) label: String,
    pub(super) word: String,
    pub(super) sub: String,
}

impl PageState {
    /// The small line above the word on the door.
    pub(super) const fn label(self) -> &'static str {
        fixed_face(self).0
    }

    /// The word on the door; empty where the position or a countdown stands in its place.
    pub(super) const fn word(self) -> &'static str {
        fixed_face(self).1
    }
}

const fn fixed_face(state: PageState) -> (&'static str, &'static str) {
    match state {
        PageState::Scheduled => ("Opens in", ""),
        PageState::Joining => ("One moment", "Hello"),
        PageState::Prequeue => ("Starts in", ""),
        PageState::Waiting => ("Your position", ""),
        PageState::Called => ("Come in", "Your turn"),
        PageState::RoomFull => ("You are", "Next"),
        PageState::Admitted => ("Welcome", "You’re in"),
        PageState::Lapsed => ("Your turn", "Passed"),
        PageState::Left => ("Your place is", "Gone"),
        PageState::Finished => ("Your visit has", "Ended"),
        PageState::Paused => ("For now", "Paused"),
        PageState::SoldOut => ("Every unit", "Sold"),
        PageState::Ended => ("This drop has", "Ended"),
        PageState::Reject => ("For now", "Closed"),
    }
}

/// The door's writing for a view.
pub(super) fn face(view: &PageView) -> Face {
    let (label, word) = (view.state.label(), view.state.word());
    let until = |at: Option<u64>| at.map(|at| clock(at.saturating_sub(view.now_ms) / 1_000));
    let (word, sub) = match view.state {
        PageState::Scheduled | PageState::Prequeue => (
            until(view.opens_at_ms).unwrap_or_else(|| "Soon".to_owned()),
            view.opens_at_ms.map(utc).unwrap_or_default(),
        ),
        PageState::Waiting => match view.position {
            Some(position) => (grouped(position), "in the queue".to_owned()),
            None => ("…".to_owned(), String::new()),
        },
        PageState::Called => {
            let left = until(view.claim_deadline_ms).map(|left| format!("{left} left to enter"));
            (word.to_owned(), left.unwrap_or_default())
        }
        PageState::RoomFull => {
            let retry = view
                .retry_after_seconds
                .map(|wait| format!("trying again in {}", span(wait)));
            (word.to_owned(), retry.unwrap_or_default())
        }
        PageState::Paused => {
            let kept = view
                .position
                .map(|position| format!("position {} is kept", grouped(position)));
            (word.to_owned(), kept.unwrap_or_default())
        }
        PageState::Joining
        | PageState::Admitted
        | PageState::Lapsed
        | PageState::Left
        | PageState::Finished
        | PageState::SoldOut
        | PageState::Ended
        | PageState::Reject => (word.to_owned(), String::new()),
    };
    Face {
        label: label.to_owned(),
        word,
        sub,
    }
}

/// The browser tab's title: what matters first, since tabs cut at the end.
pub(super) fn tab_title(view: &PageView) -> String {
    let lead = match view.state {
        PageState::Waiting | PageState::Paused => {
            view.position.map(|position| format!("#{}", grouped(position)))
        }
        PageState::Called => Some("Your turn".to_owned()),
        PageState::RoomFull => Some("You are next".to_owned()),
        PageState::Admitted => Some("You’re in".to_owned()),
        PageState::SoldOut => Some("Sold out".to_owned()),
        PageState::Ended => Some("Ended".to_owned()),
        PageState::Reject => Some("Closed".to_owned()),
        PageState::Lapsed => Some("Turn passed".to_owned()),
        PageState::Left => Some("No place".to_owned()),
        PageState::Finished => Some("Visit ended".to_owned()),
        PageState::Scheduled | PageState::Prequeue | PageState::Joining => None,
    };
    lead.map_or_else(|| view.title.clone(), |lead| format!("{lead} · {}", view.title))
}
