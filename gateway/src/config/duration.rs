//! Lengths of time such as `1h30m`: how they are written and read.

use std::fmt::Write as _;

use domain::Span;

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
