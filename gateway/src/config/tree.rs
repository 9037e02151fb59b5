//! The configuration as it was written, before anybody asked what it means: a tree of values
//! that each know where they came from. File and overrides meet here.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::report::Place;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub place: Place,
    pub raw: Raw,
}

/// A value as TOML knows it. Numbers stay text until somebody knows their range.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    Text(String),
    Integer { digits: String, radix: u32 },
    Float(String),
    Flag(bool),
    Datetime(Datetime),
    List(Vec<Node>),
    Table(Table),
}

/// A table: entries by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(pub BTreeMap<String, Entry>);

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key was written.
    pub key: Place,
    pub node: Node,
}

/// Reads as much of `text` as can be read, and all syntax mistakes.
pub(crate) fn parse(text: &str) -> (Table, Vec<(Place, String)>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| {
        let span = error.span().unwrap_or_default();
        let message = plainly(error.message(), span.is_empty());
        (Place::file(span), message)
    });
    (Table::read(table.get_ref(), &Place::file), errors.collect())
}

/// Says the parser's most frequent complaints in the words of people who do not know TOML.
fn plainly(message: &str, is_empty: bool) -> String {
    match message.split_once(", expected").map_or(message, |(what, _)| what) {
        "string values must be quoted" if is_empty => "a value is missing here".to_owned(),
        "string values must be quoted" => "text stands in quotes: \"…\"".to_owned(),
        "duplicate key" => "this key is there already".to_owned(),
        "key with no value" => "a key is followed by = and a value".to_owned(),
        "invalid basic string" if message.ends_with("expected `\"`") => {
            "the closing quote is missing".to_owned()
        }
        "missing comma between array elements" => {
            "a comma is missing between the items of this list".to_owned()
        }
        "missing comma between key-value pairs" => {
            "a comma is missing between the keys of this table".to_owned()
        }
        _ => message.to_owned(),
    }
}

/// Reads one value that was written outside of the file.
pub(crate) fn parse_value(text: &str, place: &Place) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    Some(Node::read(&value, &|_| place.clone()))
}

impl Table {
    fn read(table: &DeTable<'_>, place: &dyn Fn(std::ops::Range<usize>) -> Place) -> Self {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            (
                name.to_string(),
                Entry {
                    key: place(key.span()),
                    node: Node::read(value, place),
                },
            )
        };
        Self(table.iter().map(entry).collect())
    }
}

impl Node {
    fn read(value: &Spanned<DeValue<'_>>, place: &dyn Fn(std::ops::Range<usize>) -> Place) -> Self {
        let raw = match value.get_ref() {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(number) => Raw::Integer {
                digits: number.as_str().to_owned(),
                radix: number.radix(),
            },
            DeValue::Float(number) => Raw::Float(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Raw::Flag(*flag),
            DeValue::Datetime(datetime) => Raw::Datetime(*datetime),
            DeValue::Array(list) => Raw::List(list.iter().map(|item| Self::read(item, place)).collect()),
            DeValue::Table(table) => Raw::Table(Table::read(table, place)),
        };
        Self {
            place: place(value.span()),
            raw,
        }
    }
}

impl Raw {
    /// What it is, in words for people.
    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer { .. } => "a number",
            Self::Float(_) => "a number with a decimal point",
            Self::Flag(_) => "true or false",
            Self::Datetime(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}
