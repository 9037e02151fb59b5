//! Writes the schema as JSON Schema (draft 2020-12), for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::schema::{Key, Kind, Presence, ROOT, Section};
use super::tree::{self, Node, Raw};

/// Writes the JSON Schema of `config.toml`.
pub fn json_schema() -> Value {
    let mut schema = table(&ROOT);
    let extra = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("Doorline")),
    ];
    if let Value::Object(map) = &mut schema {
        map.extend(extra.map(|(name, value)| (name.to_owned(), value)));
    }
    schema
}

fn table(section: &Section) -> Value {
    let properties: Map<String, Value> = section
        .keys
        .iter()
        .map(|k| (k.name.to_owned(), property(k)))
        .collect();
    let required: Vec<&str> = section
        .keys
        .iter()
        .filter(|k| k.presence == Presence::Required)
        .map(|k| k.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    if !section.doc.is_empty() {
        schema.insert("description".into(), json!(section.doc));
    }
    Value::Object(schema)
}

fn property(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    let Value::Object(map) = &mut schema else {
        return schema;
    };
    if !key.doc.is_empty() {
        map.insert("description".into(), json!(key.doc.replace('\n', " ")));
    }
    if let Presence::Default(literal) = key.presence
        && !matches!(key.kind, Kind::Table(_))
        && let Some(node) = tree::parse_value(literal, &super::report::Place::Default)
    {
        map.insert("default".into(), value(&node));
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(chars_max) => json!({"type": "string", "minLength": 1, "maxLength": chars_max}),
        Kind::DropId => json!({"type": "string", "pattern": "^[a-z0-9-]{1,48}$"}),
        Kind::Sku => json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,48}$"}),
        Kind::Currency => json!({"type": "string", "pattern": "^[a-z]{3}$"}),
        Kind::SecretVariable => json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
        Kind::SecretFile | Kind::File | Kind::Host | Kind::Address | Kind::Network => {
            json!({"type": "string", "minLength": 1})
        }
        Kind::Count(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::OneNumberOf(numbers) => json!({"enum": numbers}),
        Kind::OneOf(words) => json!({"enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Duration(..) => {
            json!({"type": "string", "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$", "minLength": 2})
        }
        Kind::Rate => json!({"type": "string", "pattern": "^[0-9]+ */ *(s|sec|second|m|min|minute|h|hour)$"}),
        Kind::Moment => json!({"type": "string", "pattern": "(Z|[+-][0-9]{2}(:?[0-9]{2})?|\\])$"}),
        Kind::Url => json!({"type": "string", "pattern": "^https?://[^/@?#]+/?$"}),
        Kind::Endpoint => json!({"type": "string", "pattern": "^https?://[^/@?#]+(/[^#]*)?$"}),
        Kind::PathPattern => json!({"type": "string", "pattern": "^/"}),
        Kind::List(item) => json!({"type": "array", "items": self::kind(item)}),
        Kind::Table(section) => table(section),
        Kind::Tables(section) => json!({"type": "array", "items": table(section)}),
    }
}

fn value(node: &Node) -> Value {
    match &node.raw {
        Raw::Text(text) => json!(text),
        Raw::Integer { digits, radix } => json!(u64::from_str_radix(digits, *radix).ok()),
        Raw::Float(digits) => json!(digits.parse::<f64>().ok()),
        Raw::Flag(flag) => json!(flag),
        Raw::Datetime(datetime) => json!(datetime.to_string()),
        Raw::List(nodes) => nodes.iter().map(value).collect(),
        Raw::Table(table) => Value::Object(
            table
                .0
                .iter()
                .map(|(name, entry)| (name.clone(), value(&entry.node)))
                .collect(),
        ),
    }
}
