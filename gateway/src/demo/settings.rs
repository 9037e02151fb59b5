//! How the demo's drop is configured: in `config.toml`'s own words, through the same loader
//! as a merchant's file, scaled so that a sale takes about a minute whatever its size.

use std::path::Path;
use std::time::Duration;

use domain::{Span, Timestamp};

use crate::config::{Config, Environment};
use crate::room::page::rfc3339;

/// The demo's drop, as the demo shop and the crowd know it.
pub(super) const DROP: &str = "aurora";
/// What it sells.
pub(super) const SKU: &str = "AUR-42";
/// One pair, in cents.
const PRICE: u64 = 12_900;
/// Where the demo listens if it can, so that the address on the screen is the one in the README.
const SHOPPERS_LISTEN: &str = "127.0.0.1:8080";
/// Where ops look, if it can.
const ADMIN_LISTEN: &str = "127.0.0.1:9180";
/// Any port: where the usual one is taken.
const ANY: &str = "127.0.0.1:0";

/// The sale's size and times.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Simulated shoppers.
    pub shoppers: u32,
    /// Units for sale.
    pub stock: u32,
    /// Sessions at once.
    pub total_active_users: u32,
    /// Admissions in any 60 seconds.
    pub new_users_per_minute: u32,
    /// From now to the start.
    pub prequeue: Duration,
    /// From the start until the last of the late ones has come.
    pub ramp: Duration,
    /// When everybody goes home, whatever happened.
    pub deadline: Duration,
    /// More drops beside the one that is sold, as a merchant would write them.
    pub also: String,
    now: Timestamp,
}

impl Plan {
    /// A sale of that size that opens so long after `now`.
    pub fn of(shoppers: u32, stock: u32, prequeue: Duration, now: Timestamp) -> Self {
        Self {
            shoppers,
            stock,
            // All units are asked for within a quarter of a minute; then those that come back are.
            new_users_per_minute: stock.saturating_mul(6).clamp(60, 60_000),
            total_active_users: stock.div_ceil(2).clamp(20, 2_000),
            prequeue,
            ramp: Duration::from_secs(10),
            deadline: prequeue + Duration::from_secs(67) + Duration::from_millis(u64::from(stock) * 60),
            also: String::new(),
            now,
        }
    }

    /// The configuration, as a merchant would write it.
    pub(super) fn text(&self, shop: &str, provider: &str, data_dir: &Path, mode: &str) -> String {
        let (start, prequeue) = (self.now + millis(self.prequeue), self.now);
        format!(
            r#"
[server]
listen = "{listen}"
public_url = "http://localhost:8080"
trusted_proxies = ["127.0.0.0/8"]
max_connections = 250000
max_connections_per_address = 250000
[admin]
listen = "{admin}"
[upstream]
url = "{shop}"
[backend]
mode = "{mode}"
data_dir = '{data_dir}'
[rate_limit]
# Whoever looks on from this machine shares its address with the provider's events.
exempt = ["127.0.0.0/8", "::1/128"]
[payment]
provider = "sandbox"
api_url = "{provider}"
webhook_secret_env = "DOORLINE_DEMO_WEBHOOK_SECRET"
[[drop]]
id = "{DROP}"
title = "Aurora, first edition"
paths = ["/drops/{DROP}", "/products/{DROP}/*"]
prequeue_start_time = "{prequeue}"
event_start_time = "{start}"
shuffle_at_event_start = true
total_active_users = {users}
new_users_per_minute = {rate}
session_duration = "30s"
disable_session_renewal = true
claim_window = "10s"
late_grace = "20s"
[drop.checkout]
reserve_for = "12s"
action_window = "12s"
per_shopper = 2
drain_per_second = 20
overbooking_percent = 150
[[drop.item]]
sku = "{SKU}"
title = "EU 42"
price = {{ amount = {PRICE}, currency = "eur" }}
stock = {stock}
{also}"#,
            also = self.also,
            prequeue = rfc3339(prequeue.as_millis()),
            start = rfc3339(start.as_millis()),
            data_dir = data_dir.display(),
            listen = free_or_any(SHOPPERS_LISTEN),
            admin = free_or_any(ADMIN_LISTEN),
            users = self.total_active_users,
            rate = self.new_users_per_minute,
            stock = self.stock,
        )
    }
}

/// Loads the configuration as a file would be.
pub(super) fn load(text: &str) -> anyhow::Result<Config> {
    let loaded = crate::config::parse("the demo's configuration", text, &[], &Environment::default());
    Ok(loaded.map_err(|report| anyhow::anyhow!("{report}"))?.config)
}

/// `address` if nobody listens there, else any port: a second demo should just run.
fn free_or_any(address: &'static str) -> &'static str {
    if std::net::TcpListener::bind(address).is_ok() {
        address
    } else {
        ANY
    }
}

fn millis(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
