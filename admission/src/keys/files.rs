//! Key files: one secret each, readable by us alone, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::Ed25519KeyPair;
use domain::Entropy;

use super::{Ring, Seal, Signer, secret};

/// Of seals and signers as many check.
const KEPT: usize = 2;

/// No key file is longer: an Ed25519 pair in PKCS#8 version 2 is 85 bytes.
const KEY_BYTES_MAX: u64 = 256;

/// A key file could not be read, made or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key file {path}: {reason}")]
pub struct KeyFileError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: &'static str,
    /// Why, where the operating system said so.
    #[source]
    pub source: Option<std::io::Error>,
}

/// The folder the keys are in.
pub(super) struct KeyFiles {
    dir: PathBuf,
}

impl KeyFiles {
    /// Takes the folder, making it if it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, KeyFileError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|cause| io(dir, "the folder cannot be made", cause))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The secret that names are derived from.
    pub(super) fn identity(&self, entropy: &dyn Entropy) -> Result<[u8; 32], KeyFileError> {
        let path = self.dir.join("identity.key");
        if !path.exists() {
            self.write(&path, &secret(entropy))?;
        }
        read_secret(&path)
    }

    /// The newest generation of seal and signer, if there is one that is complete.
    pub(super) fn newest(&self) -> Result<Option<u32>, KeyFileError> {
        Ok(self.generations()?.into_iter().next())
    }

    /// Makes the seal and the signer of one generation. The signer comes last: a generation
    /// counts once it is there, so a crash in between leaves nothing half made.
    pub(super) fn make(&self, generation: u32, entropy: &dyn Entropy) -> Result<(), KeyFileError> {
        self.write(&self.seal_path(generation), &secret(entropy))?;
        let path = self.signer_path(generation);
        let unusable = |_| fault(&path, "a key pair could not be made");
        let pair = Ed25519KeyPair::from_seed_unchecked(&secret(entropy));
        let pair = pair.map_err(|_| fault(&path, "a key pair could not be made"))?;
        let der = pair.to_pkcs8().map_err(unusable)?;
        self.write(&path, der.as_ref())
    }

    /// The newest generations, parsed.
    pub(super) fn ring(&self) -> Result<Ring, KeyFileError> {
        let (mut seals, mut signers) = (Vec::new(), Vec::new());
        for generation in self.generations()?.into_iter().take(KEPT) {
            seals.push(Seal::new(generation, &read_secret(&self.seal_path(generation))?));
            let path = self.signer_path(generation);
            let signer = Signer::from_pkcs8(&read(&path)?);
            signers.push(signer.ok_or_else(|| fault(&path, "it is not an Ed25519 key pair in PKCS#8"))?);
        }
        Ok(Ring::new(seals, signers))
    }

    /// Removes every generation before `kept`.
    pub(super) fn remove_below(&self, kept: u32) -> Result<(), KeyFileError> {
        for generation in self
            .generations()?
            .into_iter()
            .filter(|generation| *generation < kept)
        {
            for path in [self.signer_path(generation), self.seal_path(generation)] {
                fs::remove_file(&path).map_err(|cause| io(&path, "it cannot be removed", cause))?;
            }
        }
        Ok(())
    }

    fn seal_path(&self, generation: u32) -> PathBuf {
        self.dir.join(format!("seal-{generation}.key"))
    }

    fn signer_path(&self, generation: u32) -> PathBuf {
        self.dir.join(format!("signer-{generation}.pk8"))
    }

    /// Complete generations, newest first.
    fn generations(&self) -> Result<Vec<u32>, KeyFileError> {
        let unreadable = |cause| io(&self.dir, "the folder cannot be read", cause);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let number = name
                .to_str()
                .and_then(|n| n.strip_prefix("signer-")?.strip_suffix(".pk8"));
            found.extend(number.and_then(|n| n.parse::<u32>().ok()));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Writes beside the name, syncs, then takes the name: nobody ever reads half a key.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), KeyFileError> {
        let unwritable = |cause| io(path, "it cannot be written", cause);
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside).map_err(unwritable)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(unwritable)?;
        fs::rename(&beside, path).map_err(unwritable)?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(unwritable)
    }
}

fn read_secret(path: &Path) -> Result<[u8; 32], KeyFileError> {
    read(path)?
        .try_into()
        .map_err(|_| fault(path, "it does not hold 32 bytes"))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let unreadable = |cause| io(path, "it cannot be read", cause);
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(fault(
            path,
            "others may read it: take their permission away (chmod 600)",
        ));
    }
    let mut bytes = Vec::new();
    file.take(KEY_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn io(path: &Path, reason: &'static str, cause: std::io::Error) -> KeyFileError {
    KeyFileError {
        path: path.to_owned(),
        reason,
        source: Some(cause),
    }
}

fn fault(path: &Path, reason: &'static str) -> KeyFileError {
    KeyFileError {
        path: path.to_owned(),
        reason,
        source: None,
    }
}
