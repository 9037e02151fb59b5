//! Puts the house together: the one place that knows which adapter stands behind which port.

pub mod readings;

mod data_dir;
mod edge;
mod errands;
mod payment;
mod terms;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admission::{Admission, EmbeddedStore, Keys, Parts, Settings};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use checkout_worker::broker::embedded::EmbeddedBroker;
use checkout_worker::sqlite::SqliteLedger;
use checkout_worker::{Checkout, CheckoutConfig, Ports};
use domain::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminService};
use crate::config::secret::admin::admin_token;
use crate::config::{Config, DropConfig, Environment};
use crate::edge::listener::{ConnectionCaps, Listener, ListenerConfig};
use crate::edge::observe::Unobserved;
use crate::room::door::HouseDoor;
use crate::room::page::RefusalPages;
use crate::room::{Room, ShopperApi};
use crate::supervisor::Supervisor;
use crate::telemetry::checkout::CheckoutCounts;
use crate::telemetry::edge::EdgeCounts;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::stores::{TimedLedger, TimedQueues};

use data_dir::DataDir;
use edge::{Edge, Plugs};
use errands::Errands;
use payment::Payment;
use readings::House;

/// How often the frontier is considered. Four to five steps a second keep the pace smooth.
const TICK: Duration = Duration::from_millis(200);
/// Admin connections at once: scrapers, dashboards and a few terminals.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// How long tasks may take to end after the last request was answered.
const TASKS_DRAIN: Duration = Duration::from_secs(10);

/// Version and commit of this build.
const BUILD: [&str; 2] = [env!("CARGO_PKG_VERSION"), env!("DOORLINE_COMMIT")];

/// A whole gateway in this process, running.
pub struct Doorline {
    /// The queue.
    pub desk: Admission,
    /// The orders.
    pub checkout: Checkout,
    /// Where shoppers connect.
    pub address: SocketAddr,
    /// Where ops connect.
    pub admin_address: SocketAddr,
    supervisor: Supervisor,
    edge: Edge,
    edge_stop: CancellationToken,
    /// Let go last: fields are dropped in order.
    _data_dir: DataDir,
}

/// What the house stands on besides its configuration.
#[derive(Clone)]
pub struct Ground {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Environment variables, for secrets.
    pub environment: Environment,
}

impl Doorline {
    /// Opens everything that `config` describes and begins to serve.
    pub async fn open(config: &Config, ground: &Ground) -> anyhow::Result<Self> {
        let data_dir = DataDir::hold(&config.backend.data_dir)?;
        let (supervisor, metrics) = (Supervisor::new(), Metrics::new()?);
        metrics.build_info.with_label_values(&BUILD).set(1);
        let edge_stop = CancellationToken::new();
        let house = Arc::new(House::new(Arc::clone(&ground.clock)));
        let errands = Arc::new(Errands::default());
        let payment = payment::open(config, ground, &supervisor).await?;
        let sandbox = payment.sandbox.clone();
        let checkout = open_checkout(config, ground, &metrics, &errands, payment).await?;
        house.read_stock(&checkout).await;
        house.read_figures(&checkout).await;
        let desk = open_desk(config, ground, &metrics, &house).await?;
        errands.serve(desk.clone());
        let joins = edge::join_limit(config);
        let room = Arc::new(Room::new(
            config,
            desk.clone(),
            checkout.clone(),
            Arc::clone(&house),
            Arc::clone(&joins),
            Arc::clone(&ground.clock),
            Arc::clone(&ground.entropy),
        ));
        run_jobs(&supervisor, &desk, &checkout, &house);
        let admin = Arc::new(Admin {
            desk: desk.clone(),
            checkout: checkout.clone(),
            room: Arc::clone(&room),
            house: Arc::clone(&house),
            metrics: metrics.clone(),
            drops: ArcSwap::from_pointee(drops(config)),
            token: admin_token(config, &ground.environment, ground.entropy.as_ref())?,
            supervisor: supervisor.clone(),
            stopping: edge_stop.clone(),
        });
        let admin_address = serve_admin(config.admin.listen, admin, ground, &supervisor)?;
        let plugs = Plugs {
            door: Arc::new(HouseDoor(Arc::clone(&room))),
            api: Arc::new(ShopperApi(room)),
            pages: Arc::new(RefusalPages::new(config.server.public_host())),
            observer: Arc::new(EdgeCounts::new(&metrics, house)),
            entropy: Arc::clone(&ground.entropy),
        };
        let edge = Edge::start(config, edge::rules(config, joins), plugs, &edge_stop)?;
        let address = edge.address;
        if let Some(sandbox) = sandbox {
            sandbox.report_to(address, config.server.tls.is_some());
        }
        tracing::info!(%address, admin.address = %admin_address, "Doorline serves");
        Ok(Self {
            desk,
            checkout,
            address,
            admin_address,
            supervisor,
            edge,
            edge_stop,
            _data_dir: data_dir,
        })
    }

    /// Stops accepting, lets requests and jobs come to their end, and returns.
    pub async fn close(self) {
        // Shoppers first: while requests are in flight, queue and checkout must still work.
        self.edge_stop.cancel();
        self.edge.join().await;
        if !self.supervisor.drain(TASKS_DRAIN).await {
            tracing::warn!("some tasks did not end in time; what they had in hand is in the ledger");
        }
        tracing::info!("Doorline has stopped");
    }
}

fn drops(config: &Config) -> BTreeMap<domain::DropId, Arc<DropConfig>> {
    config
        .drops
        .iter()
        .map(|drop| (drop.id.clone(), Arc::new(drop.clone())))
        .collect()
}

async fn open_checkout(
    config: &Config,
    ground: &Ground,
    metrics: &Metrics,
    errands: &Arc<Errands>,
    payment: Payment,
) -> anyhow::Result<Checkout> {
    let ledger = SqliteLedger::open(&config.backend.data_dir, &ground.clock)?;
    let ports = Ports {
        ledger: Arc::new(TimedLedger::new(Arc::new(ledger), metrics)),
        provider: payment.provider,
        broker: Arc::new(EmbeddedBroker::new(BROKER_CAPACITY)),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        observer: Arc::new(CheckoutCounts::new(
            metrics.clone(),
            Arc::new(Arc::clone(errands)),
        )),
    };
    let drops = config.drops.iter().filter_map(terms::of).collect();
    Ok(Checkout::open(CheckoutConfig::new(drops, payment.signing), ports).await?)
}

/// Orders handed to workers at once; the rest wait in the outbox.
const BROKER_CAPACITY: usize = 1_024;

async fn open_desk(
    config: &Config,
    ground: &Ground,
    metrics: &Metrics,
    house: &Arc<House>,
) -> anyhow::Result<Admission> {
    let data_dir = &config.backend.data_dir;
    let keys = Keys::open(data_dir, ground.entropy.as_ref()).context("cannot open the keys")?;
    let store = EmbeddedStore::open(data_dir, Arc::clone(&ground.entropy))?;
    let parts = Parts {
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        store: Arc::new(TimedQueues::new(Arc::new(store), metrics)),
        keys: Arc::new(keys),
        outside: Arc::clone(house) as Arc<dyn admission::Outside>,
    };
    let issuer = config.server.public_url.to_string();
    let settings = Settings {
        issuer,
        drops: config.drops.iter().map(DropConfig::rules).collect(),
        tick: TICK,
    };
    let desk = Admission::open(parts, settings).await?;
    for drop in config.drops.iter().filter(|drop| drop.queue_all) {
        desk.control(&drop.id, admission::Command::QueueAll).await?;
    }
    Ok(desk)
}

fn run_jobs(supervisor: &Supervisor, desk: &Admission, checkout: &Checkout, house: &Arc<House>) {
    let runner = desk.clone();
    supervisor.keep("queue", move |stop| {
        let desk = runner.clone();
        async move { desk.run(stop).await }
    });
    let runner = checkout.clone();
    supervisor.keep("checkout", move |stop| {
        let checkout = runner.clone();
        async move { checkout.run(stop).await }
    });
    let (house, checkout) = (Arc::clone(house), checkout.clone());
    supervisor.keep("readings", move |stop| {
        let (house, checkout) = (Arc::clone(&house), checkout.clone());
        async move { house.refresh(&checkout, stop).await }
    });
}

fn serve_admin(
    listen: SocketAddr,
    admin: Arc<Admin>,
    ground: &Ground,
    supervisor: &Supervisor,
) -> anyhow::Result<SocketAddr> {
    let listener = Listener::bind(ListenerConfig::plain(listen))
        .with_context(|| format!("cannot listen on {listen} for the admin API"))?;
    let address = listener.local_addr()?;
    let caps = Arc::new(ConnectionCaps::new(ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX));
    let (service, entropy) = (Arc::new(AdminService::new(admin)), Arc::clone(&ground.entropy));
    supervisor.once("admin", move |stop| {
        listener.run(service, caps, Arc::new(Unobserved), entropy, stop)
    });
    Ok(address)
}
