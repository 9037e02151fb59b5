//! An answer on a stream of HTTP/2, in pieces of one frame at most, with a mark that tells whether
//! the client takes them.
//!
//! hyper asks for a piece before there is room for it and keeps it until there is. A client that
//! gives no room is seen by that alone: a piece was handed over, and the next is not asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;

use super::BoxError;

/// Bytes of a piece at most: the largest frame every client takes. A slow client has the write
/// deadline for each, and no more than this of an answer lies about for one that takes nothing.
const PIECE_BYTES_MAX: usize = 16 * 1_024;

/// Which piece hyper holds; zero where it holds none.
#[derive(Default, Debug)]
pub(in crate::edge) struct Taking(AtomicU32);

/// Cuts the frames of one body.
#[derive(Debug)]
pub(super) struct Pieces {
    taking: Arc<Taking>,
    handed_over: u32,
    /// What is left of the present frame.
    rest: Bytes,
}

impl Taking {
    /// The number of the piece that waits for room, if one does.
    pub(in crate::edge) fn held(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|piece| *piece > 0)
    }
}

impl Pieces {
    pub(super) const fn new(taking: Arc<Taking>) -> Self {
        Self {
            taking,
            handed_over: 0,
            rest: Bytes::new(),
        }
    }

    /// Bytes still to come of the present frame.
    pub(super) const fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    /// The next piece; asks for a `frame` where there is nothing left of the last one.
    pub(super) fn poll(
        &mut self,
        frame: impl FnOnce() -> Poll<Option<Result<Frame<Bytes>, BoxError>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = if self.rest.is_empty() {
            frame().map_ok(|frame| self.cut(frame))
        } else {
            Poll::Ready(Some(Ok(self.next())))
        };
        let held = if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.handed_over = self.handed_over.wrapping_add(1).max(1);
            self.handed_over
        } else {
            0
        };
        self.taking.0.store(held, Ordering::Relaxed);
        polled
    }

    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                self.next()
            }
            Err(trailers) => trailers,
        }
    }

    fn next(&mut self) -> Frame<Bytes> {
        let bytes = self.rest.len().min(PIECE_BYTES_MAX);
        Frame::data(self.rest.split_to(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use http_body::Body as _;

    use super::super::EdgeBody;
    use super::*;

    #[test]
    fn a_large_body_comes_in_pieces_and_each_is_held_until_the_next_is_asked_for() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        let taking = Arc::<Taking>::default();
        let mut body = EdgeBody::full(bytes.clone());
        body.set_pieces(Arc::clone(&taking));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut taken, mut held) = (Vec::new(), Vec::new());
        assert_eq!(taking.held(), None);
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
            let data = frame.expect("it does not fail").into_data().expect("data");
            assert!(data.len() <= PIECE_BYTES_MAX);
            taken.extend_from_slice(&data);
            held.push(taking.held().expect("hyper holds it"));
            let left = u64::try_from(bytes.len() - taken.len()).expect("small");
            assert_eq!(body.size_hint().exact(), Some(left));
            assert_eq!(body.is_end_stream(), left == 0);
        }
        assert!(taken == bytes);
        assert_eq!(held, [1, 2, 3]);
        assert_eq!(taking.held(), None);
    }
}
