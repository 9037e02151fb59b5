//! The text of the file, and the line of it that a finding is about.

use std::fmt;

use super::{Place, mask};

/// The text of a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    /// As the user named it.
    pub name: String,
    text: String,
    /// Where each line begins: looked up for every finding, and a file may have very many.
    lines: Vec<usize>,
}

/// One line of the source with the part to underline.
pub(super) struct Excerpt<'a> {
    pub line_number: usize,
    line: &'a str,
    /// Characters before the part.
    pub before: usize,
    /// Characters of the part; at least one.
    width: usize,
}

impl Source {
    /// Takes the text of the file that the user calls `name`.
    pub(crate) fn new(name: &str, text: String) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self {
            name: name.to_owned(),
            text,
            lines,
        }
    }

    pub(super) fn excerpt(&self, start: usize, end: usize) -> Excerpt<'_> {
        let text = self.text.as_str();
        let start = text.floor_char_boundary(start.min(text.len()));
        let line_number = self.lines.partition_point(|line| *line <= start);
        let line_start = self.lines[line_number - 1];
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = text.floor_char_boundary(end.clamp(start, line_end));
        let line = text[line_start..line_end].trim_end_matches('\r');
        Excerpt {
            line_number,
            line,
            before: text[line_start..start].chars().count(),
            width: text[start..end].trim_end().chars().count().max(1),
        }
    }

    /// The line, from 1; nothing for what was not written in the file.
    pub(super) fn line_of(&self, place: &Place) -> Option<usize> {
        match place {
            Place::File(start, _) => Some(self.lines.partition_point(|line| line <= start)),
            Place::Given(..) | Place::Default => None,
        }
    }
}

impl Excerpt<'_> {
    /// Keeps tabs as tabs in front of the carets, so that they stand right at any tab width.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line_number.to_string();
        let line = mask::line(self.line);
        let indent: String = line
            .chars()
            .take(self.before)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let missing = self.before.saturating_sub(indent.chars().count());
        let width = self
            .width
            .min(line.chars().count().saturating_sub(self.before))
            .max(1);
        writeln!(f, "{number} | {line}")?;
        writeln!(
            f,
            "{} | {indent}{}{}",
            " ".repeat(number.len()),
            " ".repeat(missing),
            "^".repeat(width)
        )
    }
}
