//! Rates such as `20/s`: how they are written and read.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use domain::Span;

/// So many per unit of time, written `20/s`, `30/min` or `100/h`. A rate of none at all, which
/// would lock everybody out, cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time: a second, a minute or an hour.
    pub per: Span,
}

/// The text is not a rate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRate {
    /// No slash, no number or no unit.
    #[error("a rate is written as a number per s, min or h, such as \"20/s\" or \"30/min\"")]
    Form,
    /// None at all would lock everybody out.
    #[error("a rate is at least 1")]
    Zero,
}

impl Rate {
    /// How many may come at once after a quiet time: twice the count.
    pub const fn burst(self) -> NonZeroU32 {
        self.count.saturating_add(self.count.get())
    }

    /// The time after which one more is allowed; never zero.
    pub fn interval(self) -> Duration {
        (self.per.as_duration() / self.count.get()).max(Duration::from_nanos(1))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (count, unit) = text.split_once('/').ok_or(InvalidRate::Form)?;
        let per = match unit.trim() {
            "s" | "sec" | "second" => Span::from_secs(1),
            "m" | "min" | "minute" => Span::from_mins(1),
            "h" | "hour" => Span::from_mins(60),
            _ => return Err(InvalidRate::Form),
        };
        let count: u32 = count.trim().parse().map_err(|_| InvalidRate::Form)?;
        let count = NonZeroU32::new(count).ok_or(InvalidRate::Zero)?;
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_millis() {
            1_000 => "s",
            60_000 => "min",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}
