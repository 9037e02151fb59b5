//! An upstream that records what it is sent and answers what it is told to, byte by byte.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::client::find;

/// One request as the upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Which connection it came by, from 0.
    pub(crate) connection: usize,
    /// Which request of that connection it is, from 0.
    pub(crate) nth: usize,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} is there more than once: {}", self.head);
        values.first().copied()
    }
}

/// What to do with a socket.
pub(crate) type Act = Box<dyn FnOnce(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What to do about one request.
pub(crate) enum Reply {
    /// Write these bytes and go on.
    Say(Vec<u8>),
    /// Write these bytes and close.
    SayAndClose(Vec<u8>),
    /// Close without a word.
    Hang,
    /// Keep the connection open and say nothing.
    Wait,
    /// Do as this says with the socket, then close.
    Take(Act),
}

pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// Answers whole requests as `reply` says.
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(true, reply).await
    }

    /// Answers as soon as the head is there; bodies stay in the socket.
    pub(crate) async fn start_early(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(false, reply).await
    }

    async fn start_with(whole: bool, reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let reply = Arc::new(reply);
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(converse(
                    stream,
                    connection,
                    whole,
                    Arc::clone(&log),
                    Arc::clone(&reply),
                ));
            }
        });
        Self {
            addr,
            seen,
            _tasks: tasks,
        }
    }

    /// Answers every request with 200 and its own body.
    pub(crate) async fn echo() -> Self {
        Self::start(|seen| Reply::Say(ok(&seen.body))).await
    }

    /// Answers every request with 200 after `pause`.
    pub(crate) async fn unhurried(pause: Duration) -> Self {
        Self::start(move |_| {
            Reply::Take(Box::new(move |mut stream| {
                Box::pin(async move {
                    let mut buffer = [0; 4_096];
                    loop {
                        tokio::time::sleep(pause).await;
                        stream.write_all(&ok(b"turn")).await.unwrap();
                        if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                })
            }))
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

/// `200` with `body`.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    whole: bool,
    log: Arc<Mutex<Vec<Seen>>>,
    reply: Arc<impl Fn(&Seen) -> Reply>,
) {
    let mut buffer = Vec::new();
    for nth in 0.. {
        let Some(head) = read_head(&mut stream, &mut buffer).await else {
            return;
        };
        let mut seen = Seen {
            connection,
            nth,
            head,
            body: Vec::new(),
        };
        if whole {
            let Some(body) = read_body(&mut stream, &mut buffer, &seen).await else {
                return;
            };
            seen.body = body;
        }
        log.lock().unwrap().push(seen.clone());
        match reply(&seen) {
            Reply::Say(bytes) => stream.write_all(&bytes).await.unwrap(),
            Reply::SayAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Hang => return,
            Reply::Wait => std::future::pending().await,
            Reply::Take(act) => return act(stream).await,
        }
    }
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            return Some(String::from_utf8(buffer.drain(..end + 4).collect()).unwrap());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads one body, strictly: what is not well framed stops the test.
async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, seen: &Seen) -> Option<Vec<u8>> {
    let length = seen
        .value("content-length")
        .map(|length| length.parse::<usize>().unwrap());
    let Some(coding) = seen.value("transfer-encoding") else {
        return take(stream, buffer, length.unwrap_or(0)).await;
    };
    assert_eq!((coding, length), ("chunked", None), "{}", seen.head);
    let mut body = Vec::new();
    loop {
        while find(buffer, b"\r\n").is_none() {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        let end = find(buffer, b"\r\n").unwrap();
        let line = String::from_utf8(buffer.drain(..end + 2).collect()).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        body.extend(take(stream, buffer, size).await?);
        assert_eq!(
            take(stream, buffer, 2).await?,
            b"\r\n",
            "a chunk ends with CRLF, no trailers"
        );
        if size == 0 {
            return Some(body);
        }
    }
}

async fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}
