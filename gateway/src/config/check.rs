//! Compares what was written with the schema: unknown keys, missing keys, wrong kinds,
//! values out of range. Goes on after every mistake, so that all are found in one go.

use super::fields::{Fields, Found};
use super::report::{Place, Report, Source};
use super::scalar;
use super::schema::{self, Key, Kind, Presence, Section};
use super::tree::{self, Node, Raw, Table};
use super::value::Value;

/// Checks a table against its section.
pub(crate) fn table(section: &'static Section, table: &Table, place: &Place, report: &mut Report) -> Fields {
    let mut fields = Fields::new(section, place.clone());
    let mut mistyped = Vec::new();
    for (name, entry) in &table.0 {
        if let Some(key) = section.key(name) {
            let value = value(key, &key.kind, &entry.node, report);
            fields.insert(
                key.name,
                Found {
                    place: entry.node.place.clone(),
                    value,
                },
            );
        } else {
            report.mistake(&entry.key, unknown_key(section, name));
            mistyped.extend(section.nearest_key(name));
        }
    }
    for key in section.keys {
        match key.presence {
            _ if fields.has(key.name) => {}
            // A mistyped key is one mistake, not two.
            Presence::Required if mistyped.contains(&key.name) => {}
            Presence::Required => {
                report.missing(
                    place,
                    format!("required key `{}` is missing in {}", key.name, section.header),
                );
            }
            Presence::Optional => {}
            Presence::Default(literal) => fields.derive(key.name, default_value(key, literal)),
        }
    }
    prefer_written_secret_file(&mut fields);
    fields
}

/// Says why a key is not known, and which may have been meant.
pub(crate) fn unknown_key(section: &Section, name: &str) -> String {
    if section.is_plain_secret(name) {
        return format!(
            "a secret does not belong in plain text: name the environment variable that holds it in \
             `{name}_env`, or the file in `{name}_file`"
        );
    }
    let hint = match (schema::home_of(name), section.nearest_key(name)) {
        (Some(home), _) => format!("; it belongs in {home}"),
        (None, Some(near)) => format!("; did you mean `{near}`?"),
        (None, None) => String::new(),
    };
    format!("unknown key `{name}` in {}{hint}", section.header)
}

/// The value that holds where a key is left out.
fn default_value(key: &Key, literal: &str) -> Value {
    let node = tree::parse_value(literal, &Place::Default);
    let mut report = Report::new(Source::new("", String::new()));
    let value = node.and_then(|node| value(key, &key.kind, &node, &mut report));
    value.unwrap_or_else(|| unreachable!("the default of `{}` is not valid: {report}", key.name))
}

/// A table that nobody wrote, with its defaults.
pub(crate) fn empty_table(key: &Key) -> Value {
    default_value(key, "{}")
}

fn value(key: &Key, kind: &Kind, node: &Node, report: &mut Report) -> Option<Value> {
    match kind {
        Kind::List(item) => list(key, item, node, report),
        Kind::Table(section) => single(key, section, node, report),
        Kind::Tables(section) => tables(key, section, node, report),
        scalar => match scalar::read(scalar, &node.raw) {
            Ok(value) => Some(value),
            Err(message) => {
                report.mistake(&node.place, format!("`{}`: {message}", key.name));
                None
            }
        },
    }
}

/// Keeps the good items of a list, so that what follows can go on with them.
fn list(key: &Key, item: &Kind, node: &Node, report: &mut Report) -> Option<Value> {
    let Raw::List(nodes) = &node.raw else {
        report.mistake(
            &node.place,
            format!("`{}` is a list: put brackets around it", key.name),
        );
        return None;
    };
    let read = |node: &Node| Some((node.place.clone(), value(key, item, node, report)?));
    Some(Value::List(nodes.iter().filter_map(read).collect()))
}

/// Reads the table even under the wrong brackets, so that its own mistakes are found as well.
fn single(key: &Key, section: &'static Section, node: &Node, report: &mut Report) -> Option<Value> {
    let name = key.name;
    let message = match &node.raw {
        Raw::Table(inner) => return Some(Value::Table(table(section, inner, &node.place, report))),
        raw if !section.header.starts_with('[') => {
            format!("`{name}` is a table: {{ … }}; this is {}", raw.describe())
        }
        Raw::List(nodes) => {
            if let Some(Node {
                raw: Raw::Table(inner),
                place,
            }) = nodes.first()
            {
                table(section, inner, place, report);
            }
            format!(
                "there is only one {}: write it with single brackets",
                section.header
            )
        }
        _ => format!("`{name}` is a part of its own: write {}", section.header),
    };
    report.mistake(&node.place, message);
    None
}

fn tables(key: &Key, section: &'static Section, node: &Node, report: &mut Report) -> Option<Value> {
    let header = section.header;
    let Raw::List(nodes) = &node.raw else {
        let message = format!(
            "there may be several of `{}`: write {header} with double brackets",
            key.name
        );
        report.mistake(&node.place, message);
        if let Raw::Table(inner) = &node.raw {
            table(section, inner, &node.place, report);
        }
        return None;
    };
    let mut all = Vec::new();
    for node in nodes {
        match &node.raw {
            Raw::Table(inner) => all.push(table(section, inner, &node.place, report)),
            raw => report.mistake(
                &node.place,
                format!("write this as {header}; it is {}", raw.describe()),
            ),
        }
    }
    Some(Value::Tables(all))
}

/// A secret file that somebody named wins over the variable that nobody did.
fn prefer_written_secret_file(fields: &mut Fields) {
    for key in fields.section.keys {
        let Some(base) = key.name.strip_suffix("_file") else {
            continue;
        };
        let variable = format!("{base}_env");
        if matches!(key.kind, Kind::SecretFile) && fields.has(key.name) && !fields.is_written(&variable) {
            fields.remove(&variable);
        }
    }
}
