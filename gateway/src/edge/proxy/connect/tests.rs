//! A socket between the wire and an exchange that is played once more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Our socket and the upstream's end of it.
async fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    (Socket::plain(ours), theirs)
}

async fn read(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    socket.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn it_notes_what_it_hears() {
    let (mut socket, mut theirs) = pair().await;
    let heard = socket.heard();
    assert!(!heard.load(Ordering::Relaxed));
    theirs.write_all(b"x").await.unwrap();
    assert_eq!(read(&mut socket, 1).await, b"x");
    assert!(heard.load(Ordering::Relaxed));
    socket.begin_exchange();
    assert!(!heard.load(Ordering::Relaxed));
}

#[tokio::test]
async fn nothing_is_read_of_a_replay_before_it_is_asked_for() {
    let (mut socket, _theirs) = pair().await;
    socket.replay(Bytes::from_static(b"answer"));
    let mut cx = Context::from_waker(Waker::noop());
    let mut bytes = [0; 8];
    let mut buffer = ReadBuf::new(&mut bytes);
    assert!(Pin::new(&mut socket).poll_read(&mut cx, &mut buffer).is_pending());
    assert!(buffer.filled().is_empty());
    assert!(!socket.end_replay(), "all of it is still there");
}

#[tokio::test]
async fn a_replay_comes_first_and_the_wire_goes_on_from_there() {
    let (mut socket, mut theirs) = pair().await;
    theirs.write_all(b" and the rest").await.unwrap();
    socket.replay(Bytes::from_static(b"what was read"));
    socket.write_all(b"the request once more").await.unwrap();
    assert_eq!(read(&mut socket, 26).await, b"what was read and the rest");
    assert!(socket.end_replay());
}

#[tokio::test]
async fn what_is_written_during_a_replay_goes_nowhere() {
    let (mut socket, mut theirs) = pair().await;
    socket.replay(Bytes::new());
    socket.write_all(b"dropped").await.unwrap();
    let slices = [io::IoSlice::new(b""), io::IoSlice::new(b"dropped too")];
    assert_eq!(socket.write_vectored(&slices).await.unwrap(), 11);
    assert!(socket.end_replay());
    socket.write_all(b"sent").await.unwrap();
    drop(socket);
    let mut arrived = Vec::new();
    theirs.read_to_end(&mut arrived).await.unwrap();
    assert_eq!(arrived, b"sent");
}

#[tokio::test]
async fn silence_ends_with_a_byte_and_with_the_connection() {
    let (mut socket, mut theirs) = pair().await;
    assert!(socket.is_silent());
    theirs.write_all(b"x").await.unwrap();
    let Stream::Plain(stream) = &socket.stream else {
        panic!("it is plain");
    };
    stream.readable().await.unwrap();
    assert!(!socket.is_silent());

    let (mut socket, theirs) = pair().await;
    drop(theirs);
    let Stream::Plain(stream) = &socket.stream else {
        panic!("it is plain");
    };
    stream.readable().await.unwrap();
    assert!(!socket.is_silent());
}
