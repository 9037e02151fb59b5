//! Refuses what two parsers could read differently, before anything else looks at a request.
//!
//! hyper has already refused broken framing (two lengths, obs-fold, spaces before colons, odd
//! chunk sizes). What it lets through and a proxy must not is here: missing, doubled or
//! contradicting hosts, transfer codings besides `chunked`, `Connection` naming headers that
//! carry meaning, and methods that talk to the proxy instead of the shop.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::problem::Problem;

/// Longest request target, in bytes.
pub const URI_BYTES_MAX: usize = 8 * 1_024;
/// Most header lines of a request.
pub const HEADER_LINES_MAX: usize = 64;
/// Longest `Host`: a DNS name (253), a colon and a port.
const HOST_BYTES_MAX: usize = 260;

/// Checks the head of a request; on success exactly one well-formed `Host` stands in its headers.
pub fn check(parts: &mut Parts) -> Result<(), Problem> {
    check_sizes(parts)?;
    check_method(&parts.method)?;
    let told = Told::by(&parts.headers);
    check_framing(&told, parts.version)?;
    check_connection(&told)?;
    if let Some(host) = check_host(&told, parts)? {
        parts.headers.insert(HOST, host);
    }
    Ok(())
}

/// What the fields say that decide how a request is read. Gathered in one pass: every look-up by
/// name would hash it, and most of these names are in no request.
#[derive(Default)]
struct Told<'h> {
    host: First<'h>,
    coding: First<'h>,
    length: First<'h>,
    expect: First<'h>,
    /// `Connection` names a header that carries meaning.
    misnames: bool,
}

/// The first of some lines, and how many there are.
#[derive(Default)]
struct First<'h> {
    line: Option<&'h HeaderValue>,
    count: usize,
}

impl<'h> Told<'h> {
    fn by(headers: &'h HeaderMap) -> Self {
        let mut told = Self::default();
        for (name, value) in headers {
            match *name {
                HOST => told.host.note(value),
                TRANSFER_ENCODING => told.coding.note(value),
                CONTENT_LENGTH => told.length.note(value),
                EXPECT => told.expect.note(value),
                CONNECTION => told.misnames |= misnames(value),
                _ => {}
            }
        }
        told
    }
}

impl<'h> First<'h> {
    fn note(&mut self, value: &'h HeaderValue) {
        self.line = self.line.or(Some(value));
        self.count += 1;
    }
}

fn check_sizes(parts: &Parts) -> Result<(), Problem> {
    let uri = &parts.uri;
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > URI_BYTES_MAX {
        return Err(Problem::uri_too_long(URI_BYTES_MAX));
    }
    if parts.headers.len() > HEADER_LINES_MAX {
        return Err(Problem::too_many_headers(HEADER_LINES_MAX));
    }
    Ok(())
}

/// What a shop may be asked by. RFC 9110 wants it said with every 405; what a path takes of it, the path says.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// `CONNECT` would open a tunnel, `TRACE` and `TRACK` would read cookies back to scripts.
fn check_method(method: &Method) -> Result<(), Problem> {
    if matches!(*method, Method::CONNECT | Method::TRACE) || method.as_str().eq_ignore_ascii_case("track") {
        return Err(Problem::method_not_allowed(Some(HeaderValue::from_static(METHODS))).closing());
    }
    Ok(())
}

fn check_framing(told: &Told<'_>, version: Version) -> Result<(), Problem> {
    if let Some(coding) = told.coding.line {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || told.coding.count > 1 {
            return Err(Problem::malformed(
                "`chunked` is the only transfer coding taken, once",
            ));
        }
        if told.length.count > 0 {
            return Err(Problem::malformed(
                "both Content-Length and Transfer-Encoding are given",
            ));
        }
        if version != Version::HTTP_11 {
            return Err(Problem::malformed("only HTTP/1.1 has transfer codings"));
        }
    }
    if told.length.count > 1 {
        return Err(Problem::malformed("more than one Content-Length is given"));
    }
    match told.expect.line {
        Some(expected) if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Problem::expectation_failed())
        }
        _ => Ok(()),
    }
}

/// A header named by `Connection` is dropped on the way; naming one that carries meaning is an
/// attempt to make us drop what the upstream decides by.
fn check_connection(told: &Told<'_>) -> Result<(), Problem> {
    if told.misnames {
        return Err(Problem::malformed(
            "`Connection` names a header that is not its own",
        ));
    }
    Ok(())
}

fn misnames(value: &HeaderValue) -> bool {
    let named = |token: &[u8]| {
        [
            &b"host"[..],
            b"content-length",
            b"transfer-encoding",
            b"cookie",
            b"authorization",
        ]
        .iter()
        .any(|name| token.trim_ascii().eq_ignore_ascii_case(name))
    };
    value.as_bytes().split(|byte| *byte == b',').any(named)
}

/// Yields the host where only the request target names it.
fn check_host(told: &Told<'_>, parts: &Parts) -> Result<Option<HeaderValue>, Problem> {
    if told.host.count > 1 {
        return Err(Problem::malformed("more than one Host is given"));
    }
    match (told.host.line, parts.uri.authority()) {
        (None, None) => Err(Problem::malformed("no Host is given")),
        (Some(host), None) => check_host_text(host).map(|()| None),
        (Some(host), Some(authority)) => {
            check_host_text(host)?;
            check_scheme(&parts.uri)?;
            if same_host(host, authority, &parts.uri) {
                Ok(None)
            } else {
                Err(Problem::malformed(
                    "Host differs from the authority of the request target",
                ))
            }
        }
        // HTTP/2 names the host in `:authority`; in HTTP/1 the Host line may not be missing.
        (None, Some(_)) if parts.version < Version::HTTP_2 => Err(Problem::malformed("no Host is given")),
        (None, Some(authority)) => {
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|_| Problem::malformed("the authority is no host"))?;
            check_host_text(&host)?;
            Ok(Some(host))
        }
    }
}

fn check_scheme(uri: &Uri) -> Result<(), Problem> {
    match uri.scheme_str() {
        Some("http" | "https") => Ok(()),
        _ => Err(Problem::malformed("the request target has no scheme of ours")),
    }
}

/// `name`, `name:port`, `192.0.2.1:80`, `[2001:db8::1]:80`; no user, no path, no list.
fn check_host_text(host: &HeaderValue) -> Result<(), Problem> {
    let bytes = host.as_bytes();
    let wrong = || Problem::malformed("the Host is not a host");
    if bytes.is_empty() || bytes.len() > HOST_BYTES_MAX {
        return Err(wrong());
    }
    let (mut colons, mut brackets) = (0, 0);
    for byte in bytes {
        match byte {
            b':' => colons += 1,
            b'[' | b']' => brackets += 1,
            b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            _ => return Err(wrong()),
        }
    }
    if brackets > 0 || colons > 1 {
        // The rare form is left to the library.
        let parsed = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<Authority>().ok());
        return parsed.map(|_| ()).ok_or_else(wrong);
    }
    if colons == 0 {
        return Ok(());
    }
    match bytes.split(|byte| *byte == b':').nth(1) {
        Some(port) if port.is_empty() || !port.iter().all(u8::is_ascii_digit) => {
            Err(Problem::malformed("the Host has no valid port"))
        }
        _ => Ok(()),
    }
}

/// Compares without regard to case and to a default port that only one side writes out.
fn same_host(host: &HeaderValue, authority: &Authority, uri: &Uri) -> bool {
    let default = if uri.scheme_str() == Some("https") {
        ":443"
    } else {
        ":80"
    };
    let bare = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
    host.to_str()
        .is_ok_and(|host| bare(host) == bare(authority.as_str()))
}

#[cfg(test)]
mod tests;
