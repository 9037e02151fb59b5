//! Attempts at a foreign call, and the idempotency keys derived from them.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::payment::Payment;
use crate::{DropId, OrderId, Span, Timestamp};

/// How long a key may be used. The provider keeps keys for at least 24 h; four hours of margin cover clocks that differ
/// and a request that waits in a queue.
pub const KEY_AGE_MAX: Span = Span::from_secs(20 * 3_600);
/// Server errors after which a key is no longer repeated blindly: the provider saves a 500 and answers it again for ever.
pub const SAVED_ERRORS_MAX: u32 = 2;

/// What is asked of the provider under an idempotency key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// Create and confirm a payment, to be captured later.
    Authorise,
    /// Take the authorised amount.
    Capture,
    /// Give an authorisation up.
    Cancel,
    /// Give a captured amount back.
    Refund,
    /// Give up a payment that its order does not want (any more).
    CancelStray,
    /// Give back what was captured for an order that does not want it (any more).
    RefundStray,
}

/// The space that keys are drawn from: `dl1`, `dl2`, and so on. A ledger restored from a backup moves to the next one, so
/// that no key of the lost time is met again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeySpace(pub u32);

/// One numbered try at an operation. Repeating the try repeats its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Attempt {
    /// 1, 2, 3 … Rises only after a definite answer or a proven absence.
    pub n: u32,
    /// When the ledger first committed to sending it.
    pub first_sent: Timestamp,
    /// Server errors answered in a row under this key.
    pub errors: u32,
    /// The space that its key was drawn from when the ledger first committed to sending it. It counts for authorisations: a
    /// payment of an older space was made in a time that the ledger has lost, by an attempt that it knows nothing of.
    pub space: KeySpace,
}

/// The key under which the provider takes a request at most once: `dl1.<drop>.<order>.<op>.<n>`, at most 122 characters.
///
/// It is derived from ledger rows alone, so that any process, after any crash, computes the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdempotencyKey(String);

impl Operation {
    /// Every operation there is.
    pub const ALL: [Self; 6] = [
        Self::Authorise,
        Self::Capture,
        Self::Cancel,
        Self::Refund,
        Self::CancelStray,
        Self::RefundStray,
    ];

    /// The name that stands in keys and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
            Self::CancelStray => "cancel-stray",
            Self::RefundStray => "refund-stray",
        }
    }
}

impl Attempt {
    /// The first attempt, sent at `now`.
    pub const fn first(now: Timestamp) -> Self {
        Self::numbered(1, now)
    }

    /// Attempt `n`, first sent at `now`.
    pub const fn numbered(n: u32, now: Timestamp) -> Self {
        Self {
            n,
            first_sent: now,
            errors: 0,
            space: KeySpace::FIRST,
        }
    }

    /// The same attempt, its key drawn from `space`.
    #[must_use]
    pub const fn of(self, space: KeySpace) -> Self {
        Self { space, ..self }
    }

    /// Whether `payment` can be what this attempt has made. A newer space is no hindrance: what was begun before a restore
    /// is repeated under a key of the next space.
    pub(super) fn has_made(self, payment: &Payment) -> bool {
        payment.n == self.n && payment.space >= self.space
    }

    /// Whether `payment` was made by an attempt before this one.
    pub(super) fn is_after(self, payment: &Payment) -> bool {
        (payment.space, payment.n) < (self.space, self.n)
    }

    /// The attempt after this one. Only for callers that hold a definite answer or a proof of absence.
    pub(super) const fn next(self, now: Timestamp) -> Self {
        Self::numbered(self.n.saturating_add(1), now).of(self.space)
    }

    /// This attempt, or the one after it where this one's key can teach nothing more; and whether it was still good. Only
    /// for callers that have just read that the attempt had no effect.
    pub(super) fn renewed(self, now: Timestamp) -> (Self, bool) {
        if self.is_usable(now) {
            (self, true)
        } else {
            (self.next(now), false)
        }
    }

    /// This attempt with one more server error on record.
    pub(super) const fn failed(self) -> Self {
        Self {
            errors: self.errors.saturating_add(1),
            ..self
        }
    }

    /// This attempt after an answer that says never to repeat it.
    pub(super) const fn spent(self) -> Self {
        Self {
            errors: SAVED_ERRORS_MAX,
            ..self
        }
    }

    /// Whether the provider saves an error under this key, so that repeating it teaches nothing.
    pub const fn is_spent(self) -> bool {
        self.errors >= SAVED_ERRORS_MAX
    }

    /// Whether the provider may have forgotten this key.
    pub fn is_aged(self, now: Timestamp) -> bool {
        now.since(self.first_sent) >= KEY_AGE_MAX
    }

    /// The number of this attempt, if no request under its key can have an effect any more.
    pub(super) fn over(self, now: Timestamp) -> Option<u32> {
        (!self.is_usable(now)).then_some(self.n)
    }

    /// Whether sending this key again is both safe and useful.
    pub fn is_usable(self, now: Timestamp) -> bool {
        !self.is_spent() && !self.is_aged(now)
    }
}

impl IdempotencyKey {
    /// Derives the key of one attempt.
    pub fn derive(space: KeySpace, drop: &DropId, order: OrderId, operation: Operation, n: u32) -> Self {
        Self(format!("{space}.{drop}.{order}.{}.{n}", operation.as_str()))
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeySpace {
    /// The space of a ledger that was never restored.
    pub const FIRST: Self = Self(1);

    /// The space of this name, if it is one.
    pub fn parse(name: &str) -> Option<Self> {
        let number = name.strip_prefix("dl")?.parse().ok()?;
        (number > 0).then_some(Self(number))
    }

    /// The space after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for KeySpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dl{}", self.0)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
