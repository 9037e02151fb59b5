//! Drives one connection and keeps its deadlines and the shutdown's.
//!
//! hyper's own header deadline makes a timer per request. Here one timer serves a connection for
//! its whole life: requests only change marks, and the timer looks at the marks when it fires. It
//! is set anew only for what must end soon: a head half read, an answer half written.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use super::super::connection::{Connection, Phase, Sight};
use super::super::observe::ConnectionEnd;
use super::Deadlines;
use super::drain::Drain;

/// A connection of hyper's that can be asked to finish.
pub(super) trait Finish: Future<Output = hyper::Result<()>> {
    /// Finishes what was begun and then ends.
    fn finish(self: Pin<&mut Self>);
}

/// One connection under supervision. Yields why it was cut, or `None` where it ended well.
pub(super) struct Supervised<C> {
    conn: Pin<Box<C>>,
    connection: Arc<Connection>,
    deadlines: Deadlines,
    timer: Pin<Box<Sleep>>,
    seen: Sight,
    /// Something moved since the timer was set.
    moved: bool,
    drain: Arc<Drain>,
    changed: Pin<Box<OwnedNotified>>,
    /// `changed` has been polled, so that a change wakes us.
    listening: bool,
    finishing: bool,
}

impl<C: Finish> Supervised<C> {
    pub(super) fn new(conn: C, connection: Arc<Connection>, deadlines: Deadlines, drain: Arc<Drain>) -> Self {
        let seen = connection.watch.sight();
        let changed = Box::pin(drain.changed());
        let timer = Box::pin(tokio::time::sleep(limit(deadlines, seen.phase)));
        Self {
            conn: Box::pin(conn),
            connection,
            deadlines,
            timer,
            seen,
            moved: false,
            drain,
            changed,
            listening: false,
            finishing: false,
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Option<ConnectionEnd> {
        if !self.listening || self.drain.has_begun() {
            self.listening = true;
            if self.changed.as_mut().poll(cx).is_ready() {
                self.changed = Box::pin(self.drain.changed());
                // Registers for the cut that may follow; the stage is looked at afterwards.
                let _ = self.changed.as_mut().poll(cx);
            }
        }
        if self.drain.is_cut() {
            return Some(ConnectionEnd::Drained);
        }
        if self.drain.has_begun() && !self.finishing {
            self.finishing = true;
            self.conn.as_mut().finish();
            cx.waker().wake_by_ref(); // an idle connection ends only when polled once more
        }
        None
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Option<ConnectionEnd> {
        let sight = self.connection.watch.sight();
        if sight != self.seen {
            let before = std::mem::replace(&mut self.seen, sight).phase;
            self.moved = true;
            let urgent = before == Phase::First || matches!(sight.phase, Phase::Head | Phase::Writing);
            if urgent && before != sight.phase {
                self.set_timer(limit(self.deadlines, sight.phase));
            }
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if !self.moved
                && let Some(why) = expiry(sight.phase)
            {
                return Some(why);
            }
            self.set_timer(limit(self.deadlines, sight.phase));
        }
        None
    }

    fn set_timer(&mut self, after: Duration) {
        self.moved = false;
        self.timer.as_mut().reset(Instant::now() + after);
    }
}

impl<C: Finish> Future for Supervised<C> {
    type Output = Option<ConnectionEnd>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(ended) = this.conn.as_mut().poll(cx) {
            return Poll::Ready(ended.err().map(|error| {
                tracing::debug!(%error, "a connection broke");
                ConnectionEnd::Broken
            }));
        }
        match this.poll_drain(cx).or_else(|| this.poll_deadline(cx)) {
            Some(why) => Poll::Ready(Some(why)),
            None => Poll::Pending,
        }
    }
}

fn limit(deadlines: Deadlines, phase: Phase) -> Duration {
    match phase {
        Phase::First => deadlines.first_byte,
        Phase::Head => deadlines.header,
        Phase::Writing => deadlines.write,
        Phase::Idle | Phase::Busy => deadlines.idle,
    }
}

fn expiry(phase: Phase) -> Option<ConnectionEnd> {
    match phase {
        Phase::First => Some(ConnectionEnd::FirstByte),
        Phase::Head => Some(ConnectionEnd::Header),
        Phase::Writing => Some(ConnectionEnd::WriteStalled),
        Phase::Idle => Some(ConnectionEnd::Idle),
        Phase::Busy => None,
    }
}
