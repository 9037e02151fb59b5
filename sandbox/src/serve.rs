//! The accept loop that the provider and the shop share: bounded, with header deadlines, and
//! stopped by a token without leaving a connection task behind.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An answer made in memory.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Raised by a handler to close the connection without a word, as a network that lost the answer.
#[derive(Debug)]
pub(crate) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection closed on purpose")
    }
}

impl std::error::Error for HangUp {}

/// Open connections beyond this wait in the listen backlog.
const MAX_CONNECTIONS: usize = 4_096;
const HEADER_DEADLINE: Duration = Duration::from_secs(15);
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long open requests may finish after the token fired.
const GRACE: Duration = Duration::from_secs(2);
/// After a failed accept (usually: no file descriptor left) the loop waits instead of spinning.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Serves connections until `cancel` fires, then lets open requests finish within a short grace.
pub(crate) async fn serve<H, F>(listener: TcpListener, cancel: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, HangUp>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, cancel.clone(), handler.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection<H, F>(stream: TcpStream, cancel: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Result<Reply, HangUp>> + Send + 'static,
{
    // Small answers must not wait for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service_fn(handler));
    let mut serving = std::pin::pin!(serving);
    // A broken connection is the peer's affair (or a fault that was asked for): nothing to report.
    tokio::select! {
        _ended = serving.as_mut() => {}
        () = cancel.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ended = serving.await;
        }
    }
}

/// Reads a request body of at most `limit` bytes within a deadline; `None` when it is longer, late
/// or broken.
pub(crate) async fn read_body(body: Incoming, limit: usize) -> Option<Bytes> {
    let collected = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, limit).collect()).await;
    collected.ok()?.ok().map(http_body_util::Collected::to_bytes)
}

/// An answer with a status, a content type and a body; other headers are added by the caller.
pub(crate) fn reply(status: http::StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    reply
}
