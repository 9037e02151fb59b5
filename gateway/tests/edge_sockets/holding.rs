//! Connections that wait for clients, for a body or at the end of a tunnel: they are half of all at
//! most, and the others are there for everybody else.

use std::time::Duration;

use gateway::edge::proxy::Upgrades;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::{Gateway, Setup, eventually};
use crate::upgrading::ASK;

const SHORT: Duration = Duration::from_millis(150);
/// More than is read of a body that has no hold.
const LARGE: usize = 64 * 1_024;

/// The head of an upload, with what is there of its body.
fn post(bytes: usize, begun: &str) -> String {
    format!("POST /contact HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n{begun}")
}

/// An upload that lets a connection wait for ` done`.
async fn stalled(gateway: &Gateway) -> Raw {
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(post(9, "half")).await;
    eventually("the upload holds a connection", || {
        gateway.stack.upstream_connections() == 1
    })
    .await;
    raw
}

#[tokio::test]
async fn stalled_uploads_leave_half_of_the_connections_to_others() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    setup.proxy.wait = SHORT;
    let gateway = setup.start();
    let mut first = stalled(&gateway).await;
    let mut second = Raw::connect(gateway.addr).await;
    second.send(post(9, "half")).await;
    let refused = second.answer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    assert_eq!(refused.json()["type"], "/.doorline/problems/upstream-saturated");
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 200);
    assert_eq!(gateway.counts.of("upstream client_failed"), 1);
    assert_eq!(
        gateway.counts.of("upstream saturated"),
        0,
        "it says nothing about the shop"
    );
    assert_eq!(gateway.counts.of("request open shed"), 1);
    first.send(" done").await;
    assert_eq!(first.answer().await.text(), "half done");
}

#[tokio::test]
async fn a_body_that_is_there_or_soon_will_be_needs_no_hold() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    let gateway = setup.start();
    let _stalled = stalled(&gateway).await;
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(post(5, "hello")).await;
    assert_eq!(raw.answer().await.text(), "hello");
    raw.send(post(5, "")).await;
    for letter in ["l", "a", "t", "e", "r"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
        raw.send(letter).await;
    }
    assert_eq!(raw.answer().await.text(), "later");
    raw.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.text(), "abcdef");
}

#[tokio::test]
async fn a_body_that_breaks_its_limits_while_it_waits_is_told_so() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    setup.rules.body.bytes_max = 10;
    let gateway = setup.start();
    let _stalled = stalled(&gateway).await;
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.status, 413);
    assert_eq!(gateway.counts.of("upstream client_failed"), 1);
    assert_eq!(gateway.stack.upstream_connections(), 1, "none was opened for it");
}

#[tokio::test]
async fn a_hold_passes_to_the_next_upload_when_the_first_is_done() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    let gateway = setup.start();
    let mut first = stalled(&gateway).await;
    let mut large = Raw::connect(gateway.addr).await;
    large.send(post(LARGE, &"x".repeat(LARGE - 1))).await;
    first.send(" done").await;
    assert_eq!(first.answer().await.text(), "half done");
    large.send("x").await;
    assert_eq!(large.answer().await.body.len(), LARGE);
}

#[tokio::test]
async fn idle_tunnels_leave_half_of_the_connections_to_others() {
    let upstream = Upstream::start(|seen| {
        if seen.value("upgrade").is_none() {
            return Reply::Say(ok(b"hi"));
        }
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                let head =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(head).await.unwrap();
                while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
            })
        }))
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    setup.proxy.wait = SHORT;
    setup.rules.upgrades = Upgrades::Allowed;
    let gateway = setup.start();
    let mut tunnel = Raw::connect(gateway.addr).await;
    tunnel.send(ASK).await;
    assert_eq!(tunnel.answer().await.status, 101);
    let mut second = Raw::connect(gateway.addr).await;
    second.send(ASK).await;
    assert_eq!(second.answer().await.status, 503);
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.text(), "hi");
    assert_eq!(gateway.stack.upstream_connections(), 2);
    drop(tunnel);
    eventually("the tunnel's connection is closed", || {
        gateway.stack.upstream_connections() == 1
    })
    .await;
    let mut third = Raw::connect(gateway.addr).await;
    third.send(ASK).await;
    assert_eq!(third.answer().await.status, 101);
}
