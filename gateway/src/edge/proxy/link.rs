//! One connection to the upstream, driven by whoever holds it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use super::super::body::RequestBody;
use super::connect::Socket;
use super::error::{Failure, ProxyError, body_fault};
use super::pool::Slot;

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1_024;
/// Largest buffer of a connection; it starts small and grows as the upstream sends fast.
const BUFFER_BYTES_MAX: usize = 128 * 1_024;

type Driver = Connection<TokioIo<Socket>, RequestBody>;

/// A connection with hyper's state for it. It moves only when it is polled here.
#[derive(Debug)]
pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    driver: Box<Driver>,
    /// The driver is done and must not be polled again.
    ended: bool,
    /// Set by the socket when the upstream says anything.
    heard: Arc<AtomicBool>,
    alarm: Arc<Alarm>,
    /// `alarm` as the driver knows it.
    waker: Waker,
    /// Set once and then only pushed back, which costs no lock of the timer's.
    timer: Pin<Box<Sleep>>,
    exchanges: u32,
    idle_since: Instant,
    /// Last, so that the socket is closed before the slot is free for another one.
    slot: Slot,
}

/// Wakes the task that holds a link, except while that task itself moves it: what hyper's halves
/// tell each other then is seen at once, and a wake-up would only run the task once more.
#[derive(Default, Debug)]
struct Alarm {
    task: AtomicWaker,
    /// Set with every wake-up, cleared when the driver is moved.
    rung: AtomicBool,
    muted: AtomicBool,
    missed: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if self.muted.load(Ordering::SeqCst) {
            self.missed.store(true, Ordering::SeqCst);
        } else {
            self.task.wake();
        }
    }
}

impl Link {
    /// Puts HTTP/1.1 on `socket`.
    pub(super) async fn new(socket: Socket, slot: Slot) -> hyper::Result<Self> {
        let heard = socket.heard();
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
            waker: Waker::from(Arc::clone(&alarm)),
            alarm,
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(1))),
            exchanges: 0,
            idle_since: Instant::now(),
            slot,
        })
    }

    /// Whether it carried an exchange before the present one.
    pub(super) const fn is_reused(&self) -> bool {
        self.exchanges > 1
    }

    pub(super) const fn idle_since(&self) -> Instant {
        self.idle_since
    }

    pub(super) fn begin_idle(&mut self) {
        self.idle_since = Instant::now();
    }

    pub(super) const fn begin_exchange(&mut self) {
        self.exchanges = self.exchanges.saturating_add(1);
    }

    /// Whether it can carry another exchange. The driver is moved only where something has
    /// happened since it last ran, such as the upstream closing the connection meanwhile.
    pub(super) fn is_ready(&mut self) -> bool {
        self.alarm.task.take(); // whoever held it before is not to be woken for it
        if self.alarm.rung.load(Ordering::SeqCst) || !self.sender.is_ready() {
            self.drive();
        }
        !self.ended && self.sender.is_ready()
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
        // Before the driver runs: what happens while it does counts as news again.
        self.alarm.rung.store(false, Ordering::SeqCst);
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

    /// Sets the timer to `after` from now.
    pub(super) fn set_timer(&mut self, after: Duration) {
        self.timer.as_mut().reset(Instant::now() + after);
    }

    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }

    /// Sends `request` and waits for the head of its answer for at most `deadline`.
    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        deadline: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        self.heard.store(false, Ordering::Relaxed);
        let mut answer = pin!(self.sender.try_send_request(request));
        self.set_timer(deadline);
        poll_fn(|cx| {
            self.poll_driver(cx);
            // Only the driver can complete the answer, and it just ran: no waker is needed, and
            // none means that this task is not woken by itself.
            if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(result.map_err(|mut error| match error.take_message() {
                    Some(request) => Failure::NotSent(Box::new(request)),
                    None => self.failure(error.into_error()),
                }));
            }
            if self.ended {
                return Poll::Ready(Err(Failure::Final(ProxyError::Broken(None))));
            }
            self.poll_timer(cx)
                .map(|()| Err(Failure::Final(ProxyError::AnswerTimedOut)))
        })
        .await
    }

    /// Takes the socket out, with what was read from it beyond the head of a 101.
    pub(super) fn into_socket(self) -> Option<(Socket, Bytes, Slot)> {
        if !self.ended {
            return None; // the driver still speaks HTTP: there was no upgrade
        }
        let parts = self.driver.into_parts();
        Some((parts.io.into_inner(), parts.read_buf, self.slot))
    }

    /// Closes the socket and keeps the slot for another one.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }

    /// Tells a connection that died in silence, after which another one may be tried, from one
    /// that broke in the middle of an answer.
    fn failure(&self, error: hyper::Error) -> Failure {
        if let Some(fault) = body_fault(&error) {
            return Failure::Final(ProxyError::Body(error, fault));
        }
        if self.heard.load(Ordering::Relaxed) {
            return Failure::Final(ProxyError::Broken(Some(error)));
        }
        Failure::Died(error)
    }
}
