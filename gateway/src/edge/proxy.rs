//! The reverse proxy: one upstream, pooled connections, bodies streamed both ways.
//!
//! A request drives its upstream connection within its own task: no task and no channel between
//! tasks per connection, so that a proxied request wakes once when the upstream answers. Requests
//! without a body are written and small answers read right on the socket; hyper does the rest. Idle
//! connections lie in a last-in-first-out pool of their runtime; whoever takes one looks first whether
//! it still lives. How many may be open is a matter of all runtimes together.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, Version, header};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{EdgeBody, RequestBody};
use super::headers::Added;
use super::observe::{Observer, UpstreamOutcome};

mod answer;
mod connect;
mod error;
mod holds;
mod link;
mod pool;
mod target;
mod tunnel;
mod turn;
mod upstream;

pub use answer::{UpstreamBody, UpstreamBodyError};
pub use connect::upstream_tls;
pub use error::{BodyFault, ProxyError};
pub(in crate::edge) use holds::Hold;
pub use target::{InvalidTarget, Target};
pub use tunnel::{requested_upgrade, set_upgrade};
pub use upstream::Upstream;

use answer::Returning;
use error::Failure;
use link::{Answer, Link};
use pool::Pool;
use turn::Turn;

/// How the upstream is reached and how long it may take.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where the upstream is.
    pub target: Target,
    /// TLS settings; needed where the target is `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Which `Host` the upstream sees.
    pub host: HostPolicy,
    /// Connections open at once, by all runtimes together. Half of them at most wait for clients, for
    /// bodies that are not wholly there or at the end of tunnels.
    pub connections_max: usize,
    /// Requests waiting for a connection at once, per runtime.
    pub waiting_max: usize,
    /// How long a request waits for a connection; and, before that, one whose body is not there, or
    /// one for a tunnel, for the right to let a connection wait.
    pub wait: Duration,
    /// How long connecting may take, TLS included.
    pub connect: Duration,
    /// From the last byte of the request to the head of the answer; and how long the upstream may
    /// take nothing of a request's body that is there.
    pub response_head: Duration,
    /// Between two pieces of the answer's body.
    pub body_idle: Duration,
    /// How long an idle connection is kept: below the upstream's own limit (Node: 5 s), so that
    /// we are the one who closes.
    pub keep_alive: Duration,
}

/// Which `Host` the upstream sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostPolicy {
    /// The one the client sent: right for a shop that makes links and cookies from it.
    Client,
    /// The target's own.
    Target,
}

/// Whether a request may turn its connection into a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upgrades {
    /// A 101 is a breach of the protocol.
    Refused,
    /// The request asks for it, see [`requested_upgrade`]; a 101 opens the tunnel.
    Allowed,
}

/// Proxies to one upstream from one runtime: connections belong to the runtime that opened them.
#[derive(Debug)]
pub struct Proxy {
    pool: Arc<Pool>,
    observer: Reporter,
    tunnels: TaskTracker,
    stop: CancellationToken,
}

/// The observer, hidden from `Debug`.
struct Reporter(Arc<dyn Observer>);

impl ProxyConfig {
    /// Reaches `target` with the default limits.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            tls: None,
            host: HostPolicy::Client,
            connections_max: 512,
            waiting_max: 4_096,
            wait: Duration::from_secs(2),
            connect: Duration::from_secs(3),
            response_head: Duration::from_secs(30),
            body_idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(4),
        }
    }
}

impl Proxy {
    /// Makes a proxy for the runtime it will be used on. Nothing is connected yet.
    pub fn new(upstream: Arc<Upstream>, observer: Arc<dyn Observer>) -> Self {
        Self {
            pool: Pool::new(upstream),
            observer: Reporter(observer),
            tunnels: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Sends one request, whose headers are fit for the upstream, with the `added` ones, and yields
    /// its answer as it came. The target of `parts` must be in origin form.
    ///
    /// A request without a body and with an idempotent method is sent a second time, on a fresh
    /// connection, if a pooled connection died before a byte of the answer; any request is, if the
    /// connection died before a byte of the request was sent.
    pub async fn send(
        &self,
        mut parts: Box<Parts>,
        added: Added,
        body: RequestBody,
        upgrades: Upgrades,
    ) -> Result<Response<EdgeBody>, ProxyError> {
        let mut turn = Turn::upstream();
        self.prepare(&mut parts);
        let repeatable = body.is_empty() && is_idempotent(&parts.method);
        let result = if upgrades == Upgrades::Refused && repeatable {
            self.ask(parts, added, &mut turn).await
        } else {
            added.put_into(&mut parts.headers);
            match upgrades {
                Upgrades::Allowed => self.upgrade(parts, body, &mut turn).await,
                Upgrades::Refused => self.exchange(parts, body, &mut turn).await,
            }
        };
        let outcome = match &result {
            Ok(response) if response.status().is_server_error() => UpstreamOutcome::ServerError,
            Ok(_) => UpstreamOutcome::Answered,
            // Who lets the upstream wait for a body may not blame it for having hung up.
            Err(ProxyError::Broken(_)) if turn.is_clients() => UpstreamOutcome::ClientFailed,
            Err(error) => error.outcome(),
        };
        self.observer.0.upstream(outcome, turn.took());
        result
    }

    /// Closes idle connections whose time is over. Call it every second or so.
    pub fn prune(&self) {
        self.pool.prune();
    }

    /// Connections open right now, idle ones included, of all runtimes together.
    pub fn open_connections(&self) -> usize {
        self.pool.upstream().open()
    }

    async fn exchange(
        &self,
        parts: Box<Parts>,
        mut body: RequestBody,
        turn: &mut Turn,
    ) -> Result<Response<EdgeBody>, ProxyError> {
        let config = self.pool.config();
        let (deadline, wait) = (config.response_head, config.wait);
        // Before a connection is taken: what waits for a client holds one that others could use.
        let holds = self.pool.upstream().holds();
        holds.admit(&mut body, wait, turn).await?;
        let mut link = self.pool.take(turn).await?;
        let request = Request::from_parts(*parts, body);
        let failure = match link.exchange(request, deadline, turn).await {
            Ok(response) => return self.answer(response, link),
            Err(failure) => failure,
        };
        let reused = link.is_reused();
        drop(link); // frees its slot for the second try
        let again = match failure {
            Failure::NotSent(request) if reused => *request,
            failure @ (Failure::NotSent(_) | Failure::Died(_) | Failure::Final(_)) => {
                return Err(failure.into());
            }
        };
        self.observer.0.upstream_retried();
        let mut link = self.pool.open_fresh(turn).await?;
        let response = link.exchange(again, deadline, turn).await?;
        self.answer(response, link)
    }

    /// The exchange of a request that may be repeated.
    async fn ask(
        &self,
        mut parts: Box<Parts>,
        added: Added,
        turn: &mut Turn,
    ) -> Result<Response<EdgeBody>, ProxyError> {
        let deadline = self.pool.config().response_head;
        let mut link = self.pool.take(turn).await?;
        let mut answer = link.ask(&mut parts, &added, deadline).await;
        if matches!(answer, Err(Failure::Died(_))) && link.is_reused() {
            drop(link); // frees its slot for the second try
            self.observer.0.upstream_retried();
            link = self.pool.open_fresh(turn).await?;
            answer = link.ask(&mut parts, &added, deadline).await;
        }
        match answer? {
            Answer::Whole { response, keeps } => {
                if keeps {
                    self.pool.give_back(link);
                }
                Ok(response.map(EdgeBody::full))
            }
            Answer::Begun(read) => {
                let response = link.read_on(*parts, read).await?;
                self.answer(response, link)
            }
        }
    }

    async fn upgrade(
        &self,
        parts: Box<Parts>,
        body: RequestBody,
        turn: &mut Turn,
    ) -> Result<Response<EdgeBody>, ProxyError> {
        let (response, link, tunnel) = tunnel::open(&self.pool, parts, body, turn).await?;
        let Some(tunnel) = tunnel else {
            return self.answer(response, link);
        };
        let stop = self.stop.clone();
        self.tunnels.spawn(async move {
            let _ = stop.run_until_cancelled(tunnel::carry(tunnel, link)).await;
        });
        Ok(response.map(|_| EdgeBody::empty()))
    }

    fn prepare(&self, parts: &mut Parts) {
        // Origin form and one version, whatever the client spoke.
        parts.version = Version::HTTP_11;
        if parts.uri.authority().is_some() {
            let target = parts.uri.path_and_query().cloned();
            parts.uri = target.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
        }
        if self.pool.config().host == HostPolicy::Target {
            parts
                .headers
                .insert(header::HOST, self.pool.config().target.host_header());
        }
    }

    fn answer(
        &self,
        response: Response<hyper::body::Incoming>,
        link: Link,
    ) -> Result<Response<EdgeBody>, ProxyError> {
        let (mut parts, incoming) = response.into_parts();
        if parts.status.is_informational() {
            return Err(ProxyError::Broken(None)); // a tunnel that nobody asked for
        }
        // Our answer's version is the client's affair; two lengths are nobody's.
        parts.version = Version::HTTP_11;
        if parts.headers.contains_key(header::TRANSFER_ENCODING) {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let returning = Returning::new(link, Arc::clone(&self.pool));
        Ok(Response::from_parts(parts, answer::body(incoming, returning)))
    }
}

/// Tunnels end with the proxy that opened them.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// Methods whose repetition changes nothing (RFC 9110, section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}
