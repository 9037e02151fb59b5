//! What happened in a drop's queue since the process started, as plain values for whoever
//! publishes metrics. Counters only grow.

use std::sync::{Mutex, PoisonError};

use domain::Span;
use domain::queue::View;

use crate::ticket::Ticket;

/// Bounds of the wait histogram in seconds; a wait falls into the first bucket it fits in, and
/// longer ones into the last of [`Figures::wait_buckets`].
pub const WAIT_BUCKETS_SECS: [u64; 12] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600];

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

/// The figures of one drop as they grow.
#[derive(Default)]
pub(crate) struct FigureBook(Mutex<Figures>);

impl FigureBook {
    /// The figures now.
    pub(crate) fn read(&self) -> Figures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the queue itself counts.
    pub(crate) fn note_view(&self, view: &View) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    #[test]
    fn waits_fall_into_their_bucket_and_estimates_are_judged() {
        let book = FigureBook::default();
        let told = Some(Wait {
            min: Span::from_secs(10),
            max: Span::from_secs(60),
        });
        let ticket = Ticket {
            epoch: 1,
            number: Number(1),
            drawn: None,
            joined_at: Timestamp::EPOCH,
            told,
        };
        for secs in [1, 10, 60, 61, 4_000] {
            book.note_wait(&ticket, Span::from_secs(secs));
        }
        book.note_wait(&Ticket { told: None, ..ticket }, Span::from_millis(1_001));
        let figures = book.read();
        assert_eq!(figures.wait_buckets, [1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!((figures.estimate_hits, figures.estimate_misses), (2, 3));
        assert_eq!(figures.wait_millis_sum, 4_133_001);
    }
}
