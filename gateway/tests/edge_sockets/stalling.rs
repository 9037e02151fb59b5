//! Clients of HTTP/2 that give a stream no room: they cost their stream, and nothing of ours.

use std::time::Duration;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::multiplexed::{
    ACK, DATA, END_HEADERS, END_STREAM, GET, HEADERS, PING, RST_STREAM, SETTINGS, frame, over_tls, tls,
};
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::{Gateway, PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(150);
const WINDOW_UPDATE: u8 = 8;
const PIECE: u32 = 16 * 1_024;

/// A client that keeps its connection alive and gives its streams `window` bytes to begin with.
struct Client(TlsStream<TcpStream>);

impl Client {
    async fn connect(gateway: &Gateway, window: u32) -> Self {
        let mut stream = tls(gateway, b"h2").await;
        let initial_window = [&[0, 4], window.to_be_bytes().as_slice()].concat();
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &initial_window),
            // The connection itself has room for everything.
            frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes()),
        ];
        stream.write_all(&hello.concat()).await.unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn ask(&mut self, id: u32, block: &[u8]) {
        self.send(&frame(HEADERS, END_STREAM | END_HEADERS, id, block))
            .await;
    }

    /// The next frame of a stream: its kind, flags and payload. PINGs are answered on the way.
    async fn next(&mut self) -> (u8, u8, Vec<u8>) {
        loop {
            let mut head = [0; 9];
            let read = timeout(PATIENCE, self.0.read_exact(&mut head)).await;
            read.expect("a frame comes").unwrap();
            let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            self.0.read_exact(&mut payload).await.unwrap();
            if head[3] == PING && head[4] & ACK == 0 {
                self.send(&frame(PING, ACK, 0, &payload)).await;
            } else if head[5..] != [0; 4] {
                return (head[3], head[4], payload);
            }
        }
    }

    /// Reads the rest of a stream; says how many bytes came, and whether it ended well.
    async fn rest(&mut self) -> (usize, bool) {
        let mut bytes = 0;
        loop {
            let (kind, flags, payload) = self.next().await;
            if kind == RST_STREAM {
                return (bytes, false);
            }
            if kind == DATA {
                bytes += payload.len();
            }
            if flags & END_STREAM != 0 {
                return (bytes, true);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_without_room_is_reset_and_its_upstream_let_go() {
    let upstream = Upstream::start(|_| {
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                let _ = stream.write_all(&ok(&vec![b'x'; 1 << 20])).await;
                std::future::pending::<()>().await;
            })
        }))
    })
    .await;
    let mut setup = over_tls(&upstream);
    setup.listener.deadlines.write = SHORT;
    let gateway = setup.start();
    for window in [0, 1, PIECE] {
        let mut client = Client::connect(&gateway, window).await;
        client.ask(1, GET).await;
        let (bytes, whole) = client.rest().await;
        assert!(!whole, "{window}");
        assert!(bytes <= usize::try_from(window).unwrap(), "{window}: {bytes}");
        eventually("the upstream is let go", || {
            gateway.stack.upstream_connections() == 0
        })
        .await;
        // The stream alone was ended: its connection serves the next one.
        client.ask(3, GET).await;
        assert_eq!(client.next().await.0, HEADERS);
    }
}

#[tokio::test]
async fn an_answer_of_ours_without_room_is_reset_too() {
    let upstream = Upstream::echo().await;
    let mut setup = over_tls(&upstream);
    setup.listener.deadlines.write = SHORT;
    let page = || async { "x".repeat(100_000) };
    setup.router = axum::Router::new().route("/.doorline/page", get(page));
    let gateway = setup.start();
    for window in [0, 1] {
        let mut client = Client::connect(&gateway, window).await;
        // `:method GET`, `:scheme https`, `:path`, `:authority localhost`.
        client
            .ask(1, b"\x82\x87\x44\x0f/.doorline/page\x41\x09localhost")
            .await;
        assert!(!client.rest().await.1, "{window}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_takes_an_answer_slowly_gets_all_of_it() {
    let upstream = Upstream::start(|_| Reply::Say(ok(&vec![b'x'; 16 * PIECE as usize]))).await;
    let mut setup = over_tls(&upstream);
    setup.listener.deadlines.write = SHORT * 5;
    let gateway = setup.start();
    let mut client = Client::connect(&gateway, 0).await;
    client.ask(1, GET).await;
    assert_eq!(client.next().await.0, HEADERS);
    let mut bytes = 0;
    while bytes < 16 * PIECE as usize {
        tokio::time::sleep(SHORT).await;
        client
            .send(&frame(WINDOW_UPDATE, 0, 1, &PIECE.to_be_bytes()))
            .await;
        let mut room = PIECE as usize;
        while room > 0 {
            let (kind, _, payload) = client.next().await;
            assert_eq!(kind, DATA);
            bytes += payload.len();
            room -= payload.len();
        }
    }
}

#[tokio::test]
async fn a_pause_of_the_upstreams_is_not_the_clients() {
    let upstream = Upstream::start(|_| {
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                let answer = ok(b"first and later");
                let (first, later) = answer.split_at(answer.len() - 5);
                stream.write_all(first).await.unwrap();
                tokio::time::sleep(SHORT * 4).await;
                stream.write_all(later).await.unwrap();
                std::future::pending::<()>().await;
            })
        }))
    })
    .await;
    let mut setup = over_tls(&upstream);
    setup.listener.deadlines.write = SHORT;
    let gateway = setup.start();
    let mut client = Client::connect(&gateway, PIECE).await;
    client.ask(1, GET).await;
    assert_eq!(client.rest().await, (15, true));
}
