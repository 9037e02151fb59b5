//! The folder of an embedded house, held by one process at a time. Two processes would each
//! keep the queue in their own memory, and give the same places twice.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

/// The file whose lock says that the folder is in use. The kernel lets go of the lock when the
/// process ends, however it ends, so that it never has to be cleared away.
const LOCK_FILE: &str = "lock";

/// The folder, as long as it is ours.
#[derive(Debug)]
pub(super) struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Creates the folder where it is missing, and takes hold of it.
    pub(super) fn hold(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let file = path.join(LOCK_FILE);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .with_context(|| format!("cannot open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "{} is in use by another running doorline: stop that one, or set backend.data_dir to another folder",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", file.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_afterwards() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("not").join("there");
        let held = DataDir::hold(&path).expect("nobody holds it");
        let refused = DataDir::hold(&path).expect_err("it is held").to_string();
        assert!(
            refused.contains("in use by another running doorline"),
            "{refused}"
        );
        drop(held);
        DataDir::hold(&path).expect("it is free again");
    }
}
