//! Blocks of numbers: the end of a block is on disk before any of its numbers is given, so that
//! after a crash counting goes on past every number that was ever given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Number, Span, Timestamp};

/// Smallest block: what a slow drop skips over when it is restarted.
const BLOCK_MIN: u64 = 256;
/// Largest block: at ten thousand joins a second, two and a half writes a second.
const BLOCK_MAX: u64 = 4_096;
/// A block used up within this time was too small.
const BLOCK_QUICK: Span = Span::from_secs(2);

/// The end of the present block, on its way to disk or there.
pub(super) struct Blocks {
    /// Numbers up to this one are on disk, or handed to the journal to be.
    end: u64,
    /// Numbers up to this one are on disk.
    durable: Arc<AtomicU64>,
    size: u64,
    extended_at: Timestamp,
}

impl Blocks {
    /// Goes on after `end`, which is on disk.
    pub(super) fn after(end: Number, now: Timestamp) -> Self {
        Self {
            end: end.0,
            durable: Arc::new(AtomicU64::new(end.0)),
            size: BLOCK_MIN,
            extended_at: now,
        }
    }

    /// The end to be written down.
    pub(super) fn end(&self) -> Number {
        Number(self.end)
    }

    /// Where the journal marks what has become durable.
    pub(super) fn mark(&self) -> (Arc<AtomicU64>, u64) {
        (self.durable.clone(), self.end)
    }

    /// Whether numbers up to `issued` may be given away without waiting.
    pub(super) fn covers(&self, issued: Number) -> bool {
        issued.0 <= self.durable.load(Ordering::Acquire)
    }

    /// Makes room for more numbers once half of the block is used. Whether it did: then the new
    /// end has to be written down.
    pub(super) fn extend_past(&mut self, issued: Number, now: Timestamp) -> bool {
        if self.end.saturating_sub(issued.0) > self.size / 2 {
            return false;
        }
        let quick = now.since(self.extended_at) < BLOCK_QUICK;
        let size = if quick {
            self.size.saturating_mul(2)
        } else {
            self.size / 2
        };
        self.size = size.clamp(BLOCK_MIN, BLOCK_MAX);
        self.end = issued.0.max(self.end).saturating_add(self.size);
        self.extended_at = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn blocks_grow_with_the_crowd_and_shrink_without() {
        let mut blocks = Blocks::after(Number(0), at(0));
        let mut issued = 0;
        for t in 0..100 {
            issued += 500;
            blocks.extend_past(Number(issued), at(t * 100));
        }
        assert_eq!(blocks.size, BLOCK_MAX);
        for t in 0..20 {
            issued = blocks.end().0;
            blocks.extend_past(Number(issued), at(100_000 + t * 10_000));
        }
        assert_eq!(blocks.size, BLOCK_MIN);
    }

    #[test]
    fn nothing_is_covered_before_it_is_durable() {
        let mut blocks = Blocks::after(Number(10), at(0));
        assert!(blocks.covers(Number(10)) && !blocks.covers(Number(11)));
        assert!(blocks.extend_past(Number(10), at(0)));
        assert!(!blocks.covers(Number(11)));
        let (durable, end) = blocks.mark();
        durable.fetch_max(end, Ordering::AcqRel);
        assert!(blocks.covers(blocks.end()));
    }

    proptest! {
        #[test]
        fn the_end_stays_ahead_of_every_number(steps in proptest::collection::vec((1u64..3_000, 0u64..5_000), 1..200)) {
            let mut blocks = Blocks::after(Number(0), at(0));
            let (mut issued, mut now) = (0, 0);
            for (joins, wait) in steps {
                issued += joins;
                now += wait;
                let before = blocks.end();
                let extended = blocks.extend_past(Number(issued), at(now));
                prop_assert!(blocks.end().0 > issued);
                prop_assert_eq!(extended, blocks.end() > before);
            }
        }
    }
}
