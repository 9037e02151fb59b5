//! Who comes, when, and with what in mind.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::behaviour::Mix;

/// Settings of one crowd. Build one with [`CrowdConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct CrowdConfig {
    /// The gateway as shoppers know it, e.g. `http://localhost:8080`: gives Host and Origin.
    pub public_url: String,
    /// Where to connect. Names are never resolved, so that shoppers cost no threads.
    pub connect: SocketAddr,
    /// Base URL of the sandbox provider, for 3-D Secure; without it nobody can complete one.
    pub provider_url: Option<String>,
    /// Id of the drop.
    pub drop: String,
    /// A protected path that shoppers open.
    pub entry_path: String,
    /// Text that only the shop's own page contains.
    pub shop_marker: String,
    /// What can be bought; each shopper picks one.
    pub skus: Vec<String>,
    /// Most units one shopper orders; drawn from 1 up.
    pub quantity_max: u32,
    /// How many shoppers.
    pub shoppers: u32,
    /// Seed of every decision in the crowd.
    pub seed: u64,
    /// Shares of behaviours.
    pub mix: Mix,
    /// Time until the drop opens, counted from the call to run.
    pub starts_in: Duration,
    /// Share of shoppers (0.0 to 1.0) that arrives evenly over `starts_in`.
    pub share_before_start: f64,
    /// The rest arrives evenly over this time after the start.
    pub ramp: Duration,
    /// Everybody stops after this time, counted from the call to run.
    pub deadline: Duration,
    /// Milliseconds a shopper thinks between two steps.
    pub think_ms: RangeInclusive<u64>,
    /// How long a late returner stays away after having been called.
    pub returns_after: Duration,
    /// How many polls an impatient shopper makes before giving up.
    pub patience_polls: RangeInclusive<u64>,
    /// Sends `X-Forwarded-For` with an address of its own (10.x.y.z) per shopper; the gateway must
    /// trust the loopback address as a proxy for it to count.
    pub distinct_addresses: bool,
}

impl CrowdConfig {
    /// `shoppers` people at a gateway on `connect`, with the demo's drop and shop in mind.
    #[must_use]
    pub fn new(connect: SocketAddr, shoppers: u32, seed: u64) -> Self {
        Self {
            public_url: format!("http://{connect}"),
            connect,
            provider_url: None,
            drop: "aurora".to_owned(),
            entry_path: "/drops/aurora".to_owned(),
            shop_marker: crate::shop::PAGE_MARKER.to_owned(),
            skus: vec!["AUR-42".to_owned()],
            quantity_max: 1,
            shoppers,
            seed,
            mix: Mix::default(),
            starts_in: Duration::ZERO,
            share_before_start: 0.0,
            ramp: Duration::from_secs(5),
            deadline: Duration::from_mins(2),
            think_ms: 50..=400,
            returns_after: Duration::from_secs(3),
            patience_polls: 1..=6,
            distinct_addresses: true,
        }
    }
}
