//! A checked table: values by key, each with the place it was written at.

use std::collections::BTreeMap;

use super::report::Place;
use super::schema::Section;
use super::value::{FromValue, Value};

/// The checked content of one [`Section`].
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub section: &'static Section,
    /// Where the table begins.
    pub place: Place,
    found: BTreeMap<&'static str, Found>,
}

/// What was found at one key.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where the value was written.
    pub place: Place,
    /// Nothing where the value was refused.
    pub value: Option<Value>,
}

impl Fields {
    pub(crate) const fn new(section: &'static Section, place: Place) -> Self {
        Self {
            section,
            place,
            found: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, name: &'static str, found: Found) {
        self.found.insert(name, found);
    }

    /// Puts in a value that nobody wrote.
    pub(crate) fn derive(&mut self, name: &'static str, value: Value) {
        self.insert(
            name,
            Found {
                place: Place::Default,
                value: Some(value),
            },
        );
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.found.remove(name);
    }

    /// Whether the key is there, rightly or wrongly filled.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// Whether somebody wrote the key, rather than a default filling it.
    pub(crate) fn is_written(&self, name: &str) -> bool {
        self.found
            .get(name)
            .is_some_and(|found| found.place != Place::Default)
    }

    /// Where the value was written; the table's own place where it was not.
    pub(crate) fn place_of(&self, name: &str) -> Place {
        self.found
            .get(name)
            .map_or_else(|| self.place.clone(), |found| found.place.clone())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.found.get(name)?.value.as_ref()
    }

    pub(crate) fn value_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.found.get_mut(name)?.value.as_mut()
    }

    /// The value, where there is a valid one.
    pub(crate) fn get<T: FromValue>(&self, name: &str) -> Option<T> {
        T::from_value(self.value(name)?)
    }

    /// The value of a key that is required or has a default, once no mistake is left.
    pub(crate) fn need<T: FromValue>(&self, name: &str) -> T {
        self.get(name)
            .unwrap_or_else(|| unreachable!("{}: `{name}` was checked to be there", self.section.header))
    }

    /// The table at a key.
    pub(crate) fn table(&self, name: &str) -> Option<&Self> {
        if let Some(Value::Table(fields)) = self.value(name) {
            Some(fields)
        } else {
            None
        }
    }

    /// The tables at a key that may repeat.
    pub(crate) fn tables(&self, name: &str) -> &[Self] {
        if let Some(Value::Tables(tables)) = self.value(name) {
            tables
        } else {
            &[]
        }
    }

    /// The items of the list at a key, with their places.
    pub(crate) fn list(&self, name: &str) -> &[(Place, Value)] {
        if let Some(Value::List(items)) = self.value(name) {
            items
        } else {
            &[]
        }
    }

    /// Keys and valid values in the order of the schema.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.section
            .keys
            .iter()
            .filter_map(|key| Some((key.name, self.value(key.name)?)))
    }
}

/// Equal where they mean the same, wherever it was written.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.values().eq(other.values())
    }
}
