//! A worker: takes orders to payment and runs the recovery jobs; no shopper reaches it.

use std::net::SocketAddr;
use std::sync::Arc;

use checkout_worker::Checkout;

use super::backend::Backend;
use super::base::Base;
use super::reload::{Following, Live};
use super::{Ground, Role};
use crate::config::Config;
use crate::telemetry::metrics::Metrics;

/// A worker in this process, running.
pub struct Worker {
    /// The orders.
    pub checkout: Checkout,
    /// Where ops connect.
    pub admin_address: SocketAddr,
    base: Base,
    live: Arc<Live>,
    /// Let go last: fields are dropped in order.
    _hold: Box<dyn std::any::Any + Send + Sync>,
}

impl Worker {
    /// Opens what a worker needs and begins to work.
    pub async fn open(config: &Config, ground: &Ground) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let backend = Backend::open(config, Role::Worker, ground, &metrics).await?;
        let base = Base::open(config, Role::Worker, ground, &backend, metrics).await?;
        base.run();
        let Backend { signs, hold, .. } = backend;
        let (admin_address, admin) = base.serve_admin(config, ground, None, signs)?;
        let live = Arc::new(Live::new(admin, None));
        tracing::info!(admin.address = %admin_address, "Doorline works");
        Ok(Self {
            checkout: base.checkout.clone(),
            admin_address,
            base,
            live,
            _hold: hold,
        })
    }

    /// Puts new configurations in force from now on, as they come.
    pub fn follow(&self, following: Following) {
        following.start(&self.base.supervisor, Arc::clone(&self.live));
    }

    /// Takes no more orders, lets those in hand come to rest, and returns.
    pub async fn close(self) {
        self.base.stopping.cancel();
        self.base.drain().await;
    }
}
