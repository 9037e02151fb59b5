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

impl<T> PathTable<T> {
    /// Orders `entries` by how specific they are; among equals the first one wins.
    pub fn new(mut entries: Vec<(Pattern, T)>) -> Self {
        entries.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.key().len()));
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
