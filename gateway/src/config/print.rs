//! Writes the effective configuration as TOML that reads back the same.

use std::fmt::Write as _;

use super::fields::Fields;
use super::schema::{Key, Kind};
use super::secret::{Environment, SecretSource};
use super::value::Value;

/// Why writing cannot fail.
const STRING: &str = "a string takes whatever is written to it";

/// Writes every section with every value, and beside each secret whether it is there.
pub(crate) fn print(root: &Fields, environment: &Environment) -> String {
    let mut out = String::new();
    for (name, value) in root.values() {
        let key = root.section.key(name).expect("checked values have keys");
        write_part(key, value, environment, &mut out);
    }
    out
}

fn write_part(key: &Key, value: &Value, environment: &Environment, out: &mut String) {
    match value {
        Value::Table(fields) => write_table(fields, environment, out),
        Value::Tables(all) => all
            .iter()
            .for_each(|fields| write_table(fields, environment, out)),
        _ => unreachable!("`{}` stands on its own", key.name),
    }
}

fn write_table(fields: &Fields, environment: &Environment, out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
    writeln!(out, "{}", fields.section.header).expect(STRING);
    let mut parts = Vec::new();
    for (name, value) in fields.values() {
        let key = fields.section.key(name).expect("checked values have keys");
        if is_part(key) {
            parts.push((key, value));
            continue;
        }
        writeln!(
            out,
            "{name} = {}{}",
            value.to_toml(),
            presence(key, value, environment)
        )
        .expect(STRING);
    }
    for (key, value) in parts {
        write_part(key, value, environment, out);
    }
}

/// Whether a key is written as a part with a header of its own.
pub(super) fn is_part(key: &Key) -> bool {
    match key.kind {
        Kind::Table(section) | Kind::Tables(section) => section.header.starts_with('['),
        _ => false,
    }
}

/// Says whether a secret is there, never what it is.
fn presence(key: &Key, value: &Value, environment: &Environment) -> &'static str {
    let source = match (&key.kind, value) {
        (Kind::SecretVariable, Value::Text(name)) => SecretSource::Env(name.clone()),
        (Kind::SecretFile, Value::Text(path)) => SecretSource::File(path.into()),
        _ => return "",
    };
    match source.read(environment) {
        Ok(Some(_)) => " # set; not shown",
        Ok(None) => " # not set",
        Err(_) => " # empty or unreadable",
    }
}
