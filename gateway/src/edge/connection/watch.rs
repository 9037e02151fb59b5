//! What a connection is doing right now, written by its socket and its requests, read by its
//! deadlines. Plain stores: no clock is read and no timer armed for a request that behaves.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) enum Phase {
    /// The first byte.
    First,
    /// The next request.
    Idle,
    /// The rest of a request head.
    Head,
    /// Our own work; the proxy and the bodies keep their own deadlines.
    Busy,
    /// The client to read its answer.
    Writing,
}

/// A phase, and a count that changes with every step forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) struct Sight {
    pub(in crate::edge) phase: Phase,
    steps: u32,
}

/// The marks of one connection. Relaxed ordering throughout: all of them are written and read by
/// tasks of one connection, and a deadline that is seen one step late is still kept.
#[derive(Debug)]
pub(in crate::edge) struct Watch {
    fresh: AtomicBool,
    head_begun: AtomicBool,
    write_blocked: AtomicBool,
    multiplexed: AtomicBool,
    in_flight: AtomicU32,
    steps: AtomicU32,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            fresh: AtomicBool::new(true),
            head_begun: AtomicBool::new(false),
            write_blocked: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            steps: AtomicU32::new(0),
        }
    }
}

impl Watch {
    /// HTTP/2: bytes between requests are frames of its own and begin no head.
    pub(in crate::edge) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    /// The socket delivered bytes.
    pub(in crate::edge) fn bytes_read(&self) {
        if self.multiplexed.load(Ordering::Relaxed) || self.in_flight.load(Ordering::Relaxed) > 0 {
            return;
        }
        self.head_begun.store(true, Ordering::Relaxed);
    }

    /// The socket took bytes, or would not.
    pub(in crate::edge) fn wrote(&self, progress: bool) {
        if progress {
            // Looked at before it is written: nearly always there is nothing to change.
            if self.write_blocked.load(Ordering::Relaxed) {
                self.write_blocked.store(false, Ordering::Relaxed);
                self.steps.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            self.write_blocked.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn begin_request(&self) {
        self.fresh.store(false, Ordering::Relaxed);
        self.head_begun.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// What the connection is waiting for.
    pub(in crate::edge) fn sight(&self) -> Sight {
        let phase = if self.write_blocked.load(Ordering::Relaxed) {
            Phase::Writing
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            Phase::Busy
        } else if self.head_begun.load(Ordering::Relaxed) {
            Phase::Head
        } else if self.fresh.load(Ordering::Relaxed) {
            Phase::First
        } else {
            Phase::Idle
        };
        Sight {
            phase,
            steps: self.steps.load(Ordering::Relaxed),
        }
    }
}
