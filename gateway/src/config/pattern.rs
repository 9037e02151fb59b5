//! Which paths a drop protects, and which of two patterns is the more specific.
//!
//! Matching errs on the side of holding: a pattern covers the same path with another case or
//! a trailing slash, because many shops serve the same page there.

use std::fmt;
use std::str::FromStr;

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// A protected path (`/drops/aurora`) or everything at and below one (`/products/aurora/*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathPattern {
    /// Lower case, without trailing slash: empty for the root.
    folded: String,
    written: String,
    reach: Reach,
}

/// How far a pattern reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reach {
    /// The path and everything below it.
    Below,
    /// The one path.
    Exact,
}

/// The text is not a path pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// It names a host, or nothing.
    #[error("a path begins with \"/\"")]
    NotAbsolute,
    /// A star elsewhere than at the end.
    #[error("\"*\" stands only at the end, after a \"/\": \"/products/aurora/*\"")]
    Star,
    /// It could never match: paths are compared after they were made canonical.
    #[error(
        "a path is written plainly: without \"//\", \".\", \"..\", \"%\", \";\", \"?\", \"#\", \"\\\" or blanks"
    )]
    NotPlain,
    /// The shopper API lives there.
    #[error("\"/.doorline\" is Doorline's own and cannot be protected")]
    Own,
    /// Too long to be meant.
    #[error("a path has at most {PATTERN_BYTES_MAX} bytes")]
    TooLong,
}

impl PathPattern {
    /// Whether `path` is covered. Expects it normalised: decoded, no dot segments, no double slash.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/').as_bytes();
        let prefix = self.folded.as_bytes();
        let Some((head, tail)) = path.split_at_checked(prefix.len()) else {
            return false;
        };
        head.eq_ignore_ascii_case(prefix)
            && (tail.is_empty() || (self.reach == Reach::Below && tail.starts_with(b"/")))
    }

    /// Orders patterns that match the same path: the greatest is the most specific.
    /// Exact before below, then the longer.
    pub fn specificity(&self) -> (Reach, usize) {
        (self.reach, self.folded.len())
    }

    /// The path without the star and the trailing slash, lower case; empty for the root.
    pub fn base(&self) -> &str {
        &self.folded
    }

    /// How far it reaches.
    pub const fn reach(&self) -> Reach {
        self.reach
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::TooLong);
        }
        if !text.starts_with('/') {
            return Err(InvalidPattern::NotAbsolute);
        }
        let (path, reach) = match text.strip_suffix("/*") {
            Some(path) => (path, Reach::Below),
            None => (text.strip_suffix('/').unwrap_or(text), Reach::Exact),
        };
        if path.contains('*') {
            return Err(InvalidPattern::Star);
        }
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"%;?#\\".contains(c);
        let dotted = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
        if !path.chars().all(plain) || path.split('/').skip(1).any(dotted) {
            return Err(InvalidPattern::NotPlain);
        }
        let folded = path.to_ascii_lowercase();
        if folded == "/.doorline" || folded.starts_with("/.doorline/") {
            return Err(InvalidPattern::Own);
        }
        Ok(Self {
            folded,
            written: text.to_owned(),
            reach,
        })
    }
}

/// As it was written.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
