//! Proxying: bodies both ways, deadlines, and what clients are told when the upstream fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::{Setup, eventually};

const SHORT: Duration = Duration::from_millis(150);

/// Runs `act` on the socket once a request has come.
fn take<F, Fut>(act: F) -> Reply
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    Reply::Take(Box::new(|stream| Box::pin(act(stream))))
}

#[tokio::test]
async fn bodies_pass_both_ways_whatever_their_framing() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    assert_eq!(raw.answer().await.text(), "hello");
    raw.send(
        "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.text(), "abcdefg");
    raw.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.text(), "");
    let big = "x".repeat(700_000);
    raw.send(format!(
        "PUT /d HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{big}",
        big.len()
    ))
    .await;
    assert!(raw.answer().await.text() == big);
    let seen = upstream.seen();
    assert_eq!(seen[0].value("content-length"), Some("5"));
    assert_eq!(seen[1].value("transfer-encoding"), Some("chunked"));
    assert!(
        seen.iter().all(|seen| seen.connection == 0),
        "one connection carried them all"
    );
}

#[tokio::test]
async fn answers_pass_whatever_their_framing() {
    for (answer, body, closes) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "hello",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", false),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
            "",
            false,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            false,
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n",
            "",
            false,
        ),
    ] {
        let bytes = answer.as_bytes().to_vec();
        let upstream = Upstream::start(move |_| {
            if closes {
                Reply::SayAndClose(bytes.clone())
            } else {
                Reply::Say(bytes.clone())
            }
        })
        .await;
        let gateway = Setup::before(upstream.addr).start();
        let mut raw = Raw::connect(gateway.addr).await;
        for _ in 0..2 {
            assert_eq!(raw.get("/", "").await.text(), body, "{answer}");
        }
        assert_eq!(upstream.seen().len(), 2, "{answer}");
    }
}

#[tokio::test]
async fn head_keeps_the_length_and_sends_no_body() {
    let upstream =
        Upstream::start(|_| Reply::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec())).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    for _ in 0..2 {
        raw.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = raw.answer_to("HEAD").await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    }
    assert_eq!(upstream.seen()[1].connection, 0);
}

#[tokio::test]
async fn an_old_client_is_served_and_closed() {
    let upstream = Upstream::start(|_| {
        Reply::Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec())
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(
        (answer.header("transfer-encoding"), answer.text().as_str()),
        (None, "hello")
    );
    assert_eq!(upstream.only().line(), "GET / HTTP/1.1");
}

#[tokio::test]
async fn an_answer_streams_before_it_is_whole() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let upstream = Upstream::start(move |_| {
        let wait = wait.clone();
        take(|mut stream| async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                .await
                .unwrap();
            wait.notified().await;
            stream.write_all(b"later").await.unwrap();
        })
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    raw.read_until(b"first").await; // while the upstream still holds the rest
    go.notify_one();
    assert_eq!(raw.answer().await.text(), "firstlater");
}

#[tokio::test]
async fn a_request_streams_before_it_is_whole() {
    let heard = Arc::new(Notify::new());
    let tell = heard.clone();
    let upstream = Upstream::start_early(move |_| {
        let tell = tell.clone();
        take(|mut stream| async move {
            let mut first = [0; 5];
            stream.read_exact(&mut first).await.unwrap();
            tell.notify_one();
            let mut second = [0; 5];
            stream.read_exact(&mut second).await.unwrap();
            stream.write_all(&ok(&[first, second].concat())).await.unwrap();
        })
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        .await;
    eventually("the head is there", || upstream.seen().len() == 1).await;
    raw.send("first").await;
    heard.notified().await; // the first half is there while the second is not even sent
    raw.send("later").await;
    assert_eq!(raw.answer().await.text(), "firstlater");
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let upstream = Upstream::echo().await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.status, 100);
    raw.send("hello").await;
    assert_eq!(raw.answer().await.text(), "hello");
    assert_eq!(upstream.only().value("expect"), None);
}

#[tokio::test]
async fn bodies_too_large_or_too_slow_are_refused() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.body.bytes_max = 10;
    setup.rules.body.idle = SHORT;
    setup.rules.body.total = SHORT * 4;
    let gateway = setup.start();
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
            413,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", 408),
    ] {
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send(request).await;
        let answer = raw.answer().await;
        assert_eq!(
            (answer.status, answer.header("connection")),
            (status, Some("close")),
            "{request}"
        );
        assert_eq!(raw.rest().await, b"");
    }
    eventually("refused", || gateway.counts.of("request open client_error") == 3).await;
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.counts.of("upstream client_failed"), 2);
}

#[tokio::test]
async fn a_dripping_body_is_refused_whatever_its_pace() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.rules.body.total = SHORT;
    let gateway = setup.start();
    let raw = Raw::connect(gateway.addr).await;
    let (mut reader, mut writer) = raw.stream.into_split();
    writer
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .await
        .unwrap();
    let drip = async {
        // Each byte is progress, and none may push the deadline back.
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let cut = async {
        tokio::select! {
            _ = reader.read_to_end(&mut answer) => {}
            () = drip => {}
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, cut)
        .await
        .expect("the connection is cut");
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_early_answer_reaches_the_client() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let upstream = Upstream::start_early(|_| Reply::Say(refusal.to_vec())).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nonly the beginning")
        .await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    drop(raw);
    // The half-sent exchange is not reused for anybody.
    assert_eq!(Raw::connect(gateway.addr).await.get("/", "").await.status, 403);
    assert_eq!(upstream.seen()[1].connection, 1);
}

#[tokio::test]
async fn an_upstream_that_dies_within_a_body_breaks_the_answer() {
    for head in [
        "Content-Length: 100\r\n\r\nonly this",
        "Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}");
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let upstream = Upstream::start(move |_| {
            let (answer, wait) = (answer.clone(), wait.clone());
            take(|mut stream| async move {
                stream.write_all(answer.as_bytes()).await.unwrap();
                wait.notified().await;
            })
        })
        .await;
        let gateway = Setup::before(upstream.addr).start();
        let mut raw = Raw::connect(gateway.addr).await;
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        raw.read_until(b"only this").await;
        go.notify_one();
        let all = String::from_utf8(raw.rest().await).unwrap();
        assert!(
            !all.ends_with("0\r\n\r\n"),
            "a broken body must not look whole: {all}"
        );
        assert_eq!(upstream.seen().len(), 1);
        assert_eq!(gateway.stack.upstream_connections(), 0);
    }
}

#[tokio::test]
async fn a_body_that_breaks_at_its_first_byte_does_not_look_whole() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n";
    let upstream = Upstream::start(|_| Reply::Say(answer.to_vec())).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let all = String::from_utf8(raw.rest().await).unwrap();
    assert!(
        !all.ends_with("0\r\n\r\n"),
        "a broken body must not look whole: {all}"
    );
}

#[tokio::test]
async fn an_upstream_that_stalls_is_given_up_on() {
    let stall = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    let upstream = Upstream::start(|seen| {
        if seen.line().contains("/body") {
            Reply::Say(stall.to_vec())
        } else {
            Reply::Wait
        }
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = SHORT;
    setup.proxy.body_idle = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    let answer = raw.get("/head", "").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["type"], "/.doorline/problems/upstream-timeout");
    raw.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        String::from_utf8(raw.rest().await)
            .unwrap()
            .ends_with("only this")
    );
    assert_eq!(gateway.counts.of("upstream timed_out"), 1);
}

#[tokio::test]
async fn answers_that_are_no_http_become_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(70_000));
    let many = "X-Filler: 1\r\n".repeat(101);
    let many = format!("HTTP/1.1 200 OK\r\n{many}\r\n");
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX-A",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        long.as_str(),
        many.as_str(),
    ] {
        let bytes = answer.as_bytes().to_vec();
        let upstream = Upstream::start(move |_| Reply::SayAndClose(bytes.clone())).await;
        let gateway = Setup::before(upstream.addr).start();
        let refused = Raw::connect(gateway.addr).await.get("/", "").await;
        assert_eq!(refused.status, 502, "{answer:.60}");
        assert_eq!(upstream.seen().len(), 1, "{answer:.60}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let gateway = Setup::before(gone).start();
    let answer = Raw::connect(gateway.addr).await.get("/", "").await;
    assert_eq!(answer.json()["type"], "/.doorline/problems/upstream-unreachable");
    assert_eq!(gateway.counts.of("upstream connect_failed"), 1);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_exchange_with_it() {
    let left = Arc::new(Notify::new());
    let tell = left.clone();
    let upstream = Upstream::start(move |_| {
        let tell = tell.clone();
        take(|mut stream| async move {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            tell.notify_one();
        })
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("in flight", || upstream.seen().len() == 1).await;
    drop(raw);
    tokio::time::timeout(crate::support::PATIENCE, left.notified())
        .await
        .expect("the upstream is let go");
    eventually("counted", || gateway.counts.of("request open abandoned") == 1).await;
}
