//! A rate that many wait for in turn, can be changed while they wait, and gives way when the other side is overrun. Turns
//! come from a lane that other processes may share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::turns::{Ask, Block, LATE_MAX, Lane, Lease, Micros, SLACK};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::ledger::LedgerError;
use crate::turns::{MemoryTurns, Turns};

/// How long before the last turn in hand the next ones are asked for: the answer is there when it is needed.
const ASK_AHEAD: Duration = Duration::from_millis(100);

/// Events per second, shared by everybody who waits for their turn.
pub struct Pace {
    turns: Arc<dyn Turns>,
    lane: String,
    configured: AtomicU32,
    /// What the lane was last known to have been told to give way to.
    in_force: AtomicU32,
    /// Waiters stand in line here, so that turns are given in the order they were asked for.
    line: tokio::sync::Mutex<Hand>,
    waiting: AtomicU32,
    /// Rises when turns given before are no longer to be taken.
    changes: watch::Sender<u64>,
    /// The lane has yet to hear that it must give way, and for how long.
    owed: Mutex<Option<Duration>>,
}

/// Turns of this process that nobody has taken yet.
struct Hand {
    turns: VecDeque<Turn>,
    /// As of which change they were given.
    change: u64,
    /// When more may be asked for.
    ask_from: Instant,
    /// How late the next turns may be taken: as long as answers have been taking.
    late: Micros,
}

/// Whether the lane had anything to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Settled {
    Told,
    Nothing,
}

/// To be taken from its time on, but not much later.
#[derive(Clone, Copy)]
struct Turn {
    from: Instant,
    until: Instant,
}

impl Pace {
    /// So many turns per second of a lane, together with everybody else who uses it; 0 counts as 1.
    pub fn new(turns: Arc<dyn Turns>, lane: &str, per_second: u32) -> Self {
        let hand = Hand {
            turns: VecDeque::new(),
            change: 0,
            ask_from: Instant::now(),
            late: SLACK,
        };
        Self {
            turns,
            lane: lane.to_owned(),
            configured: AtomicU32::new(per_second.max(1)),
            in_force: AtomicU32::new(Lane::FULL),
            line: tokio::sync::Mutex::new(hand),
            waiting: AtomicU32::new(0),
            changes: watch::Sender::new(0),
            owed: Mutex::new(None),
        }
    }

    /// So many turns per second, shared with no other process.
    pub fn per_second(rate: u32) -> Self {
        Self::new(Arc::new(MemoryTurns::default()), "", rate)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// If whoever keeps the lane cannot be asked. There was no turn then.
    pub async fn turn(&self) -> Result<(), LedgerError> {
        loop {
            let mut changes = self.changes.subscribe();
            let turn = {
                let _in_line = InLine::join(&self.waiting);
                self.next(&mut *self.line.lock().await, &mut changes).await?
            };
            tokio::select! {
                // A process that was stopped in the meantime comes too late: its turn was for then, not for now.
                () = sleep_until(turn.from) => if Instant::now() <= turn.until { return Ok(()) },
                _ = changes.changed() => {}
            }
        }
    }

    /// Sets the configured rate, effective for those already waiting too.
    pub fn set(&self, per_second: u32) {
        let rate = per_second.max(1);
        if self.configured.swap(rate, Ordering::Relaxed) != rate {
            self.changes.send_modify(|change| *change += 1);
        }
    }

    /// Halves the rate in force, at most once a second, and keeps everybody waiting for `hold` if given; also those in
    /// other processes, though these may still take the turns that they hold, half a second's worth at most.
    pub async fn slow_down(&self, hold: Option<Duration>) {
        let hold = hold.unwrap_or_default();
        {
            let mut owed = self.owed();
            *owed = Some(owed.unwrap_or_default().max(hold));
        }
        if let Err(failed) = self.settle().await {
            tracing::warn!(lane = self.lane, cause = %failed, "a lane has yet to hear that it must slow down");
        }
    }

    /// Turns per second in force, as far as is known here.
    pub fn rate(&self) -> u32 {
        self.in_force
            .load(Ordering::Relaxed)
            .min(self.configured())
            .max(1)
    }

    /// The next turn in hand that can still be taken, or one of the lane's next.
    async fn next(&self, hand: &mut Hand, changes: &mut watch::Receiver<u64>) -> Result<Turn, LedgerError> {
        loop {
            hand.follow(*changes.borrow_and_update());
            if let Some(turn) = hand.take() {
                return Ok(turn);
            }
            tokio::select! {
                () = sleep_until(hand.ask_from) => {}
                _ = changes.changed() => continue,
            }
            if self.settle().await? == Settled::Told {
                continue;
            }
            self.ask(hand).await?;
        }
    }

    async fn ask(&self, hand: &mut Hand) -> Result<(), LedgerError> {
        let ask = Ask {
            per_second: self.configured(),
            turns: self.waiting.load(Ordering::Relaxed),
            late: hand.late,
        };
        let asked = Instant::now();
        let leased = self.turns.lease(&self.lane, ask).await?;
        let answered = Instant::now();
        self.in_force.store(leased.in_force, Ordering::Relaxed);
        match leased.lease {
            Lease::Granted(block) => hand.keep(block, ask.late, asked, answered),
            Lease::Later { ask_in } => hand.ask_from = answered + span(ask_in),
        }
        Ok(())
    }

    /// Tells the lane what it has yet to hear. Turns that were given at a higher rate are then let go.
    async fn settle(&self) -> Result<Settled, LedgerError> {
        let Some(hold) = self.owed().take() else {
            return Ok(Settled::Nothing);
        };
        let told = self
            .turns
            .slow_down(&self.lane, self.configured(), micros(hold))
            .await;
        match told {
            Ok(in_force) => {
                let before = self.in_force.swap(in_force, Ordering::Relaxed);
                if before != in_force || !hold.is_zero() {
                    self.changes.send_modify(|change| *change += 1);
                }
                Ok(Settled::Told)
            }
            Err(failed) => {
                let mut owed = self.owed();
                *owed = Some(owed.unwrap_or_default().max(hold));
                Err(failed)
            }
        }
    }

    fn configured(&self) -> u32 {
        self.configured.load(Ordering::Relaxed)
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand {
    /// Lets go of turns that were given before a change.
    fn follow(&mut self, change: u64) {
        if self.change != change {
            self.turns.clear();
            self.change = change;
            self.ask_from = Instant::now();
        }
    }

    /// Takes the first turn that is not past.
    fn take(&mut self) -> Option<Turn> {
        let now = Instant::now();
        while let Some(turn) = self.turns.pop_front() {
            if now <= turn.until {
                return Some(turn);
            }
        }
        None
    }

    /// Keeps a block. The instant that its times count from lies between question and answer: nobody knows where. Counted
    /// from the answer no turn is early, and up to `late` after the question none is too late. A block that took longer to
    /// come cannot be used at all; the next one is asked for with more time.
    fn keep(&mut self, block: Block, late: Micros, asked: Instant, answered: Instant) {
        let took = micros(answered.duration_since(asked));
        self.late = took.times(2).max(SLACK).min(LATE_MAX);
        if took > late {
            return;
        }
        let times = |count: u32| block.first_in.plus(block.interval.times(count));
        self.turns.extend((0..block.turns).map(|count| Turn {
            from: answered + span(times(count)),
            until: asked + span(times(count).plus(late)),
        }));
        let last = answered + span(times(block.turns.saturating_sub(1)));
        self.ask_from = last.checked_sub(ASK_AHEAD).unwrap_or(answered);
    }
}

/// Somebody who waits in line; counted, so that as many turns are asked for as can be used.
struct InLine<'a>(&'a AtomicU32);

impl<'a> InLine<'a> {
    fn join(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn span(micros: Micros) -> Duration {
    Duration::from_micros(micros.0)
}

fn micros(span: Duration) -> Micros {
    Micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pace({} at {}/s)", self.lane, self.rate())
    }
}

#[cfg(test)]
mod tests;
