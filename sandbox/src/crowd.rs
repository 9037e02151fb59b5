//! A crowd of simulated shoppers over real sockets, and what they saw.
//!
//! Each shopper has one kept-alive connection, a cookie jar and a character, and knows nothing but
//! the gateway's public address. Together they are the outside witness: they notice a number that
//! changes, a position that goes back, an order that is lost, one key that makes two orders. They
//! outlive restarts of the gateway, which makes them the instrument of crash tests too.

mod behaviour;
mod checkout;
mod client;
mod config;
mod jar;
mod observer;
mod progress;
mod queue;
mod report;
mod shopper;

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::behaviour::{Behaviour, Mix};
use self::client::{Client, Destination};
pub use self::config::CrowdConfig;
use self::observer::Observer;
pub use self::progress::{Counts, Progress};
pub use self::report::{CrowdReport, OrderSeen, Percentiles};
use self::shopper::Shopper;
use crate::random::Random;

/// A crowd that has not set out yet.
#[derive(Debug)]
pub struct Crowd {
    config: Arc<CrowdConfig>,
    progress: Arc<Progress>,
}

impl Crowd {
    /// A crowd; nothing happens until [`Self::run`].
    #[must_use]
    pub fn new(config: CrowdConfig) -> Self {
        Self {
            config: Arc::new(config),
            progress: Arc::default(),
        }
    }

    /// Live counters, to be read while it runs.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Sends everybody on their way and waits until the last went home, the deadline passed or
    /// `cancel` fired. No task outlives it.
    pub async fn run(self, cancel: CancellationToken) -> CrowdReport {
        let Self { config, progress } = self;
        let observer = Arc::new(Observer::new(progress));
        let origin = config.public_url.trim_end_matches('/').to_owned();
        let destination = Arc::new(Destination {
            connect: config.connect.to_string(),
            host: origin.split("://").nth(1).unwrap_or(&origin).to_owned(),
            origin,
        });
        let started = Instant::now();
        let mut shoppers = JoinSet::new();
        let everybody = async {
            for (after, index) in arrivals(&config) {
                tokio::time::sleep_until(started + after).await;
                // Those who went home make room before others come.
                while shoppers.try_join_next().is_some() {}
                let shopper = shopper(index, &config, &observer, &destination);
                shoppers.spawn(Box::pin(shopper.walk()));
            }
            while shoppers.join_next().await.is_some() {}
        };
        tokio::select! {
            () = everybody => {}
            () = tokio::time::sleep_until(started + config.deadline) => {}
            () = cancel.cancelled() => {}
        }
        shoppers.shutdown().await;
        CrowdReport::of(&observer, config.shoppers)
    }
}

fn shopper(
    index: u32,
    config: &Arc<CrowdConfig>,
    observer: &Arc<Observer>,
    destination: &Arc<Destination>,
) -> Shopper {
    let mut random = Random::fork(config.seed, u64::from(index));
    let behaviour = config.mix.draw(&mut random);
    let address = config.distinct_addresses.then(|| address(index).to_string());
    let client = Client::new(Arc::clone(destination), Arc::clone(observer), random, address);
    Shopper {
        index,
        behaviour,
        config: Arc::clone(config),
        observer: Arc::clone(observer),
        client,
        active: false,
    }
}

/// 10.0.0.1, 10.0.0.2, … one per shopper, sixteen million of them.
fn address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0A00_0000 | (index.saturating_add(1) & 0x00FF_FFFF))
}

/// When each shopper arrives, in order.
fn arrivals(config: &CrowdConfig) -> Vec<(Duration, u32)> {
    let mut random = Random::new(config.seed ^ 0x00A8_8171);
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut arrivals: Vec<(Duration, u32)> = (0..config.shoppers)
        .map(|index| {
            let early = random.happens(config.share_before_start);
            let after_ms = if early {
                random.within(0..=ms(config.starts_in))
            } else {
                ms(config.starts_in).saturating_add(random.within(0..=ms(config.ramp)))
            };
            (Duration::from_millis(after_ms), index)
        })
        .collect();
    arrivals.sort_unstable();
    arrivals
}
