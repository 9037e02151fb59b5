//! Puts the house together: the one place that knows which adapter stands behind which port.

pub mod readings;

mod backend;
mod base;
mod data_dir;
mod edge;
mod errands;
mod merchant;
mod payment;
mod reload;
mod terms;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admission::snapshot::Showing;
use admission::{Admission, Parts, Settings};
use anyhow::Context as _;
use checkout_worker::Checkout;
use checkout_worker::checkout::Restored;
use domain::{Clock, Entropy, Span};

use crate::admin::Front;
use crate::admin::changes::{self, Changes};
use crate::config::{BackendMode, Config, Environment};
use crate::edge::observe::Observer;
use crate::room::door::HouseDoor;
use crate::room::page::RefusalPages;
use crate::room::{Joins, Room, ShopperApi};
use crate::telemetry::edge::EdgeCounts;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::stores::TimedQueues;

use backend::{Backend, QueueBackend};
use base::Base;
use edge::{Edge, Plugs};
use reload::{Live, LiveDoor};

pub use reload::{Following, Source};
pub use worker::Worker;

/// How often the frontier is considered. Four to five steps a second keep the pace smooth.
const TICK: Duration = Duration::from_millis(200);

/// Which part of the program runs in a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Gateway and worker in one.
    All,
    /// What shoppers reach.
    Gateway,
    /// What takes orders to payment.
    Worker,
}

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
    base: Base,
    edge: Edge,
    live: Arc<Live>,
    /// Let go last: fields are dropped in order.
    _hold: Box<dyn std::any::Any + Send + Sync>,
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

/// Brings the shared ledger's tables up to this version. The embedded one migrates itself.
pub async fn migrate(config: &Config, ground: &Ground) -> anyhow::Result<()> {
    backend::migrate(config, ground).await
}

/// The orders of a house that runs elsewhere on the same ledger: to be looked at, not worked on.
pub async fn look_into(config: &Config, ground: &Ground) -> anyhow::Result<Checkout> {
    let metrics = Metrics::new()?;
    let backend = Backend::open(config, Role::Gateway, ground, &metrics).await?;
    Ok(Base::open(config, Role::Gateway, ground, &backend, metrics)
        .await?
        .checkout)
}

/// Brings a ledger that was restored to an older copy together with the provider, which kept what was lost. Nothing else
/// may run on it meanwhile.
pub async fn restore(config: &Config, ground: &Ground, lost: Span) -> anyhow::Result<Restored> {
    let metrics = Metrics::new()?;
    let backend = Backend::open(config, Role::All, ground, &metrics).await?;
    let base = Base::open(config, Role::Worker, ground, &backend, metrics).await?;
    let since = ground.clock.now() - lost;
    Ok(base.checkout.restore(since, "restore").await?)
}

impl Doorline {
    /// Opens everything that `config` describes for `role`, and begins to serve.
    pub async fn open(config: &Config, role: Role, ground: &Ground) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let mut backend = Backend::open(config, role, ground, &metrics).await?;
        let base = Base::open(config, role, ground, &backend, metrics).await?;
        let queue = backend.queue.take();
        let queue = queue.context("a worker has no door: it is opened as a worker")?;
        let desk = open_desk(config, ground, &base, queue).await?;
        base.errands.serve(desk.clone());
        let (requests, joins) = (edge::request_limit(config), edge::join_limit(config));
        let observer: Arc<dyn Observer> = Arc::new(EdgeCounts::new(&base.metrics, Arc::clone(&base.house)));
        let counted = Joins {
            limit: Arc::clone(&joins),
            observer: Arc::clone(&observer),
        };
        let room = open_room(config, ground, &base, &desk, counted);
        let runner = desk.clone();
        base.supervisor.keep("queue", move |stop| {
            let desk = runner.clone();
            async move { desk.run(stop).await }
        });
        base.run();
        let changes = Changes::new(
            &config.drops,
            desk.clone(),
            Arc::clone(&room),
            base.checkout.clone(),
        );
        let front = Front {
            desk: desk.clone(),
            room: Arc::clone(&room),
            changes: base.follow(changes).await?,
        };
        let changes = Arc::clone(&front.changes);
        let (admin_address, admin) = base.serve_admin(config, ground, Some(front), backend.signs)?;
        let plugs = Plugs {
            door: Arc::new(HouseDoor(Arc::clone(&room))),
            api: Arc::new(ShopperApi(Arc::clone(&room))),
            pages: Arc::new(RefusalPages::new(config.server.public_host())),
            observer,
            entropy: Arc::clone(&ground.entropy),
        };
        let edge = Edge::start(
            config,
            edge::rules(config, requests, joins),
            plugs,
            &base.stopping,
        )?;
        let address = edge.address;
        if let Some(sandbox) = &base.sandbox {
            sandbox.report_to(address, config.server.tls.is_some());
        }
        let door = LiveDoor {
            desk: desk.clone(),
            room,
            changes,
            edge: Arc::clone(&edge.parts),
        };
        let live = Arc::new(Live::new(admin, Some(door)));
        tracing::info!(%address, admin.address = %admin_address, "Doorline serves");
        Ok(Self {
            desk,
            checkout: base.checkout.clone(),
            address,
            admin_address,
            base,
            edge,
            live,
            _hold: backend.hold,
        })
    }

    /// Puts new configurations in force from now on, as they come.
    pub fn follow(&self, following: Following) {
        following.start(&self.base.supervisor, Arc::clone(&self.live));
    }

    /// Stops accepting, lets requests and jobs come to their end, and returns.
    pub async fn close(self) {
        // Shoppers first: while requests are in flight, queue and checkout must still work.
        self.base.stopping.cancel();
        self.edge.join().await;
        self.base.drain().await;
    }
}

fn open_room(config: &Config, ground: &Ground, base: &Base, desk: &Admission, joins: Joins) -> Arc<Room> {
    Arc::new(Room::new(
        config,
        desk.clone(),
        base.checkout.clone(),
        Arc::clone(&base.house),
        joins,
        Arc::clone(&ground.clock),
        Arc::clone(&ground.entropy),
    ))
}

async fn open_desk(
    config: &Config,
    ground: &Ground,
    base: &Base,
    queue: QueueBackend,
) -> anyhow::Result<Admission> {
    let parts = Parts {
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        store: Arc::new(TimedQueues::new(queue.store, &base.metrics)),
        keys: Arc::new(queue.keys),
        outside: Arc::clone(&base.house) as Arc<dyn admission::Outside>,
    };
    let issuer = config.server.public_url.to_string();
    let changes = base.checkout.changes().await?;
    let settings = Settings {
        issuer,
        drops: config
            .drops
            .iter()
            .map(|drop| changes::rules(drop, &changes))
            .collect(),
        tick: TICK,
        showing: match config.backend.mode {
            BackendMode::Embedded => Showing::Alone,
            BackendMode::Distributed => Showing::Among,
        },
    };
    let desk = Admission::open(parts, settings).await?;
    changes::hold_or_release(&desk, &base.checkout, &config.drops).await?;
    Ok(desk)
}
