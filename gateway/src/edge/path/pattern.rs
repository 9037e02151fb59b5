//! Protected paths as a merchant writes them.

use std::fmt;
use std::str::FromStr;

use super::{key, rewrite};

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1_024;
/// Extensions under which shops serve the same page: lower case, as keys are.
const DOCUMENTS: [&str; 14] = [
    "json", "jsonld", "js", "xml", "html", "htm", "xhtml", "php", "asp", "aspx", "atom", "rss", "txt",
    "oembed",
];
/// Our own paths: nothing below is the shop's to protect.
const OWN: &str = "/.doorline";

/// A protected path: `/drops/aurora` or, the same, `/drops/aurora/*`.
///
/// Either covers the path and everything below it: a page that is protected while the same page
/// with a slash and something behind it is not would be an open door on most servers. So would the
/// same page as another kind of document (`/drops/aurora.json`), which many shops serve under the
/// page's address with an extension; pictures and styles beside the page stay open.
/// Letter case, escapes, `;parameters`, trailing dots and slashes of a request make no difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    key: String,
    written: String,
}

/// The text is not a path to protect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// It names a host, or nothing.
    #[error("a path begins with \"/\"")]
    NotAbsolute,
    /// A star elsewhere than at the end.
    #[error("\"*\" stands only at the end, after a \"/\": \"/products/aurora/*\"")]
    Star,
    /// It could be meant in two ways: paths are compared after they were brought into normal form.
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

impl Pattern {
    /// What it covers, in the form that paths are compared in: equal for patterns that cover the same.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it covers the path that has this key.
    pub(super) fn covers(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(self.key.as_str()) else {
            return false;
        };
        rest.is_empty() || rest.starts_with('/') || self.key == "/" || is_document(rest)
    }
}

/// Whether what follows a page's address makes it another form of that page.
fn is_document(rest: &str) -> bool {
    let extension = rest
        .strip_prefix('.')
        .map(|rest| rest.split_once('/').map_or(rest, |(extension, _)| extension));
    extension.is_some_and(|extension| DOCUMENTS.contains(&extension))
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(InvalidPattern::TooLong);
        }
        if !text.starts_with('/') {
            return Err(InvalidPattern::NotAbsolute);
        }
        let path = text
            .strip_suffix("/*")
            .unwrap_or_else(|| text.strip_suffix('/').unwrap_or(text));
        if path.contains('*') {
            return Err(InvalidPattern::Star);
        }
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"%;?#\\".contains(c);
        let dotted = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
        if !path.chars().all(plain) || path.split('/').skip(1).any(dotted) {
            return Err(InvalidPattern::NotPlain);
        }
        // What is left may still be segments of dots only, which no request can have.
        let normal =
            rewrite::normalise(format!("{path}/").as_bytes()).map_err(|_| InvalidPattern::NotPlain)?;
        let key = key::of(&normal).map_err(|_| InvalidPattern::NotPlain)?;
        let ours = key
            .strip_prefix(OWN)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if ours {
            return Err(InvalidPattern::Own);
        }
        Ok(Self {
            key,
            written: text.to_owned(),
        })
    }
}

/// As it was written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
