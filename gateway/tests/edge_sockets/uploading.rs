//! Uploads: the time that a client takes for its body is never the shop's, and the time that the
//! shop takes to read it is.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::client::Raw;
use crate::support::upstream::{Reply, Upstream, ok};
use crate::support::{Setup, eventually};

const SHORT: Duration = Duration::from_millis(150);
/// Longer than the upstream may take for its answer.
const UPLOAD: Duration = Duration::from_millis(1_200);

/// Sends a body of `bytes` bytes, spread over [`UPLOAD`].
async fn upload_slowly(raw: &mut Raw, bytes: u32) {
    raw.send(format!(
        "POST /contact HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n"
    ))
    .await;
    for _ in 0..bytes {
        tokio::time::sleep(UPLOAD / bytes).await;
        raw.send("x").await;
    }
}

#[tokio::test]
async fn a_slow_upload_is_neither_cut_nor_held_against_the_upstream() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = UPLOAD / 2;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    upload_slowly(&mut raw, 6).await;
    assert_eq!(raw.answer().await.text(), "xxxxxx");
    assert_eq!(gateway.counts.of("upstream answered"), 1);
    let took = gateway.counts.upstream_took()[0];
    assert!(
        took < UPLOAD,
        "the client's time counts as the upstream's: {took:?}"
    );
}

#[tokio::test]
async fn an_answer_that_comes_before_the_bodys_end_took_no_time_of_the_upstreams() {
    let upstream = Upstream::start_early(|_| {
        Reply::Take(Box::new(|mut stream| {
            Box::pin(async move {
                tokio::time::sleep(UPLOAD).await;
                stream.write_all(&ok(b"enough")).await.unwrap();
                std::future::pending::<()>().await;
            })
        }))
    })
    .await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    assert_eq!(raw.answer().await.text(), "enough");
    assert_eq!(gateway.counts.upstream_took(), [Duration::ZERO]);
}

#[tokio::test]
async fn the_upstreams_time_begins_with_the_last_byte() {
    let upstream = Upstream::start(|_| Reply::Wait).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = SHORT;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    upload_slowly(&mut raw, 6).await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 504);
    assert_eq!(upstream.only().body, b"xxxxxx", "it had the whole body");
    assert_eq!(gateway.counts.of("upstream timed_out"), 1);
}

#[tokio::test]
async fn a_body_that_its_client_stalls_is_the_clients_fault() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = SHORT;
    setup.rules.body.idle = SHORT * 2;
    let gateway = setup.start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    assert_eq!(raw.answer().await.status, 408);
    assert_eq!(gateway.counts.of("upstream client_failed"), 1);
    assert_eq!(gateway.counts.of("upstream timed_out"), 0);
}

#[tokio::test]
async fn an_upstream_that_takes_no_more_of_a_body_is_given_up_on() {
    let upstream = Upstream::start_early(|_| Reply::Wait).await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.response_head = SHORT;
    setup.rules.body.bytes_max = 1 << 30;
    let gateway = setup.start();
    let (mut reader, mut writer) = Raw::connect(gateway.addr).await.stream.into_split();
    // More than all buffers on the way can hold.
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        1 << 30
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 16];
    let pour = async { while writer.write_all(&piece).await.is_ok() {} };
    let refused = eventually("given up on", || gateway.counts.of("upstream timed_out") == 1);
    let listen = async {
        let mut heard = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut reader, &mut heard)
            .await
            .unwrap();
        assert_eq!(&heard, b"HTTP/1.1 504");
    };
    let answered = async { tokio::join!(refused, listen) };
    tokio::select! {
        _ = answered => {}
        () = async { pour.await; std::future::pending().await } => {}
    }
}

#[tokio::test]
async fn an_upstream_that_tires_of_a_stalled_upload_is_not_blamed() {
    let upstream = Upstream::start_early(|_| Reply::Hang).await;
    let gateway = Setup::before(upstream.addr).start();
    let mut raw = Raw::connect(gateway.addr).await;
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    assert_eq!(raw.answer().await.status, 502);
    assert_eq!(gateway.counts.of("upstream client_failed"), 1);
    assert_eq!(gateway.counts.of("upstream broken"), 0);
}

#[tokio::test]
async fn a_wait_for_a_connection_that_an_upload_holds_is_not_the_upstreams_time() {
    let upstream = Upstream::echo().await;
    let mut setup = Setup::before(upstream.addr);
    setup.proxy.connections_max = 1;
    let gateway = setup.start();
    let mut slow = Raw::connect(gateway.addr).await;
    let mut quick = Raw::connect(gateway.addr).await;
    let get = async {
        eventually("the upload holds the connection", || {
            gateway.stack.upstream_connections() == 1
        })
        .await;
        assert_eq!(quick.get("/", "").await.status, 200);
    };
    tokio::join!(upload_slowly(&mut slow, 6), get);
    assert_eq!(slow.answer().await.status, 200);
    let took = gateway.counts.upstream_took();
    assert!(took.iter().all(|took| *took < UPLOAD / 2), "{took:?}");
}
