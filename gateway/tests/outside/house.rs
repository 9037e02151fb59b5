//! A whole gateway in this process, with a shop that writes everything down and a sandbox
//! provider, all on sockets and in a folder of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use domain::Clock as _;
use gateway::assembly::{Doorline, Ground, Role};
use gateway::config::{Config, Environment};
use gateway::room::page::rfc3339;
use gateway::system::{SystemClock, SystemEntropy};
use sandbox::provider::{Provider, ProviderConfig, RunningProvider, WebhookTarget};
use tempfile::TempDir;

use crate::client::{Answer, Browser};
use crate::origin::Origin;

pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-for-tests-only";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_of_the_tests";
/// What events for the merchant are signed with: 32 bytes, counted up.
pub(crate) const MERCHANT_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const SKU: &str = "AUR-42";

/// How the drop of a test differs from the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// When the drop starts, as seen from the beginning of the test; negative is the past.
    pub(crate) starts_in_seconds: i64,
    /// Whether shoppers may come an hour before the start.
    pub(crate) prequeue: bool,
    pub(crate) total_active_users: u32,
    pub(crate) stock: u32,
    /// What shoppers type; cookies depend on its scheme.
    pub(crate) public_url: &'static str,
    /// More lines for `[server]`, `[rate_limit]`, `[[drop]]` and `[drop.checkout]`.
    pub(crate) server: &'static str,
    pub(crate) rate_limit: &'static str,
    pub(crate) drop: &'static str,
    pub(crate) checkout: &'static str,
    /// More tables at the end.
    pub(crate) more: &'static str,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            starts_in_seconds: -3_600,
            prequeue: false,
            total_active_users: 500,
            stock: 50,
            public_url: "http://shop.example",
            server: "",
            rate_limit: "per_address = \"100000/s\"\njoins_per_address = \"100000/s\"",
            drop: "",
            checkout: "",
            more: "",
        }
    }
}

/// A second drop for `Terms::more`, without anything to sell.
pub(crate) const SECOND_DROP: &str = r#"
[[drop]]
id = "borealis"
title = "Borealis"
paths = ["/products/borealis/*"]
event_start_time = "2020-01-01T00:00:00Z"
total_active_users = 500
new_users_per_minute = 60000
"#;

impl Terms {
    /// The configuration as a merchant would write it.
    pub(crate) fn text(&self, upstream: &str, provider: &str, data_dir: &Path) -> String {
        let start = moment(self.starts_in_seconds);
        let prequeue = if self.prequeue {
            format!(
                "prequeue_start_time = \"{}\"",
                moment(self.starts_in_seconds - 3_600)
            )
        } else {
            String::new()
        };
        format!(
            r#"
[server]
listen = "127.0.0.1:0"
public_url = "{public_url}"
max_connections_per_address = 10000
{server}
[admin]
listen = "127.0.0.1:0"
token_env = "TEST_ADMIN_TOKEN"
[upstream]
url = "{upstream}"
[backend]
data_dir = "{data_dir}"
[rate_limit]
{rate_limit}
[payment]
provider = "sandbox"
api_url = "{provider}"
webhook_secret_env = "TEST_WEBHOOK_SECRET"
[[drop]]
id = "aurora"
title = "Aurora, first edition"
paths = ["/drops/aurora", "/products/aurora/*"]
event_start_time = "{start}"
{prequeue}
total_active_users = {users}
new_users_per_minute = 60000
{drop}
[drop.checkout]
per_shopper = 2
{checkout}
[[drop.item]]
sku = "{SKU}"
title = "EU 42"
price = {{ amount = 12900, currency = "eur" }}
stock = {stock}
{more}
"#,
            data_dir = data_dir.display(),
            public_url = self.public_url,
            server = self.server,
            rate_limit = self.rate_limit,
            users = self.total_active_users,
            drop = self.drop,
            checkout = self.checkout,
            stock = self.stock,
            more = self.more,
        )
    }
}

/// An instant so many seconds from now, in whole seconds.
fn moment(seconds: i64) -> String {
    let now = SystemClock.now().as_millis() / 1_000 * 1_000;
    let shift = seconds.unsigned_abs() * 1_000;
    rfc3339(if seconds < 0 { now - shift } else { now + shift })
}

/// The gateway with what stands around it.
pub(crate) struct House {
    pub(crate) doorline: Doorline,
    pub(crate) origin: Origin,
    pub(crate) provider: RunningProvider,
    pub(crate) folder: TempDir,
    pub(crate) text: String,
}

impl House {
    pub(crate) async fn open(terms: Terms) -> Self {
        let origin = Origin::start().await;
        let address = origin.address;
        Self::around(origin, address, "", terms).await
    }

    /// The usual drop with so many places inside.
    pub(crate) async fn with_room_for(total_active_users: u32) -> Self {
        Self::open(Terms {
            total_active_users,
            ..Terms::default()
        })
        .await
    }

    /// In front of a shop of the test's own, with more lines for `[upstream]`.
    pub(crate) async fn before(shop: SocketAddr, upstream: &str, terms: Terms) -> Self {
        Self::around(Origin::start().await, shop, upstream, terms).await
    }

    async fn around(origin: Origin, shop: SocketAddr, upstream: &str, terms: Terms) -> Self {
        let provider = Provider::start(ProviderConfig::default())
            .await
            .expect("a provider");
        let folder = tempfile::tempdir().expect("a folder");
        let text = text_of(&terms, shop, &provider, &folder);
        let text = text.replace("[backend]", &format!("{upstream}\n[backend]"));
        let doorline = start(&text, &provider).await;
        Self {
            doorline,
            origin,
            provider,
            folder,
            text,
        }
    }

    /// The usual drop: it has begun, and there is room.
    pub(crate) async fn usual() -> Self {
        Self::open(Terms::default()).await
    }

    /// Stops the gateway and starts it again on the same folder, under other terms.
    pub(crate) async fn reopen(self, terms: Terms) -> Self {
        let Self {
            doorline,
            origin,
            provider,
            folder,
            ..
        } = self;
        doorline.close().await;
        let text = text_of(&terms, origin.address, &provider, &folder);
        let doorline = start(&text, &provider).await;
        Self {
            doorline,
            origin,
            provider,
            folder,
            text,
        }
    }

    /// The ledger's own file, for looking at what no answer tells and for getting in its way.
    pub(crate) fn ledger(&self) -> rusqlite::Connection {
        let path = self.folder.path().join("data").join("ledger.db");
        rusqlite::Connection::open(path).expect("a ledger")
    }

    /// A new browser.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.doorline.address)
    }

    /// A client of the admin listener that shows the token.
    pub(crate) fn operator(&self) -> Browser {
        Browser::new(self.doorline.admin_address).always("authorization", &format!("Bearer {ADMIN_TOKEN}"))
    }

    /// An operator's command to the drop: `pause`, `resume`, `drain`, `end`, `queue-all`.
    pub(crate) async fn command(&self, verb: &str) -> Answer {
        let path = format!("/admin/v1/drops/aurora/{verb}");
        self.operator().ask("POST", &path, &[], None).await
    }

    pub(crate) async fn change_drop(&self, change: &serde_json::Value) -> Answer {
        let json = ("content-type", "application/json");
        self.operator()
            .ask(
                "PATCH",
                "/admin/v1/drops/aurora",
                &[json],
                Some(&change.to_string()),
            )
            .await
    }

    pub(crate) async fn close(self) {
        self.doorline.close().await;
        self.provider.shutdown().await;
    }
}

fn text_of(terms: &Terms, shop: SocketAddr, provider: &RunningProvider, folder: &TempDir) -> String {
    let data = folder.path().join("data");
    terms.text(&format!("http://{shop}"), &provider.url(), &data)
}

/// Opens a gateway as `text` says, in this process.
pub(crate) async fn open(text: &str) -> Doorline {
    let environment = || -> Environment {
        [
            ("TEST_ADMIN_TOKEN", ADMIN_TOKEN),
            ("TEST_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("TEST_MERCHANT_SECRET", MERCHANT_SECRET),
        ]
        .into_iter()
        .collect()
    };
    let config: Config = match gateway::config::parse("config.toml", text, &[], &environment()) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    };
    let ground = Ground {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        environment: environment(),
    };
    Doorline::open(&config, Role::All, &ground)
        .await
        .expect("a gateway")
}

async fn start(text: &str, provider: &RunningProvider) -> Doorline {
    let doorline = open(text).await;
    provider.provider().set_webhook(Some(WebhookTarget {
        url: format!("http://{}/.doorline/v1/webhooks/stripe", doorline.address),
        secret: WEBHOOK_SECRET.to_owned(),
    }));
    doorline
}

/// The present second, as signatures name it.
pub(crate) fn now_seconds() -> u64 {
    SystemClock.now().as_secs()
}
