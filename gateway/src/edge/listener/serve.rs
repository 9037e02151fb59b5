//! One connection from its first byte to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::super::body::{BoxError, EdgeBody};
use super::super::connection::{Connection, Scheme};
use super::super::observe::ConnectionEnd;
use super::answering::Answering;
use super::streams::{Streams, put_under_deadline};
use super::supervise::{Finish, Supervised};
use super::watched::Watched;
use super::{Answer, Serve, Shared};

/// Largest request head, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1_024;
/// Largest read buffer of a connection; it starts small and grows as bodies come fast.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Streams reset by the client before we look at them, before the connection is closed as an
/// attack ("rapid reset").
const PENDING_RESETS_MAX: usize = 20;
/// Streams we reset because of the client's mistakes, before the connection is closed.
const LOCAL_RESETS_MAX: usize = 64;
/// Bytes a client may send on one stream before we take them.
const STREAM_WINDOW: u32 = 64 * 1_024;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 256 * 1_024;
/// Largest frame of HTTP/2, the least the protocol allows.
const FRAME_BYTES_MAX: u32 = 16 * 1_024;

/// Serves one accepted connection. Says why it was cut, or nothing where it ended well.
pub(super) async fn connection<S: Serve>(
    shared: &Arc<Shared<S>>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<ConnectionEnd> {
    let Some(tls) = shared.config.tls.clone() else {
        // Nothing is allocated for HTTP until there is a byte to read.
        let spoke = timeout(shared.config.deadlines.first_byte, stream.readable());
        let spoke = tokio::select! {
            biased;
            spoke = spoke => spoke,
            () = shared.drain.begun() => return None,
        };
        return match spoke {
            Ok(Ok(())) => http1(shared, stream, connection_of(shared, peer, Scheme::Http)).await,
            Ok(Err(_)) => Some(ConnectionEnd::Broken),
            Err(_) => Some(ConnectionEnd::FirstByte),
        };
    };
    let handshake = timeout(
        shared.config.deadlines.first_byte,
        TlsAcceptor::from(tls).accept(stream),
    );
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Some(ConnectionEnd::Broken),
        Err(_) => return Some(ConnectionEnd::FirstByte),
    };
    let connection = connection_of(shared, peer, Scheme::Https);
    // Bytes may sit decrypted in the session already, so readiness of the socket is not waited
    // for: hyper looks at the session first, and the watch keeps the first-byte deadline.
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(shared, stream, connection).await
    } else {
        http1(shared, stream, connection).await
    }
}

fn connection_of<S>(shared: &Shared<S>, peer: SocketAddr, scheme: Scheme) -> Arc<Connection> {
    Arc::new(Connection::new(peer, scheme, shared.entropy.as_ref()))
}

async fn http1<S: Serve, I>(
    shared: &Arc<Shared<S>>,
    stream: I,
    connection: Arc<Connection>,
) -> Option<ConnectionEnd>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
    let conn = http1::Builder::new()
        // No `max_headers`: setting it moves hyper's parser to the heap, an allocation per request.
        // Its own bound is 100 lines; `checks` refuses more than ours.
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(None) // ours covers it, see `supervise`
        .serve_connection(io, service(shared, &connection))
        .with_upgrades();
    supervise(shared, conn, connection).await
}

async fn http2<S: Serve, I>(
    shared: &Arc<Shared<S>>,
    stream: I,
    connection: Arc<Connection>,
) -> Option<ConnectionEnd>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    connection.watch.set_multiplexed();
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
    let deadlines = shared.config.deadlines;
    let executor = Streams::new(
        shared.tasks.clone(),
        Arc::clone(&shared.observer),
        deadlines.write,
    );
    let idle = deadlines.idle;
    let conn = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(BUFFER_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(idle / 2)
        .keep_alive_timeout(idle / 2)
        .serve_connection(io, streams_service(shared, &connection));
    supervise(shared, conn, connection).await
}

async fn supervise<S: Serve, C: Finish>(
    shared: &Arc<Shared<S>>,
    conn: C,
    connection: Arc<Connection>,
) -> Option<ConnectionEnd> {
    Supervised::new(
        conn,
        connection,
        shared.config.deadlines,
        Arc::clone(&shared.drain),
    )
    .await
}

fn service<S: Serve>(
    shared: &Arc<Shared<S>>,
    connection: &Arc<Connection>,
) -> impl HttpService<Incoming, ResBody = EdgeBody, Error = Infallible, Future = Answering> + Send + 'static {
    let (service, connection) = (Arc::clone(&shared.service), Arc::clone(connection));
    service_fn(move |request: Request<Incoming>| {
        let in_flight = connection.begin_request();
        Answering::of(service.serve(request, &connection), in_flight)
    })
}

/// The same for HTTP/2, where all of a request's work belongs to its stream's task: a panic must end
/// that stream alone.
fn streams_service<S: Serve>(
    shared: &Arc<Shared<S>>,
    connection: &Arc<Connection>,
) -> impl HttpService<Incoming, ResBody = EdgeBody, Error = Infallible, Future = Answering> + Send + 'static {
    let (service, connection) = (Arc::clone(&shared.service), Arc::clone(connection));
    service_fn(move |request: Request<Incoming>| {
        let in_flight = connection.begin_request();
        let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
        let answer = Box::pin(async move {
            let mut response = match service.serve(request, &connection) {
                Answer::Ready(response) => response,
                Answer::Later(answer) => answer.await,
            };
            put_under_deadline(response.body_mut());
            response
        });
        Answering::of(Answer::Later(answer), in_flight)
    })
}

impl<I, S> Finish for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = EdgeBody>,
    S::Error: Into<BoxError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Finish for http2::Connection<I, S, Streams>
where
    S: HttpService<Incoming, ResBody = EdgeBody>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
