//! The small client against servers that say exactly what a test wants.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Answer, Link, LinkError, Target};

const DEADLINE: Duration = Duration::from_secs(10);

/// A listener and a link connected to it.
async fn pair() -> (TcpStream, Link) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepted, link) = tokio::join!(listener.accept(), Link::open(&address, DEADLINE));
    (accepted.unwrap().0, link.unwrap())
}

fn get() -> Request<Bytes> {
    Request::builder()
        .uri("/")
        .header("host", "h")
        .body(Bytes::new())
        .unwrap()
}

async fn heard(server: &mut TcpStream) -> String {
    let mut text = vec![0; 4_096];
    let length = server.read(&mut text).await.unwrap();
    String::from_utf8(text[..length].to_vec()).unwrap()
}

/// Sends a request, answers it with `wire`, closing afterwards if told to.
async fn exchange(wire: &[u8], close: bool, limit: usize) -> (Result<Answer, LinkError>, Link) {
    let (mut server, mut link) = pair().await;
    let serve = async move {
        heard(&mut server).await;
        server.write_all(wire).await.unwrap();
        (!close).then_some(server)
    };
    let (answer, _kept_open) = tokio::join!(link.exchange(get(), limit, DEADLINE), serve);
    (answer, link)
}

#[tokio::test]
async fn requests_are_written_as_http() {
    let (mut server, mut link) = pair().await;
    let request = Request::builder()
        .method("POST")
        .uri("/a?b=c")
        .header("host", "h:1")
        .header("x-twice", "1")
        .header("x-twice", "2")
        .body(Bytes::from_static(b"body"))
        .unwrap();
    let serve = async {
        let text = heard(&mut server).await;
        server
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        text
    };
    let (answer, text) = tokio::join!(link.exchange(request, 10, DEADLINE), serve);
    assert_eq!(answer.unwrap().status, 204);
    assert!(
        text.starts_with("POST /a?b=c HTTP/1.1\r\ncontent-length: 4\r\n"),
        "{text}"
    );
    assert!(
        text.contains("x-twice: 1\r\nx-twice: 2\r\n") && text.ends_with("\r\n\r\nbody"),
        "{text}"
    );
    assert!(link.is_open());
}

#[tokio::test]
async fn a_write_without_a_body_says_so_and_a_read_says_nothing() {
    for (method, says) in [("POST", true), ("DELETE", true), ("GET", false)] {
        let (mut server, mut link) = pair().await;
        let request = Request::builder()
            .method(method)
            .uri("/")
            .body(Bytes::new())
            .unwrap();
        let serve = async {
            let text = heard(&mut server).await;
            server
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            text
        };
        let (answer, text) = tokio::join!(link.exchange(request, 10, DEADLINE), serve);
        answer.unwrap();
        assert_eq!(text.contains("content-length: 0"), says, "{method}");
    }
}

#[tokio::test]
async fn bodies_come_by_length_by_chunks_and_until_the_end() {
    for (wire, close) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..], false),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            false,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", true),
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            false,
        ),
    ] {
        let (answer, link) = exchange(wire, close, 100).await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_ref()),
            (200, &b"hello"[..])
        );
        assert_eq!(link.is_open(), !close, "{}", String::from_utf8_lossy(wire));
    }
}

#[tokio::test]
async fn a_long_body_in_many_pieces_arrives_whole() {
    let (mut server, mut link) = pair().await;
    let body: Vec<u8> = (0..200_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let sent = body.clone();
    let serve = async move {
        heard(&mut server).await;
        server
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n")
            .await
            .unwrap();
        for piece in sent.chunks(7_001) {
            server.write_all(piece).await.unwrap();
        }
        server
    };
    let (answer, _server) = tokio::join!(link.exchange(get(), 200_000, DEADLINE), serve);
    assert_eq!(answer.unwrap().body, body);
}

#[tokio::test]
async fn what_is_too_long_is_refused_however_it_is_framed() {
    for (wire, close) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"[..], false),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
            false,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello world", true),
    ] {
        let (answer, link) = exchange(wire, close, 10).await;
        assert!(
            matches!(answer, Err(LinkError::TooLong)),
            "{}",
            String::from_utf8_lossy(wire)
        );
        assert!(!link.is_open());
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(40_000));
    let (answer, _) = exchange(endless.as_bytes(), false, 10).await;
    assert!(matches!(answer, Err(LinkError::TooLong)));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_an_answer() {
    for wire in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let (answer, link) = exchange(wire, true, 100).await;
        assert!(
            matches!(answer, Err(LinkError::Closed | LinkError::Broken(_))),
            "{answer:?}"
        );
        assert!(!link.is_open());
    }
    let (answer, _) = exchange(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", false, 100).await;
    assert!(matches!(answer, Err(LinkError::Malformed)));
}

#[tokio::test]
async fn nothing_is_sent_after_an_unfinished_exchange() {
    let (server, mut link) = pair().await;
    let answer = link.exchange(get(), 10, Duration::from_millis(5)).await;
    assert!(matches!(answer, Err(LinkError::Late)));
    assert!(
        !link.is_open(),
        "the late answer would be taken for the next one's"
    );
    drop(server);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_noticed() {
    let (mut server, mut link) = pair().await;
    let serve = async {
        heard(&mut server).await;
        server
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        drop(server);
    };
    let (answer, ()) = tokio::join!(link.exchange(get(), 10, DEADLINE), serve);
    answer.unwrap();
    link.stream.readable().await.unwrap();
    assert!(!link.is_open());
}

#[tokio::test]
async fn bytes_nobody_asked_for_end_the_connection() {
    let (answer, link) = exchange(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200",
        false,
        10,
    )
    .await;
    assert_eq!(answer.unwrap().body.as_ref(), b"ok");
    assert!(!link.is_open());
}

#[test]
fn addresses_are_taken_apart() {
    let target = |authority: &str, path: &str| Target {
        authority: authority.to_owned(),
        path: path.to_owned(),
    };
    assert_eq!(Target::parse("http://h:81/a?b").unwrap(), target("h:81", "/a?b"));
    assert_eq!(
        Target::parse("http://127.0.0.1").unwrap(),
        target("127.0.0.1:80", "/")
    );
    for bad in ["https://h/", "h:80", "/path", "", "ftp://h/"] {
        assert!(matches!(Target::parse(bad), Err(LinkError::Address)), "{bad}");
    }
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    assert!(matches!(
        Link::open(&address, DEADLINE).await,
        Err(LinkError::Connect(_))
    ));
}
