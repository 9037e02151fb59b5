//! Opens connections to the upstream.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::gather::Gathered;
use super::super::listener::TlsError;
use super::ProxyConfig;

/// A connection to the upstream that notes when it hears from it.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    heard: Arc<AtomicBool>,
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
        }
    }

    /// The mark that is set with every byte the upstream sends.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
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
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = Gathered::new();
        if let Some(bytes) = gathered.gather(slices) {
            return self.poll_write(cx, bytes);
        }
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
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
