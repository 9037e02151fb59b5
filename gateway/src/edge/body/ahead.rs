//! The part of a request's body that is read before the body goes on its way, to see whether it is all
//! there.

use std::mem;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// What was read ahead and is not handed on yet.
#[derive(Default, Debug)]
pub(super) struct Ahead {
    /// As it came: most bodies are one piece.
    first: Bytes,
    /// All further pieces in one, so that a client that sends single bytes makes us keep no more.
    rest: BytesMut,
    trailers: Option<HeaderMap>,
    /// Nothing comes after it.
    ended: bool,
}

impl Ahead {
    pub(super) fn bytes(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Whether nothing is left to hand on.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0 && self.trailers.is_none()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes in the next frame, or the end of the body.
    pub(super) fn push(&mut self, frame: Option<Frame<Bytes>>) {
        match frame.map(Frame::into_data) {
            Some(Ok(data)) if self.bytes() == 0 => self.first = data,
            Some(Ok(data)) => self.rest.extend_from_slice(&data),
            Some(Err(last)) => {
                self.trailers = last.into_trailers().ok();
                self.ended = true;
            }
            None => self.ended = true,
        }
    }

    /// Hands the next frame on.
    pub(super) fn pop(&mut self) -> Option<Frame<Bytes>> {
        if !self.first.is_empty() {
            return Some(Frame::data(mem::take(&mut self.first)));
        }
        if !self.rest.is_empty() {
            return Some(Frame::data(mem::take(&mut self.rest).freeze()));
        }
        self.trailers.take().map(Frame::trailers)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn data(bytes: &'static [u8]) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(bytes))
    }

    #[test]
    fn what_was_read_is_handed_on_in_order_and_once() {
        let mut ahead = Ahead::default();
        assert!(ahead.is_empty() && !ahead.has_ended());
        for piece in [b"first".as_slice(), b"", b"sec", b"ond"] {
            ahead.push(Some(data(piece)));
        }
        assert_eq!((ahead.bytes(), ahead.has_ended()), (11, false));
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        ahead.push(Some(Frame::trailers(trailers)));
        assert!(ahead.has_ended(), "nothing follows trailers");
        let pieces: Vec<_> = std::iter::from_fn(|| ahead.pop()).collect();
        let bytes: Vec<_> = pieces.iter().filter_map(Frame::data_ref).collect();
        assert_eq!(bytes, [&b"first"[..], b"second"]);
        assert!(pieces[2].is_trailers());
        assert!(ahead.is_empty());
    }

    #[test]
    fn an_end_without_trailers_hands_on_nothing() {
        let mut ahead = Ahead::default();
        ahead.push(Some(data(b"")));
        ahead.push(None);
        assert!(ahead.is_empty() && ahead.has_ended());
        assert!(ahead.pop().is_none());
    }
}
