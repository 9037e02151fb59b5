//! A socket that tells its connection's watch what it does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::connection::Connection;
use super::super::gather::gathered;

/// Wraps a socket or TLS stream of `connection`.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    connection: Arc<Connection>,
}

impl<S> Watched<S> {
    pub(super) const fn new(socket: S, connection: Arc<Connection>) -> Self {
        Self { socket, connection }
    }

    fn note_write(&self, polled: &Poll<io::Result<usize>>) {
        self.connection.watch.wrote(polled.is_ready());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.connection.watch.bytes_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = gathered(slices, |bytes| match bytes {
            Some(bytes) => Pin::new(&mut this.socket).poll_write(cx, bytes),
            None => Pin::new(&mut this.socket).poll_write_vectored(cx, slices),
        });
        this.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS buffers what the socket would not take and reports it only when flushed; when the
        // flush is through, nothing is owed to the client any more. Whoever flushes has written
        // everything before, so a socket that is still full does not come by here.
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_flush(cx);
        this.connection.watch.wrote(polled.is_ready());
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use domain::Entropy;

    use super::*;
    use crate::edge::connection::{Phase, Scheme};

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    /// Takes everything at once and is flushed when it is told to be, like TLS.
    #[derive(Default)]
    struct Buffering {
        flushed: bool,
    }

    impl AsyncWrite for Buffering {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.flushed {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_connection_is_writing_until_its_flush_is_through() {
        let peer = "192.0.2.1:1".parse().expect("an address");
        let connection = Arc::new(Connection::new(peer, Scheme::Https, &Fixed));
        drop(connection.begin_request());
        let phase = || connection.watch.sight().phase;
        let mut watched = Watched::new(Buffering::default(), Arc::clone(&connection));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut watched).poll_write(&mut cx, b"answer").is_ready());
        assert_eq!(phase(), Phase::Idle);
        assert!(Pin::new(&mut watched).poll_flush(&mut cx).is_pending());
        assert_eq!(phase(), Phase::Writing);
        watched.socket.flushed = true;
        assert!(Pin::new(&mut watched).poll_flush(&mut cx).is_ready());
        assert_eq!(phase(), Phase::Idle);
    }
}
