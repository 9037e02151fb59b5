//! TLS and HTTP/2: both protocols by ALPN, and the floods that HTTP/2 invites.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::edge::listener::server_tls;
use gateway::edge::proxy::upstream_tls;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::client::{Raw, find};
use crate::support::upstream::Upstream;
use crate::support::{Gateway, PATIENCE, Setup, eventually};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge_sockets/certs/cert.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge_sockets/certs/key.pem");

/// Frame types and flags of RFC 9113.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:method GET`, `:scheme https`, `:path /`, `:authority localhost`, in HPACK.
pub(crate) const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
/// The same with `:method POST`.
const POST: &[u8] = b"\x83\x87\x84\x41\x09localhost";

pub(crate) fn over_tls(upstream: &Upstream) -> Setup {
    let mut setup = Setup::before(upstream.addr);
    setup.listener.tls = Some(server_tls(Path::new(CERTIFICATE), Path::new(KEY)).unwrap());
    setup
}

fn connector(protocol: &[u8]) -> TlsConnector {
    let mut config = (*upstream_tls(Path::new(CERTIFICATE)).unwrap()).clone();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

pub(crate) async fn tls(gateway: &Gateway, protocol: &[u8]) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    connector(protocol).connect(name, stream).await.unwrap()
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

async fn h2(gateway: &Gateway) -> TlsStream<TcpStream> {
    let mut stream = tls(gateway, b"h2").await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

#[tokio::test]
async fn http_1_is_spoken_over_tls() {
    let upstream = Upstream::echo().await;
    let gateway = over_tls(&upstream).start();
    let mut raw = Raw::over(tls(&gateway, b"http/1.1").await);
    for _ in 0..2 {
        raw.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
            .await;
        assert_eq!(raw.answer().await.text(), "hi");
    }
    assert_eq!(upstream.seen()[0].value("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn a_request_that_comes_with_the_handshake_is_answered() {
    // Its bytes are decrypted with the handshake's last flight: the socket itself never becomes
    // readable again, and whoever waits for that waits for ever.
    let upstream = Upstream::echo().await;
    let gateway = over_tls(&upstream).start();
    let stream = TcpStream::connect(gateway.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connecting = connector(b"http/1.1").connect_with(name, stream, |session| {
        use std::io::Write as _;
        session
            .writer()
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
    });
    let mut raw = Raw::over(connecting.await.unwrap());
    assert_eq!(raw.answer().await.status, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let upstream = Upstream::echo().await;
    let mut setup = over_tls(&upstream);
    setup.listener.deadlines.first_byte = Duration::from_millis(150);
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(b"\x16\x03\x01").await; // the beginning of a ClientHello
    assert_eq!(raw.rest().await, b"");
    let mut shaken = tls(&gateway, b"http/1.1").await; // shaken hands, then silence
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, shaken.read_to_end(&mut rest))
        .await
        .expect("cut");
    eventually("both cut", || gateway.counts.of("ended first_byte") == 2).await;
}

#[tokio::test]
async fn http_2_is_spoken_over_tls() {
    let upstream = Upstream::echo().await;
    let gateway = over_tls(&upstream).start();
    let io = hyper_util::rt::TokioIo::new(tls(&gateway, b"h2").await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, driver) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(driver);
    for n in 0..3 {
        let body = http_body_util::Full::new(bytes::Bytes::from(format!("body {n}")));
        let request = http::Request::post("https://localhost/some//path?q")
            .body(body)
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("x-request-id"));
        let body = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body, format!("body {n}"));
    }
    let seen = &upstream.seen()[0];
    assert_eq!(seen.line(), "POST /some/path?q HTTP/1.1");
    assert_eq!(
        (seen.value("host"), seen.value("x-forwarded-proto")),
        (Some("localhost"), Some("https"))
    );
}

#[tokio::test]
async fn a_shutdown_ends_http_2_connections_too() {
    let upstream = Upstream::echo().await;
    let mut gateway = over_tls(&upstream).start();
    let mut stream = h2(&gateway).await;
    stream
        .write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, GET))
        .await
        .unwrap();
    eventually("served", || gateway.counts.of("request open ok") == 1).await;
    gateway.stop.cancel();
    tokio::time::timeout(PATIENCE, acknowledge_until_closed(stream))
        .await
        .expect("closed");
    gateway.ended().await;
    assert_eq!(gateway.counts.of("ended drained"), 0);
}

/// Reads frames and answers each PING, as every client does, until the connection ends.
async fn acknowledge_until_closed(mut stream: TlsStream<TcpStream>) {
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == PING && head[4] & ACK == 0 {
            let _ = stream.write_all(&frame(PING, ACK, 0, &payload)).await;
        }
    }
}

/// Sends what `flood` makes until the gateway has had enough; panics if it never has.
async fn endures(gateway: &Gateway, first: &[u8], flood: impl Fn(u32) -> Vec<u8>) {
    let mut stream = h2(gateway).await;
    stream.write_all(first).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let pour = async {
        for n in 0..2_000_000 {
            if writer.write_all(&flood(n)).await.is_err() {
                return;
            }
        }
        panic!("the gateway took the whole flood");
    };
    let listen = async {
        let mut heard = Vec::new();
        let _ = reader.read_to_end(&mut heard).await;
    };
    let flooded = async {
        tokio::select! { () = pour => {}, () = listen => {} }
    };
    tokio::time::timeout(PATIENCE * 3, flooded)
        .await
        .expect("the connection ends");
    let mut other = Raw::over(tls(gateway, b"http/1.1").await);
    assert_eq!(other.get("/", "").await.status, 200, "others are served");
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let upstream = Upstream::echo().await;
    let gateway = over_tls(&upstream).start();
    endures(&gateway, &[], |n| {
        let id = 2 * n + 1;
        let cancel = 8_u32.to_be_bytes();
        [
            frame(HEADERS, END_STREAM | END_HEADERS, id, GET),
            frame(RST_STREAM, 0, id, &cancel),
        ]
        .concat()
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let upstream = Upstream::echo().await;
    let gateway = over_tls(&upstream).start();
    let first = frame(HEADERS, END_STREAM, 1, GET);
    let line = [b"\x00\x03x-a\x7f\x00".as_slice(), &[b'x'; 127]].concat();
    endures(&gateway, &first, |_| frame(CONTINUATION, 0, 1, &line)).await;
}

#[tokio::test]
async fn a_flood_of_empty_data_is_cut_by_the_bodys_deadline() {
    let upstream = Upstream::echo().await;
    let mut setup = over_tls(&upstream);
    setup.rules.body.total = Duration::from_millis(300);
    let gateway = setup.start();
    let mut stream = h2(&gateway).await;
    stream
        .write_all(&frame(HEADERS, END_HEADERS, 1, POST))
        .await
        .unwrap();
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let pour = async { while writer.write_all(&empty).await.is_ok() {} };
    let listen = async {
        let mut heard = Vec::new();
        // Its answer, or the end of the connection.
        while find(&heard, b"/.doorline/problems/request-timeout").is_none() {
            if reader.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
        }
    };
    let flooded = async {
        tokio::select! { () = pour => {}, () = listen => {} }
    };
    tokio::time::timeout(PATIENCE, flooded)
        .await
        .expect("the flood ends");
    assert!(upstream.seen().is_empty());
    let mut other = Raw::over(tls(&gateway, b"http/1.1").await);
    assert_eq!(other.get("/", "").await.status, 200);
}
