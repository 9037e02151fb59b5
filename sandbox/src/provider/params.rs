//! Form parameters in Stripe's dialect: `metadata[order]=7`, `payment_method_types[]=card`.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use super::error::ApiError;

/// The parameters of one request, body and query alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

/// Parameters one request may carry; Stripe's own limit is not published.
const PARAMS_MAX: usize = 200;
/// Stripe's documented limits on metadata.
const METADATA_MAX: usize = 50;
const METADATA_KEY_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 500;

impl Params {
    /// Parses form or query text.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(text)
            .map_err(|_| ApiError::invalid("Invalid request body: it is not form-encoded.", None))?;
        if pairs.len() > PARAMS_MAX {
            return Err(ApiError::invalid("Too many parameters.", None));
        }
        pairs.sort();
        Ok(Self { pairs })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value, or Stripe's complaint about its absence.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            ApiError::invalid(format!("Missing required param: {name}."), Some(name))
                .code("parameter_missing")
                .before_execution()
        })
    }

    /// A whole number, when present.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            ApiError::invalid(format!("Invalid integer: {value}"), Some(name))
                .code("parameter_invalid_integer")
                .before_execution()
        })
    }

    /// `true` or `false`, when present.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                Err(ApiError::invalid(format!("Invalid boolean: {other}"), Some(name)).before_execution())
            }
        }
    }

    /// `metadata[…]`, within Stripe's limits.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let mut metadata = BTreeMap::new();
        for (key, value) in &self.pairs {
            let inner = key
                .strip_prefix("metadata[")
                .and_then(|rest| rest.strip_suffix(']'));
            let Some(inner) = inner else { continue };
            if inner.chars().count() > METADATA_KEY_MAX || value.chars().count() > METADATA_VALUE_MAX {
                let message = "Metadata keys hold up to 40 characters, values up to 500.";
                return Err(ApiError::invalid(message, Some(key)).before_execution());
            }
            metadata.insert(inner.to_owned(), value.clone());
        }
        if metadata.len() > METADATA_MAX {
            let message = "Metadata can only contain up to 50 keys.";
            return Err(ApiError::invalid(message, Some("metadata")).before_execution());
        }
        Ok(metadata)
    }

    /// Whether `name[]` or `name[n]` lists `value`.
    pub(crate) fn lists(&self, name: &str, value: &str) -> bool {
        self.pairs
            .iter()
            .any(|(key, listed)| root(key) == name && key != name && listed == value)
    }

    /// Whether any parameter is called `name` or `name[…]`.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| root(key) == name)
    }

    /// Refuses names that the endpoint does not know, as Stripe does.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self
            .pairs
            .iter()
            .map(|(key, _)| root(key))
            .find(|name| !known.contains(name));
        unknown.map_or(Ok(()), |name| {
            Err(
                ApiError::invalid(format!("Received unknown parameter: {name}"), Some(name))
                    .code("parameter_unknown")
                    .before_execution(),
            )
        })
    }

    /// A digest by which two requests are told to be the same, whatever their order of parameters.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for (key, value) in &self.pairs {
            for part in [key, value] {
                context.update(&part.len().to_be_bytes());
                context.update(part.as_bytes());
            }
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

fn root(key: &str) -> &str {
    key.split('[').next().unwrap_or(key)
}
