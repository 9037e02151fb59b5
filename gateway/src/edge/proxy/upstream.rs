//! What all runtimes share of one upstream: how it is reached, how many connections may be open, and
//! who waits for one.
//!
//! A connection stays with the runtime that opened it. What passes between runtimes is only the right
//! to have one open, a [`Slot`]: whoever finds an idle connection in its own pool asks nobody, and
//! what is shared is touched where a connection is opened, closed or waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::per_core::Alone;
use super::ProxyConfig;
use super::error::ProxyError;
use super::holds::Holds;
use super::link::Link;
use super::pool::Pool;

/// A connection goes to the next request of its own runtime, for which it need not be closed. The
/// others' may have to wait longer for that, by this part of the longest wait.
const PATIENCE_PART: u32 = 8;

/// One upstream, as all runtimes of a process share it.
#[derive(Debug)]
pub struct Upstream {
    config: ProxyConfig,
    holds: Holds,
    line: Alone<Mutex<Line>>,
    /// How many stand in line. Read with every connection that is given back, and so written only
    /// when it changes.
    wanted: Alone<AtomicUsize>,
    /// Every runtime's pool, by its number. Locked before `line` where both are.
    pools: Alone<Mutex<Vec<Weak<Pool>>>>,
}

#[derive(Default, Debug)]
struct Line {
    /// Slots given out, to idle connections too.
    open: usize,
    /// Who waits, of each runtime, longest first.
    waiting: Vec<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    turn: oneshot::Sender<Grant>,
}

/// What a waiting request is given.
#[derive(Debug)]
pub(super) enum Grant {
    /// An open connection of its own runtime.
    Link(Box<Link>),
    Slot(Slot),
}

/// What a request is told that asks for a connection.
#[derive(Debug)]
pub(super) enum Asked {
    Slot(Slot),
    Wait(Wait),
}

/// A place in line.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) grant: oneshot::Receiver<Grant>,
    /// It would have had a connection at once, were it not for those that wait for clients.
    pub(super) is_for_clients: bool,
}

/// Whom a connection goes to that its runtime has done with.
#[derive(Debug)]
enum Taker {
    /// The first of the same runtime.
    Own(oneshot::Sender<Grant>),
    /// Somebody of another runtime.
    Other,
    Nobody,
}

/// The right to one open connection. Dropped, it goes to whoever has waited longest.
pub(super) struct Slot {
    /// `None` once the right has passed to another slot.
    upstream: Option<Arc<Upstream>>,
}

impl Upstream {
    /// An upstream that nothing is connected to yet.
    pub fn new(config: ProxyConfig) -> Arc<Self> {
        Arc::new(Self {
            holds: Holds::of(config.connections_max),
            config,
            line: Alone(Mutex::default()),
            wanted: Alone(AtomicUsize::new(0)),
            pools: Alone(Mutex::default()),
        })
    }

    pub(super) const fn config(&self) -> &ProxyConfig {
        &self.config
    }

    pub(super) const fn holds(&self) -> &Holds {
        &self.holds
    }

    pub(super) fn open(&self) -> usize {
        lock(&self.line.0).open
    }

    /// Takes in the pool of one more runtime, and numbers it.
    pub(super) fn enter(&self, pool: Weak<Pool>) -> usize {
        let mut pools = lock(&self.pools.0);
        let number = pools.len();
        pools.push(pool);
        self.in_line(|line| line.waiting.push(VecDeque::new()));
        number
    }

    /// A slot for the runtime `number`, or a place in line.
    ///
    /// Who is told to wait must call [`Upstream::close_idle`] until it is granted something or
    /// nothing is idle: only who stands in line can be sure not to overlook what becomes idle.
    pub(super) fn ask(self: &Arc<Self>, number: usize) -> Result<Asked, ProxyError> {
        self.in_line(|line| {
            if line.open < self.config.connections_max {
                line.open += 1;
                return Ok(Asked::Slot(Slot {
                    upstream: Some(Arc::clone(self)),
                }));
            }
            let own = &mut line.waiting[number];
            if own.len() >= self.config.waiting_max {
                forget_gone(own);
                if own.len() >= self.config.waiting_max {
                    return Err(ProxyError::Saturated);
                }
            }
            let (turn, grant) = oneshot::channel();
            own.push_back(Waiting {
                since: Instant::now(),
                turn,
            });
            Ok(Asked::Wait(Wait {
                grant,
                is_for_clients: line.length() <= self.holds.taken(),
            }))
        })
    }

    /// Whether anybody stands in line.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.0.load(Ordering::Relaxed) > 0
    }

    /// Gives a connection that the runtime `number` has done with to whoever is next. Comes back
    /// where nobody waits any more.
    pub(super) fn hand_over(&self, number: usize, mut link: Link) -> Option<Link> {
        loop {
            match self.taker(number) {
                Taker::Own(turn) => match turn.send(Grant::Link(Box::new(link))) {
                    Err(Grant::Link(refused)) => link = *refused, // it has just stopped waiting
                    Ok(()) | Err(Grant::Slot(_)) => return None,
                },
                Taker::Other => return None, // closed here, and its slot passes on
                Taker::Nobody => return Some(link),
            }
        }
    }

    /// Closes the coldest idle connection of one pool, the first from `number` on that has any. Its
    /// slot goes to whoever has waited longest. Says whether there was one.
    pub(super) fn close_idle(&self, number: usize) -> bool {
        let coldest = {
            let pools = lock(&self.pools.0);
            let count = pools.len();
            let mut from_own = (0..count).map(|n| &pools[(number + n) % count]);
            from_own.find_map(|pool| pool.upgrade()?.take_coldest())
        };
        // Dropped only now, outside the locks: its slot takes one.
        coldest.is_some()
    }

    fn taker(&self, number: usize) -> Taker {
        let patience = self.config.wait / PATIENCE_PART;
        self.in_line(|line| {
            line.waiting.iter_mut().for_each(forget_gone);
            let Some((longest, _)) = line.longest() else {
                return Taker::Nobody;
            };
            let own = &mut line.waiting[number];
            let is_own = |first: &Waiting| first.since.saturating_duration_since(longest) <= patience;
            if own.front().is_some_and(is_own)
                && let Some(first) = own.pop_front()
            {
                return Taker::Own(first.turn);
            }
            Taker::Other
        })
    }

    /// Works on the line. Nothing that holds a slot may be dropped meanwhile: it would wait for itself.
    fn in_line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        let mut line = lock(&self.line.0);
        let result = work(&mut line);
        let waiting = line.length();
        if self.wanted.0.load(Ordering::Relaxed) != waiting {
            self.wanted.0.store(waiting, Ordering::Relaxed);
        }
        result
    }
}

impl Line {
    fn length(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// Since when the one waits that has waited longest, and of which runtime it is.
    fn longest(&self) -> Option<(Instant, usize)> {
        let all = self.waiting.iter().enumerate();
        all.filter_map(|(number, own)| Some((own.front()?.since, number)))
            .min()
    }

    /// Takes out the one that has waited longest.
    fn next(&mut self) -> Option<oneshot::Sender<Grant>> {
        self.waiting.iter_mut().for_each(forget_gone);
        let (_, number) = self.longest()?;
        Some(self.waiting[number].pop_front()?.turn)
    }
}

/// Forgets who has stopped waiting in front, so that the first does wait. All wait equally long, so that those who gave up
/// stand there; to look through the whole line each time would hold all cores up.
fn forget_gone(waiting: &mut VecDeque<Waiting>) {
    while waiting.front().is_some_and(|first| first.turn.is_closed()) {
        waiting.pop_front();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(upstream) = self.upstream.take() else {
            return;
        };
        loop {
            let next = upstream.in_line(|line| {
                let next = line.next();
                if next.is_none() {
                    line.open -= 1;
                }
                next
            });
            let Some(next) = next else { return };
            match next.send(Grant::Slot(Self {
                upstream: Some(Arc::clone(&upstream)),
            })) {
                // It has stopped waiting: the right is still ours to pass on, so what comes back
                // must not pass it on as well.
                Err(Grant::Slot(mut refused)) => refused.upstream = None,
                Ok(()) | Err(Grant::Link(_)) => return,
            }
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
