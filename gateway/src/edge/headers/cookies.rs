//! Keeps our cookies to ourselves: the shop neither sees them nor sets them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether `name` is a cookie of ours, with or without a prefix that browsers enforce.
pub fn is_ours(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    if !matches!(name.first(), Some(b'd' | b'D' | b'_')) {
        return false; // most cookies, told by one byte
    }
    let bare = strip_prefix(name, b"__Host-")
        .or_else(|| strip_prefix(name, b"__Secure-"))
        .unwrap_or(name);
    strip_prefix(bare, b"doorline-").is_some()
}

/// Removes our cookies from a request's `Cookie` and joins several lines into one, as HTTP/1
/// wants it (HTTP/2 may split them).
pub(super) fn strip_ours(headers: &mut HeaderMap, cookie: HeaderName) {
    let mut lines = headers.get_all(&cookie).iter();
    let Some(first) = lines.next() else { return };
    // A pair begins with its name, and no prefix of ours holds what could end it.
    if lines.next().is_none() && !pairs(first.as_bytes()).any(is_ours) {
        return;
    }
    let mut kept: Vec<u8> = Vec::with_capacity(first.len());
    for line in headers.get_all(&cookie) {
        for pair in pairs(line.as_bytes()) {
            if pair.is_empty() || is_ours(pair) {
                continue;
            }
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    match HeaderValue::from_bytes(&kept) {
        Ok(value) if !kept.is_empty() => {
            headers.insert(cookie, value);
        }
        Ok(_) | Err(_) => {
            headers.remove(cookie);
        }
    }
}

/// Removes an upstream's attempts to set our cookies.
pub(super) fn strip_set(headers: &mut HeaderMap, set_cookie: &HeaderName) {
    if !headers
        .get_all(set_cookie)
        .iter()
        .any(|value| is_ours(name_of(value.as_bytes())))
    {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(set_cookie)
        .iter()
        .filter(|value| !is_ours(name_of(value.as_bytes())))
        .cloned()
        .collect();
    headers.remove(set_cookie);
    for value in kept {
        headers.append(set_cookie, value);
    }
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| matches!(byte, b'=' | b';'))
        .next()
        .unwrap_or(pair)
}

/// The pairs of a `Cookie` field, trimmed. Fields run to kilobytes and are read on every request,
/// so the separators are searched many bytes at a time.
pub fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (pair, tail) = match memchr::memchr(b';', line) {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        rest = tail;
        Some(pair.trim_ascii())
    })
}

fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
