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
        // TLS buffers what the socket would not take and reports it only when flushed.
        let this = self.get_mut();
        let polled = Pin::new(&mut this.socket).poll_flush(cx);
        if polled.is_pending() {
            this.connection.watch.wrote(false);
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
