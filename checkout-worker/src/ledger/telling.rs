//! What the ledger knows of telling the merchant's system: which notice is due, how the tries ended, what was given up.

use domain::saga::Notice;
use domain::{DropId, OrderId, Span, Timestamp};

use super::OrderRecord;

/// How long whoever took a notice has it to itself. Three times the longest request (`merchant::TIMEOUT`), so that one
/// that was taken, sent late and answered late is still in one pair of hands.
pub const LEASE: Span = Span::from_secs(45);

/// A notice whose turn it is, leased to whoever asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueNotice {
    /// Its message.
    pub id: i64,
    /// What happened.
    pub notice: Notice,
    /// The order's version when it happened.
    pub version: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Tries that failed so far.
    pub tries: u32,
    /// The order as it is now; it may have moved on since.
    pub order: OrderRecord,
}

/// How one try ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Which message.
    pub id: i64,
    /// Its failed tries when it was taken. A try that ends after another one has ended says nothing new, unless it was
    /// the one that was heard.
    pub tries: u32,
    /// What came of it, as one of a small fixed set of words.
    pub word: &'static str,
    /// The same for people.
    pub outcome: String,
    /// What follows.
    pub next: Next,
}

/// What follows from a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It was taken.
    Taken,
    /// Again, after so long by the ledger's clock.
    Again(Span),
    /// No more tries; it stays visible and can be replayed.
    GivenUp,
    /// The merchant did not ask for it.
    Skipped,
}

/// Where the telling of a notice stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Telling {
    /// It waits for its turn, or for its next try.
    Pending,
    /// No more tries by itself.
    GivenUp,
}

/// A notice that was not taken, as operators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Untold {
    /// Which order.
    pub order: OrderId,
    /// Of which drop.
    pub drop: DropId,
    /// What happened.
    pub notice: Notice,
    /// The order's version when it happened.
    pub version: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Where the telling stands.
    pub telling: Telling,
    /// Tries that failed.
    pub tries: u32,
    /// When it is tried next, while it is pending.
    pub due_at: Timestamp,
    /// What came of the last try.
    pub outcome: Option<String>,
}

/// What is to be told once more, each with the whole schedule of tries before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replay {
    /// Everything about one order, also what was taken.
    Order(OrderId),
    /// What was written within so long and was not taken.
    Untaken(Span),
    /// Everything that was written within so long, also what was taken.
    Everything(Span),
}

/// How far a replay has come. It goes in bounded steps, so that nobody waits long behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// Notices that are told once more.
    pub count: u32,
    /// After which message to go on, if there may be more.
    pub more_after: Option<i64>,
}

/// Notices replayed in one step.
pub const REPLAY_STEP: u32 = 1_000;

impl Telling {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pending, Self::GivenUp];

    /// The word for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::GivenUp => "given_up",
        }
    }
}

impl Replayed {
    /// What a step over these messages comes to.
    pub(crate) fn of(messages: &[i64]) -> Self {
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        Self {
            count,
            more_after: messages.iter().max().copied().filter(|_| count >= REPLAY_STEP),
        }
    }
}
