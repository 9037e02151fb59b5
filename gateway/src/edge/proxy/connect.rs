//! Opens connections to the upstream.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::gather::gathered;
use super::super::listener::TlsError;
use super::ProxyConfig;

/// A connection to the upstream that notes when it hears from it, and when it is heard.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    heard: Arc<AtomicBool>,
    taken: Arc<AtomicBool>,
    replay: Option<Replay>,
}

/// An exchange that hyper finds half done: its request is out already, so what hyper writes goes
/// nowhere, and what was read of the answer is read once more.
#[derive(Debug)]
struct Replay {
    read: Bytes,
    /// hyper has written its request; before that it takes any byte for one that nobody asked for.
    asked: bool,
}

/// Plain or encrypted.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            heard: Arc::default(),
            taken: Arc::default(),
            replay: None,
        }
    }

    /// Plays the answer to a request that is sent already, of which `read` was read.
    pub(super) fn replay(&mut self, read: Bytes) {
        self.heard.store(true, Ordering::Relaxed);
        self.replay = Some(Replay { read, asked: false });
    }

    /// Back to the wire. Says whether everything was played.
    pub(super) fn end_replay(&mut self) -> bool {
        self.replay.take().is_none_or(|replay| replay.read.is_empty())
    }

    /// Forgets what it heard: from now on it is about the exchange that begins.
    pub(super) fn begin_exchange(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Whether nothing has come and the other side has not closed. Asks the kernel only where the
    /// runtime has news of the socket.
    pub(super) fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.stream {
            Stream::Plain(stream) => stream
                .try_read(&mut byte)
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            Stream::Tls(stream) => Pin::new(stream)
                .poll_read(
                    &mut Context::from_waker(Waker::noop()),
                    &mut ReadBuf::new(&mut byte),
                )
                .is_pending(),
        }
    }

    /// A socket without TLS.
    #[cfg(test)]
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }

    /// The mark that is set with every byte the upstream sends.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
    }

    /// The mark that is set with every byte the upstream takes.
    pub(super) fn taken(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.taken)
    }

    fn note_write(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = polled {
            self.taken.store(true, Ordering::Relaxed);
        }
    }
}

/// Opens one connection. Addresses of a name are tried in the order they resolve to.
pub(super) async fn connect(config: &ProxyConfig) -> io::Result<Socket> {
    let target = &config.target;
    let stream = TcpStream::connect((target.host(), target.port())).await?;
    stream.set_nodelay(true)?;
    if !target.is_tls() {
        return Ok(Socket::new(Stream::Plain(stream)));
    }
    let Some(tls) = &config.tls else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "no TLS settings for an https upstream",
        ));
    };
    let name = ServerName::try_from(target.host().to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    Ok(Socket::new(Stream::Tls(Box::new(stream))))
}

/// Builds the TLS side towards an upstream whose certificate is signed by one of the authorities
/// in the PEM file `authorities` (Debian: `/etc/ssl/certs/ca-certificates.crt`).
pub fn upstream_tls(authorities: &Path) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let unreadable = |source| TlsError::Certificates {
        path: authorities.into(),
        source,
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(authorities).map_err(unreadable)?;
    for certificate in found {
        roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Pair {
            certificate: authorities.into(),
            key: authorities.into(),
            source,
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(replay) = &mut this.replay {
            if !replay.asked {
                return Poll::Pending; // hyper's own writing wakes it
            }
            if replay.read.has_remaining() {
                let count = replay.read.len().min(buffer.remaining());
                buffer.put_slice(&replay.read.split_to(count));
                return Poll::Ready(Ok(()));
            }
        }
        let before = buffer.filled().len();
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            this.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(replay) = &mut this.replay {
            replay.asked = true;
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replay.is_some() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| slice));
        }
        let this = self.get_mut();
        let polled = gathered(slices, |bytes| match (bytes, &mut this.stream) {
            (Some(bytes), _) => Pin::new(&mut *this).poll_write(cx, bytes),
            (None, Stream::Plain(stream)) => Pin::new(stream).poll_write_vectored(cx, slices),
            (None, Stream::Tls(stream)) => Pin::new(stream).poll_write_vectored(cx, slices),
        });
        this.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
