//! Overrides from outside the file: environment variables `DOORLINE__SECTION__KEY` and flags
//! `--set section.key=value`. They are laid over the tree before it is checked, so that a
//! mistake in them is found like any other and reported under their name.

use std::sync::Arc;

use super::check::unknown_key;
use super::nearest::nearest;
use super::report::{Place, Report};
use super::schema::{Key, Kind, ROOT, Section};
use super::secret::Environment;
use super::tree::{self, Entry, Node, Raw, Table};

/// How the names of overriding variables begin. Two underscores, so that variables such as
/// `DOORLINE_ADMIN_TOKEN` are none of them.
pub const VARIABLE_PREFIX: &str = "DOORLINE__";

/// One value given outside of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    name: Arc<str>,
    path: Vec<String>,
    text: Arc<str>,
}

/// The text after `--set` is not `section.key=value`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write --set section.key=value, such as --set server.listen=0.0.0.0:8080")]
pub struct InvalidOverride;

impl Override {
    /// Reads `section.key=value`. Drops and items are named by id and SKU:
    /// `drop.aurora.total_active_users=100`.
    pub fn from_flag(text: &str) -> Result<Self, InvalidOverride> {
        let (path, value) = text.split_once('=').ok_or(InvalidOverride)?;
        let path = path.trim();
        if path.split('.').any(str::is_empty) {
            return Err(InvalidOverride);
        }
        Ok(Self {
            name: format!("--set {path}").into(),
            path: path.split('.').map(str::to_owned).collect(),
            text: value.into(),
        })
    }

    /// All overrides among the environment variables.
    pub(crate) fn from_environment(environment: &Environment) -> Vec<Self> {
        let own = |(name, value): (&str, &str)| {
            let path = name.strip_prefix(VARIABLE_PREFIX)?;
            let path = path.split("__").map(str::to_owned).collect();
            Some(Self {
                name: name.into(),
                path,
                text: value.into(),
            })
        };
        environment.iter().filter_map(own).collect()
    }

    fn place(&self) -> Place {
        Place::Given(Arc::clone(&self.name), Arc::clone(&self.text))
    }
}

/// Lays `overrides` over the file, later ones over earlier ones.
pub(crate) fn apply(root: &mut Table, overrides: &[Override], report: &mut Report) {
    for one in overrides {
        let segments: Vec<&str> = one.path.iter().map(String::as_str).collect();
        if let Err(message) = set(&ROOT, root, &segments, one) {
            report.mistake(&one.place(), message);
        }
    }
}

fn set(section: &Section, table: &mut Table, path: &[&str], one: &Override) -> Result<(), String> {
    let Some((name, rest)) = path.split_first() else {
        return Err(format!("the name of a key is missing after {}", section.header));
    };
    let key = find_key(section, name)?;
    match (&key.kind, rest) {
        (Kind::Table(_) | Kind::Tables(_), []) => Err(format!("`{}` has keys: name one of them", key.name)),
        (Kind::Table(inner), rest) => {
            let empty = || Entry {
                key: one.place(),
                node: Node {
                    place: one.place(),
                    raw: Raw::Table(Table::default()),
                },
            };
            let entry = table.0.entry(key.name.to_owned()).or_insert_with(empty);
            match &mut entry.node.raw {
                Raw::Table(table) => set(inner, table, rest, one),
                // The file is wrong here and will be told so.
                _ => Ok(()),
            }
        }
        (Kind::Tables(inner), [which, rest @ ..]) => {
            let nodes = match table.0.get_mut(key.name).map(|entry| &mut entry.node.raw) {
                Some(Raw::List(nodes)) => nodes.as_mut_slice(),
                _ => &mut [],
            };
            set(inner, find_table(inner, nodes, which, key.name)?, rest, one)
        }
        (_, []) => {
            let node = leaf(&key.kind, &one.text, &one.place());
            table.0.insert(
                key.name.to_owned(),
                Entry {
                    key: one.place(),
                    node,
                },
            );
            Ok(())
        }
        (_, [..]) => Err(format!("`{}` has no parts", key.name)),
    }
}

/// Names in variables cannot hold dashes or dots, and are in capitals.
fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

fn find_key(section: &Section, name: &str) -> Result<&'static Key, String> {
    let key = section.keys.iter().find(|key| folded(key.name) == folded(name));
    key.ok_or_else(|| unknown_key(section, &name.to_lowercase()))
}

/// Finds one of several tables by its id or SKU, or else by its place, counting from 0.
fn find_table<'a>(
    section: &Section,
    nodes: &'a mut [Node],
    which: &str,
    noun: &str,
) -> Result<&'a mut Table, String> {
    let identity = |node: &Node| match &node.raw {
        Raw::Table(table) => match &table.0.get(section.identity?)?.node.raw {
            Raw::Text(id) => Some(id.clone()),
            _ => None,
        },
        _ => None,
    };
    let known: Vec<String> = nodes.iter().filter_map(identity).collect();
    let by_name = nodes
        .iter()
        .position(|node| identity(node).is_some_and(|id| folded(&id) == folded(which)));
    let index = by_name.or_else(|| which.parse().ok().filter(|index| *index < nodes.len()));
    let Some(Node {
        raw: Raw::Table(table),
        ..
    }) = index.and_then(|index| nodes.get_mut(index))
    else {
        let hint = nearest(which, known.iter().map(String::as_str));
        let hint = hint.map_or_else(String::new, |id| format!("; did you mean \"{id}\"?"));
        return Err(format!(
            "there is no {noun} \"{}\" in the file{hint}",
            which.to_lowercase()
        ));
    };
    Ok(table)
}

/// Reads a value given without TOML's quotes. Lists may be written with commas alone.
fn leaf(kind: &Kind, text: &str, place: &Place) -> Node {
    let plain = |text: &str| Node {
        place: place.clone(),
        raw: Raw::Text(text.to_owned()),
    };
    match kind {
        Kind::Count(..) | Kind::OneNumberOf(_) | Kind::Flag => {
            tree::parse_value(text.trim(), place).unwrap_or_else(|| plain(text))
        }
        Kind::List(_) if text.trim_start().starts_with('[') => {
            tree::parse_value(text.trim(), place).unwrap_or_else(|| plain(text))
        }
        Kind::List(item) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let nodes = items.map(|text| leaf(item, text, place)).collect();
            Node {
                place: place.clone(),
                raw: Raw::List(nodes),
            }
        }
        _ => plain(text),
    }
}
