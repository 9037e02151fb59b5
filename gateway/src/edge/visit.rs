//! One request as the stages of the stack know it, once it is identified and its client known.

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::Instant;

use super::address::ClientAddress;
use super::connection::Connection;
use super::ids::{Identity, RequestId};

/// What is known about a request besides its own head. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Its name and trace.
    pub identity: Identity,
    /// Who asks.
    pub client: ClientAddress,
    /// The connection it came by.
    pub connection: Arc<Connection>,
    /// The host it was sent to, checked.
    pub host: HeaderValue,
    /// When its head was complete: for measuring only.
    pub started: Instant,
}

impl Visit {
    /// The request's name.
    pub const fn id(&self) -> &RequestId {
        &self.identity.id
    }
}
