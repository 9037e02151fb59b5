//! The effective configuration: plain values after file, environment and flags were merged,
//! checked and given their defaults. Nothing here can be out of range or contradict itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use domain::Span;
use domain::saga::Notice;
use http::Uri;
use ipnet::IpNet;

use super::drop::DropConfig;
use super::secret::SecretSource;
use crate::edge::limits::Rate;

/// Everything the program was told, complete and consistent.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The public listener: what shoppers reach.
    pub server: ServerConfig,
    /// The private listener: health, metrics and the admin API.
    pub admin: AdminConfig,
    /// The shop behind the gateway.
    pub upstream: UpstreamConfig,
    /// Where state is kept.
    pub backend: BackendConfig,
    /// Limits per client address.
    pub rate_limit: RateLimitConfig,
    /// The payment provider.
    pub payment: PaymentConfig,
    /// What is stopped in all drops.
    pub stops: StopsConfig,
    /// The merchant's own system, which is told what became of orders.
    pub webhooks: WebhooksConfig,
    /// How the program speaks of itself.
    pub log: LogConfig,
    /// The drops, in the order of the file. Ids are unique; no path belongs to two of them.
    pub drops: Vec<DropConfig>,
}

/// `[server]`: the public listener with its caps and deadlines.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What shoppers type: `http` or `https`, host, perhaps a port; never a path.
    pub public_url: Uri,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Certificate and key, where the gateway itself ends TLS.
    pub tls: Option<TlsConfig>,
    /// Open connections in all.
    pub max_connections: u32,
    /// Open connections of one client address (IPv6: one /64).
    pub max_connections_per_address: u32,
    /// From accept to the first byte (or the end of the TLS handshake).
    pub first_byte_timeout: Span,
    /// From the first byte to the end of the request's header.
    pub header_timeout: Span,
    /// Longest pause while a body is being sent.
    pub body_timeout: Span,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Span,
    /// Longest request body passed to the upstream, in bytes.
    pub max_body_bytes: u64,
    /// How long a shutdown waits for open requests.
    pub drain_timeout: Span,
    /// Hosts a shopper may be sent back to after waiting, besides our own; lower case, exact.
    pub return_hosts: Vec<String>,
}

/// `server.tls`: PEM files of the public listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// `[admin]`: the private listener.
#[derive(Clone, PartialEq, Debug)]
pub struct AdminConfig {
    /// Where to listen; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// Where the bearer token comes from. Resolve it with [`super::secret::admin::admin_token`].
    pub token: SecretSource,
}

/// `[upstream]`: the shop behind the gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct UpstreamConfig {
    /// `http` or `https`, host, perhaps a port; never a path, never a password.
    pub url: Uri,
    /// Longest time to open a connection.
    pub connect_timeout: Span,
    /// Longest time from the end of the request to the header of the answer.
    pub response_timeout: Span,
    /// How long an unused connection is kept; below the upstream's own keep-alive.
    pub idle_timeout: Span,
    /// Longest pause while its answer is being sent.
    pub body_timeout: Span,
    /// Connections to it at once; further requests wait for one of them. Uploads under way and open
    /// tunnels have half of them at most.
    pub max_connections: u32,
    /// Whether `Upgrade` (WebSocket) is passed through.
    pub allow_upgrade: bool,
    /// Whether the upstream sees the shopper's `Host`; otherwise its own from `url`.
    pub preserve_host: bool,
}

/// `[backend]`: where state is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct BackendConfig {
    /// One process with files, or many on shared servers.
    pub mode: BackendMode,
    /// Folder of the ledger, the checkpoint and generated keys.
    pub data_dir: PathBuf,
    /// Redis, for `distributed`.
    pub redis_url: SecretSource,
    /// RabbitMQ, for `distributed`.
    pub rabbitmq_url: SecretSource,
    /// Postgres, for `distributed`.
    pub postgres_url: SecretSource,
}

/// `backend.mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendMode {
    /// One process; memory and `SQLite` in `data_dir`.
    Embedded,
    /// Redis, `RabbitMQ` and Postgres.
    Distributed,
}

/// `[rate_limit]`: limits per client address (IPv6: one /64).
#[derive(Clone, PartialEq, Debug)]
pub struct RateLimitConfig {
    /// Requests of any kind.
    pub per_address: Rate,
    /// New tickets.
    pub joins_per_address: Rate,
    /// Networks without limits.
    pub exempt: Vec<IpNet>,
    /// Addresses remembered at once; beyond it the least active are forgotten.
    pub max_addresses: u32,
}

/// `[checkout]`, and the same keys of `[drop.checkout]`: what operators do not resume.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StopsConfig {
    /// No new orders are taken.
    pub checkout: bool,
    /// No order is taken to payment.
    pub payments: bool,
}

/// `[payment]`: the payment provider.
#[derive(Clone, PartialEq, Debug)]
pub struct PaymentConfig {
    /// Who takes the money.
    pub provider: PaymentProvider,
    /// Base address of the provider's API where it is not the usual one.
    pub api_url: Option<Uri>,
    /// The secret API key.
    pub secret_key: SecretSource,
    /// What signs the provider's webhooks.
    pub webhook_secret: SecretSource,
    /// Requests per second and endpoint, over all drops.
    pub max_requests_per_second: u32,
    /// Longest wait for one answer.
    pub request_timeout: Span,
}

/// `payment.provider`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentProvider {
    /// The built-in stand-in: speaks the same API, moves no money, needs no keys.
    Sandbox,
    /// Stripe.
    Stripe,
}

/// `[webhooks]`: the merchant's own system, which is told what became of orders.
#[derive(Clone, PartialEq, Debug)]
pub struct WebhooksConfig {
    /// Where it is; without one nobody is told. `https`, or `http` on this machine.
    pub url: Option<Uri>,
    /// What events are signed with.
    pub secret: SecretSource,
    /// The kinds of events it is told.
    pub events: Vec<Notice>,
}

/// `[log]`: what goes to stderr.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Least severity.
    pub level: LogLevel,
    /// For people or for machines.
    pub format: LogFormat,
}

/// `log.level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// A person must look.
    Error,
    /// Degraded but going.
    Warn,
    /// The life of the program.
    Info,
    /// For finding a fault.
    Debug,
    /// Everything.
    Trace,
}

/// `log.format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogLevel {
    /// All of them, the most severe first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word of the file, which is also a directive of the log filter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl ServerConfig {
    /// Whether shoppers come by https, which decides `Secure` and the `__Host-` prefix of cookies.
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    /// The host that shoppers type, without a port: the name they know the shop by.
    pub fn public_host(&self) -> &str {
        self.public_url.host().unwrap_or_default()
    }
}

impl Config {
    /// Finds a drop by its id.
    pub fn find_drop(&self, id: &domain::DropId) -> Option<&DropConfig> {
        self.drops.iter().find(|d| d.id == *id)
    }
}
