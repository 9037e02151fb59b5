//! A small closed-loop load generator on raw sockets: it must cost less than what it measures.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What a run of requests saw.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Requests answered with a status below 400.
    pub(crate) good: u64,
    /// Requests answered otherwise.
    pub(crate) bad: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Microseconds per request.
    pub(crate) latency: Histogram<u64>,
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer, without its body.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Status line and fields.
    pub(crate) head: String,
}

impl Connection {
    /// Connects without Nagle's delay.
    pub(crate) async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Sends `request` and reads one whole answer with a `Content-Length`.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        let length = content_length(&head);
        while self.buffer.len() < head_end + length {
            self.fill().await?;
        }
        self.buffer.drain(..head_end + length);
        Ok(Answer { status, head })
    }

    /// Sends a request whose answer never ends, and returns once its head has come.
    pub(crate) async fn subscribe(&mut self, request: &[u8]) -> std::io::Result<u16> {
        self.stream.write_all(request).await?;
        while find(&self.buffer, b"\r\n\r\n").is_none() {
            self.fill().await?;
        }
        Ok(std::str::from_utf8(&self.buffer[9..12])
            .ok()
            .and_then(|code| code.parse().ok())
            .unwrap_or(0))
    }

    async fn fill(&mut self) -> std::io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn content_length(head: &str) -> usize {
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    field.unwrap_or(0)
}

/// Sends `total` requests over `connections` connections as fast as answers come; each
/// connection asks `request` for the bytes of its next request.
pub(crate) async fn drive(
    address: SocketAddr,
    connections: usize,
    total: u64,
    request: impl Fn(u64) -> Arc<[u8]> + Send + Sync + 'static,
) -> Outcome {
    let (next, request) = (Arc::new(AtomicU64::new(0)), Arc::new(request));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (next, request) = (Arc::clone(&next), Arc::clone(&request));
        tasks.spawn(async move {
            let mut latency = Histogram::<u64>::new_with_max(60_000_000, 2).expect("valid bounds");
            let (mut good, mut bad) = (0_u64, 0_u64);
            let mut connection = Connection::open(address).await.expect("the server accepts");
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    return (good, bad, latency);
                }
                let sent = Instant::now();
                match connection.exchange(&request(index)).await {
                    Ok(answer) if answer.status < 400 => good += 1,
                    Ok(_) => bad += 1,
                    Err(_) => {
                        bad += 1;
                        connection = Connection::open(address).await.expect("the server accepts");
                    }
                }
                latency.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
        });
    }
    let mut all = Histogram::<u64>::new_with_max(60_000_000, 2).expect("valid bounds");
    let (mut good, mut bad) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        let (well, badly, latency) = done.expect("a connection's task does not panic");
        all.add(latency).expect("same bounds");
        good += well;
        bad += badly;
    }
    Outcome {
        good,
        bad,
        took: started.elapsed(),
        latency: all,
    }
}

/// Bytes of a GET with `fields` (each ending in CRLF).
pub(crate) fn get(path: &str, fields: &str) -> Arc<[u8]> {
    Arc::from(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes())
}
