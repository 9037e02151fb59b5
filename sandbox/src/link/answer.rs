//! Reading an answer: its head, how its body is framed, and the chunks of a chunked one.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::LinkError;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// A parsed head, taken off the front of the buffer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    pub(super) keeps_open: bool,
}

/// Header lines of one answer.
const HEADERS_MAX: usize = 64;

impl Head {
    /// Parses a head if the buffer holds a whole one.
    pub(super) fn parse(buffer: &mut BytesMut, method: &Method) -> Result<Option<Self>, LinkError> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut lines);
        let length = match parsed.parse(buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(LinkError::Malformed),
        };
        let code = parsed.code.ok_or(LinkError::Malformed)?;
        let status = StatusCode::from_u16(code).map_err(|_| LinkError::Malformed)?;
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for line in parsed.headers.iter() {
            let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| LinkError::Malformed)?;
            let value = HeaderValue::from_bytes(line.value).map_err(|_| LinkError::Malformed)?;
            headers.append(name, value);
        }
        let keeps_open = parsed.version == Some(1) && !says(&headers, &header::CONNECTION, "close");
        let framing = framing(status, method, &headers)?;
        buffer.advance(length);
        Ok(Some(Self {
            status,
            headers,
            framing,
            keeps_open,
        }))
    }
}

fn framing(status: StatusCode, method: &Method, headers: &HeaderMap) -> Result<Framing, LinkError> {
    let has_none = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || method == Method::HEAD;
    if has_none {
        return Ok(Framing::Length(0));
    }
    if says(headers, &header::TRANSFER_ENCODING, "chunked") {
        return Ok(Framing::Chunked);
    }
    match headers.get(header::CONTENT_LENGTH) {
        None => Ok(Framing::UntilClose),
        Some(length) => {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            length.map(Framing::Length).ok_or(LinkError::Malformed)
        }
    }
}

fn says(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// A chunked body being put together (RFC 9112, section 7.1).
#[derive(Debug, Default)]
pub(super) struct Unchunked {
    pub(super) body: BytesMut,
    /// Bytes of the current chunk still to come, its closing CRLF included.
    left: Option<usize>,
    /// The last chunk was seen; only trailers follow.
    trailing: bool,
}

impl Unchunked {
    /// Takes what the buffer holds; true when the body is complete.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<bool, LinkError> {
        loop {
            if self.trailing {
                return take_trailers(buffer);
            }
            if let Some(left) = self.left {
                if buffer.len() < left {
                    return Ok(false);
                }
                let mut chunk = buffer.split_to(left);
                let data = left.checked_sub(2).ok_or(LinkError::Malformed)?;
                if chunk.split_off(data).as_ref() != b"\r\n" {
                    return Err(LinkError::Malformed);
                }
                self.body.extend_from_slice(&chunk);
                self.left = None;
            }
            match httparse::parse_chunk_size(buffer).map_err(|_| LinkError::Malformed)? {
                httparse::Status::Partial => return Ok(false),
                httparse::Status::Complete((line, 0)) => {
                    buffer.advance(line);
                    self.trailing = true;
                }
                httparse::Status::Complete((line, size)) => {
                    buffer.advance(line);
                    let size = usize::try_from(size).map_err(|_| LinkError::TooLong)?;
                    self.left = Some(size.checked_add(2).ok_or(LinkError::TooLong)?);
                }
            }
        }
    }
}

/// Skips trailer lines up to the empty one.
fn take_trailers(buffer: &mut BytesMut) -> Result<bool, LinkError> {
    loop {
        let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(false);
        };
        buffer.advance(end.checked_add(2).ok_or(LinkError::Malformed)?);
        if end == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, LinkError> {
        Head::parse(&mut BytesMut::from(text), &Method::GET)
    }

    #[test]
    fn bodies_are_framed_by_the_rules() {
        let framing = |text: &str| head(text).unwrap().unwrap().framing;
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
            Framing::Length(7)
        );
        assert_eq!(
            framing("HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n"),
            Framing::Length(0)
        );
        assert_eq!(
            framing("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"),
            Framing::Chunked
        );
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::UntilClose);
        assert!(head("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
        assert!(head("nonsense\r\n\r\n").is_err());
        assert!(head("HTTP/1.1 200 OK\r\ncontent-").unwrap().is_none());
    }

    #[test]
    fn a_connection_is_kept_unless_the_answer_says_otherwise() {
        let keeps = |text: &str| head(text).unwrap().unwrap().keeps_open;
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }

    #[test]
    fn chunks_may_arrive_in_any_pieces() {
        let wire = b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\ntrailer: t\r\n\r\nNEXT";
        for piece in 1..wire.len() {
            let (mut chunks, mut buffer, mut done) = (Unchunked::default(), BytesMut::new(), false);
            for part in wire.chunks(piece) {
                buffer.extend_from_slice(part);
                done = done || chunks.take(&mut buffer).unwrap();
            }
            assert!(done, "in pieces of {piece}");
            assert_eq!(chunks.body.as_ref(), b"hello world");
            assert_eq!(buffer.as_ref(), b"NEXT");
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        for wire in ["x\r\n", "3\r\nabcde\r\n", "ffffffffffffffffff\r\n"] {
            let mut buffer = BytesMut::from(wire);
            assert!(Unchunked::default().take(&mut buffer).is_err(), "{wire:?}");
        }
    }
}
