//! `amqps`: a real server behind a line that only speaks TLS.

use checkout_worker::broker::rabbitmq::Links;
use lapin::uri::AMQPUri;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Certificates for `localhost` and 127.0.0.1 that are good for nothing but this test.
const AUTHORITY: &str = include_str!("tls/ca.pem");
const SERVER: &str = include_str!("tls/server.pem");
const KEY: &str = include_str!("tls/server.key");

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Takes TLS connections and passes what is in them on to the server, until dropped. Says on which port, and tells of
/// handshakes that fail.
async fn tls_in_front_of(port: u16) -> (u16, Arc<Notify>, JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let failed = Arc::new(Notify::new());
    let tell = Arc::clone(&failed);
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut lines = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let tell = Arc::clone(&tell);
            lines.spawn(async move {
                let Ok(mut inside) = acceptor().accept(stream).await else {
                    return tell.notify_one();
                };
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut server).await;
            });
        }
    });
    (own, failed, running)
}

/// The same server, through TLS.
fn encrypted(rabbit: &RabbitMq, port: u16, trusted: &str) -> RabbitMqConfig {
    let plain: AMQPUri = rabbit.url().parse().unwrap();
    let who = plain.authority.userinfo;
    RabbitMqConfig {
        url: format!("amqps://{}:{}@localhost:{port}/%2f", who.username, who.password),
        trusted_certificates: Some(trusted.to_owned()),
        ..config(rabbit, "encrypted")
    }
}

pub(super) async fn amqps_is_encrypted_and_trusts_only_whom_it_is_told_to(rabbit: &RabbitMq) {
    let (port, failed, _line) = tls_in_front_of(rabbit.port()).await;
    let broker = connected(encrypted(rabbit, port, AUTHORITY)).await;
    published(&*broker, OrderId(1)).await;
    all_delivered(&*broker, [OrderId(1)]).await;
    drop(broker);
    // The server's own certificate is not an authority's: nobody vouches for it.
    let distrustful = RabbitMqBroker::open(encrypted(rabbit, port, SERVER)).unwrap();
    soon("it breaks the handshake off", failed.notified()).await;
    assert_eq!(*distrustful.links().borrow(), Links::default());
    let rubbish = RabbitMqBroker::open(encrypted(rabbit, port, "-----BEGIN CERTIFICATE-----\n!"));
    assert!(rubbish.is_err());
}

#[tokio::test]
async fn a_url_that_cannot_be_is_refused_without_repeating_its_password() {
    let error = RabbitMqBroker::open(RabbitMqConfig::new("http://me:secret@localhost")).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    let mut long = RabbitMqConfig::new("amqp://localhost");
    long.queue = "q".repeat(300);
    assert!(!format!("{long:?}").contains("localhost"));
    assert!(RabbitMqBroker::open(long).is_err());
}
