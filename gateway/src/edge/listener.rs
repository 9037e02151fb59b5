//! The accept loop: who may connect, how many, how long they may take, and how all of it ends.
//!
//! One [`Listener`] runs on one runtime. For a runtime per core, bind one listener per runtime to
//! the same address with [`ListenerConfig::reuse_port`] and share one [`ConnectionCaps`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Entropy;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::EdgeBody;
use super::connection::Connection;
use super::door::AnswerFuture;
use super::observe::{ConnectionEnd, Observer};

mod answering;
mod caps;
mod drain;
mod refuse;
mod serve;
mod socket;
mod streams;
mod supervise;
mod tls;
mod watched;

pub use caps::ConnectionCaps;
pub use tls::{TlsError, server_tls};

use caps::Claim;
use drain::Drain;

/// How long the loop rests when the process is out of file descriptors.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// Answers the requests of all connections of a listener.
pub trait Serve: Send + Sync + 'static {
    /// Answers one request of `connection`, at once where nothing has to be waited for.
    fn serve(self: &Arc<Self>, request: Request<Incoming>, connection: &Arc<Connection>) -> Answer;
}

/// An answer, or the making of one. Most answers of a waiting room are known at once; they are spared
/// the future that carries a request to the upstream, which is many times as large as they are.
pub enum Answer {
    /// Here it is.
    Ready(Response<EdgeBody>),
    /// Something has to be waited for.
    Later(AnswerFuture),
}

/// How a listener treats its connections.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Connections the kernel may hold for us to accept.
    pub backlog: i32,
    /// Let several listeners share the address (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Speak TLS; HTTP/2 where the configuration offers it by ALPN.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Proxies whose connections do not count per address.
    pub trusted: super::address::TrustedProxies,
    /// Deadlines.
    pub deadlines: Deadlines,
}

/// How long a client may take. What takes longer ends in a closed connection, or a reset stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadlines {
    /// From accepting to the first byte, and to the end of a TLS handshake.
    pub first_byte: Duration,
    /// From the first byte of a request head to its last.
    pub header: Duration,
    /// Without a request; kept to within twice.
    pub idle: Duration,
    /// Without taking a byte of an answer; kept to within twice. On a stream of HTTP/2, without
    /// taking a frame; that ends the stream alone.
    pub write: Duration,
    /// From the beginning of a shutdown to the end of the last answer.
    pub drain: Duration,
}

/// A bound socket that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    config: ListenerConfig,
}

/// What a connection's task needs, shared by all of them.
struct Shared<S> {
    service: Arc<S>,
    config: ListenerConfig,
    caps: Arc<ConnectionCaps>,
    observer: Arc<dyn Observer>,
    entropy: Arc<dyn Entropy>,
    drain: Arc<Drain>,
    tasks: TaskTracker,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

impl ListenerConfig {
    /// Plain HTTP on `address` with default deadlines.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            backlog: 4_096,
            reuse_port: false,
            tls: None,
            trusted: super::address::TrustedProxies::default(),
            deadlines: Deadlines::default(),
        }
    }
}

impl Listener {
    /// Binds the socket. Must be called within the runtime that will run the listener.
    pub fn bind(config: ListenerConfig) -> io::Result<Self> {
        let socket = TcpListener::from_std(socket::bind(&config)?)?;
        Ok(Self { socket, config })
    }

    /// Where the socket listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts and serves until `stop` is cancelled, then closes the socket, lets requests in
    /// flight finish until the drain deadline, cuts what is left, and returns.
    pub async fn run<S: Serve>(
        self,
        service: Arc<S>,
        caps: Arc<ConnectionCaps>,
        observer: Arc<dyn Observer>,
        entropy: Arc<dyn Entropy>,
        stop: CancellationToken,
    ) {
        let Self { socket, config } = self;
        let drain_deadline = config.deadlines.drain;
        let (drain, tasks) = (Arc::new(Drain::default()), TaskTracker::new());
        let shared = Arc::new(Shared {
            service,
            config,
            caps,
            observer,
            entropy,
            drain,
            tasks,
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => shared.admit(stream, peer),
                Err(error) => rest_after(&error, &stop).await,
            }
        }
        drop(socket);
        shared.wind_down(drain_deadline).await;
    }
}

impl<S: Serve> Shared<S> {
    /// Takes the connection in, or turns it away with an answer that says why.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Failing to disable Nagle costs latency, not correctness.
        let _ = stream.set_nodelay(true);
        let counted = !self.config.trusted.contains(peer.ip());
        match self.caps.claim(peer.ip(), counted) {
            Ok(claim) => self.spawn(stream, peer, claim),
            Err(why) => {
                self.observer.connection_ended(why);
                if let Some(place) = self.caps.claim_refusal().filter(|_| self.config.tls.is_none()) {
                    self.tasks.spawn(refuse::turn_away(stream, why, place));
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, claim: Claim) {
        let shared = Arc::clone(self);
        let guard = TaskGuard::new(Arc::clone(&self.observer));
        self.observer.connection_opened();
        self.tasks.spawn(async move {
            let why = serve::connection(&shared, stream, peer).await;
            if let Some(why) = why {
                shared.observer.connection_ended(why);
            }
            drop(claim);
            drop(guard);
        });
    }

    async fn wind_down(&self, deadline: Duration) {
        self.tasks.close();
        self.drain.begin();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            self.drain.cut();
            self.tasks.wait().await;
        }
    }
}

/// Counts the end of a connection's task, and its panic if it died of one.
struct TaskGuard {
    observer: Arc<dyn Observer>,
}

impl TaskGuard {
    const fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer }
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.observer.connection_closed();
        if std::thread::panicking() {
            self.observer.panicked();
            self.observer.connection_ended(ConnectionEnd::Broken);
        }
    }
}

/// Out of descriptors, accepting again at once would only spin; anything else concerns the one
/// connection that failed before it began.
async fn rest_after(error: &io::Error, stop: &CancellationToken) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    ) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections; resting before the next try");
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(EXHAUSTED_REST) => {}
    }
}
