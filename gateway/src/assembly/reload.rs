//! A new configuration while the program runs: what of it is put in force, what waits for a restart, and who is told.

mod difference;
mod follow;

use std::sync::Arc;

use admission::Admission;
use checkout_worker::Checkout;
use checkout_worker::checkout::OpenError;
use domain::{DropId, Timestamp};

use super::{base, edge, terms};
use crate::admin::Admin;
use crate::admin::changes::{self, ChangeError, Changes};
use crate::config::{Config, DropConfig, LogConfig, ServerConfig, UpstreamConfig};
use crate::edge::stack::StackParts;
use crate::room::Room;
use crate::telemetry::metrics::{Metrics, NO_LABELS};

pub use follow::{Following, Source};

/// What can come of a configuration that is read while the program runs.
const OUTCOMES: [&str; 3] = ["applied", "partly", "rejected"];

/// Every part of a running process that takes over settings.
pub(super) struct Live {
    admin: Arc<Admin>,
    door: Option<LiveDoor>,
}

/// What only a gateway has.
pub(super) struct LiveDoor {
    pub(super) desk: Admission,
    pub(super) room: Arc<Room>,
    pub(super) changes: Arc<Changes>,
    pub(super) edge: Arc<StackParts>,
}

/// What came of putting a configuration in force.
struct Taken {
    /// What is in force now.
    config: Config,
    /// Drops that could not be taken over, each with the reason.
    refused: Vec<(DropId, OpenError)>,
}

/// Notes that the configuration in force was read at `now`. What is alerted on begins as zero.
pub(super) fn note_loaded(metrics: &Metrics, now: Timestamp) {
    for outcome in OUTCOMES {
        metrics.config_reloads.with_label_values(&[outcome]).inc_by(0);
    }
    let loaded = metrics.config_loaded.with_label_values(NO_LABELS);
    loaded.set(now.since(Timestamp::EPOCH).as_duration().as_secs_f64());
}

impl Live {
    pub(super) fn new(admin: Arc<Admin>, door: Option<LiveDoor>) -> Self {
        Self { admin, door }
    }

    fn checkout(&self) -> &Checkout {
        &self.admin.checkout
    }

    /// Puts in force what of `next` can be while the process runs.
    ///
    /// # Errors
    /// If the ledger or the queue cannot be asked. Some of it may be in force then; the same again puts the rest in force.
    async fn put_in_force(&self, running: &Config, next: &Config) -> Result<Taken, ChangeError> {
        let mut config = merged(running, next);
        let refused = self.open_drops(running, &mut config).await?;
        self.checkout().configure_stops(terms::stopped(&config));
        self.admin.house.read_of(base::selling(&config.drops));
        if let Some(door) = &self.door {
            door.changes.configure(&config.drops).await?;
            changes::hold_or_release(&door.desk, self.checkout(), &config.drops).await?;
        }
        self.admin.drops.store(Arc::new(base::drops(&config.drops)));
        // Last: a path is protected only when there is a queue behind it.
        if let Some(door) = &self.door {
            door.rule(running, &config);
        }
        Ok(Taken { config, refused })
    }

    /// Has the checkout take over drops that are configured anew. One that it refuses stays as it was.
    async fn open_drops(
        &self,
        running: &Config,
        config: &mut Config,
    ) -> Result<Vec<(DropId, OpenError)>, ChangeError> {
        let mut refused = Vec::new();
        let mut drops = Vec::with_capacity(config.drops.len());
        for drop in config.drops.drain(..) {
            let known = running.find_drop(&drop.id);
            let fresh = terms::of(&drop).filter(|terms| known.and_then(terms::of).as_ref() != Some(terms));
            let Some(fresh) = fresh else {
                drops.push(drop);
                continue;
            };
            match self.checkout().reconfigure(vec![fresh]).await {
                Ok(()) => drops.push(drop),
                Err(OpenError::Ledger(error)) => return Err(error.into()),
                Err(why) => {
                    refused.push((drop.id.clone(), why));
                    drops.extend(known.cloned());
                }
            }
        }
        config.drops = drops;
        Ok(refused)
    }
}

impl LiveDoor {
    /// Swaps the edge's rules. Limits that are as they were keep what they remember.
    fn rule(&self, running: &Config, config: &Config) {
        let current = self.edge.rules.load_full();
        let stay = current
            .per_address
            .clone()
            .zip(current.joins_per_address.clone())
            .filter(|_| running.rate_limit == config.rate_limit);
        let (requests, joins) =
            stay.unwrap_or_else(|| (edge::request_limit(config), edge::join_limit(config)));
        self.room.limit_joins(Arc::clone(&joins));
        self.edge
            .rules
            .store(Arc::new(edge::rules(config, requests, joins)));
    }
}

/// What is in force once `next` has been taken over: whatever cannot change while the process runs is as it was.
fn merged(running: &Config, next: &Config) -> Config {
    let mut drops = next.drops.clone();
    for drop in &mut drops {
        // A drop that sells may have orders on their way.
        let known = running.find_drop(&drop.id);
        drop.checkout = drop
            .checkout
            .take()
            .or_else(|| known.and_then(|known| known.checkout.clone()));
    }
    drops.extend(gone(running, next).map(|drop| {
        // A path that another drop has now is that one's.
        let is_taken = |path| next.drops.iter().any(|drop| drop.paths.contains(path));
        let paths = drop.paths.iter().filter(|path| !is_taken(path));
        DropConfig {
            paths: paths.cloned().collect(),
            ..drop.clone()
        }
    }));
    let (server, upstream) = (&running.server, &running.upstream);
    Config {
        server: ServerConfig {
            trusted_proxies: next.server.trusted_proxies.clone(),
            max_body_bytes: next.server.max_body_bytes,
            body_timeout: next.server.body_timeout,
            ..server.clone()
        },
        upstream: UpstreamConfig {
            allow_upgrade: next.upstream.allow_upgrade,
            ..upstream.clone()
        },
        rate_limit: next.rate_limit.clone(),
        stops: next.stops,
        log: LogConfig {
            level: next.log.level,
            ..running.log.clone()
        },
        drops,
        ..running.clone()
    }
}

/// Drops that run and are no longer configured.
fn gone<'a>(running: &'a Config, next: &'a Config) -> impl Iterator<Item = &'a DropConfig> {
    let drops = running.drops.iter();
    drops.filter(|drop| next.find_drop(&drop.id).is_none())
}

#[cfg(test)]
mod tests;
