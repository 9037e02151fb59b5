//! One connection to the upstream, driven by whoever holds it.
//!
//! Between exchanges it is a bare socket. Most exchanges are a request without a body and an
//! answer that comes in one piece; they take the [short way](short): a head written, an answer read.
//! For anything else [hyper](long) is put on the socket, and taken off again when it is done.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::super::body::{Awaited, RequestBody};
use super::super::headers::Added;
use super::connect::Socket;
use super::error::{Failure, ProxyError, body_fault};
use super::turn::Turn;
use super::upstream::Slot;

mod codec;
mod long;
mod short;

pub(super) use short::Answer;

use long::Long;

/// A connection and its place among all that may be open.
#[derive(Debug)]
pub(super) struct Link {
    way: Way,
    /// Set once and then only pushed back, which costs no lock of the timer's.
    timer: Pin<Box<Sleep>>,
    exchanges: u32,
    idle_since: Instant,
    /// Last, so that the socket is closed before the slot is free for another one.
    slot: Slot,
}

/// What stands on the connection.
#[derive(Debug)]
enum Way {
    Short(Socket),
    Long(Box<Long>),
    /// Nothing any more.
    Closed,
}

/// Keeps the upstream's time while a body is on its way to it.
struct Upload<'a> {
    awaited: Awaited,
    turn: &'a mut Turn,
    deadline: Duration,
}

impl Link {
    /// Takes over `socket`.
    pub(super) fn new(socket: Socket, slot: Slot) -> Self {
        Self {
            way: Way::Short(socket),
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(1))),
            exchanges: 0,
            idle_since: Instant::now(),
            slot,
        }
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

    /// Whether it can carry another exchange: the last one is complete, and the upstream has neither
    /// closed the connection since nor said anything unasked. Costs no system call where nothing came.
    pub(super) fn is_ready(&mut self) -> bool {
        if let Way::Long(_) = self.way
            && let Way::Long(long) = std::mem::replace(&mut self.way, Way::Closed)
            && let Some(socket) = long.into_idle()
        {
            self.way = Way::Short(socket);
        }
        match &mut self.way {
            Way::Short(socket) => socket.is_silent(),
            Way::Long(_) | Way::Closed => false,
        }
    }

    /// Moves hyper as far as it goes; the task of `cx` is woken when it can go further.
    pub(super) fn poll_driver(&mut self, cx: &mut Context<'_>) {
        if let Way::Long(long) = &mut self.way {
            long.poll_driver(cx);
        }
    }

    /// Runs `look`, which takes from hyper what the driver put there. Says in addition whether the
    /// driver was meant to be woken meanwhile: before waiting it must then be moved once more.
    pub(super) fn unwoken<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> (T, bool) {
        match &self.way {
            Way::Long(long) => long.unwoken(look),
            Way::Short(_) | Way::Closed => (look(&mut Context::from_waker(Waker::noop())), false),
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        match &self.way {
            Way::Long(long) => long.has_ended(),
            Way::Short(_) | Way::Closed => true,
        }
    }

    /// Sets the timer to `after` from now.
    pub(super) fn set_timer(&mut self, after: Duration) {
        self.timer.as_mut().reset(Instant::now() + after);
    }

    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().poll(cx)
    }

    /// Sends a request without a body the short way and waits for its answer, or for as much of it
    /// as shows that hyper is needed, for at most `deadline`.
    pub(super) async fn ask(
        &mut self,
        parts: &mut Parts,
        added: &Added,
        deadline: Duration,
    ) -> Result<Answer, Failure> {
        self.set_timer(deadline);
        let head = codec::head(parts, added);
        let Way::Short(socket) = &mut self.way else {
            return Err(Failure::Final(ProxyError::Broken(None)));
        };
        let timer = &mut self.timer;
        let mut asking = short::Asking::new(socket, &head, parts);
        poll_fn(|cx| {
            if let Poll::Ready(answered) = asking.poll(cx) {
                return Poll::Ready(answered);
            }
            timer
                .as_mut()
                .poll(cx)
                .map(|()| Err(Failure::Final(ProxyError::AnswerTimedOut)))
        })
        .await
    }

    /// Lets hyper read on where [`Link::ask`] stopped, `begun` being what it has read. What it writes
    /// for `parts` goes nowhere; their method tells it how to read. The deadline set there goes on.
    pub(super) async fn read_on(
        &mut self,
        parts: Parts,
        begun: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        if let Way::Short(socket) = &mut self.way {
            socket.replay(begun);
        }
        self.long_way(Request::from_parts(parts, RequestBody::empty()), None)
            .await
    }

    /// Sends `request` and waits for the head of its answer. For at most `deadline` the upstream may
    /// take nothing of it, and for as long it may say nothing after the last byte. What the client
    /// takes for its body is the body's own affair; `turn` tells the two apart, also after a failure.
    pub(super) async fn exchange(
        &mut self,
        mut request: Request<RequestBody>,
        deadline: Duration,
        turn: &mut Turn,
    ) -> Result<Response<Incoming>, Failure> {
        self.set_timer(deadline);
        if let Way::Short(socket) = &self.way {
            socket.begin_exchange();
        }
        let upload = request.body_mut().awaited().map(|awaited| Upload {
            awaited,
            turn,
            deadline,
        });
        self.long_way(request, upload).await
    }

    async fn long_way(
        &mut self,
        request: Request<RequestBody>,
        mut upload: Option<Upload<'_>>,
    ) -> Result<Response<Incoming>, Failure> {
        let broken = |error| Failure::Final(ProxyError::Broken(error));
        let Way::Short(socket) = std::mem::replace(&mut self.way, Way::Closed) else {
            return Err(broken(None));
        };
        let long = Long::new(socket).await.map_err(|error| broken(Some(error)))?;
        self.way = Way::Long(Box::new(long));
        let (Way::Long(long), timer) = (&mut self.way, &mut self.timer) else {
            return Err(broken(None));
        };
        let mut answer = pin!(long.sender.try_send_request(request));
        poll_fn(|cx| {
            long.poll_driver(cx);
            // Only the driver can complete the answer, and it just ran: no waker is needed, and
            // none means that this task is not woken by itself.
            if let Poll::Ready(result) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(result.map_err(|mut error| match error.take_message() {
                    Some(request) => Failure::NotSent(Box::new(request)),
                    None => failure(long, error.into_error()),
                }));
            }
            if long.has_ended() {
                return Poll::Ready(Err(broken(None)));
            }
            if let Some(upload) = &mut upload
                && upload.waits_for_the_client(long, timer.as_mut())
            {
                return Poll::Pending; // the body keeps its own deadlines, and wakes the driver
            }
            timer
                .as_mut()
                .poll(cx)
                .map(|()| Err(Failure::Final(ProxyError::AnswerTimedOut)))
        })
        .await
    }

    /// Takes the socket out, with what was read from it beyond the head of a 101.
    pub(super) fn into_socket(self) -> Option<(Socket, Bytes, Slot)> {
        let Way::Long(long) = self.way else { return None };
        let (socket, early) = long.into_tunnel()?;
        Some((socket, early, self.slot))
    }

    /// Closes the socket and keeps the slot for another one.
    pub(super) fn into_slot(self) -> Slot {
        self.slot
    }
}

impl Upload<'_> {
    /// Looks whose turn it is now that the driver has moved. hyper asks the body for more only while
    /// it can write: a body that waits lacks bytes of the client's, and one that does not wait, the
    /// upstream's readiness to take them.
    fn waits_for_the_client(&mut self, long: &Long, timer: Pin<&mut Sleep>) -> bool {
        let taken = long.has_taken();
        if self.awaited.is_now() {
            *self.turn = Turn::Client;
            return true;
        }
        if taken || self.turn.is_clients() {
            *self.turn = Turn::upstream();
            timer.reset(Instant::now() + self.deadline);
        }
        false
    }
}

/// Tells a connection that died in silence, after which another one may be tried, from one that
/// broke in the middle of an answer.
fn failure(long: &Long, error: hyper::Error) -> Failure {
    if let Some(fault) = body_fault(&error) {
        return Failure::Final(ProxyError::Body(Some(error), fault));
    }
    if long.has_heard() {
        return Failure::Final(ProxyError::Broken(Some(error)));
    }
    Failure::Died(Some(error))
}
