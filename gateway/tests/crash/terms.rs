//! The terms of the drops in these tests, in `config.toml`'s own words.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::{Clock as _, Span};
use gateway::room::page::rfc3339;
use gateway::system::SystemClock;
use sandbox::provider::FaultPlan;

/// One pair, in cents.
pub(crate) const PRICE: u64 = 12_900;

/// What is on sale, and under which terms.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) stock: u32,
    pub(crate) total_active_users: u32,
    pub(crate) new_users_per_minute: u32,
    /// From setting up to the start of the drop.
    pub(crate) prequeue: Duration,
    pub(crate) shuffle: bool,
    pub(crate) session: Duration,
    /// What the provider gets wrong.
    pub(crate) faults: FaultPlan,
    /// An upstream other than the demo shop.
    pub(crate) upstream: Option<SocketAddr>,
    /// The shell's limit on the size of files, in blocks of 512 bytes, for the first start.
    pub(crate) file_blocks_max: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            stock: 60,
            total_active_users: 40,
            new_users_per_minute: 240,
            prequeue: Duration::ZERO,
            shuffle: false,
            session: Duration::from_secs(25),
            faults: FaultPlan::default(),
            upstream: None,
            file_blocks_max: None,
        }
    }
}

/// Where everything is that the configuration names.
pub(crate) struct Places {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shop: String,
    pub(crate) provider: String,
    pub(crate) data_dir: PathBuf,
}

impl Terms {
    /// The configuration of a drop under these terms, whose pre-queue is open from now on.
    pub(crate) fn config(&self, places: &Places) -> String {
        let now = SystemClock.now();
        let prequeue = rfc3339((now - Span::from_secs(1)).as_millis());
        let start = rfc3339((now + millis(self.prequeue)).as_millis());
        format!(
            r#"
[server]
listen = "{address}"
public_url = "http://{address}"
trusted_proxies = ["127.0.0.0/8"]
max_connections_per_address = 20000
drain_timeout = "60s"
[admin]
listen = "{admin}"
[upstream]
url = "{upstream}"
[backend]
data_dir = '{data_dir}'
[rate_limit]
per_address = "1000/s"
joins_per_address = "60000/min"
[payment]
provider = "sandbox"
api_url = "{provider}"
request_timeout = "5s"
[[drop]]
id = "aurora"
paths = ["/drops/aurora", "/products/aurora/*"]
prequeue_start_time = "{prequeue}"
event_start_time = "{start}"
shuffle_at_event_start = {shuffle}
total_active_users = {users}
new_users_per_minute = {rate}
session_duration = "{session}s"
disable_session_renewal = true
claim_window = "8s"
late_grace = "30s"
[drop.checkout]
reserve_for = "8s"
action_window = "8s"
per_shopper = 2
drain_per_second = 15
overbooking_percent = 400
[[drop.item]]
sku = "AUR-42"
price = {{ amount = {PRICE}, currency = "eur" }}
stock = {stock}
"#,
            address = places.address,
            admin = places.admin,
            upstream = self
                .upstream
                .map_or_else(|| places.shop.clone(), |address| format!("http://{address}")),
            data_dir = places.data_dir.display(),
            provider = places.provider,
            shuffle = self.shuffle,
            users = self.total_active_users,
            rate = self.new_users_per_minute,
            session = self.session.as_secs(),
            stock = self.stock,
        )
    }
}

fn millis(duration: Duration) -> Span {
    Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
