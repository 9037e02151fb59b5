//! The short way: the head of a request out, an answer in, on the bare socket.
//!
//! It takes an answer only where it is plainly whole: head and body read, their length announced,
//! nothing behind them. Whatever else has come goes to hyper, byte for byte.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::connect::Socket;
use super::super::error::{Failure, ProxyError};
use super::codec::{self, Read};

/// Bytes read at once. They are read onto the stack and copied out to size, so that an idle
/// connection holds no buffer and a kept header does not hold a large one.
const READ_BYTES: usize = 8 * 1_024;
/// Bytes of a head that is still incomplete, beyond which hyper takes over with its own limits.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// What came of asking.
#[derive(Debug)]
pub(in crate::edge::proxy) enum Answer {
    /// All of it.
    Whole {
        response: Response<Bytes>,
        /// Whether the upstream keeps the connection.
        keeps: bool,
    },
    /// The beginning of one that hyper must read.
    Begun(Bytes),
}

/// One exchange on its way.
pub(super) struct Asking<'a> {
    socket: &'a mut Socket,
    unsent: &'a [u8],
    flushed: bool,
    parts: &'a mut Parts,
    /// The part of a head that came first.
    begun: Vec<u8>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(socket: &'a mut Socket, head: &'a [u8], parts: &'a mut Parts) -> Self {
        Self {
            socket,
            unsent: head,
            flushed: false,
            parts,
            begun: Vec::new(),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        if !self.flushed && self.poll_send(cx)?.is_pending() {
            return Poll::Pending;
        }
        loop {
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *self.socket).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(Err(self.broken())),
            }
            if let Some(answer) = self.judge(read.filled()) {
                return Poll::Ready(Ok(answer));
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut socket = Pin::new(&mut *self.socket);
        while !self.unsent.is_empty() {
            match socket.as_mut().poll_write(cx, self.unsent) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => self.unsent = &self.unsent[count..],
                Poll::Ready(Ok(_) | Err(_)) => return Poll::Ready(Err(Failure::Died(None))),
            }
        }
        let flushed = socket.poll_flush(cx).map_err(|_| Failure::Died(None));
        self.flushed = flushed.is_ready();
        flushed
    }

    /// What the bytes so far and `fresh` are; nothing where the head goes on.
    fn judge(&mut self, fresh: &[u8]) -> Option<Answer> {
        let bytes = if self.begun.is_empty() {
            fresh
        } else {
            self.begun.extend_from_slice(fresh);
            &self.begun
        };
        match codec::read(bytes, self.parts) {
            Read::Whole { response, keeps } => Some(Answer::Whole { response, keeps }),
            Read::Partial if bytes.len() < HEAD_BYTES_MAX => {
                if self.begun.is_empty() {
                    self.begun.extend_from_slice(fresh);
                }
                None
            }
            Read::Partial | Read::Other => Some(Answer::Begun(Bytes::copy_from_slice(bytes))),
        }
    }

    /// A connection that died in silence leaves room for another try; one that broke within an
    /// answer does not.
    fn broken(&self) -> Failure {
        if self.begun.is_empty() {
            Failure::Died(None)
        } else {
            Failure::Final(ProxyError::Broken(None))
        }
    }
}

#[cfg(test)]
mod tests;
