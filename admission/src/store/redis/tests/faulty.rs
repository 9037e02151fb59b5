//! A durable record that can be taken away and made slow, and that counts the eras it was asked for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::queue::Saved;

use super::super::marks::{Begun, Guard, Standing};
use super::*;

/// Passes everything on to another record, unless told otherwise.
pub(super) struct Faulty {
    marks: Arc<dyn Marks>,
    /// Nothing is written.
    away: AtomicBool,
    /// What is written is written this much later.
    slow: Mutex<Duration>,
    /// What is written is written, and the answer is lost.
    mute: AtomicBool,
    /// Transactions until nothing is written any more.
    left: AtomicUsize,
    /// Eras begun.
    pub(super) eras: AtomicUsize,
}

impl Faulty {
    pub(super) fn over(marks: Arc<dyn Marks>) -> Self {
        Self {
            marks,
            away: AtomicBool::new(false),
            slow: Mutex::default(),
            mute: AtomicBool::new(false),
            left: AtomicUsize::new(usize::MAX),
            eras: AtomicUsize::new(0),
        }
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn set_slow(&self, slow: Duration) {
        *self.slow.lock().unwrap() = slow;
    }

    pub(super) fn set_mute(&self, mute: bool) {
        self.mute.store(mute, Ordering::SeqCst);
    }

    pub(super) fn set_left(&self, left: usize) {
        self.left.store(left, Ordering::SeqCst);
    }
}

impl Marks for Faulty {
    fn standing<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Standing>> {
        self.marks.standing(drop)
    }

    fn create<'a>(&'a self, drop: &'a DropId, seed: Seed, now: Timestamp) -> Answer<'a, ()> {
        self.marks.create(drop, seed, now)
    }

    fn lock<'a>(&'a self, drop: &'a DropId) -> Answer<'a, Option<Box<dyn Guard>>> {
        self.marks.lock(drop)
    }

    fn begin_era<'a>(&'a self, drop: &'a DropId, now: Timestamp) -> Answer<'a, (Era, Saved)> {
        self.eras.fetch_add(1, Ordering::SeqCst);
        self.marks.begin_era(drop, now)
    }

    fn raise_numbers<'a>(&'a self, drop: &'a DropId, era: Era, end: Number) -> Answer<'a, ()> {
        self.marks.raise_numbers(drop, era, end)
    }

    fn raise_frontier<'a>(&'a self, drop: &'a DropId, era: Era, to: Rank) -> Answer<'a, ()> {
        self.marks.raise_frontier(drop, era, to)
    }

    fn start<'a>(&'a self, drop: &'a DropId, era: Era, cohort: Option<u64>) -> Answer<'a, Begun> {
        self.marks.start(drop, era, cohort)
    }

    fn begin_epoch<'a>(
        &'a self,
        drop: &'a DropId,
        era: Era,
        epoch: u32,
        seed: Option<Seed>,
    ) -> Answer<'a, Begun> {
        self.marks.begin_epoch(drop, era, epoch, seed)
    }

    fn write<'a>(&'a self, drop: &'a DropId, era: Era, rows: Vec<Row>) -> Answer<'a, ()> {
        Box::pin(async move {
            let left = self.left.load(Ordering::SeqCst);
            if left == 0 || self.away.load(Ordering::SeqCst) {
                return Err(unavailable("taken away by the test"));
            }
            self.left.store(left - 1, Ordering::SeqCst);
            let slow = *self.slow.lock().unwrap();
            tokio::time::sleep(slow).await;
            let written = self.marks.write(drop, era, rows).await;
            if self.mute.load(Ordering::SeqCst) {
                return Err(unavailable("the answer was lost by the test"));
            }
            written
        })
    }

    fn knows<'a>(&'a self, drop: &'a DropId, admission: AdmissionId) -> Answer<'a, bool> {
        self.marks.knows(drop, admission)
    }
}
