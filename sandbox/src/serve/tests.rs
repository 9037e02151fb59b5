//! The accept loop: answers, limits, hang-ups, and an end without leftovers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{HangUp, Reply, read_body, reply, serve};
use crate::link::{Answer, Link, LinkError};

const DEADLINE: Duration = Duration::from_secs(10);

struct Served {
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Served {
    async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Reply, HangUp>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, cancel.clone(), handler));
        tasks.close();
        Self {
            address,
            cancel,
            tasks,
        }
    }

    async fn ask(&self, body: &'static [u8]) -> Result<Answer, LinkError> {
        let mut link = Link::open(&self.address.to_string(), DEADLINE).await?;
        let request = Request::builder()
            .method("POST")
            .uri("/")
            .header("host", "h")
            .body(Bytes::from_static(body))
            .unwrap();
        link.exchange(request, 1 << 16, DEADLINE).await
    }

    async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(DEADLINE, self.tasks.wait())
            .await
            .expect("nothing is left running");
    }
}

#[tokio::test]
async fn a_handlers_answer_is_sent_with_its_type() {
    let served = Served::start(|_| async { Ok(reply(StatusCode::ACCEPTED, "text/plain", "yes")) }).await;
    let answer = served.ask(b"").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (202, &b"yes"[..]));
    assert_eq!(answer.headers["content-type"], "text/plain");
    served.stop().await;
}

#[tokio::test]
async fn hanging_up_sends_not_a_byte() {
    let served = Served::start(|_| async { Err(HangUp) }).await;
    assert!(matches!(
        served.ask(b"").await,
        Err(LinkError::Closed | LinkError::Broken(_))
    ));
    served.stop().await;
}

#[tokio::test]
async fn bodies_are_read_up_to_the_limit() {
    let served = Served::start(|request: Request<Incoming>| async {
        let body = read_body(request.into_body(), 4).await;
        let status = if body.is_some() {
            StatusCode::OK
        } else {
            StatusCode::PAYLOAD_TOO_LARGE
        };
        Ok(reply(status, "text/plain", body.unwrap_or_default()))
    })
    .await;
    assert_eq!(served.ask(b"four").await.unwrap().body.as_ref(), b"four");
    assert_eq!(served.ask(b"five!").await.unwrap().status, 413);
    served.stop().await;
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_listener() {
    let served = Served::start(|_| async { Ok(reply(StatusCode::OK, "text/plain", "")) }).await;
    let address = served.address;
    let mut link = Link::open(&address.to_string(), DEADLINE).await.unwrap();
    let request = Request::builder()
        .uri("/")
        .header("host", "h")
        .body(Bytes::new())
        .unwrap();
    link.exchange(request, 10, DEADLINE).await.unwrap();
    assert!(link.is_open());
    served.stop().await;
    assert!(!link.is_open());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_lets_a_request_in_progress_finish() {
    let arrived = CancellationToken::new();
    let go_on = CancellationToken::new();
    let (tell, wait) = (arrived.clone(), go_on.clone());
    let served = Served::start(move |_| {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            tell.cancel();
            wait.cancelled().await;
            Ok(reply(StatusCode::OK, "text/plain", "done"))
        }
    })
    .await;
    let cancel = served.cancel.clone();
    let stop = async {
        arrived.cancelled().await;
        cancel.cancel();
        go_on.cancel();
    };
    let (answer, ()) = tokio::join!(served.ask(b""), stop);
    assert_eq!(answer.unwrap().body.as_ref(), b"done");
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_dropped_after_the_grace() {
    struct Alive(Arc<AtomicU32>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let arrived = CancellationToken::new();
    let (count, tell) = (Arc::clone(&dropped), arrived.clone());
    let served = Served::start(move |_| {
        let alive = Alive(Arc::clone(&count));
        let tell = tell.clone();
        async move {
            tell.cancel();
            std::future::pending::<()>().await;
            drop(alive);
            Err(HangUp)
        }
    })
    .await;
    let cancel = served.cancel.clone();
    let stop = async {
        arrived.cancelled().await;
        cancel.cancel();
    };
    let (answer, ()) = tokio::join!(served.ask(b""), stop);
    assert!(answer.is_err());
    served.stop().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nonsense_is_answered_or_closed_and_others_go_on() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let served = Served::start(|_| async { Ok(reply(StatusCode::OK, "text/plain", "")) }).await;
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        let mut answer = Vec::new();
        let _either_way_it_ends = stream.read_to_end(&mut answer).await;
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(served.ask(b"").await.unwrap().status, 200);
    served.stop().await;
}
