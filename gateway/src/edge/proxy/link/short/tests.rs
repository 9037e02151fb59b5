//! One exchange on a bare socket, and how it ends.

use std::future::poll_fn;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// What comes of a request where the upstream does as `upstream` says with its end of the socket.
async fn ask<F>(upstream: impl FnOnce(TcpStream) -> F) -> Result<Answer, Failure>
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    let mut socket = Socket::plain(ours);
    let mut parts = Request::new(()).into_parts().0;
    let mut asking = Asking::new(&mut socket, HEAD, &mut parts);
    let answering = async {
        let mut head = vec![0; HEAD.len()];
        theirs.read_exact(&mut head).await.unwrap();
        assert_eq!(head, HEAD);
        upstream(theirs).await;
    };
    tokio::join!(poll_fn(|cx| asking.poll(cx)), answering).0
}

/// Says `words` and waits to be left.
async fn says(mut theirs: TcpStream, words: &[u8]) {
    theirs.write_all(words).await.unwrap();
}

#[tokio::test]
async fn a_whole_answer_is_taken() {
    let answer = ask(|theirs| says(theirs, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")).await;
    let Ok(Answer::Whole {
        response,
        keeps: true,
    }) = answer
    else {
        panic!("it is whole: {answer:?}");
    };
    assert_eq!(response.body(), "hi");
}

#[tokio::test]
async fn what_hyper_must_read_is_handed_on_byte_for_byte() {
    let words = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = ask(|theirs| says(theirs, words)).await;
    let Ok(Answer::Begun(read)) = answer else {
        panic!("it takes hyper: {answer:?}");
    };
    assert_eq!(read, &words[..]);
}

#[tokio::test]
async fn a_head_without_end_is_handed_on_too() {
    let words = [
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        "l".repeat(2 * HEAD_BYTES_MAX).as_bytes(),
    ]
    .concat();
    let answer = ask(|theirs| says(theirs, &words)).await;
    let Ok(Answer::Begun(read)) = answer else {
        panic!("it takes hyper: {answer:?}");
    };
    assert!(read.len() >= HEAD_BYTES_MAX && words.starts_with(&read));
}

#[tokio::test]
async fn dying_in_silence_is_told_from_breaking_off() {
    let silent = ask(|theirs| async { drop(theirs) }).await;
    assert!(matches!(silent, Err(Failure::Died(None))), "{silent:?}");
    let broken = ask(|theirs| says(theirs, b"HTTP/1.1 200 OK\r\nX-")).await;
    assert!(
        matches!(broken, Err(Failure::Final(ProxyError::Broken(None)))),
        "{broken:?}"
    );
}
