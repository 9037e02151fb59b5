//! Tells the upstream who asked: `X-Forwarded-For/Proto/Host`, `Forwarded` (RFC 7239),
//! `X-Request-Id` and `traceparent`.

use http::header::{Entry, FORWARDED};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::address::Peer;
use super::super::connection::Scheme;
use super::super::ids::{TRACEPARENT, X_REQUEST_ID};
use super::super::visit::Visit;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers added to a request at most, the two of the proof included.
const ADDED_MAX: usize = 8;

/// Adds our forwarding headers. Where a trusted proxy wrote them already, its list grows by
/// this hop and its host and scheme stand: it is the one who met the client.
pub(super) fn add(headers: &mut HeaderMap, visit: &Visit) {
    headers.reserve(ADDED_MAX); // at once, or the map would grow and be hashed anew twice
    headers.insert(X_REQUEST_ID, visit.identity.id.header());
    headers.insert(TRACEPARENT, visit.identity.traceparent.clone());
    let peer = visit.connection.peer_text();
    let forwarded = visit.connection.forwarded(&visit.host);
    match visit.client.peer {
        Peer::Stranger => {
            headers.insert(X_FORWARDED_FOR, peer.clone());
            headers.insert(FORWARDED, forwarded);
            headers.insert(X_FORWARDED_HOST, visit.host.clone());
            headers.insert(X_FORWARDED_PROTO, scheme(visit.connection.scheme()));
        }
        Peer::Trusted => {
            append_hop(headers, X_FORWARDED_FOR, peer);
            append_hop(headers, FORWARDED, &forwarded);
            if let Entry::Vacant(slot) = headers.entry(X_FORWARDED_HOST) {
                slot.insert(visit.host.clone());
            }
            if let Entry::Vacant(slot) = headers.entry(X_FORWARDED_PROTO) {
                slot.insert(scheme(visit.connection.scheme()));
            }
        }
    }
}

/// Joins all lines of `name` and `hop` into one list.
fn append_hop(headers: &mut HeaderMap, name: HeaderName, hop: &HeaderValue) {
    let mut list: Vec<u8> = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(hop.as_bytes());
    // The parts were header values, so their list is one too.
    let value = HeaderValue::from_bytes(&list).unwrap_or_else(|_| hop.clone());
    headers.insert(name, value);
}

fn scheme(scheme: Scheme) -> HeaderValue {
    HeaderValue::from_static(scheme.as_str())
}
