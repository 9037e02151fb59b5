//! Upgrades to WebSocket: passed on only where allowed, tunnelled only after the upstream has
//! answered 101. Nothing else can be upgraded to: a tunnel of HTTP (`h2c`) would lead past every check.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use super::super::body::RequestBody;
use super::error::{Failure, ProxyError};
use super::holds::Hold;
use super::link::Link;
use super::pool::Pool;
use super::turn::Turn;

/// The one protocol that passes, as RFC 6455 writes it.
const WEBSOCKET: &str = "websocket";
/// A tunnel through which nothing moves for this long is closed.
const IDLE: Duration = Duration::from_mins(5);

/// A tunnel that the upstream has agreed to.
pub(super) struct Tunnel {
    client: OnUpgrade,
    hold: Hold,
}

/// The protocol a request asks to change to, if it properly asks for the one that passes. Whatever
/// else it asks for, it is a request like any other.
pub fn requested_upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asks = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    let named = parts.headers.get_all(CONNECTION).iter().any(asks);
    let able = parts.version == Version::HTTP_11 && parts.extensions.get::<OnUpgrade>().is_some();
    // The handshake is a GET without a body (RFC 6455, section 4.1): an upload on its way would outlive what the tunnel holds.
    let has_body =
        parts.headers.contains_key(CONTENT_LENGTH) || parts.headers.contains_key(TRANSFER_ENCODING);
    let able = able && parts.method == Method::GET && !has_body;
    (named && able && is_websocket(&parts.headers)).then(|| HeaderValue::from_static(WEBSOCKET))
}

/// Whether `Upgrade` names WebSocket and nothing beside it: of a list the upstream might choose
/// another protocol than we think.
fn is_websocket(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(UPGRADE).iter();
    let only = lines.next().filter(|_| lines.next().is_none());
    only.is_some_and(|line| {
        let protocol = line.as_bytes().trim_ascii();
        protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    })
}

/// Writes the two headers that ask for or confirm a change to `protocol`.
pub fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Sends a request that asks for an upgrade on a connection of its own. After a 101 the last value is
/// there, and [`carry`] carries the bytes until either side closes; the caller spawns it.
pub(super) async fn open(
    pool: &Pool,
    mut parts: Box<Parts>,
    body: RequestBody,
    turn: &mut Turn,
) -> Result<(Response<Incoming>, Link, Option<Tunnel>), ProxyError> {
    let client = parts.extensions.remove::<OnUpgrade>();
    // Before a connection is taken: most of the time a tunnel does nothing but hold it.
    let hold = pool.upstream().holds().take(pool.config().wait, turn).await?;
    let mut link = pool.open_fresh(turn).await?;
    let request = Request::from_parts(*parts, body);
    let response = link
        .exchange(request, pool.config().response_head, turn)
        .await
        .map_err(|failure: Failure| ProxyError::from(failure))?;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !is_websocket(response.headers()) {
        return Err(ProxyError::Broken(None)); // a tunnel that nobody asked for
    }
    let client = client.filter(|_| switches);
    let tunnel = client.map(|client| Tunnel { client, hold });
    Ok((response, link, tunnel))
}

/// Carries bytes both ways until one side closes, or nothing moves for too long. The slot of the
/// connection is held meanwhile, so that tunnels count against the cap, and so is its hold, so that
/// they leave room for other requests.
pub(super) async fn carry(tunnel: Tunnel, link: Link) {
    let Tunnel { client, hold } = tunnel;
    let Some((socket, early, slot)) = link.into_socket() else {
        return;
    };
    let Ok(client) = client.await else { return };
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Metered {
        stream: TokioIo::new(client),
        moved: Arc::clone(&moved),
    };
    let mut upstream = Metered {
        stream: socket,
        moved: Arc::clone(&moved),
    };
    let copy = async {
        client.write_all(&early).await?;
        copy_bidirectional(&mut client, &mut upstream).await
    };
    let ended: io::Result<()> = tokio::select! {
        copied = copy => copied.map(|_| ()),
        () = stillness(&moved) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a tunnel broke");
    }
    drop((slot, hold));
}

/// Returns once nothing has moved for [`IDLE`].
async fn stillness(moved: &AtomicU64) {
    let mut seen = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(IDLE).await;
        let now = moved.load(Ordering::Relaxed);
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Counts that bytes move.
struct Metered<S> {
    stream: S,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            this.moved.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
