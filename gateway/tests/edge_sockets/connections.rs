//! Connections: deadlines, caps, panics and the end of it all.

use std::time::Duration;

use axum::routing::get;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream};
use crate::support::{Setup, eventually};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.first_byte = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.rest().await, b"");
    eventually("first byte missed", || gateway.counts.of("ended first_byte") == 1).await;
    eventually("closed", || gateway.counts.of("closed") == 1).await;
}

#[tokio::test]
async fn a_dripping_header_is_cut_whatever_its_pace() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.header = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ").await;
    // One byte at a time, for ever: each is progress, none may push the deadline back.
    let drip = async {
        while raw.stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, drip)
        .await
        .expect("the connection is cut");
    eventually("header missed", || gateway.counts.of("ended header") == 1).await;
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn the_second_header_of_a_connection_has_its_deadline_too() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.header = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/", "").await.status, 200);
    raw.send("GET / HTTP/1.1\r\nHost: a").await;
    assert_eq!(raw.rest().await, b"");
    eventually("header missed", || gateway.counts.of("ended header") == 1).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_a_busy_one_is_not() {
    let upstream = Upstream::start(|_| {
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                tokio::time::sleep(SHORT * 6).await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
                    .await
                    .unwrap();
                std::future::pending::<()>().await;
            })
        }))
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.idle = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/", "").await.text(), "slow");
    assert_eq!(raw.rest().await, b"");
    eventually("idle", || gateway.counts.of("ended idle") == 1).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut() {
    let big = vec![b'x'; 64 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", big.len());
    let answer = [head.into_bytes(), big].concat();
    let upstream = Upstream::start(move |_| {
        let answer = answer.clone();
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                let _ = stream.write_all(&answer).await;
            })
        }))
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.write = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("write stalled", || gateway.counts.of("ended write_stalled") == 1).await;
}

#[tokio::test]
async fn at_capacity_a_connection_is_told_so() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.caps = gateway::edge::listener::ConnectionCaps::new(1, 10);
    let gateway = setup.start();
    let mut first = Raw::connect(gateway.addr).await;
    assert_eq!(first.get("/", "").await.status, 200);
    let mut second = Raw::connect(gateway.addr).await;
    let answer = second.get("/", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.json()["type"], "/.doorline/problems/overloaded");
    assert_eq!(second.rest().await, b"");
    drop(first);
    eventually("room again", || gateway.counts.of("closed") == 1).await;
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 200);
}

#[tokio::test]
async fn one_address_cannot_hold_every_connection() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.caps = gateway::edge::listener::ConnectionCaps::new(100, 2);
    let gateway = setup.start();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(gateway.addr).await;
        assert_eq!(raw.get("/", "").await.status, 200);
        held.push(raw);
    }
    let answer = Raw::connect(gateway.addr).await.get("/", "").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.json()["type"], "/.doorline/problems/too-many-connections");
    assert_eq!(gateway.counts.of("ended per_address"), 1);
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_do_not_count_per_address() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.caps = gateway::edge::listener::ConnectionCaps::new(100, 1);
    setup.listener.trusted =
        gateway::edge::address::TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let gateway = setup.start();
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::connect(gateway.addr).await;
        assert_eq!(raw.get("/", "").await.status, 200);
        held.push(raw);
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_nothing_else() {
    async fn boom() -> &'static str {
        panic!("a bug in a handler")
    }
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.router = axum::Router::new().route("/.doorline/boom", get(boom));
    let gateway = setup.start();
    let mut other = Raw::connect(gateway.addr).await;
    assert_eq!(other.get("/", "").await.status, 200);
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET /.doorline/boom HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(raw.rest().await, b"");
    eventually("counted", || gateway.counts.of("panicked") == 1).await;
    assert_eq!(gateway.counts.of("request api abandoned"), 1);
    assert_eq!(other.get("/", "").await.status, 200);
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 200);
}

/// An upstream whose first answer waits until it is told to come.
async fn held_upstream() -> (Upstream, std::sync::Arc<tokio::sync::Notify>) {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let wait = go.clone();
    let upstream = Upstream::start(move |_| {
        let wait = wait.clone();
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                wait.notified().await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
                    .await
                    .unwrap();
            })
        }))
    })
    .await;
    (upstream, go)
}

#[tokio::test]
async fn a_shutdown_lets_what_was_begun_finish() {
    let (upstream, go) = held_upstream().await;
    let mut gateway = Setup::before(upstream.addr).start();
    let mut idle = Raw::connect(gateway.addr).await;
    let mut silent = Raw::connect(gateway.addr).await;
    let mut busy = Raw::connect(gateway.addr).await;
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.get("/.doorline/none", "").await.status, 404);
    eventually("in flight", || upstream.seen().len() == 1).await;

    gateway.stop.cancel();
    assert_eq!(idle.rest().await, b"");
    assert_eq!(silent.rest().await, b"");
    eventually("no longer accepting", || {
        std::net::TcpStream::connect(gateway.addr).is_err()
    })
    .await;

    go.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"));
    assert_eq!(busy.rest().await, b"");
    gateway.ended().await;
    assert_eq!(gateway.counts.of("ended drained"), 0);
    assert_eq!(gateway.counts.of("opened"), gateway.counts.of("closed"));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (upstream, _go) = held_upstream().await;
    let mut setup = Setup::before(upstream.addr);
    setup.listener.deadlines.drain = SHORT;
    let mut gateway = setup.start();
    let mut busy = Raw::connect(gateway.addr).await;
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("in flight", || upstream.seen().len() == 1).await;
    gateway.stop.cancel();
    gateway.ended().await;
    assert_eq!(busy.rest().await, b"");
    assert_eq!(gateway.counts.of("ended drained"), 1);
    assert_eq!(gateway.counts.of("request open abandoned"), 1);
}

#[tokio::test]
async fn the_address_can_be_bound_again_at_once_and_shared() {
    let upstream = Upstream::echo().await;
    let mut gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/", "").await.status, 200);
    gateway.stop.cancel();
    gateway.ended().await;
    let mut setups = (0..2).map(|_| {
        let mut setup = Setup::before(upstream.addr);
        setup.listener.address = gateway.addr;
        setup.listener.reuse_port = true;
        setup
    });
    let one = setups.next().unwrap().start();
    let two = setups.next().unwrap().start();
    for _ in 0..20 {
        let stream = TcpStream::connect(gateway.addr).await.unwrap();
        assert_eq!(Raw::over(stream).get("/", "").await.status, 200);
    }
    assert_eq!(one.counts.of("opened") + two.counts.of("opened"), 20);
}
