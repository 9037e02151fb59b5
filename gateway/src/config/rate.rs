//! Rates such as `20/s` and lengths of time such as `1h30m`: how they are written and read.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use domain::Span;

/// So many per unit of time, written `20/s`, `30/min` or `100/h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
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

/// The text is not a length of time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidDuration {
    /// A number stands without a unit.
    #[error("a length of time needs a unit: \"{0}s\" for seconds, \"{0}m\" for minutes, \"{0}h\" for hours")]
    NoUnit(String),
    /// Not numbers followed by units, largest first.
    #[error("a length of time is written with d, h, m, s and ms, such as \"90s\", \"10m\" or \"1h30m\"")]
    Form,
    /// More than can be counted.
    #[error("the length of time is too long")]
    TooLong,
}

/// Units of a length of time, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Rate {
    /// How many may come at once after a quiet time: twice the count.
    pub const fn burst(self) -> u32 {
        self.count.saturating_mul(2)
    }

    /// The time after which one more is allowed; never zero.
    pub fn interval(self) -> std::time::Duration {
        let nanos = u128::from(self.per.as_millis()) * 1_000_000 / u128::from(self.count.max(1));
        std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
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
        let count = count.trim().parse().map_err(|_| InvalidRate::Form)?;
        if count == 0 {
            Err(InvalidRate::Zero)
        } else {
            Ok(Self { count, per })
        }
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

/// Reads a length of time: whole numbers with units, each unit once, largest first.
pub fn parse_duration(text: &str) -> Result<Span, InvalidDuration> {
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidDuration::NoUnit(rest.to_owned()));
    }
    let mut millis = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, factor) = units
            .find(|(name, _)| *name == unit)
            .ok_or(InvalidDuration::Form)?;
        if number.is_empty() {
            return Err(InvalidDuration::Form);
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration::TooLong)?;
        let part = number.checked_mul(*factor).ok_or(InvalidDuration::TooLong)?;
        millis = millis.checked_add(part).ok_or(InvalidDuration::TooLong)?;
        rest = tail;
    }
    if text.trim().is_empty() {
        Err(InvalidDuration::Form)
    } else {
        Ok(Span::from_millis(millis))
    }
}

/// Writes a length of time so that [`parse_duration`] reads the same: `1h30m`, `90s` as `1m30s`.
pub fn format_duration(span: Span) -> String {
    let mut rest = span.as_millis();
    let mut text = String::new();
    for (name, factor) in UNITS {
        let count = rest / factor;
        if count > 0 {
            write!(text, "{count}{name}").expect("a string takes whatever is written to it");
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
