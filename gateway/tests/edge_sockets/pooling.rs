//! The pool: reuse, retries that are safe, and what happens at its cap.

use std::time::Duration;

use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::{Setup, eventually};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn connections_are_reused() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    for _ in 0..5 {
        assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 200);
    }
    assert!(
        upstream.seen().iter().all(|seen| seen.connection == 0),
        "{:?}",
        upstream.seen()
    );
}

#[tokio::test]
async fn a_connection_the_upstream_closed_meanwhile_is_not_used() {
    let upstream = Upstream::start(|_| Reply::SayAndClose(ok(b"once"))).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    for n in 0..20 {
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            .await;
        let answer = raw.answer().await;
        if answer.status != 200 {
            // The close may cross the request on the way; a POST is then not sent again.
            assert_eq!(answer.status, 502);
        }
        // Lets the upstream's close arrive: afterwards it must be noticed before use.
        eventually("closed", || {
            gateway.counts.of("upstream answered") + gateway.counts.of("upstream broken") == n + 1
        })
        .await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        gateway.counts.of("upstream answered") >= 15,
        "{:?}",
        gateway.counts.all()
    );
}

/// Answers the first request of each connection and dies in silence on the second.
async fn dies_on_the_second() -> Upstream {
    Upstream::start(|seen| {
        if seen.nth == 0 {
            Reply::Say(ok(b"fine"))
        } else {
            Reply::Hang
        }
    })
    .await
}

#[tokio::test]
async fn a_safe_request_is_sent_again_when_a_pooled_connection_dies() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        let upstream = dies_on_the_second().await;
        let gateway = Setup::before(upstream.addr).start();
        let mut raw = Raw::connect(gateway.addr).await;
        assert_eq!(raw.get("/first", "").await.status, 200);
        raw.send(format!(
            "{method} /second HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\n\r\n"
        ))
        .await;
        assert_eq!(raw.answer_to(method).await.unwrap().status, 200, "{method}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 3, "{method}: {seen:?}");
        let (dead, again) = (&seen[1], &seen[2]);
        assert_eq!((dead.connection, again.connection), (0, 1));
        assert_eq!(dead.head, again.head, "the same request is sent again");
        assert_eq!(gateway.counts.of("retried"), 1);
    }
}

#[tokio::test]
async fn an_unsafe_request_is_never_sent_twice() {
    for request in [
        "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "PUT /second HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        "PATCH /second HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let upstream = dies_on_the_second().await;
        let gateway = Setup::before(upstream.addr).start();
        let mut raw = Raw::connect(gateway.addr).await;
        assert_eq!(raw.get("/first", "").await.status, 200);
        raw.send(request).await;
        assert_eq!(raw.answer().await.status, 502, "{request}");
        assert_eq!(upstream.seen().len(), 2, "{request}");
        assert_eq!(gateway.counts.of("retried"), 0);
    }
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    let upstream = Upstream::start(|_| Reply::Hang).await;
    let gateway = Setup::before(upstream.addr).start();
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 502);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_had_begun_is_not_asked_for_again() {
    let upstream = Upstream::start(|seen| {
        if seen.nth == 0 {
            Reply::Say(ok(b"fine"))
        } else {
            Reply::SayAndClose(b"HTTP/1.1 200 OK\r\nX-".to_vec())
        }
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/first", "").await.status, 200);
    assert_eq!(raw.get("/second", "").await.status, 502);
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_second_try_is_the_last() {
    // Every connection dies on its second request, and so does the retry's first.
    let upstream = Upstream::start(|seen| {
        if seen.connection == 0 && seen.nth == 0 {
            Reply::Say(ok(b"fine"))
        } else {
            Reply::Hang
        }
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/first", "").await.status, 200);
    assert_eq!(raw.get("/second", "").await.status, 502);
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn the_cap_holds_and_waiting_requests_get_their_turn() {
    let upstream = Upstream::unhurried(Duration::from_millis(5)).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 2;
    let gateway = setup.start();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let addr = gateway.addr;
        clients.spawn(async move { Raw::connect(addr).await.get("/", "").await.text() });
    }
    while let Some(text) = clients.join_next().await {
        assert_eq!(text.unwrap(), "turn");
    }
    assert!(
        upstream.seen().iter().all(|seen| seen.connection < 2),
        "never more than two connections"
    );
}

#[tokio::test]
async fn a_request_that_waits_too_long_is_told_to_come_back() {
    let upstream = Upstream::start(|seen| {
        if seen.nth == 0 && seen.connection == 0 {
            Reply::Wait
        } else {
            Reply::Say(ok(b""))
        }
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 1;
    setup.proxy.waiting_max = 1;
    setup.proxy.wait = SHORT;
    let gateway = setup.start();
    let mut stuck = Raw::connect(gateway.addr).await;
    stuck.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("stuck", || upstream.seen().len() == 1).await;
    let answer = Raw::connect(gateway.addr).await.get("/", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert_eq!(answer.json()["type"], "/.doorline/problems/upstream-saturated");
    drop(stuck); // its slot is free again
    eventually("slot free", || gateway.counts.of("request open abandoned") == 1).await;
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 200);
    assert_eq!(gateway.counts.of("upstream saturated"), 1);
}

#[tokio::test]
async fn a_wait_for_a_connection_that_an_answer_needs_is_the_upstreams_time() {
    const PAUSE: Duration = Duration::from_millis(400);
    let upstream = Upstream::unhurried(PAUSE).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 1;
    let gateway = setup.start();
    let mut first = Raw::connect(gateway.addr).await;
    let mut second = Raw::connect(gateway.addr).await;
    let (first, second) = tokio::join!(first.get("/", ""), second.get("/", ""));
    assert_eq!((first.status, second.status), (200, 200));
    let took = gateway.counts.upstream_took();
    // Not quite twice as long: the second one came a little after the first.
    let longest = took.iter().max().unwrap();
    assert!(*longest > PAUSE + PAUSE / 4, "{took:?}");
}

#[tokio::test]
async fn idle_connections_are_closed_before_the_upstream_would() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.keep_alive = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/", "").await.status, 200);
    assert_eq!(gateway.stack.upstream_connections(), 1);
    let stop = tokio_util::sync::CancellationToken::new();
    let closed = eventually("closed", || gateway.stack.upstream_connections() == 0);
    tokio::select! {
        () = gateway.stack.tend(stop) => {}
        () = closed => {}
    }
    assert_eq!(raw.get("/", "").await.status, 200);
    assert_eq!(upstream.seen()[1].connection, 1);
}
