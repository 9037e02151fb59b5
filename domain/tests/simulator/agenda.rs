//! What happens next: tasks in the order of true time, and the history of what happened.

use std::collections::{BTreeMap, VecDeque};

use domain::OrderId;
use domain::queue::Advance;
use domain::saga::{Answer, PaymentId};

use super::driver::{Request, Work};
use super::faults::{Fault, Operation};

/// Everything that can happen, each at one instant.
#[derive(Debug)]
pub(crate) enum Task {
    /// A shopper does the next thing.
    Shopper(usize),
    /// The gateway takes a snapshot and decides whom to call.
    Caller(u32),
    /// A decision to call reaches the store.
    Advance(u32, Advance),
    /// The store writes behind and notes that it is alive.
    Heartbeat(u32),
    /// The outbox is published.
    Relay,
    /// The broker gives a message to a worker.
    Deliver(OrderId),
    /// A worker goes on.
    Work(Box<Work>),
    /// A request reaches the provider.
    Arrive(Box<Request>),
    /// An answer of the provider, or the deadline, reaches a worker.
    Answer(Box<Work>, Answer),
    /// A webhook reaches the gateway: which event, about which payment, which delivery.
    Webhook(u64, PaymentId, u8),
    /// The provider finishes what it was processing.
    Settle(PaymentId),
    /// The shopper answers the bank's question.
    Bank(PaymentId),
    /// An authorisation expires.
    Lapse(PaymentId),
    /// Sweeper, canceller and re-drive.
    SwiftJobs,
    /// The reconciler by order.
    Look,
    /// The reconciler by provider.
    List,
    /// Something breaks.
    Fault(Fault),
    /// A process comes back.
    Restart(usize),
    /// The provider answers again.
    OutageEnds,
    /// An operator does something.
    Operator(Operation),
    /// Faults are over.
    Calm,
}

/// Tasks by time; tasks of the same instant in the order in which they were put down.
#[derive(Debug)]
pub(crate) struct Agenda {
    pub(crate) now: u64,
    sequence: u64,
    tasks: BTreeMap<(u64, u64), Task>,
}

impl Agenda {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            now,
            sequence: 0,
            tasks: BTreeMap::new(),
        }
    }

    /// Puts `task` down for `delay` milliseconds from now.
    pub(crate) fn after(&mut self, delay: u64, task: Task) {
        self.sequence += 1;
        self.tasks.insert((self.now + delay, self.sequence), task);
    }

    /// Takes the next task, and moves time on to it.
    pub(crate) fn next(&mut self) -> Option<Task> {
        let ((at, _), task) = self.tasks.pop_first()?;
        self.now = self.now.max(at);
        Some(task)
    }

    /// Puts everything off by `length`, except what happens at the provider and on the way to it.
    pub(crate) fn sleep(&mut self, length: u64) {
        for ((at, sequence), task) in std::mem::take(&mut self.tasks) {
            let elsewhere = matches!(
                task,
                Task::Arrive(_) | Task::Webhook(..) | Task::Settle(_) | Task::Bank(_) | Task::Lapse(_)
            );
            self.tasks
                .insert((if elsewhere { at } else { at + length }, sequence), task);
        }
    }
}

/// The last steps, in words. Silent until a run has failed: the run is then repeated aloud.
#[derive(Debug)]
pub(crate) struct History {
    /// How many lines are kept.
    keep: usize,
    lines: VecDeque<String>,
}

impl History {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep,
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, at: u64, line: impl FnOnce() -> String) {
        if self.keep == 0 {
            return;
        }
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
        }
        let (secs, millis) = ((at - super::plan::START) / 1_000, at % 1_000);
        self.lines.push_back(format!("{secs:>6}.{millis:03}  {}", line()));
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter().map(String::as_str);
        lines.flat_map(|line| ["  ", line, "\n"]).collect()
    }
}
