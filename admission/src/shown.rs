//! How far the queue had moved when a shopper was last shown a position. The browser carries it from gateway to gateway,
//! like the ticket: of several gateways one may be seconds behind the others (a slow store, a cut wire, a store that was
//! rebuilt), and whoever asks it next must not see the position go back.
//!
//! It is not signed: whoever changes it changes a number on their own screen and nothing else.

use std::fmt;

use domain::{QueueingMethod, Rank};

use crate::snapshot::{Showing, Snapshot};

/// The frontier that a position was counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The queue's epoch: one that starts anew starts below what was shown of the one before.
    epoch: u32,
    frontier: Rank,
}

impl Shown {
    /// What a position of `snapshot` is counted from; none where nobody else counts. A lottery promises no position: it
    /// is an expectation there and may rise.
    pub(crate) fn by(snapshot: &Snapshot) -> Option<Self> {
        let counted = match (snapshot.showing, snapshot.rules.method) {
            (Showing::Alone, _) | (_, QueueingMethod::Random) => false,
            (Showing::Among, QueueingMethod::Fifo | QueueingMethod::Passthrough | QueueingMethod::Reject) => {
                true
            }
        };
        counted.then_some(Self {
            epoch: snapshot.epoch,
            frontier: snapshot.frontier,
        })
    }

    /// What a browser brought, as [`fmt::Display`] writes it; none if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, frontier) = text.split_once('-')?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            frontier: Rank(frontier.parse().ok()?),
        })
    }

    /// Whichever is further, of two that one browser brought.
    #[must_use]
    pub fn furthest(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if (other.epoch, other.frontier) > (self.epoch, self.frontier) => other,
            Some(_) | None => self,
        }
    }

    /// By how many ranks this is further than `other`, of the same epoch.
    pub(crate) fn further_than(self, other: Self) -> Option<u64> {
        let ranks = self.frontier.0.checked_sub(other.frontier.0)?;
        (self.epoch == other.epoch && ranks > 0).then_some(ranks)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.frontier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(epoch: u32, frontier: u64) -> Shown {
        Shown {
            epoch,
            frontier: Rank(frontier),
        }
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1-x",
            "1-2-3",
            "1 - 2",
            "4294967296-1",
            "+1--1",
        ] {
            assert_eq!(Shown::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_furthest_is_that_of_the_latest_epoch() {
        assert_eq!(shown(2, 5).furthest(Some(shown(1, 90))), shown(2, 5));
        assert_eq!(shown(1, 90).furthest(Some(shown(2, 5))), shown(2, 5));
        assert_eq!(shown(2, 5).furthest(Some(shown(2, 6))), shown(2, 6));
        assert_eq!(shown(2, 5).furthest(None), shown(2, 5));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(epoch: u32, frontier: u64) {
            let carried = shown(epoch, frontier);
            prop_assert_eq!(Shown::parse(&carried.to_string()), Some(carried));
        }
    }
}
