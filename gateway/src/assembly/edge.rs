//! From configuration to listeners: the rules of the edge, and one runtime per core that
//! accepts on the shared address.
//!
//! A runtime per core with its own accept loop and its own upstream connections costs about
//! 7 % less CPU per proxied request than one runtime that moves tasks between cores. Only how many
//! connections may be open is counted for all of them together.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use domain::{DropId, Entropy, Span};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, DropConfig, RateLimitConfig};
use crate::edge::address::TrustedProxies;
use crate::edge::body::BodyLimits;
use crate::edge::door::{Door, Handler};
use crate::edge::limits::{AddressLimit, Rate};
use crate::edge::listener::{ConnectionCaps, Deadlines, Listener, ListenerConfig, server_tls};
use crate::edge::observe::Observer;
use crate::edge::path::PathTable;
use crate::edge::problem::Pages;
use crate::edge::proxy::{HostPolicy, Proxy, ProxyConfig, Upgrades, Upstream, upstream_tls};
use crate::edge::shed::Shedder;
use crate::edge::stack::{Rules, Stack, StackParts};

/// Requests worked on at once before the least important are shed. Each holds a few KB; far
/// more than two cores can serve in a second, so it binds only when something is stuck.
const IN_FLIGHT_MAX: usize = 16_384;
/// Bodies for our own API; the provider's events are the largest, 256 KiB at most.
const API_BODY_BYTES_MAX: u64 = 256 * 1024;
/// The longest a body may take in all.
const BODY_TOTAL: Span = Span::from_mins(5);
/// Certificate authorities that Debian installs; an https upstream is verified against them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The running edge: its threads end when `stop` is cancelled and the last answer is sent.
pub(super) struct Edge {
    pub(super) address: std::net::SocketAddr,
    /// What all cores share, with the rules in force.
    pub(super) parts: Arc<StackParts>,
    threads: Vec<JoinHandle<()>>,
}

/// What plugs into the edge.
pub(super) struct Plugs {
    pub(super) door: Arc<dyn Door>,
    pub(super) api: Arc<dyn Handler>,
    pub(super) pages: Arc<dyn Pages>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// The limit of requests of any kind.
pub(super) fn request_limit(config: &Config) -> Arc<AddressLimit> {
    Arc::new(limit(config.rate_limit.per_address, &config.rate_limit))
}

/// The rules in force, from the configuration. Limits are handed in: they remember who came, and are made anew only where
/// they changed.
pub(super) fn rules(config: &Config, requests: Arc<AddressLimit>, joins: Arc<AddressLimit>) -> Rules {
    let of_drop = |drop: &DropConfig| {
        let id = drop.id.clone();
        drop.paths.clone().into_iter().map(move |path| (path, id.clone()))
    };
    let paths = config.drops.iter().flat_map(of_drop).collect();
    Rules {
        trusted: TrustedProxies::new(config.server.trusted_proxies.clone()),
        drops: PathTable::<DropId>::new(paths),
        per_address: Some(requests),
        joins_per_address: Some(joins),
        body: BodyLimits {
            bytes_max: config.server.max_body_bytes,
            idle: config.server.body_timeout.as_duration(),
            total: BODY_TOTAL.as_duration(),
        },
        api_body_bytes_max: API_BODY_BYTES_MAX,
        upgrades: if config.upstream.allow_upgrade {
            Upgrades::Allowed
        } else {
            Upgrades::Refused
        },
    }
}

/// The limit of joins, which the waiting room asks as well: a visit of the page may join.
pub(super) fn join_limit(config: &Config) -> Arc<AddressLimit> {
    Arc::new(limit(config.rate_limit.joins_per_address, &config.rate_limit))
}

fn limit(rate: Rate, settings: &RateLimitConfig) -> AddressLimit {
    let addresses_max = usize::try_from(settings.max_addresses).unwrap_or(usize::MAX);
    AddressLimit::new(rate, addresses_max).exempting(settings.exempt.clone())
}

impl Edge {
    /// Binds one listener per core and starts its runtime.
    pub(super) fn start(
        config: &Config,
        rules: Rules,
        plugs: Plugs,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let upstream = Upstream::new(proxy_config(config)?);
        let caps = Arc::new(ConnectionCaps::new(
            usize::try_from(config.server.max_connections)?,
            usize::try_from(config.server.max_connections_per_address)?,
        ));
        let parts = Arc::new(StackParts {
            rules: ArcSwap::from_pointee(rules),
            door: plugs.door,
            api: plugs.api,
            pages: plugs.pages,
            observer: plugs.observer,
            shedder: Shedder::new(IN_FLIGHT_MAX),
        });
        let mut listening = listener_config(config)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut threads = Vec::with_capacity(cores);
        for core in 0..cores {
            let part = Part {
                listening: listening.clone(),
                upstream: Arc::clone(&upstream),
                parts: Arc::clone(&parts),
                caps: Arc::clone(&caps),
                entropy: Arc::clone(&plugs.entropy),
                stop: stop.clone(),
            };
            let (thread, address) = part.start(core)?;
            // Port 0 is settled by the first; the others share it.
            listening.address = address;
            threads.push(thread);
        }
        Ok(Self {
            address: listening.address,
            parts,
            threads,
        })
    }

    /// Waits for every runtime to end. Call after `stop` was cancelled.
    pub(super) async fn join(self) {
        let waited = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the edge died of a panic");
                }
            }
        });
        // The blocking task does not panic and is not aborted.
        let _ = waited.await;
    }
}

/// One core's share of the edge.
struct Part {
    listening: ListenerConfig,
    upstream: Arc<Upstream>,
    parts: Arc<StackParts>,
    caps: Arc<ConnectionCaps>,
    entropy: Arc<dyn Entropy>,
    stop: CancellationToken,
}

impl Part {
    /// Binds within the new runtime, reports the address, and serves until stopped.
    fn start(self, core: usize) -> anyhow::Result<(JoinHandle<()>, std::net::SocketAddr)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let listener = Listener::bind(self.listening.clone())
            .with_context(|| format!("cannot listen on {}", self.listening.address))?;
        let address = listener.local_addr()?;
        drop(entered);
        let thread = std::thread::Builder::new()
            .name(format!("edge-{core}"))
            .spawn(move || {
                runtime.block_on(self.serve(listener));
            })?;
        Ok((thread, address))
    }

    async fn serve(self, listener: Listener) {
        let observer = Arc::clone(&self.parts.observer);
        let stack = Arc::new(Stack::new(
            Arc::clone(&self.parts),
            Proxy::new(self.upstream, Arc::clone(&observer)),
        ));
        let tending = stack.tend(self.stop.clone());
        let serving = listener.run(
            Arc::clone(&stack),
            self.caps,
            observer,
            self.entropy,
            self.stop.clone(),
        );
        tokio::join!(tending, serving);
    }
}

fn listener_config(config: &Config) -> anyhow::Result<ListenerConfig> {
    let server = &config.server;
    let tls = server
        .tls
        .as_ref()
        .map(|tls| server_tls(&tls.cert_file, &tls.key_file))
        .transpose()?;
    Ok(ListenerConfig {
        reuse_port: true,
        tls,
        trusted: TrustedProxies::new(server.trusted_proxies.clone()),
        deadlines: Deadlines {
            first_byte: server.first_byte_timeout.as_duration(),
            header: server.header_timeout.as_duration(),
            idle: server.idle_timeout.as_duration(),
            drain: server.drain_timeout.as_duration(),
            ..Deadlines::default()
        },
        ..ListenerConfig::plain(server.listen)
    })
}

/// How the upstream is reached.
fn proxy_config(config: &Config) -> anyhow::Result<ProxyConfig> {
    let upstream = &config.upstream;
    let proxy = ProxyConfig::new(
        upstream
            .url
            .to_string()
            .parse()
            .context("the upstream's address")?,
    );
    let tls = proxy
        .target
        .is_tls()
        .then(|| upstream_tls(std::path::Path::new(AUTHORITIES)))
        .transpose()?;
    Ok(ProxyConfig {
        tls,
        host: if upstream.preserve_host {
            HostPolicy::Client
        } else {
            HostPolicy::Target
        },
        connections_max: usize::try_from(upstream.max_connections)?,
        connect: upstream.connect_timeout.as_duration(),
        response_head: upstream.response_timeout.as_duration(),
        body_idle: upstream.body_timeout.as_duration(),
        keep_alive: upstream.idle_timeout.as_duration(),
        ..proxy
    })
}

#[cfg(test)]
mod tests;
