//! Instants and spans in whole milliseconds, and the two ports through which the outside
//! world hands us time and randomness.

use core::fmt;

/// An instant: milliseconds since the Unix epoch.
///
/// ```
/// use domain::{Span, Timestamp};
/// let start = Timestamp::from_millis(1_000);
/// assert_eq!(start + Span::from_secs(2), Timestamp::from_millis(3_000));
/// assert_eq!(start.since(Timestamp::from_millis(5_000)), Span::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(u64);

/// A length of time in milliseconds; never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Span(u64);

/// The source of `now` for everything that acts. Assembly builds one and passes it in.
pub trait Clock: Send + Sync {
    /// Reads the present instant. May jump in either direction: callers must stay correct.
    fn now(&self) -> Timestamp;
}

/// The source of randomness for everything that acts. Assembly builds one and passes it in.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with bytes nobody can predict.
    fn fill(&self, buffer: &mut [u8]);
}

impl Timestamp {
    /// The Unix epoch, also the least instant there is.
    pub const EPOCH: Self = Self(0);
    /// The greatest instant there is: a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Takes milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The time that has passed since `earlier`; zero when `earlier` lies ahead.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The time left until `later`; zero when it has come.
    pub const fn until(self, later: Self) -> Span {
        later.since(self)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Takes milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Takes whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Takes whole minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Self(mins.saturating_mul(60_000))
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds, rounded up: a shopper told to wait this long never comes too early.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// The same span as the standard library writes it.
    pub const fn as_duration(self) -> core::time::Duration {
        core::time::Duration::from_millis(self.0)
    }

    /// `factor` times this span, without overflow.
    #[must_use]
    pub const fn saturating_mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl core::ops::Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl core::ops::Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl core::ops::Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl core::ops::Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
