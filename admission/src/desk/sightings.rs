//! What the desk has seen of places itself, for answers newer than the snapshot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{Number, Span};
use moka::sync::Cache;

use crate::place::Sighting;

/// Most sightings remembered per drop: they only make an answer newer than the snapshot.
const SIGHTINGS_MAX: u64 = 100_000;
/// Sightings older than this are in every snapshot, or in the shopper's own cookies.
const SIGHTINGS_KEPT: Duration = Duration::from_hours(1);
/// Words of marks, 64 numbers each: 16 KiB per drop, and no two of 131,072 neighbours share a mark.
const WORDS: usize = 2_048;

/// Sightings by number.
///
/// Most who poll are waiting and were never seen, and asking the cache costs a clock, a hash and two
/// writes to lines that all cores share. So one bit per number says first whether there can be
/// anything. Bits are never cleared: a stale one only costs the look into the cache.
///
/// Ends of sessions are kept as if nobody had ever been held, and told with the time that everybody was: so all of them move
/// at once, and none that is noted meanwhile is missed.
pub(super) struct Sightings {
    marks: Box<[AtomicU64]>,
    seen: Cache<Number, Sighting>,
    /// For how long everybody has been held so far, in milliseconds.
    held_ms: AtomicU64,
}

impl Default for Sightings {
    fn default() -> Self {
        Self {
            marks: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            seen: Cache::builder()
                .max_capacity(SIGHTINGS_MAX)
                .time_to_live(SIGHTINGS_KEPT)
                .build(),
            held_ms: AtomicU64::new(0),
        }
    }
}

impl Sightings {
    /// Remembers what was seen of a place.
    pub(super) fn note(&self, number: Number, seen: Sighting) {
        let kept = match seen {
            Sighting::Admitted(until) => Sighting::Admitted(until - self.held()),
            Sighting::RoomFull(_) | Sighting::Gone => seen,
        };
        self.seen.insert(number, kept);
        // After the insertion: whoever sees the mark then finds what it stands for.
        let (word, bit) = self.mark(number);
        word.fetch_or(bit, Ordering::Release);
    }

    /// What was last seen of a place.
    pub(super) fn get(&self, number: Number) -> Option<Sighting> {
        let (word, bit) = self.mark(number);
        let marked = word.load(Ordering::Acquire) & bit != 0;
        let kept = marked.then(|| self.seen.get(&number)).flatten()?;
        Some(match kept {
            Sighting::Admitted(until) => Sighting::Admitted(until + self.held()),
            Sighting::RoomFull(_) | Sighting::Gone => kept,
        })
    }

    /// Gives all sessions back the time in which they stood still, as the store has done. One that was noted between the two
    /// gets it twice, and is believed to last too long: whoever acts on that visits, and the visit asks the store.
    pub(super) fn give_back(&self, lost: Span) {
        self.held_ms.fetch_add(lost.as_millis(), Ordering::Relaxed);
    }

    fn held(&self) -> Span {
        Span::from_millis(self.held_ms.load(Ordering::Relaxed))
    }

    fn mark(&self, number: Number) -> (&AtomicU64, u64) {
        // Below the count of words, so that it fits any usize.
        let word = (number.0 / 64 % WORDS as u64) as usize;
        (&self.marks[word], 1 << (number.0 % 64))
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[test]
    fn what_was_noted_is_found_and_its_neighbours_are_not() {
        let sightings = Sightings::default();
        for number in [1, 63, 64, 131_071, u64::MAX] {
            sightings.note(Number(number), Sighting::Gone);
        }
        for number in [1, 63, 64, 131_071, u64::MAX] {
            assert_eq!(sightings.get(Number(number)), Some(Sighting::Gone), "{number}");
        }
        for number in [0, 2, 62, 65, 131_070] {
            assert_eq!(sightings.get(Number(number)), None, "{number}");
        }
    }

    #[test]
    fn a_number_that_shares_a_mark_is_not_taken_for_the_other() {
        let sightings = Sightings::default();
        sightings.note(Number(7), Sighting::Gone);
        assert_eq!(sightings.get(Number(7 + 131_072)), None);
    }

    #[test]
    fn sessions_get_back_the_time_in_which_everybody_was_held() {
        let sightings = Sightings::default();
        let until = |seconds| Timestamp::EPOCH + Span::from_secs(seconds);
        sightings.note(Number(1), Sighting::Admitted(until(1_000)));
        sightings.note(Number(2), Sighting::RoomFull(until(1_000)));
        sightings.note(Number(3), Sighting::Gone);
        sightings.give_back(Span::from_secs(300));
        // The store names the end with that time in it already.
        sightings.note(Number(4), Sighting::Admitted(until(1_000)));
        let seen = [1, 2, 3, 4].map(|number| sightings.get(Number(number)));
        let expected = [
            Sighting::Admitted(until(1_300)),
            Sighting::RoomFull(until(1_000)),
            Sighting::Gone,
            Sighting::Admitted(until(1_000)),
        ];
        assert_eq!(seen, expected.map(Some));
    }
}
