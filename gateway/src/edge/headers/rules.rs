//! Which header names are dropped, by direction. Names arrive in lower case.

/// Hop-by-hop headers (RFC 9110, section 7.6.1, and their historical companions).
fn is_hop_by_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name.starts_with("proxy-"),
        Some(b't') => matches!(name, "te" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        Some(b'h') => name == "http2-settings",
        _ => false,
    }
}

/// What a client may not tell the upstream.
pub(super) fn drops_from_request(name: &str, from_trusted_proxy: bool) -> bool {
    if is_hop_by_hop(name) || name.contains('_') {
        return true; // `_` and `-` are one to CGI: `x_forwarded_for` would pass for ours
    }
    match name.as_bytes().first() {
        // A trusted proxy passes on what clients write, and `Doorline-*` is only ever ours.
        Some(b'd') => name.starts_with("doorline-"),
        // We answer expectations ourselves.
        Some(b'e') => name == "expect",
        Some(b'f') => name == "forwarded" && !from_trusted_proxy,
        Some(b'x') => is_routing(name) || (is_forwarding(name) && !from_trusted_proxy),
        Some(b'c' | b't') => matches!(name, "cf-connecting-ip" | "true-client-ip") && !from_trusted_proxy,
        _ => false,
    }
}

/// What every request is given anew: the client's own was taken over already where it is good.
pub(super) fn is_named_anew(name: &str) -> bool {
    matches!(name, "x-request-id" | "traceparent")
}

/// Names that some frameworks let override the path: with them an open path would serve a
/// protected one.
fn is_routing(name: &str) -> bool {
    matches!(
        name,
        "x-original-url" | "x-rewrite-url" | "x-original-uri" | "x-rewrite-uri"
    )
}

/// Names by which upstreams learn who the client is.
fn is_forwarding(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "x-real-ip" | "x-client-ip" | "x-cluster-client-ip")
}

/// What an upstream may not tell the client.
pub(super) fn drops_from_answer(name: &str) -> bool {
    is_hop_by_hop(name) || name.starts_with("doorline-") || name == "cf-waiting-room-command"
}

/// What may not come after a body.
pub(super) fn drops_from_trailers(name: &str) -> bool {
    drops_from_request(name, false)
        || name.starts_with("content-")
        || name.starts_with("x-forwarded-")
        || matches!(
            name,
            "host"
                | "trailer"
                | "cookie"
                | "set-cookie"
                | "authorization"
                | "www-authenticate"
                | "cache-control"
                | "range"
                | "max-forwards"
                | "location"
                | "age"
                | "date"
                | "expires"
                | "vary"
                | "x-request-id"
                | "traceparent"
        )
}
