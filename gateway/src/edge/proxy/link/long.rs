//! hyper on a connection, for whatever the short way leaves to it: bodies that stream, upgrades,
//! and every answer that is not plainly whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::super::super::body::RequestBody;
use super::super::connect::Socket;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// Largest buffer of a connection; it starts small and grows as the upstream sends fast.
const BUFFER_BYTES_MAX: usize = 128 * 1_024;

type Driver = Connection<TokioIo<Socket>, RequestBody>;

/// hyper's two halves for one connection. It moves only when it is polled here.
#[derive(Debug)]
pub(super) struct Long {
    pub(super) sender: SendRequest<RequestBody>,
    driver: Box<Driver>,
    /// The driver is done and must not be polled again.
    ended: bool,
    /// Set by the socket when the upstream says anything.
    heard: Arc<AtomicBool>,
    /// Set by the socket when the upstream takes anything.
    taken: Arc<AtomicBool>,
    alarm: Arc<Alarm>,
    /// `alarm` as the driver knows it.
    waker: Waker,
}

/// Wakes the task that holds a link, except while that task itself moves it: what hyper's halves
/// tell each other then is seen at once, and a wake-up would only run the task once more.
#[derive(Default, Debug)]
struct Alarm {
    task: AtomicWaker,
    muted: AtomicBool,
    missed: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.muted.load(Ordering::SeqCst) {
            self.missed.store(true, Ordering::SeqCst);
        } else {
            self.task.wake();
        }
    }
}

impl Long {
    /// Puts HTTP/1.1 on `socket`.
    pub(super) async fn new(socket: Socket) -> hyper::Result<Self> {
        let (heard, taken) = (socket.heard(), socket.taken());
        let (sender, driver) = http1::Builder::new()
            // No `max_headers`: hyper's own bound is the same 100 lines, and setting it moves the
            // parser's array to the heap, an allocation per answer.
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await?;
        let alarm = Arc::<Alarm>::default();
        Ok(Self {
            sender,
            driver: Box::new(driver),
            ended: false,
            heard,
            taken,
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
        })
    }

    /// Whether the upstream has said anything since the exchange began.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether the upstream has taken anything since this was last asked.
    pub(super) fn has_taken(&self) -> bool {
        self.taken.swap(false, Ordering::Relaxed)
    }

    /// Moves the connection as far as it goes; the task of `cx` is woken when it can go further.
    pub(super) fn poll_driver(&mut self, cx: &mut Context<'_>) {
        self.alarm.task.register(cx.waker());
        self.drive();
    }

    /// Runs `look`, which takes from hyper what the driver put there. Says in addition whether the
    /// driver was meant to be woken meanwhile: before waiting it must then be moved once more.
    pub(super) fn unwoken<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> (T, bool) {
        self.alarm.muted.store(true, Ordering::SeqCst);
        let seen = look(&mut Context::from_waker(Waker::noop()));
        self.alarm.muted.store(false, Ordering::SeqCst);
        (seen, self.alarm.missed.swap(false, Ordering::SeqCst))
    }

    fn drive(&mut self) {
        if self.ended {
            return;
        }
        let mut cx = Context::from_waker(&self.waker);
        if let Poll::Ready(ended) = Pin::new(&mut self.driver).poll(&mut cx) {
            self.ended = true;
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the upstream ended");
            }
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The socket again, where the exchange is complete and the upstream keeps the connection.
    pub(super) fn into_idle(mut self) -> Option<Socket> {
        self.alarm.task.take(); // whoever held it before is not to be woken for it
        self.drive();
        if self.ended || !self.sender.is_ready() {
            return None;
        }
        let parts = self.driver.into_parts();
        let mut socket = parts.io.into_inner();
        // Bytes that nobody asked for: the upstream and we disagree about where an answer ends.
        let clean = parts.read_buf.is_empty() && socket.end_replay();
        clean.then_some(socket)
    }

    /// The socket after a 101, with what was read from it beyond the head.
    pub(super) fn into_tunnel(self) -> Option<(Socket, Bytes)> {
        if !self.ended {
            return None; // the driver still speaks HTTP: there was no upgrade
        }
        let parts = self.driver.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}
