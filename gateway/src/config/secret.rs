//! Secrets: where they come from, and a type that cannot be printed.
//!
//! The file names an environment variable or a file, never the secret itself, so that a
//! config can be shown, committed and mailed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub mod admin;

/// Longest secret file, in bytes: anything bigger is not a secret but a mistaken path.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// A secret. Neither `Debug` nor `Display` shows it; read it with [`Secret::expose`] where it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SecretSource {
    /// Not configured.
    #[default]
    Unset,
    /// The environment variable of this name.
    Env(String),
    /// The file at this path; blanks around its content do not count.
    File(PathBuf),
}

/// The environment variables, taken once at the start so that tests can pass their own.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is set, but to nothing.
    #[error("environment variable {name} is empty: set it to the secret or unset it")]
    EmptyVariable {
        /// The variable.
        name: String,
    },
    /// The file holds nothing but blanks.
    #[error("secret file {} is empty", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The file is far too big for a secret.
    #[error("secret file {} is larger than {SECRET_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Nothing is configured, or the variable is not set.
    #[error("{what} is not set: {}", hint(.origin))]
    Missing {
        /// What needs it.
        what: &'static str,
        /// Where it was looked for.
        origin: SecretSource,
    },
    /// Easy to guess.
    #[error("{what} is shorter than {min} characters")]
    TooShort {
        /// What it is for.
        what: &'static str,
        /// The least that is accepted.
        min: usize,
    },
    /// Not of the form that it must have.
    #[error("{what} cannot be used")]
    Unusable {
        /// What it is for.
        what: &'static str,
        /// Why; never the secret itself.
        #[source]
        why: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file could not be read or written.
    #[error("cannot {action} secret file {}", path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn hint(source: &SecretSource) -> String {
    match source {
        SecretSource::Unset => "name a variable or a file in config.toml".to_owned(),
        SecretSource::Env(name) => format!("set environment variable {name}"),
        SecretSource::File(path) => format!("write {}", path.display()),
    }
}

impl Secret {
    /// Takes the secret.
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself: for signing, comparing or sending, never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process. Those that are not text are left out.
    pub fn of_process() -> Self {
        let text =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self(text.collect())
    }

    /// One variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl SecretSource {
    /// Reads the secret. Nothing where it is unset, its variable is not set or its file does not
    /// exist; an error where it is there but empty or unreadable.
    pub fn read(&self, environment: &Environment) -> Result<Option<Secret>, SecretError> {
        match self {
            Self::Unset => Ok(None),
            Self::Env(name) => match environment.get(name).map(str::trim) {
                None => Ok(None),
                Some("") => Err(SecretError::EmptyVariable { name: name.clone() }),
                Some(secret) => Ok(Some(Secret::new(secret.to_owned()))),
            },
            Self::File(path) => read_file(path),
        }
    }

    /// Reads a secret that `what` cannot do without.
    pub fn require(&self, what: &'static str, environment: &Environment) -> Result<Secret, SecretError> {
        let missing = || SecretError::Missing {
            what,
            origin: self.clone(),
        };
        self.read(environment)?.ok_or_else(missing)
    }
}

fn read_file(path: &Path) -> Result<Option<Secret>, SecretError> {
    let failed = |source| SecretError::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(meta) if meta.len() > SECRET_BYTES_MAX => {
            return Err(SecretError::TooLarge {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match text.trim() {
        "" => Err(SecretError::EmptyFile {
            path: path.to_owned(),
        }),
        secret => Ok(Some(Secret::new(secret.to_owned()))),
    }
}
