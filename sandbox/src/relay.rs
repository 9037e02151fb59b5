//! A TCP relay on loopback: a small round-robin in front of several servers, and a bad wire between any
//! two of ours. It can delay what passes, cut every connection, or swallow everything without a word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a connection to a target may take before the next target is tried.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Bytes carried at once.
const CHUNK: usize = 16 * 1024;

/// What the wire does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Weather {
    /// Everything passes.
    #[default]
    Clear,
    /// Everything passes late, in each direction.
    Slow(Duration),
    /// Connections are cut, and new ones too.
    Cut,
    /// Connections stay open, new ones are taken, and nothing passes.
    BlackHole,
}

/// A running relay. It ends when dropped.
pub struct Relay {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

struct Shared {
    targets: Vec<SocketAddr>,
    carried: Vec<AtomicU64>,
    next: AtomicUsize,
}

impl Relay {
    /// Listens on a free port and carries each connection to the next of `targets` that takes it.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(targets: Vec<SocketAddr>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let carried = targets.iter().map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            targets,
            carried,
            next: AtomicUsize::new(0),
        });
        let (weather, stop) = (watch::Sender::default(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            Arc::clone(&shared),
            weather.subscribe(),
            stop.clone(),
        ));
        Ok(Self {
            address,
            weather,
            shared,
            stop,
            _tasks: tasks,
        })
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Connections carried to each target so far.
    #[must_use]
    pub fn carried(&self) -> Vec<u64> {
        let counts = self.shared.carried.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    weather: watch::Receiver<Weather>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            () = stop.cancelled() => return,
            taken = listener.accept() => taken,
        };
        while connections.try_join_next().is_some() {}
        if let Ok((client, _)) = client {
            connections.spawn(carry(client, Arc::clone(&shared), weather.clone()));
        }
    }
}

/// One connection, until either side ends it or the weather does.
async fn carry(mut client: TcpStream, shared: Arc<Shared>, weather: watch::Receiver<Weather>) {
    if *weather.borrow() == Weather::Cut {
        return;
    }
    let mut until_clear = weather.clone();
    // A connection that is taken in a black hole goes nowhere until the weather changes.
    let passable = until_clear.wait_for(|weather| *weather != Weather::BlackHole);
    if passable.await.is_err() {
        return;
    }
    let Some(mut server) = shared.connect().await else {
        return;
    };
    for stream in [&client, &server] {
        // Only latency is lost where the option cannot be set.
        let _ = stream.set_nodelay(true);
    }
    let mut cut = weather.clone();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        _ = cut.wait_for(|weather| *weather == Weather::Cut) => {}
        ((), ()) = async {
            tokio::join!(
                pour(&mut from_client, &mut to_server, weather.clone()),
                pour(&mut from_server, &mut to_client, weather.clone()),
            )
        } => {}
    }
}

/// Carries one direction until it ends, and passes the end on.
async fn pour(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let now = *weather.borrow();
        if let Weather::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if weather
            .wait_for(|weather| *weather != Weather::BlackHole)
            .await
            .is_err()
        {
            return;
        }
        let Some(bytes) = chunk.get(..length) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    // The other side may have gone already.
    let _ = to.shutdown().await;
}

impl Shared {
    /// Connects to the next target in turn; one that is away is passed over.
    async fn connect(&self) -> Option<TcpStream> {
        for _ in 0..self.targets.len() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.targets.len();
            let (target, carried) = (self.targets.get(turn)?, self.carried.get(turn)?);
            if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(target)).await {
                carried.fetch_add(1, Ordering::Relaxed);
                return Some(stream);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each connection with its name and then repeats what it is told.
    async fn echo(name: &'static str, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    if to.write_all(name.as_bytes()).await.is_ok() {
                        let _ = tokio::io::copy(&mut from, &mut to).await;
                    }
                });
            }
        });
        address
    }

    async fn said(stream: &mut TcpStream) -> String {
        let mut word = [0; 1];
        match stream.read(&mut word).await {
            Ok(1) => String::from_utf8_lossy(&word).into_owned(),
            _ => String::new(),
        }
    }

    #[tokio::test]
    async fn connections_go_to_the_targets_in_turn_and_pass_over_one_that_is_away() {
        let mut tasks = JoinSet::new();
        let (a, b) = (echo("a", &mut tasks).await, echo("b", &mut tasks).await);
        let away = {
            let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
            taken.local_addr().unwrap()
        };
        let relay = Relay::start(vec![a, b, away]).await.unwrap();
        let mut heard = String::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(relay.address()).await.unwrap();
            heard += &said(&mut stream).await;
        }
        assert_eq!(heard, "abab");
        assert_eq!(relay.carried(), [2, 2, 0]);
    }

    #[tokio::test]
    async fn a_cut_ends_open_connections_and_new_ones_until_it_clears() {
        let mut tasks = JoinSet::new();
        let relay = Relay::start(vec![echo("a", &mut tasks).await]).await.unwrap();
        let mut open = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(said(&mut open).await, "a");
        relay.set(Weather::Cut);
        assert_eq!(said(&mut open).await, "");
        let mut refused = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(said(&mut refused).await, "");
        relay.set(Weather::Clear);
        let mut fresh = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(said(&mut fresh).await, "a");
    }

    #[tokio::test]
    async fn a_black_hole_swallows_until_it_clears() {
        let mut tasks = JoinSet::new();
        let relay = Relay::start(vec![echo("a", &mut tasks).await]).await.unwrap();
        let mut open = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(said(&mut open).await, "a");
        relay.set(Weather::BlackHole);
        open.write_all(b"x").await.unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(200), said(&mut open)).await;
        assert!(silent.is_err(), "nothing passes");
        relay.set(Weather::Clear);
        assert_eq!(said(&mut open).await, "x");
    }
}
