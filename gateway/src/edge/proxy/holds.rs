//! The connections that wait for clients: for a body that is not wholly there, or at the end of a tunnel.
//!
//! A client can let them wait for minutes at the price of a byte now and then. So they are half of all
//! at most, and whoever asks for nothing but an answer finds the other half.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::super::body::RequestBody;
use super::error::ProxyError;
use super::turn::Turn;

/// The right to let a connection wait for a client; given back when dropped.
pub(in crate::edge) type Hold = OwnedSemaphorePermit;

/// The holds of all runtimes. Touched only for bodies that did not come with their head, and tunnels.
#[derive(Debug)]
pub(super) struct Holds {
    free: Arc<Semaphore>,
    max: usize,
}

impl Holds {
    /// Half of `connections_max`, but one where there is but one connection.
    pub(super) fn of(connections_max: usize) -> Self {
        let max = (connections_max / 2).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }

    /// Takes one for a tunnel, if one is free within `wait`.
    pub(super) async fn take(&self, wait: Duration, turn: &mut Turn) -> Result<Hold, ProxyError> {
        if let Ok(hold) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(hold);
        }
        *turn = Turn::Client;
        let hold = timeout(wait, self.next())
            .await
            .map_err(|_| ProxyError::HeldByClients)??;
        *turn = Turn::upstream();
        Ok(hold)
    }

    /// Lets a body pass that is there, and any other with a hold. Where none is free, a short body
    /// gets `wait` to arrive meanwhile: most are but a packet behind their head.
    pub(super) async fn admit(
        &self,
        body: &mut RequestBody,
        wait: Duration,
        turn: &mut Turn,
    ) -> Result<(), ProxyError> {
        // Nobody need be woken: whoever sends the body asks it again.
        if let Poll::Ready(there) = body.poll_there(&mut Context::from_waker(Waker::noop())) {
            return there.map_err(ProxyError::from);
        }
        if let Ok(hold) = Arc::clone(&self.free).try_acquire_owned() {
            body.set_hold(hold);
            return Ok(());
        }
        *turn = Turn::Client;
        let admitted = async {
            tokio::select! {
                biased;
                there = poll_fn(|cx| body.poll_there(cx)) => there.map(|()| None).map_err(ProxyError::from),
                hold = self.next() => hold.map(Some),
            }
        };
        let hold = timeout(wait, admitted)
            .await
            .map_err(|_| ProxyError::HeldByClients)??;
        if let Some(hold) = hold {
            body.set_hold(hold);
        }
        *turn = Turn::upstream();
        Ok(())
    }

    /// The next that becomes free. Who asked first is given one first.
    async fn next(&self) -> Result<Hold, ProxyError> {
        let free = Arc::clone(&self.free).acquire_owned().await;
        free.map_err(|_| ProxyError::HeldByClients) // never closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn half_of_the_connections_may_wait_for_clients() {
        for (connections, half) in [(1, 1), (2, 1), (3, 1), (4, 2), (256, 128)] {
            let holds = Holds::of(connections);
            let mut turn = Turn::upstream();
            let mut held = Vec::new();
            while let Ok(hold) = holds.take(WAIT, &mut turn).await {
                held.push(hold);
            }
            assert_eq!((held.len(), holds.taken()), (half, half), "of {connections}");
            assert!(
                turn.is_clients(),
                "that nothing was free is no doing of the upstream's"
            );
            drop(held.pop());
            let mut turn = Turn::upstream();
            assert!(holds.take(WAIT, &mut turn).await.is_ok());
            assert!(!turn.is_clients());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_body_needs_no_hold() {
        let holds = Holds::of(2);
        let mut turn = Turn::upstream();
        let _held = holds.take(WAIT, &mut turn).await.expect("one is free");
        let admitted = holds.admit(&mut RequestBody::empty(), WAIT, &mut turn).await;
        assert!(admitted.is_ok());
        assert_eq!(holds.taken(), 1);
    }
}
