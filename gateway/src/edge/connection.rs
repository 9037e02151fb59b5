//! One client connection as its requests see it: who is at the other end, what was already
//! learnt about it, and the marks by which its deadlines are kept.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use domain::Entropy;
use http::HeaderValue;

use super::ids::IdSource;

mod watch;

pub(super) use watch::{Phase, Sight, Watch};

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    peer: SocketAddr,
    scheme: Scheme,
    ids: IdSource,
    memo: Memo,
    peer_text: OnceLock<HeaderValue>,
    forwarded: OnceLock<(HeaderValue, HeaderValue)>,
    pub(super) watch: Watch,
}

/// How the client reached us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// One value that the door remembers with a connection, such as the admission token it last
/// verified there. A cache: whoever reads it must compare before believing.
#[derive(Default)]
pub struct Memo(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

/// Marks a request as being worked on until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Connection>);

impl Connection {
    /// Describes a connection from `peer`.
    pub fn new(peer: SocketAddr, scheme: Scheme, entropy: &dyn Entropy) -> Self {
        Self {
            peer,
            scheme,
            ids: IdSource::new(entropy),
            memo: Memo::default(),
            peer_text: OnceLock::new(),
            forwarded: OnceLock::new(),
            watch: Watch::default(),
        }
    }

    /// The socket's other end: the client, or a proxy.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How the client reached us.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Makes request ids.
    pub const fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// What the door remembered here.
    pub const fn memo(&self) -> &Memo {
        &self.memo
    }

    /// The peer's address as header text, written once per connection.
    pub(super) fn peer_text(&self) -> &HeaderValue {
        self.peer_text.get_or_init(|| {
            HeaderValue::try_from(self.peer.ip().to_canonical().to_string())
                .expect("an IP address is visible ASCII")
        })
    }

    /// This hop as an element of `Forwarded`, written once per connection and host.
    pub(super) fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let write = || {
            let (peer, scheme) = (self.peer.ip().to_canonical(), self.scheme.as_str());
            // RFC 7239 wants IPv6 addresses in brackets, and brackets and colons in quotes.
            let peer = if peer.is_ipv6() {
                format!("[{peer}]")
            } else {
                peer.to_string()
            };
            let host = host.to_str().unwrap_or_default();
            HeaderValue::try_from(format!("for=\"{peer}\";host=\"{host}\";proto={scheme}"))
                .expect("an address, a checked host and a scheme are visible ASCII")
        };
        let (known, element) = self.forwarded.get_or_init(|| (host.clone(), write()));
        if known == host { element.clone() } else { write() }
    }

    pub(super) fn begin_request(self: &Arc<Self>) -> InFlight {
        self.watch.begin_request();
        InFlight(Arc::clone(self))
    }
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Memo {
    /// The remembered value, if it is a `T`.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().and_then(|value| Arc::clone(value).downcast().ok())
    }

    /// Remembers `value` in place of what was there.
    pub fn set(&self, value: Arc<dyn Any + Send + Sync>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memo")
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.watch.end_request();
    }
}
