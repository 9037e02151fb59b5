//! The two ways to the upstream, the short one and hyper's: whichever an exchange takes, and where
//! it changes over, the client sees the same answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Setup;
use crate::support::client::{Raw, find};
use crate::support::upstream::{Reply, Upstream, ok};

/// Apart in time for the other side, mostly; the answer must be the same if they are not.
const APART: Duration = Duration::from_millis(2);

/// Reads up to the end of a request's head; `false` once the connection is closed.
async fn next_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while find(&head, b"\r\n\r\n").is_none() {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

/// Answers the requests of one connection, one after the other, with `answers` cut in two.
async fn in_pieces(mut stream: TcpStream, answers: Vec<(Vec<u8>, usize)>) {
    let mut first = true;
    for (answer, cut) in answers {
        // The first request was read already.
        if !std::mem::take(&mut first) && !next_request(&mut stream).await {
            return;
        }
        stream.write_all(&answer[..cut]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(APART).await;
        stream.write_all(&answer[cut..]).await.unwrap();
    }
    next_request(&mut stream).await;
}

#[tokio::test]
async fn an_answer_reads_the_same_wherever_it_is_cut() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n".to_vec();
    let answers: Vec<_> = [ok(b"whole"), chunked]
        .into_iter()
        .flat_map(|answer| (0..answer.len()).map(move |cut| (answer.clone(), cut)))
        .collect();
    let count = answers.len();
    let upstream = Upstream::start(move |_| {
        let answers = answers.clone();
        Reply::Take(Box::new(|stream| Box::pin(in_pieces(stream, answers))))
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    for n in 0..count {
        let answer = raw.get("/", "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "whole"), "{n}");
    }
    assert_eq!(upstream.seen().len(), 1, "all of them on one connection");
}

#[tokio::test]
async fn a_connection_goes_back_and_forth_between_the_ways() {
    let upstream = Upstream::start(|seen| match seen.nth % 3 {
        0 => Reply::Say(ok(b"short")),
        1 => Reply::Say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlong\r\n0\r\n\r\n".to_vec(),
        ),
        _ => Reply::Say(ok(&seen.body)),
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    for _ in 0..4 {
        assert_eq!(raw.get("/", "").await.text(), "short");
        assert_eq!(raw.get("/", "").await.text(), "long");
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nposted")
            .await;
        assert_eq!(raw.answer().await.text(), "posted");
    }
    assert!(
        upstream.seen().iter().all(|seen| seen.connection == 0),
        "{:?}",
        upstream.seen()
    );
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_their_connection() {
    let smuggled = [ok(b"asked"), ok(b"not asked")].concat();
    let upstream = Upstream::start(move |seen| match seen.connection {
        0 => Reply::Say(smuggled.clone()),
        _ => Reply::Say(ok(b"fresh")),
    })
    .await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    assert_eq!(raw.get("/", "").await.text(), "asked");
    assert_eq!(raw.get("/", "").await.text(), "fresh");
    assert_eq!(upstream.seen()[1].connection, 1);
}

#[tokio::test]
async fn an_answer_larger_than_one_read_passes_whole() {
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    let sent = body.clone();
    let upstream = Upstream::start(move |_| Reply::Say(ok(&sent))).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    for _ in 0..3 {
        assert!(raw.get("/", "").await.body == body);
    }
    assert!(upstream.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_large_request_head_arrives_whole() {
    let upstream =
        Upstream::start(|seen| Reply::Say(ok(seen.value("x-large").unwrap_or("").as_bytes()))).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    let large = "l".repeat(24 * 1_024);
    let answer = raw.get("/", &format!("X-Large: {large}\r\n")).await;
    assert_eq!(answer.text(), large);
}
