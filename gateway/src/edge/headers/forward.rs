//! Tells the upstream who asked: `X-Forwarded-For/Proto/Host`, `Forwarded` (RFC 7239),
//! `X-Request-Id` and `traceparent`.

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use super::super::address::Peer;
use super::super::connection::Scheme;
use super::super::visit::Visit;
use super::Proof;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Headers added to a request at most, the two of the proof included.
const ADDED_MAX: usize = 8;

/// Our lines of a request, beside the client's own: none of their names stands among those. Kept
/// apart, because a request mostly goes out line by line, and to put eight names into the map first
/// costs more than all the rest of forwarding.
#[derive(Debug)]
pub struct Added(Vec<(&'static str, HeaderValue)>);

impl Added {
    /// What to tell the upstream of `visit`; takes from `headers` what stands there in its place
    /// and was not stripped before.
    /// Where a trusted proxy wrote forwarding headers already, its list grows by this hop and its
    /// host and scheme stand: it is the one who met the client.
    pub(super) fn of(headers: &mut HeaderMap, visit: &Visit, proof: Option<&Proof>) -> Self {
        let mut added = Self(Vec::with_capacity(ADDED_MAX));
        added.push("x-request-id", visit.identity.id.header());
        added.push("traceparent", visit.identity.traceparent());
        let peer = visit.connection.peer_text();
        let forwarded = visit.connection.forwarded(&visit.host);
        match visit.client.peer {
            Peer::Stranger => {
                added.push(X_FORWARDED_FOR, peer.clone());
                added.push("forwarded", forwarded);
                added.push(X_FORWARDED_HOST, visit.host.clone());
                added.push(X_FORWARDED_PROTO, scheme(visit.connection.scheme()));
            }
            Peer::Trusted => {
                let names = HeaderName::from_static(X_FORWARDED_FOR);
                added.push(X_FORWARDED_FOR, with_hop(headers, &names, peer));
                added.push("forwarded", with_hop(headers, &FORWARDED, &forwarded));
                if !headers.contains_key(X_FORWARDED_HOST) {
                    added.push(X_FORWARDED_HOST, visit.host.clone());
                }
                if !headers.contains_key(X_FORWARDED_PROTO) {
                    added.push(X_FORWARDED_PROTO, scheme(visit.connection.scheme()));
                }
            }
        }
        if let Some(proof) = proof {
            added.push("doorline-drop", proof.drop.clone());
            if let Some(admission) = &proof.admission {
                added.push("doorline-admission", admission.clone());
            }
        }
        added
    }

    /// No lines at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The lines, names in lower case.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Puts the lines among the others, for whoever wants all of them in one map.
    pub fn put_into(self, headers: &mut HeaderMap) {
        headers.reserve(self.0.len()); // at once, or the map would grow and be hashed anew twice
        for (name, value) in self.0 {
            headers.insert(HeaderName::from_static(name), value);
        }
    }

    fn push(&mut self, name: &'static str, value: HeaderValue) {
        self.0.push((name, value));
    }
}

/// Takes all lines of `name` out and joins them and `hop` into one list.
fn with_hop(headers: &mut HeaderMap, name: &HeaderName, hop: &HeaderValue) -> HeaderValue {
    let mut list: Vec<u8> = Vec::new();
    for line in headers.get_all(name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    headers.remove(name);
    list.extend_from_slice(hop.as_bytes());
    // The parts were header values, so their list is one too.
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| hop.clone())
}

fn scheme(scheme: Scheme) -> HeaderValue {
    HeaderValue::from_static(scheme.as_str())
}
