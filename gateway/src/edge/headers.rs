//! Which headers pass, in both directions. Stripped first, then ours added: a header that a
//! client names or writes can never stand where one of ours is expected.

use domain::DropId;
use http::header::{CONNECTION, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::address::Peer;
use super::visit::Visit;

mod caching;
mod cookies;
mod forward;
mod rules;

pub use caching::{forbid_storing, keep_private};
pub use cookies::{is_ours as is_our_cookie, pairs as cookie_pairs};
pub use forward::Added;

/// The drop that an admitted request passed for.
pub const DOORLINE_DROP: HeaderName = HeaderName::from_static("doorline-drop");
/// The signed proof of admission that the shop can verify.
pub const DOORLINE_ADMISSION: HeaderName = HeaderName::from_static("doorline-admission");
/// What the upstream tells us about the shopper it just answered.
pub const DOORLINE_COMMAND: HeaderName = HeaderName::from_static("doorline-command");
/// The same, as clients of Cloudflare's waiting room write it.
pub const CF_WAITING_ROOM_COMMAND: HeaderName = HeaderName::from_static("cf-waiting-room-command");

/// What the upstream asks of us by a header of its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// End this shopper's session.
    Revoke,
}

/// What an admitted request carries to the upstream.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The drop's name, `Doorline-Drop`.
    pub drop: HeaderValue,
    /// The signed admission, `Doorline-Admission`.
    pub admission: Option<HeaderValue>,
}

impl Proof {
    /// Proof of an admission to `drop`, with the token that the upstream can verify.
    pub fn new(drop: &DropId, admission: Option<HeaderValue>) -> Self {
        let drop = HeaderValue::from_str(drop.as_str()).expect("a drop id is lower case ASCII");
        Self { drop, admission }
    }
}

/// Makes the headers of a request fit to go upstream, in place.
pub fn to_upstream(headers: &mut HeaderMap, visit: &Visit, proof: Option<&Proof>) {
    strip_for_upstream(headers, visit, proof).put_into(headers);
}

/// The same with our own lines apart: in `headers` stays what passes of the client's.
pub fn strip_for_upstream(headers: &mut HeaderMap, visit: &Visit, proof: Option<&Proof>) -> Added {
    strip_named_by_connection(headers);
    let from_trusted = visit.client.peer == Peer::Trusted;
    strip(headers, |name| {
        rules::drops_from_request(name, from_trusted) || rules::is_named_anew(name)
    });
    cookies::strip_ours(headers, COOKIE);
    Added::of(headers, visit, proof)
}

/// Makes the headers of an upstream's answer fit for the client, in place; reads its command.
pub fn from_upstream(headers: &mut HeaderMap) -> Option<Command> {
    // Most answers have nothing to take out, which one pass over their names finds.
    if !headers
        .keys()
        .any(|name| *name == SET_COOKIE || rules::drops_from_answer(name.as_str()))
    {
        return None;
    }
    let command = command(headers);
    strip_named_by_connection(headers);
    strip(headers, rules::drops_from_answer);
    cookies::strip_set(headers, &SET_COOKIE);
    command
}

/// Leaves in `trailers` only what may come after a body: nothing that frames, routes,
/// authenticates or is ours (RFC 9110, section 6.5.1).
pub fn clean_trailers(trailers: &mut HeaderMap) {
    strip(trailers, rules::drops_from_trailers);
}

/// The host that the checks left in `headers`.
pub(super) fn host(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(HOST)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static(""))
}

fn command(headers: &HeaderMap) -> Option<Command> {
    let asks = |name| {
        headers
            .get_all(name)
            .iter()
            .any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"revoke"))
    };
    (asks(DOORLINE_COMMAND) || asks(CF_WAITING_ROOM_COMMAND)).then_some(Command::Revoke)
}

/// Removes what `Connection` names; the plain values cost one comparison.
fn strip_named_by_connection(headers: &mut HeaderMap) {
    let Some(first) = headers.get(CONNECTION) else {
        return;
    };
    let plain =
        |value: &[u8]| value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close");
    if plain(first.as_bytes()) && headers.get_all(CONNECTION).iter().count() == 1 {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Removes every header whose name `drops`; in the usual case one pass and no allocation.
fn strip(headers: &mut HeaderMap, drops: impl Fn(&str) -> bool) {
    let doomed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| drops(name.as_str()))
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
