//! The worker: takes orders from the broker to the provider, at the drop's drain rate.

use std::sync::Arc;
use std::time::Duration;

use domain::saga::{Event, StateName, Why};
use domain::{DropId, OrderId};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker as _, Delivery};
use crate::driver::{DriveError, Fed};
use crate::ledger::LedgerError;

use super::{Causes, Jobs};

/// A turn that was not used for so long is past: else everybody who waited behind a shut valve would go at once.
const TURN_LASTS: Duration = Duration::from_millis(100);

impl Jobs {
    /// Works until `stop`, then lets the orders in hand come to rest. How many messages wait here is the broker's to
    /// bound (its window of unacknowledged messages); how many are at the provider is [`Jobs::hands`].
    pub(super) async fn work(self: &Arc<Self>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => break,
                delivery = self.broker.consume() => delivery,
                delivery = self.detour.consume() => delivery,
            };
            let Some(delivery) = delivery else { break };
            let (this, stop) = (Arc::clone(self), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    // An order that waits for its turn is dropped at once: it keeps its message. One that is being
                    // driven is not: `drive` below runs to its end.
                    turn = this.turn(&delivery) => this.drive(delivery, turn).await,
                    () = stop.cancelled() => {}
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Waits for everything that stands between a message and the provider. Says whether there is anything to do.
    async fn turn(&self, delivery: &Delivery) -> Result<Turn<'_>, LedgerError> {
        let Some(record) = self.driver.ledger.load(delivery.order).await? else {
            return Ok(Turn::Unknown);
        };
        let state = record.order.state.name();
        let idle = state.is_dead() || matches!(state, StateName::Reserved | StateName::Refunded);
        if idle || record.order.flag.is_some() {
            return Ok(Turn::Nothing);
        }
        let drop = &record.order.drop;
        // What waits for one drop's switch may not fill the window that all drops share.
        if self.is_paused_alone(drop) {
            return Ok(Turn::Postponed);
        }
        match record.order.clone().step(Event::Drive, self.driver.moment(drop)) {
            // A job reads about shoppers at their bank. Turns are for orders that are taken to payment.
            Ok(_) if state == StateName::ActionRequired => return Ok(Turn::Nothing),
            Ok(_) => {}
            Err(refusal) if is_early(refusal.why) => return Ok(Turn::Postponed),
            Err(_) => return Ok(Turn::Nothing),
        }
        if !self.has_waited(drop).await? {
            return Ok(Turn::Postponed);
        }
        let its_turn = Instant::now();
        let Ok(hand) = self.hands.acquire().await else {
            return Ok(Turn::Nothing);
        };
        self.driver.valve.opened().await;
        if self.is_paused_alone(drop) {
            return Ok(Turn::Postponed);
        }
        self.driver.breaker.ready().await;
        if its_turn.elapsed() > TURN_LASTS {
            self.driver.drain.turn(drop).await?;
        }
        Ok(Turn::Go(hand))
    }

    /// Waits for a turn of the drop, for as long as there is room to wait in. Says whether the turn came.
    async fn has_waited(&self, drop: &DropId) -> Result<bool, LedgerError> {
        let Some(mut place) = self.crowd.enter(drop) else {
            return Ok(false);
        };
        tokio::select! {
            turn = self.driver.drain.turn(drop) => turn.map(|()| true),
            () = place.crowded_out() => Ok(false),
        }
    }

    /// Whether this drop's payments are paused and those of others are not.
    fn is_paused_alone(&self, drop: &DropId) -> bool {
        let valve = &self.driver.valve;
        valve.shut_everywhere().is_none() && valve.shut(drop).is_some()
    }

    async fn drive(&self, delivery: Delivery, turn: Result<Turn<'_>, LedgerError>) {
        let order = delivery.order;
        let driven = match turn {
            Ok(Turn::Go(_hand)) => {
                let driven = self.driver.feed(order, Event::Drive).await;
                self.driver.breaker.unused();
                self.wake();
                match driven {
                    Ok(Fed::Refused(refusal)) if is_early(refusal.why) => self.postpone(order).await,
                    driven => driven.map(drop),
                }
            }
            Ok(Turn::Nothing) => Ok(()),
            Ok(Turn::Postponed) => self.postpone(order).await,
            Ok(Turn::Unknown) => {
                // Never create an order from a message: it says nothing that could be believed.
                tracing::error!(order.id = %order, "a message names an order that the ledger does not have");
                self.driver.observer.message_refused("unknown_order");
                delivery.ack.refuse();
                return;
            }
            Err(cause) => Err(DriveError::Ledger { order, cause }),
        };
        match driven {
            Ok(()) => delivery.ack.done(),
            Err(failed) => {
                tracing::warn!(order.id = %order, cause = %Causes(&failed), "an order keeps its message");
            }
        }
    }

    /// Gives a message up that was not worked on: re-driving writes another when the order may be worked on.
    async fn postpone(&self, order: OrderId) -> Result<(), DriveError> {
        let noted = self.driver.ledger.postponed(order).await;
        noted.map_err(|cause| DriveError::Ledger { order, cause })
    }
}

/// Whether a drive only came too early: the clock of this machine is behind the ledger's, or the lease of a worker that
/// died runs still. The order must not wait until its broker is suspected of having lost the message.
const fn is_early(why: Why) -> bool {
    match why {
        Why::NotYet | Why::Leased => true,
        Why::NotHere | Why::TooLate | Why::Flagged | Why::Stale | Why::Unchanged => false,
    }
}

/// What a message came to when its turn was there.
enum Turn<'a> {
    /// Drive it; the hand is held meanwhile.
    Go(SemaphorePermit<'a>),
    /// The order needs no driving.
    Nothing,
    /// It has to wait, and may not wait here: the message goes, and re-driving writes another when the order may go on.
    Postponed,
    /// There is no such order.
    Unknown,
}
