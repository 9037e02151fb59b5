//! Writes the head of a request, and reads an answer that is plainly whole (RFC 9112). Anything
//! with a second reading, or with parts still to come, is left to hyper.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::super::super::headers::Added;

/// Header lines of an answer read here at most; hyper takes a hundred.
const LINES_MAX: usize = 48;
/// Digits of a length at most: more could not come in one piece anyway.
const LENGTH_DIGITS_MAX: usize = 9;

/// What some bytes are.
pub(super) enum Read {
    /// One whole answer and not a byte more.
    Whole { response: Response<Bytes>, keeps: bool },
    /// The beginning of a head.
    Partial,
    /// Something else: it takes more than this to read it.
    Other,
}

/// Bytes of a usual head: one allocation, of a size that allocators keep at hand.
const HEAD_BYTES: usize = 1_024;

/// The head of a request without a body, in origin form, with the `added` lines.
pub(super) fn head(parts: &Parts, added: &Added) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for piece in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(piece.as_bytes());
    }
    let own = parts.headers.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in own.chain(added.lines()) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads what came in answer to `request`. Its headers are gone where the answer is whole: their
/// map, which is there already, then holds those of the answer.
pub(super) fn read(bytes: &[u8], request: &mut Parts) -> Read {
    let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut lines);
    match parsed {
        Ok(httparse::Status::Complete(head_bytes)) => whole(&head, head_bytes, bytes, request),
        Ok(httparse::Status::Partial) => Some(Read::Partial),
        Err(_) => None, // hyper finds it too, and says what
    }
    .unwrap_or(Read::Other)
}

/// The answer, if `bytes` are all of it.
fn whole(
    head: &httparse::Response<'_, '_>,
    head_bytes: usize,
    bytes: &[u8],
    request: &mut Parts,
) -> Option<Read> {
    let status = StatusCode::from_u16(head.code?).ok()?;
    // HTTP/1.0 has other rules; interim answers and tunnels are not answers; and a reason of the
    // upstream's own travels by hyper.
    let plain = head.version == Some(1) && !status.is_informational();
    if !plain || head.reason != status.canonical_reason() {
        return None;
    }
    let fields = Fields::of(head.headers)?;
    let bodiless =
        request.method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body_bytes = if bodiless { 0 } else { fields.length? };
    if bytes.len() - head_bytes != body_bytes {
        return None;
    }
    // One copy to size, which headers and body share.
    let kept = Bytes::copy_from_slice(bytes);
    let mut response = Response::new(kept.slice(head_bytes..));
    *response.status_mut() = status;
    let mut headers = std::mem::take(&mut request.headers);
    fill(&mut headers, head.headers, bytes, &kept)?;
    *response.headers_mut() = headers;
    Some(Read::Whole {
        response,
        keeps: fields.keeps,
    })
}

/// What the fields say about the message itself.
struct Fields {
    length: Option<usize>,
    keeps: bool,
}

impl Fields {
    /// Nothing where they say it in a way that takes judgement.
    fn of(lines: &[httparse::Header<'_>]) -> Option<Self> {
        let mut fields = Self {
            length: None,
            keeps: true,
        };
        for line in lines {
            // By length first: a comparison without case costs, and few names have these lengths.
            if is(line, CONTENT_LENGTH.as_str()) {
                let length = length(line.value)?;
                if fields.length.replace(length).is_some() {
                    return None;
                }
            } else if is(line, TRANSFER_ENCODING.as_str()) {
                return None;
            } else if is(line, CONNECTION.as_str()) {
                if line.value.eq_ignore_ascii_case(b"close") {
                    fields.keeps = false;
                } else if !line.value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            }
        }
        Some(fields)
    }
}

fn is(line: &httparse::Header<'_>, name: &str) -> bool {
    line.name.len() == name.len() && line.name.eq_ignore_ascii_case(name)
}

fn length(digits: &[u8]) -> Option<usize> {
    let plain = digits.iter().all(u8::is_ascii_digit) && (1..=LENGTH_DIGITS_MAX).contains(&digits.len());
    plain.then(|| {
        digits
            .iter()
            .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
    })
}

/// Puts the header lines in place of what `headers` holds, over `kept`, a copy of `bytes` that `lines` lie in. `Connection` ends here.
fn fill(headers: &mut HeaderMap, lines: &[httparse::Header<'_>], bytes: &[u8], kept: &Bytes) -> Option<()> {
    let base = bytes.as_ptr().addr();
    headers.clear();
    for line in lines.iter().filter(|line| !is(line, CONNECTION.as_str())) {
        let at = line.value.as_ptr().addr() - base;
        let value = HeaderValue::from_maybe_shared(kept.slice(at..at + line.value.len())).ok()?;
        headers.append(HeaderName::from_bytes(line.name.as_bytes()).ok()?, value);
    }
    Some(())
}

#[cfg(test)]
mod tests;
