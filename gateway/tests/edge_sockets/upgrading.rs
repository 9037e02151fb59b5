//! Upgrades: refused unless allowed, tunnelled only after 101.

use gateway::edge::proxy::Upgrades;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Setup;
use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};

/// Asks for a WebSocket.
pub(crate) const ASK: &str =
    "GET /socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Changes to a protocol that says everything twice.
async fn echoing() -> Upstream {
    Upstream::start(|_| {
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                let head =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ";
                stream.write_all(head).await.unwrap();
                let mut buffer = [0; 64];
                loop {
                    let Ok(n @ 1..) = stream.read(&mut buffer).await else {
                        return;
                    };
                    stream.write_all(&buffer[..n]).await.unwrap();
                    stream.write_all(&buffer[..n]).await.unwrap();
                }
            })
        }))
    })
    .await
}

#[tokio::test]
async fn an_upgrade_is_refused_by_default() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(ASK).await;
    assert_eq!(raw.answer().await.status, 200);
    let seen = upstream.only();
    assert_eq!((seen.value("upgrade"), seen.value("connection")), (None, None));
}

#[tokio::test]
async fn an_allowed_upgrade_is_a_tunnel_after_101() {
    let upstream = echoing().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.upgrades = Upgrades::Allowed;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(ASK).await;
    let answer = raw.answer().await;
    assert_eq!(
        (answer.status, answer.header("upgrade")),
        (101, Some("websocket"))
    );
    raw.read_until(b"hello ").await;
    raw.send("ping").await;
    raw.read_until(b"pingping").await;
    assert_eq!(upstream.only().value("upgrade"), Some("websocket"));
    raw.stream.shutdown().await.unwrap();
    assert_eq!(raw.rest().await, b"hello pingping");
    crate::support::eventually("slot free", || gateway.stack.upstream_connections() == 0).await;
}

#[tokio::test]
async fn websocket_may_be_written_in_any_case() {
    let upstream = echoing().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.upgrades = Upgrades::Allowed;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(ASK.replace("websocket", "WebSocket")).await;
    assert_eq!(raw.answer().await.status, 101);
    raw.read_until(b"hello ").await;
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_502() {
    for (asks, protocol) in [
        (ASK, "h2c"),
        (ASK, "websocket, h2c"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "websocket"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "h2c",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
            "websocket",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
            "websocket",
        ),
    ] {
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\nsmuggled"
        );
        let upstream = Upstream::start(move |_| Reply::Say(answer.clone().into_bytes())).await;
        let mut setup = Setup::before(upstream.addr);
        setup.rules.upgrades = Upgrades::Allowed;
        let gateway = setup.start();
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send(asks).await;
        let refused = raw.answer().await;
        assert_eq!(refused.status, 502, "{asks}");
        assert!(!refused.text().contains("smuggled"), "{asks}");
        crate::support::eventually("let go", || gateway.stack.upstream_connections() == 0).await;
    }
}

#[tokio::test]
async fn an_upstream_may_decline_an_upgrade() {
    let upstream = Upstream::start(|_| Reply::Say(ok(b"no tunnel"))).await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.upgrades = Upgrades::Allowed;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(ASK).await;
    assert_eq!(raw.answer().await.text(), "no tunnel");
    // Nothing became a tunnel: what follows is a request like any other.
    assert_eq!(raw.get("/", "").await.text(), "no tunnel");
}

#[tokio::test]
async fn a_protected_path_is_held_before_any_upgrade() {
    let upstream = echoing().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.upgrades = Upgrades::Allowed;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send(ASK.replace("/socket", "/drops/aurora")).await;
    assert_eq!(raw.answer().await.text(), "please wait");
    assert!(upstream.seen().is_empty());
}
