//! Requests whose framing or routing could be read in two ways: each is refused and its
//! connection closed, or reaches the upstream as exactly one well-framed request.

use gateway::edge::proxy::Upgrades;
use tokio::io::AsyncWriteExt;

use crate::support::Setup;
use crate::support::client::Raw;
use crate::support::upstream::Upstream;

/// What must come of an attack.
enum Verdict {
    /// One answer with this status, then the end; the upstream hears nothing.
    Refused(u16),
    /// The connection ends without a word; the upstream hears nothing.
    Cut,
    /// The upstream hears exactly one request, with this body; a second reading never reaches it.
    Once(&'static str),
}
use Verdict::{Cut, Once, Refused};

/// A request that must never be seen by the upstream: what an attacker hides in another one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

const CORPUS: &[(&str, &str, Verdict)] = &[
    (
        "length, then chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Once(""),
    ),
    (
        "chunked, then length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{HIDDEN}",
        Once(""),
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 43\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "two lengths in a list",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 43\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "one length twice in a list",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc{HIDDEN}",
        Refused(400),
    ),
    (
        "a signed length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc{HIDDEN}",
        Refused(400),
    ),
    (
        "a negative length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a hexadecimal length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc{HIDDEN}",
        Refused(400),
    ),
    (
        "an empty length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked is not last",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked is not alone",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked with a letter too many",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked behind a vertical tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked in quotes",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "chunked on HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a folded header",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
        Refused(400),
    ),
    (
        "a folded coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a space before the colon",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc{HIDDEN}",
        Refused(400),
    ),
    (
        "a space before the name",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        Refused(400),
    ),
    (
        "NUL in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        Refused(400),
    ),
    (
        "NUL in a name",
        "GET / HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n",
        Refused(400),
    ),
    (
        "a lone CR in a value",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rContent-Length: 3\r\n\r\n",
        Refused(400),
    ),
    ("bare line feeds", "GET / HTTP/1.1\nHost: a\nX-A: b\n\n", Once("")),
    (
        "a chunk size that overflows",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a chunk size with 0x",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a chunk size that is empty",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a chunk longer than it says",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    (
        "a chunk extension ended by LF",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n{HIDDEN}",
        Refused(400),
    ),
    ("no host", "GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("no host on HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", Refused(400)),
    (
        "two hosts",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        Refused(400),
    ),
    ("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused(400)),
    (
        "a host with a user",
        "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n",
        Refused(400),
    ),
    (
        "a host with a path",
        "GET / HTTP/1.1\r\nHost: a/x\r\n\r\n",
        Refused(400),
    ),
    (
        "another authority",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    (
        "a tunnel",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        Refused(405),
    ),
    ("an echo", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(405)),
    (
        "an asterisk",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Refused(400),
    ),
    (
        "Connection names Host",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n",
        Refused(400),
    ),
    (
        "Connection names Content-Length",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc",
        Refused(400),
    ),
    (
        "an unknown expectation",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: everything\r\nContent-Length: 3\r\n\r\nabc",
        Refused(417),
    ),
    (
        "an unknown version",
        "GET / HTTP/3.7\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    ("no version", "GET /\r\nHost: a\r\n\r\n", Refused(400)),
    (
        "HTTP/2 without being asked",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Cut,
    ),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    (
        "a method that is none",
        "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400),
    ),
    (
        "a NUL in the path",
        "GET /%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Refused(400),
    ),
    (
        "a climb above the root",
        "GET /../../etc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Refused(400),
    ),
    (
        "trailers that frame",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 43\r\nHost: b\r\n\r\n",
        Once("abc"),
    ),
    (
        "a request to change to h2c",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        Once(""),
    ),
    (
        "h2c beside WebSocket",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket, h2c\r\n\r\n",
        Once(""),
    ),
    (
        "h2c behind WebSocket in a line of its own",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
        Once(""),
    ),
    (
        "h2c with a body",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
    (
        "a version of WebSocket",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket/13\r\n\r\n",
        Once(""),
    ),
    (
        "another protocol",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: TLS/1.0\r\n\r\n",
        Once(""),
    ),
    (
        "no protocol",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade:\r\n\r\n",
        Once(""),
    ),
    (
        "WebSocket that Connection does not name",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
        Once(""),
    ),
];

#[tokio::test]
async fn every_framing_attack_is_refused_or_heard_once() {
    endure(Upgrades::Refused).await;
}

#[tokio::test]
async fn no_attack_gains_by_upgrades_being_allowed() {
    endure(Upgrades::Allowed).await;
}

async fn endure(upgrades: Upgrades) {
    for (name, request, verdict) in CORPUS {
        let upstream = Upstream::echo().await;
        let mut setup = Setup::before(upstream.addr);
        setup.rules.upgrades = upgrades;
        let gateway = setup.start();
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send(request.replace("{HIDDEN}", HIDDEN)).await;
        match verdict {
            Refused(status) => {
                let answer = raw
                    .answer_to("POST")
                    .await
                    .unwrap_or_else(|| panic!("{name}: no answer"));
                assert_eq!(answer.status, *status, "{name}: {answer:?}");
                assert_eq!(raw.rest().await, b"", "{name}: more than one answer");
                let heard: Vec<_> = upstream
                    .seen()
                    .into_iter()
                    .filter(|seen| !seen.body.is_empty())
                    .collect();
                assert!(heard.is_empty(), "{name}: {heard:?}");
                assert!(
                    !upstream.seen().iter().any(|seen| seen.line().contains("hidden")),
                    "{name}"
                );
            }
            Cut => {
                assert_eq!(raw.rest().await, b"", "{name}");
                assert!(upstream.seen().is_empty(), "{name}");
            }
            Once(body) => {
                assert_eq!(raw.answer().await.status, 200, "{name}");
                // Bare line feeds do not close by themselves; no more may follow either way.
                raw.send("").await;
                raw.stream.shutdown().await.unwrap();
                assert_eq!(raw.rest().await, b"", "{name}: more than one answer");
                let seen = upstream.only();
                assert_eq!(seen.body, body.as_bytes(), "{name}");
                assert_eq!(seen.value("host"), Some("a"), "{name}");
                for gone in ["upgrade", "http2-settings", "connection", "te"] {
                    assert_eq!(seen.value(gone), None, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let lines = "X-Filler: 1\r\n".repeat(64);
    for (name, request, status) in [
        (
            "65 lines",
            format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"),
            431,
        ),
        (
            "33 KB",
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n",
                "x".repeat(33 << 10)
            ),
            431,
        ),
        (
            "a target of 9 KB",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 << 10)),
            414,
        ),
    ] {
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send(request).await;
        assert_eq!(raw.answer().await.status, status, "{name}");
        assert_eq!(raw.rest().await, b"", "{name}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused_at_its_size() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX-A: ").await;
    let chunk = [b'x'; 4_096];
    let mut sent = 0;
    while sent < (64 << 20) && raw.stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < (32 << 20), "the gateway took {sent} bytes of one head");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|seen| {
        crate::support::upstream::Reply::Say(crate::support::upstream::ok(seen.line().as_bytes()))
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.text(), "GET /1 HTTP/1.1");
    assert_eq!(raw.answer().await.text(), "GET /2 HTTP/1.1");
}

#[tokio::test]
async fn what_follows_an_early_answer_is_never_a_request() {
    // The body is refused before it is read; its bytes look like a request.
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    let length = (1 << 20) + 1;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{HIDDEN}"
    ))
    .await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    assert_eq!(raw.rest().await, b"");
    assert!(upstream.seen().is_empty());
}
