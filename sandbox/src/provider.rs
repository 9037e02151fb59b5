//! A payment provider on loopback that speaks the part of Stripe's API a shop needs.
//!
//! It is stateful and keeps its own count of money. Clients talk to it over HTTP exactly as they
//! would to Stripe; the program that owns it may also look at its books ([`Provider::tally`]), move
//! its clock and make it misbehave ([`FaultPlan`]). The test payment methods are listed at the end
//! of this package's README.

mod admin;
mod book;
mod card;
mod challenge;
mod config;
mod error;
mod event;
mod execute;
mod fault;
mod intent;
mod keys;
mod limits;
mod movement;
mod operations;
mod params;
mod route;
mod server;
mod shared;
mod webhook;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::config::{ProviderConfig, WebhookTarget};
pub use self::fault::{Fault, FaultPlan, FaultRule, Outage, WebhookFaults};
pub use self::movement::{LogEntry, Movement, OrderTally, Tally};
pub use self::route::Operation;
use self::server::Server;
use self::shared::Shared;
use crate::clock::Clock;
use crate::running::Running;
use crate::serve::serve;

/// A provider's books and controls. Clones share them; they outlive any listener.
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

impl Provider {
    /// A provider with empty books. It serves nobody until [`Self::run`].
    #[must_use]
    pub fn new(config: ProviderConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
        }
    }

    /// Serves the listener and delivers events until `cancel` fires. Everything it started has ended
    /// when it returns; run again on another listener, the same books go on.
    pub async fn run(&self, listener: TcpListener, cancel: CancellationToken) {
        if let Ok(address) = listener.local_addr() {
            self.shared.state().book.set_base(format!("http://{address}"));
        }
        let executions = TaskTracker::new();
        let server = Server {
            shared: Arc::clone(&self.shared),
            executions: executions.clone(),
            cancel: cancel.clone(),
        };
        let handler = move |request| server.clone().answer(request);
        tokio::join!(
            serve(listener, cancel.clone(), handler),
            webhook::run(Arc::clone(&self.shared), cancel),
        );
        executions.close();
        executions.wait().await;
    }

    /// Serves a free port of 127.0.0.1 in the background: for tests and rehearsals.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(config: ProviderConfig) -> io::Result<RunningProvider> {
        Running::start(Self::new(config), |provider, listener, cancel| async move {
            provider.run(listener, cancel).await;
        })
        .await
    }

    /// The clock by which keys and authorisations expire.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Replaces the fault plan; its draws and counts start afresh.
    ///
    /// # Errors
    /// What is wrong with the plan, in words; the old one stays in force.
    pub fn set_faults(&self, plan: FaultPlan) -> Result<(), String> {
        plan.check()?;
        self.shared.state().faults = fault::Faults::new(plan);
        Ok(())
    }

    /// Sets where events are sent from now on.
    pub fn set_webhook(&self, target: Option<WebhookTarget>) {
        self.shared.state().webhook = target;
    }

    /// Sums of all money movements, per order.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::of(&self.log_after(0))
    }

    /// Money movements after the first `after`, oldest first.
    #[must_use]
    pub fn log_after(&self, after: usize) -> Vec<LogEntry> {
        admin::entries(&self.shared, after)
    }

    /// Requests to the API that arrived, whatever became of them: those that met an outage count.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Events that an endpoint accepted, counting repeats.
    #[must_use]
    pub fn events_delivered(&self) -> u64 {
        self.shared.events_delivered.load(Ordering::Relaxed)
    }

    /// Events given up: by the fault plan, by a full queue, or after the last retry.
    #[must_use]
    pub fn events_dropped(&self) -> u64 {
        self.shared.events_dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

/// A provider serving on an address of its own; its [`url`](Running::url) stands in for
/// `https://api.stripe.com`.
pub type RunningProvider = Running<Provider>;

impl RunningProvider {
    /// The books and controls behind the listener.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        self
    }
}
