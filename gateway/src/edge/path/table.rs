//! The table of protected paths, in which the most specific one wins.

use super::{NormalPath, Pattern};

/// Finds the most specific pattern that covers a path.
///
/// A scan from the longest pattern to the shortest: a comparison that fails at the first
/// differing byte costs a few nanoseconds, and drops are few.
#[derive(Clone, Debug)]
pub struct PathTable<T> {
    entries: Vec<(Pattern, T)>,
}

/// A pattern of a table. Keeps nothing of the table, so that it can wait for a decision with the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found(usize);

impl<T> PathTable<T> {
    /// Orders `entries` by how specific they are; among equals the first one wins.
    pub fn new(mut entries: Vec<(Pattern, T)>) -> Self {
        entries.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.key().len()));
        Self { entries }
    }

    /// The most specific pattern that covers `path`.
    pub fn find(&self, path: &NormalPath) -> Option<Found> {
        let key = path.key();
        self.entries
            .iter()
            .position(|(pattern, _)| pattern.covers(key))
            .map(Found)
    }

    /// The value of a pattern that was found in this very table.
    pub fn value(&self, found: Found) -> &T {
        let (_, value) = self.entries.get(found.0).expect("found in this table");
        value
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
