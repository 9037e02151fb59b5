//! What is wrong with a configuration, all of it, and how it is shown: `file:line:column`,
//! the line, and a caret under the offending part.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

mod mask;
mod source;

pub(crate) use mask::looks_secret;
pub(crate) use source::Source;

/// Where a key or a value was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Place {
    /// In the file, from the first to the last byte.
    File(usize, usize),
    /// In an environment variable or a flag: its name, and the text it holds.
    Given(Arc<str>, Arc<str>),
    /// Nowhere: a default.
    Default,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration is refused.
    Mistake,
    /// It is accepted, but surely not what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    severity: Severity,
    about: About,
    place: Place,
    message: String,
}

/// Whether a finding is about something that is there, or about something that is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    Presence,
    Absence,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    source: Source,
    findings: Vec<Finding>,
    /// How many more there were than are kept.
    omitted: usize,
}

/// Most findings that are kept: more than anybody reads, and few enough that a file of another
/// format is refused quickly.
const FINDINGS_MAX: usize = 500;

/// Where a finding points, for machines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The file, or the name of the variable or flag.
    pub source: String,
    /// Line, from 1; nothing outside of files.
    pub line: Option<usize>,
    /// Column in characters, from 1; nothing outside of files.
    pub column: Option<usize>,
}

impl Place {
    pub(crate) fn file(span: Range<usize>) -> Self {
        Self::File(span.start, span.end)
    }
}

impl Finding {
    fn mistake(place: &Place, message: String) -> Self {
        Self {
            severity: Severity::Mistake,
            about: About::Presence,
            place: place.clone(),
            message,
        }
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, and what to do, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Report {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            findings: Vec::new(),
            omitted: 0,
        }
    }

    pub(crate) fn mistake(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Finding::mistake(place, message.into()));
    }

    pub(crate) fn warning(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Finding {
            severity: Severity::Warning,
            ..Finding::mistake(place, message.into())
        });
    }

    /// Notes that something is not there. In a file with syntax mistakes it may well be there,
    /// in a part that could not be read.
    pub(crate) fn missing(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Finding {
            about: About::Absence,
            ..Finding::mistake(place, message.into())
        });
    }

    fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// Adds what the syntax checker found, one mistake per line: the parser stumbles on after
    /// the first. Other findings on those lines are only its echo and go, and so do absences.
    pub(crate) fn add_syntax(&mut self, errors: Vec<(Place, String)>) {
        let mut broken = BTreeMap::new();
        for (place, message) in errors {
            let line = self.source.line_of(&place);
            broken
                .entry(line)
                .or_insert_with(|| Finding::mistake(&place, message));
        }
        if broken.is_empty() {
            return;
        }
        let findings = std::mem::take(&mut self.findings);
        let own =
            |f: &Finding| f.about == About::Presence && !broken.contains_key(&self.source.line_of(&f.place));
        self.findings = findings.into_iter().filter(own).collect();
        for finding in broken.into_values() {
            self.push(finding);
        }
    }

    /// Sorts the findings by where they are.
    pub(crate) fn sorted(mut self) -> Self {
        self.findings.sort_by(|a, b| a.place.cmp(&b.place));
        self
    }

    /// All findings, in the order of the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings make the configuration unusable.
    pub fn mistakes(&self) -> usize {
        self.findings
            .iter()
            .filter(|f| f.severity == Severity::Mistake)
            .count()
    }

    /// Where a finding of this report points.
    pub fn position(&self, finding: &Finding) -> Position {
        match &finding.place {
            Place::File(start, end) => {
                let excerpt = self.source.excerpt(*start, *end);
                Position {
                    source: self.source.name.clone(),
                    line: Some(excerpt.line_number),
                    column: Some(excerpt.before + 1),
                }
            }
            Place::Given(name, _) => Position {
                source: name.to_string(),
                line: None,
                column: None,
            },
            Place::Default => Position {
                source: self.source.name.clone(),
                line: None,
                column: None,
            },
        }
    }

    fn write_finding(&self, finding: &Finding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match finding.severity {
            Severity::Mistake => "",
            Severity::Warning => "warning: ",
        };
        match &finding.place {
            Place::File(start, end) => {
                let excerpt = self.source.excerpt(*start, *end);
                let (line, column) = (excerpt.line_number, excerpt.before + 1);
                writeln!(
                    f,
                    "{}:{line}:{column}: {kind}{}",
                    self.source.name, finding.message
                )?;
                excerpt.write(f)
            }
            Place::Given(name, text) => {
                writeln!(f, "{name}: {kind}{}", finding.message)?;
                let shown = mask::override_value(name, text);
                writeln!(f, "  | {name}={shown}")?;
                let width = shown.chars().count().max(1);
                writeln!(
                    f,
                    "  | {}{}",
                    " ".repeat(name.chars().count() + 1),
                    "^".repeat(width)
                )
            }
            Place::Default => writeln!(f, "{}: {kind}{}", self.source.name, finding.message),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.write_finding(finding, f)?;
        }
        if self.omitted > 0 {
            writeln!(f, "\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
