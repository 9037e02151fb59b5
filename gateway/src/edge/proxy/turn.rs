//! Whose time it is that passes while a request is on its way. Only the upstream's counts against
//! the upstream: a slow upload is not its doing, nor is a wait for a connection that only clients keep from
//! others. Any other wait for a connection is: with quicker answers there would be none.

use std::time::Duration;

use tokio::time::Instant;

/// Who is waited for.
#[derive(Debug)]
pub(super) enum Turn {
    /// A client: this one, for more of its body, or others that hold what it needs.
    Client,
    /// The upstream: to take the request, then to begin its answer.
    Upstream {
        /// When it last took a byte of the request, or could first have been asked.
        since: Instant,
    },
}

impl Turn {
    /// The upstream's turn, from now on.
    pub(super) fn upstream() -> Self {
        Self::Upstream {
            since: Instant::now(),
        }
    }

    pub(super) const fn is_clients(&self) -> bool {
        match self {
            Self::Client => true,
            Self::Upstream { .. } => false,
        }
    }

    /// How long the upstream has taken by now: nothing where it did not wait for the client.
    pub(super) fn took(&self) -> Duration {
        match self {
            Self::Client => Duration::ZERO,
            Self::Upstream { since } => since.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_upstreams_own_time_counts() {
        let turn = Turn::upstream();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(turn.took(), Duration::from_secs(3));
        assert_eq!(Turn::Client.took(), Duration::ZERO);
    }
}
