//! What happened in a drop's queue since the process started, as plain values for whoever
//! publishes metrics. Counters only grow.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Span;
use domain::queue::View;
use hdrhistogram::Histogram;

use crate::ticket::Ticket;

/// Bounds of the wait histogram in seconds; a wait falls into the first bucket it fits in, and
/// longer ones into the last of [`Figures::wait_buckets`].
pub const WAIT_BUCKETS_SECS: [u64; 12] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600];

/// Digits kept of each wait.
const DIGITS: u8 = 3;
/// Longer waits count as this long: a week.
const WAIT_MILLIS_MAX: u64 = 7 * 24 * 3_600 * 1_000;

/// Counters and gauges of one drop.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Figures {
    /// Places handed out.
    pub joined: u64,
    /// Shoppers let in, each admission once.
    pub admitted: u64,
    /// Called shoppers whose window and grace passed unused.
    pub no_shows: u64,
    /// Places given up.
    pub left: u64,
    /// Shoppers admitted inside the interval they were told when they joined.
    pub estimate_hits: u64,
    /// Shoppers admitted outside of it.
    pub estimate_misses: u64,
    /// Claims that met a full room.
    pub room_full: u64,
    /// Admissions by time waited, per bucket of [`WAIT_BUCKETS_SECS`] and one for longer waits.
    pub wait_buckets: [u64; WAIT_BUCKETS_SECS.len() + 1],
    /// Sum of all waits, in milliseconds.
    pub wait_millis_sum: u64,
    /// Shoppers waiting now.
    pub waiting: u64,
    /// Active sessions now.
    pub active_users: u64,
    /// Most sessions ever active at once.
    pub active_users_max: u64,
    /// Most admissions ever seen in any 60 seconds.
    pub admitted_in_60s_max: u64,
    /// How long the first in line has waited.
    pub oldest_wait: Span,
}

/// How long shoppers waited from join to admission, of those that this process let in: so many of a hundred waited no
/// longer. Three digits are kept of each wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// Half of them.
    pub p50: Span,
    /// Nine of ten.
    pub p90: Span,
    /// Ninety-nine of a hundred.
    pub p99: Span,
    /// The longest of all.
    pub max: Span,
}

/// The figures of one drop as they grow.
#[derive(Default)]
pub(crate) struct FigureBook(Mutex<Book>);

#[derive(Default)]
struct Book {
    figures: Figures,
    /// In milliseconds. There is none before the first wait: most drops of a configuration are over or to come.
    waits: Option<Histogram<u32>>,
}

impl FigureBook {
    /// The figures now.
    pub(crate) fn read(&self) -> Figures {
        self.book().figures
    }

    /// The waits so far; nothing where nobody was let in.
    pub(crate) fn waits(&self) -> Option<Waits> {
        let book = self.book();
        let waits = book.waits.as_ref()?;
        let within = |quantile| Span::from_millis(waits.value_at_quantile(quantile));
        Some(Waits {
            p50: within(0.5),
            p90: within(0.9),
            p99: within(0.99),
            max: Span::from_millis(waits.max()),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the queue itself counts.
    pub(crate) fn note_view(&self, view: &View) {
        let figures = &mut self.book().figures;
        let tally = view.tally;
        figures.joined = tally.joined;
        figures.admitted = tally.admitted;
        figures.no_shows = tally.no_shows;
        figures.left = tally.left;
        figures.room_full = tally.room_full;
        figures.active_users_max = tally.active_max;
        figures.admitted_in_60s_max = tally.claims_in_minute_max;
        figures.waiting = view.room.waiting;
        figures.active_users = view.room.active;
        figures.oldest_wait = view.oldest_wait;
    }

    /// Notes how long an admitted shopper waited, and whether that was what the ticket told.
    pub(crate) fn note_wait(&self, ticket: &Ticket, waited: Span) {
        let mut book = self.book();
        let Book { figures, waits } = &mut *book;
        // It grows with what it is given.
        let waits =
            waits.get_or_insert_with(|| Histogram::new(DIGITS).expect("three digits are within the bounds"));
        let noted = waits.record(waited.as_millis().min(WAIT_MILLIS_MAX));
        noted.expect("a histogram that grows takes every value");
        let fits = |bound: &u64| waited <= Span::from_secs(*bound);
        let bucket = WAIT_BUCKETS_SECS
            .iter()
            .position(fits)
            .unwrap_or(WAIT_BUCKETS_SECS.len());
        figures.wait_buckets[bucket] += 1;
        figures.wait_millis_sum += waited.as_millis();
        match ticket.told.map(|told| told.holds(waited)) {
            Some(true) => figures.estimate_hits += 1,
            Some(false) => figures.estimate_misses += 1,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Number, Timestamp, Wait};

    fn ticket(told: Option<Wait>) -> Ticket {
        Ticket {
            epoch: 1,
            number: Number(1),
            drawn: None,
            joined_at: Timestamp::EPOCH,
            told,
        }
    }

    #[test]
    fn waits_fall_into_their_bucket_and_estimates_are_judged() {
        let book = FigureBook::default();
        let told = Some(Wait {
            min: Span::from_secs(10),
            max: Span::from_secs(60),
        });
        for secs in [1, 10, 60, 61, 4_000] {
            book.note_wait(&ticket(told), Span::from_secs(secs));
        }
        book.note_wait(&ticket(None), Span::from_millis(1_001));
        let figures = book.read();
        assert_eq!(figures.wait_buckets, [1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!((figures.estimate_hits, figures.estimate_misses), (2, 3));
        assert_eq!(figures.wait_millis_sum, 4_133_001);
    }

    #[test]
    fn percentiles_keep_three_digits_of_each_wait() {
        let book = FigureBook::default();
        assert_eq!(book.waits(), None);
        for n in 1..=1_000 {
            book.note_wait(&ticket(None), Span::from_millis(n * 60));
        }
        let waits = book.waits().unwrap();
        let near = |told: Span, millis: u64| told.as_millis().abs_diff(millis) <= millis / 1_000 + 1;
        assert!(near(waits.p50, 30_000), "{waits:?}");
        assert!(near(waits.p90, 54_000), "{waits:?}");
        assert!(near(waits.p99, 59_400), "{waits:?}");
        assert!(near(waits.max, 60_000), "{waits:?}");
        book.note_wait(&ticket(None), Span::from_millis(2 * WAIT_MILLIS_MAX));
        assert!(near(book.waits().unwrap().max, WAIT_MILLIS_MAX));
    }
}
