//! TLS for listeners: a certificate and key from files, aws-lc-rs only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

/// What HTTP versions a listener offers by ALPN.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate chain could not be read.
    #[error("cannot read the certificate chain {path}")]
    Certificates {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// The private key could not be read.
    #[error("cannot read the private key {path}")]
    Key {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Key and certificate do not fit, or are of a kind that is not spoken.
    #[error("certificate {certificate} and key {key} cannot be used together")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// Builds the TLS side of a listener from PEM files: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1,
/// session tickets for cheap returns. Prefer an ECDSA certificate: its handshake costs a
/// quarter of RSA's.
pub fn server_tls(certificates: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Certificates {
            path: certificates.into(),
            source,
        })?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Key {
        path: key.into(),
        source,
    })?;
    let pair = |source| TlsError::Pair {
        certificate: certificates.into(),
        key: key.into(),
        source,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(pair)?;
    Ok(Arc::new(config))
}
