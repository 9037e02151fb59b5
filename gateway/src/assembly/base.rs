//! What every role stands on: metrics, the checkout over its ports, the readings, and the admin side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use checkout_worker::checkout::Part;
use checkout_worker::{Checkout, CheckoutConfig, Ports};
use domain::Keeper;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::errands::Errands;
use super::payment::Sandbox;
use super::readings::{House, Shared};
use super::{Ground, Role, merchant, payment, reload, terms};
use crate::admin::changes::Changes;
use crate::admin::{Admin, AdminService, Front, Sign};
use crate::config::secret::admin::admin_token;
use crate::config::{BackendMode, Config, DropConfig};
use crate::edge::listener::{ConnectionCaps, Listener, ListenerConfig};
use crate::edge::observe::Unobserved;
use crate::supervisor::Supervisor;
use crate::telemetry::checkout::CheckoutCounts;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::stores::{TimedLedger, TimedQueues};

/// Admin connections at once: scrapers, dashboards and a few terminals.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long tasks may take to end after the last request was answered.
const TASKS_DRAIN: Duration = Duration::from_secs(10);

/// Version and commit of this build.
const BUILD: [&str; 2] = [env!("CARGO_PKG_VERSION"), env!("DOORLINE_COMMIT")];

/// The floor of a process, whatever its role.
pub(super) struct Base {
    pub(super) metrics: Metrics,
    pub(super) supervisor: Supervisor,
    pub(super) checkout: Checkout,
    pub(super) house: Arc<House>,
    pub(super) errands: Arc<Errands>,
    /// The built-in provider, which has yet to learn where its events go.
    pub(super) sandbox: Option<Sandbox>,
    /// Cancelled when no more shoppers are taken.
    pub(super) stopping: CancellationToken,
}

impl Role {
    const fn part(self) -> Part {
        match self {
            Self::All => Part::Whole,
            Self::Gateway => Part::Counter,
            Self::Worker => Part::Payment,
        }
    }

    /// Whether the merchant's system is told by this role.
    pub(super) const fn tells_merchant(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

impl Base {
    /// Opens the checkout over `backend`, reads its figures once, and begins to keep them fresh.
    pub(super) async fn open(
        config: &Config,
        role: Role,
        ground: &Ground,
        backend: &Backend,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let supervisor = Supervisor::new();
        metrics.build_info.with_label_values(&BUILD).set(1);
        reload::note_loaded(&metrics, ground.clock.now());
        let house = Arc::new(house(config, ground, backend, &metrics));
        let errands = Arc::new(Errands::of(Arc::clone(&house)));
        let payment = payment::open(config, ground, &backend.turns, &supervisor).await?;
        let sandbox = payment.sandbox.clone();
        let told = CheckoutCounts::new(metrics.clone(), Arc::new(Arc::clone(&errands)));
        let ports = Ports {
            ledger: Arc::new(TimedLedger::new(Arc::clone(&backend.ledger), &metrics)),
            provider: payment.provider,
            broker: Arc::clone(&backend.broker),
            turns: Arc::clone(&backend.turns),
            merchant: merchant::open(config, role, ground)?,
            clock: Arc::clone(&ground.clock),
            entropy: Arc::clone(&ground.entropy),
            observer: Arc::new(told),
        };
        let drops = config.drops.iter().filter_map(terms::of).collect();
        let behaviour = CheckoutConfig {
            part: role.part(),
            stopped: terms::stopped(config),
            ..CheckoutConfig::new(drops, payment.signing)
        };
        let checkout = Checkout::open(behaviour, ports).await?;
        house.read_stock(&checkout).await;
        house.read_figures(&checkout).await;
        Ok(Self {
            metrics,
            supervisor,
            checkout,
            house,
            errands,
            sandbox,
            stopping: CancellationToken::new(),
        })
    }

    /// Starts the checkout's tasks and the readings.
    pub(super) fn run(&self) {
        let runner = self.checkout.clone();
        self.supervisor.keep("checkout", move |stop| {
            let checkout = runner.clone();
            async move { checkout.run(stop).await }
        });
        let (house, checkout) = (Arc::clone(&self.house), self.checkout.clone());
        self.supervisor.keep("readings", move |stop| {
            let (house, checkout) = (Arc::clone(&house), checkout.clone());
            async move { house.refresh(&checkout, stop).await }
        });
    }

    /// Does once, and from then on, what operators change at any gateway.
    pub(super) async fn follow(&self, changes: Changes) -> anyhow::Result<Arc<Changes>> {
        changes.follow().await?;
        let changes = Arc::new(changes);
        let followed = Arc::clone(&changes);
        self.supervisor.keep("changes", move |stop| {
            let changes = Arc::clone(&followed);
            async move { changes.run(stop).await }
        });
        Ok(changes)
    }

    /// Opens the admin listener and gives its address, with what it works on.
    pub(super) fn serve_admin(
        &self,
        config: &Config,
        ground: &Ground,
        front: Option<Front>,
        signs: Vec<Sign>,
    ) -> anyhow::Result<(SocketAddr, Arc<Admin>)> {
        let admin = Arc::new(Admin {
            front,
            checkout: self.checkout.clone(),
            house: Arc::clone(&self.house),
            metrics: self.metrics.clone(),
            drops: ArcSwap::from_pointee(drops(&config.drops)),
            token: admin_token(config, &ground.environment, ground.entropy.as_ref())?,
            supervisor: self.supervisor.clone(),
            stopping: self.stopping.clone(),
            ledger: match config.backend.mode {
                BackendMode::Embedded => "SQLite",
                BackendMode::Distributed => "Postgres",
            },
            signs,
            has_webhooks: config.webhooks.url.is_some(),
        });
        let listen = config.admin.listen;
        let listener = Listener::bind(ListenerConfig::plain(listen))
            .with_context(|| format!("cannot listen on {listen} for the admin API"))?;
        let address = listener.local_addr()?;
        let caps = Arc::new(ConnectionCaps::new(ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX));
        let service = Arc::new(AdminService::new(Arc::clone(&admin)));
        let entropy = Arc::clone(&ground.entropy);
        self.supervisor.once("admin", move |stop| {
            listener.run(service, caps, Arc::new(Unobserved), entropy, stop)
        });
        Ok((address, admin))
    }

    /// Ends every task.
    pub(super) async fn drain(&self) {
        if !self.supervisor.drain(TASKS_DRAIN).await {
            tracing::warn!("some tasks did not end in time; what they had in hand is in the ledger");
        }
        tracing::info!("Doorline has stopped");
    }
}

/// The readings of this process, shared with other gateways where it has a queue store.
fn house(config: &Config, ground: &Ground, backend: &Backend, metrics: &Metrics) -> House {
    let shared = backend.queue.as_ref().map(|queue| {
        let mut keeper = [0; 8];
        ground.entropy.fill(&mut keeper);
        Shared {
            keeper: Keeper(u64::from_le_bytes(keeper)),
            queues: Arc::new(TimedQueues::new(Arc::clone(&queue.store), metrics)),
        }
    });
    House::new(Arc::clone(&ground.clock), selling(&config.drops), shared)
}

/// Every drop that sells something.
pub(super) fn selling(drops: &[DropConfig]) -> Vec<domain::DropId> {
    let selling = drops.iter().filter(|drop| drop.checkout.is_some());
    selling.map(|drop| drop.id.clone()).collect()
}

/// Drops by their names.
pub(super) fn drops(drops: &[DropConfig]) -> BTreeMap<domain::DropId, Arc<DropConfig>> {
    drops
        .iter()
        .map(|drop| (drop.id.clone(), Arc::new(drop.clone())))
        .collect()
}
