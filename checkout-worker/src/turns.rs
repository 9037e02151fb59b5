//! The port of turns: who may act next at a rate that several processes share.
//!
//! A lane is named by its user and keeps one [`Lane`]; the rules are [`domain::turns`]. Wrong answers that are harmless: an
//! answer that is lost (its turns are never taken), and a lane that is forgotten while nobody holds turns of it. A lane that
//! gives one turn to two is not.

mod memory;

pub use memory::MemoryTurns;

use domain::turns::{Ask, Lane, Lease, Micros};

use crate::ledger::LedgerReply;

/// What a lane answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leased {
    /// The turns, if any, counted from an instant between the question and the answer.
    pub lease: Lease,
    /// Turns per second that the lane was told to give way to; [`Lane::FULL`] where it was not.
    pub in_force: u32,
}

/// The port. See the [module](self) for what may go wrong.
pub trait Turns: Send + Sync {
    /// Gives turns of `lane` away, each to one asker only; or says when to ask again.
    fn lease(&self, lane: &str, ask: Ask) -> LedgerReply<'_, Leased>;
    /// Has everybody on `lane` give way, as [`Lane::slowed`] says. Gives the rate in force.
    fn slow_down(&self, lane: &str, per_second: u32, hold: Micros) -> LedgerReply<'_, u32>;
}

/// One way to change a lane, for adapters: they read, apply this, and store by compare-and-set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    Lease(Ask),
    SlowDown { per_second: u32, hold: Micros },
}

impl Wish {
    /// The lane afterwards, and the answer.
    pub(crate) fn granted(self, lane: Lane, now: Micros) -> (Lane, Leased) {
        let (lane, lease) = match self {
            Self::Lease(ask) => lane.lease(now, ask),
            Self::SlowDown { per_second, hold } => {
                let ask_in = Micros::default();
                (lane.slowed(now, per_second, hold), Lease::Later { ask_in })
            }
        };
        let in_force = lane.in_force;
        (lane, Leased { lease, in_force })
    }
}
