//! The line to RabbitMQ: TCP, or TLS over it. lapin would bring a TLS of its own, with a stack of packages for key
//! stores that we do not use; without it, lapin takes `amqps://` for plain TCP. So the connecting is done here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_compat::Compat;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What a line is made of.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

type BoxedLine = Compat<Box<dyn Line>>;
type Kit = RuntimeParts<Tokio, Lines>;

/// Tokio's timers with lines of ours: what lapin asks for in order to be handed a line that is not one of its own.
#[derive(Clone, Debug)]
struct Lines(Tokio);

/// The trust settings for `amqps://` could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The given certificates cannot be read.
    #[error("the certificates to trust for RabbitMQ cannot be read")]
    Certificates(#[source] rustls::pki_types::pem::Error),
    /// TLS refuses them, or the system's own.
    #[error("TLS towards RabbitMQ cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Opens lines to one server.
#[derive(Clone)]
pub(super) struct Dialler {
    uri: AMQPUri,
    tls: Option<TlsConnector>,
}

impl Dialler {
    /// For a server at `uri`; with `amqps`, one that shows a certificate signed by `trusted` (PEM), or else by somebody
    /// whom the system trusts.
    pub(super) fn new(uri: AMQPUri, trusted: Option<&str>) -> Result<Self, TrustError> {
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(TlsConnector::from(Arc::new(client(trusted)?))),
        };
        Ok(Self { uri, tls })
    }

    /// Connects and shakes hands. lapin neither retries nor recovers: that is the supervisor's.
    pub(super) async fn connect(&self, name: &str) -> lapin::Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime: Runtime<Kit> =
            Runtime::new(RuntimeParts::new(Tokio::current(), Lines(Tokio::current())));
        let tls = self.tls.clone();
        let dial = async move |uri: AMQPUri, _: Runtime<Kit>| {
            let line = line(&uri.authority.host, uri.authority.port, tls.as_ref()).await?;
            Ok(AsyncTcpStream::Plain(line))
        };
        Connection::connector(self.uri.clone(), runtime, dial, properties).await
    }
}

async fn line(host: &str, port: u16, tls: Option<&TlsConnector>) -> io::Result<BoxedLine> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let line: Box<dyn Line> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Box::new(tls.connect(name, stream).await?)
        }
    };
    Ok(Compat::new(line))
}

fn client(trusted: Option<&str>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Tls)?;
    let builder = match trusted {
        None => builder.with_platform_verifier().map_err(TrustError::Tls)?,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(TrustError::Certificates)?;
                roots.add(certificate).map_err(TrustError::Tls)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

impl Reactor for Lines {
    type TcpStream = BoxedLine;
    type Sleep = <Tokio as Reactor>::Sleep;

    #[expect(
        refining_impl_trait,
        reason = "the traits it would name are of a package we need for nothing else"
    )]
    fn register<H: io::Read + io::Write + std::os::fd::AsFd + std::os::fd::AsRawFd + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<BoxedLine> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "it must not hold on to `self`, as an `async fn` would"
    )]
    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<BoxedLine>> + Send + 'static {
        async move { line(&address.ip().to_string(), address.port(), None).await }
    }
}
