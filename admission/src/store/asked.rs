//! How late it has become since something was asked: stores are told when that was and keep no clock,
//! and what they wait for may take its time.

use domain::Span;
use domain::queue::Moment;
use tokio::time::Instant;

/// When something was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    at: Moment,
    since: Instant,
}

impl Asked {
    /// It was asked at `at`, which is now.
    pub(crate) fn at(at: Moment) -> Self {
        Self {
            at,
            since: Instant::now(),
        }
    }

    /// What has become of that moment.
    pub(crate) fn moment(&self) -> Moment {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment {
            now: self.at.now + Span::from_millis(millis),
            ..self.at
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{StockState, Timestamp};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_grows_older_while_something_is_waited_for() {
        let at = Moment {
            now: Timestamp::from_millis(1_000),
            stock: StockState::SoldOut,
        };
        let asked = Asked::at(at);
        assert_eq!(asked.moment(), at);
        tokio::time::advance(Duration::from_millis(250)).await;
        let later = asked.moment();
        assert_eq!(later.now, Timestamp::from_millis(1_250));
        assert_eq!(later.stock, at.stock);
    }
}
