//! Protected paths: patterns, and the table in which the most specific one wins.

use std::str::FromStr;

use super::{NormalPath, key, rewrite};

/// A protected path as a merchant writes it.
///
/// - `/drops/aurora` protects that path and everything beneath it, as `/drops/aurora/*` does:
///   a page that is protected while the same page with a slash and something behind it is not
///   would be an open door on most servers.
/// - `/drops/aurora*` protects every path that begins so, `/drops/aurora.json` included.
///
/// Letter case, escapes, `;parameters`, trailing dots and slashes make no difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    key: String,
    reach: Reach,
}

/// How far a pattern reaches; the narrower sorts later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reach {
    Prefix,
    Tree,
}

/// A pattern that protects nothing or not what it seems to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{pattern:?} is not a path to protect: {reason}")]
pub struct InvalidPattern {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Finds the most specific pattern that covers a path.
///
/// A scan from the longest pattern to the shortest: a comparison that fails at the first
/// differing byte costs a few nanoseconds, and drops are few.
#[derive(Clone, Debug)]
pub struct PathTable<T> {
    entries: Vec<(Pattern, T)>,
}

impl Pattern {
    fn covers(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(self.key.as_str()) else {
            return false;
        };
        match self.reach {
            Reach::Prefix => true,
            Reach::Tree => rest.is_empty() || rest.starts_with('/') || self.key == "/",
        }
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidPattern> {
        let refuse = |reason: &str| InvalidPattern {
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        };
        if pattern.contains(['?', '#']) {
            return Err(refuse("a path has no query and no fragment"));
        }
        let (text, reach) = match pattern.strip_suffix('*') {
            Some(tree) if tree.ends_with('/') => (tree, Reach::Tree),
            Some(prefix) => (prefix, Reach::Prefix),
            None => (pattern, Reach::Tree),
        };
        if text.contains('*') {
            return Err(refuse("`*` may only stand at the end"));
        }
        let normal = rewrite::normalise(text.as_bytes()).map_err(|error| refuse(&error.to_string()))?;
        let key = key::of(&normal).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self { key, reach })
    }
}

impl<T> PathTable<T> {
    /// Orders `entries` by how specific they are; among equals the first one wins.
    pub fn new(mut entries: Vec<(Pattern, T)>) -> Self {
        entries.sort_by_key(|(pattern, _)| std::cmp::Reverse((pattern.key.len(), pattern.reach)));
        Self { entries }
    }

    /// The value of the most specific pattern that covers `path`.
    pub fn find(&self, path: &NormalPath) -> Option<&T> {
        let key = path.key();
        self.entries
            .iter()
            .find(|(pattern, _)| pattern.covers(key))
            .map(|(_, value)| value)
    }

    /// The values, most specific pattern first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, value)| value)
    }
}

impl<T> Default for PathTable<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}
