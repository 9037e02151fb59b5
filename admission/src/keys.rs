//! Keys: made on first start, kept in `data_dir/keys`, rotated without invalidating anything.
//!
//! Three kinds. The *identity* key names shoppers and admissions; it never changes, because a
//! name must not. *Seals* are secret keys under which cookies and tickets are authenticated.
//! *Signers* are Ed25519 pairs whose public half anybody may fetch. Of seals and signers the
//! newest makes and the two newest check, so whatever was valid survives one rotation.

mod files;
mod ring;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{AdmissionId, DropId, Entropy, Number, ShopperKey};

use crate::visitor::Visitor;
use files::KeyFiles;
pub(crate) use ring::{MAC_BYTES, Ring, Seal, Signer, same};

/// The keys of the house. Reading them costs no lock; rotation replaces them whole.
pub struct Keys {
    files: KeyFiles,
    identity: Identity,
    ring: ArcSwap<Ring>,
}

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

/// Names shoppers and admissions.
#[derive(Clone, Copy)]
struct Identity {
    shopper: [u8; 32],
    admission: [u8; 32],
}

impl Keys {
    /// Reads the keys in `data_dir/keys`, making those that are missing.
    pub fn open(data_dir: &Path, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let files = KeyFiles::open(&data_dir.join("keys"))?;
        let root = files.identity(entropy)?;
        let identity = Identity {
            shopper: blake3::derive_key("doorline 2026 shopper key", &root),
            admission: blake3::derive_key("doorline 2026 admission id", &root),
        };
        if files.newest()?.is_none() {
            files.make(1, entropy)?;
        }
        let ring = ArcSwap::from_pointee(files.ring()?);
        Ok(Self {
            files,
            identity,
            ring,
        })
    }

    /// Makes a new seal and a new signer, demotes the present ones to checking, and removes
    /// those that only checked until now. Tokens live as long as a session: rotate less often.
    pub fn rotate(&self, entropy: &dyn Entropy) -> Result<(), KeyError> {
        let newest = self.files.newest()?.unwrap_or(0);
        self.files.make(newest.saturating_add(1), entropy)?;
        self.ring.store(Arc::new(self.files.ring()?));
        self.files.remove_below(newest)
    }

    /// The public keys that verify admission tokens (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let ring = self.ring.load();
        let keys: Vec<_> = ring.signers().map(Signer::jwk).collect();
        serde_json::json!({ "keys": keys })
    }

    /// Names a visitor within one drop.
    pub(crate) fn shopper(&self, drop: &DropId, visitor: &Visitor) -> ShopperKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.identity.shopper);
        hasher.update(&visitor.0).update(drop.as_str().as_bytes());
        ShopperKey(first_half(&hasher.finalize()))
    }

    /// Names the admission on one place: the same as often as it is asked for.
    pub(crate) fn admission(
        &self,
        drop: &DropId,
        shopper: ShopperKey,
        number: Number,
        epoch: u32,
    ) -> AdmissionId {
        let mut hasher = blake3::Hasher::new_keyed(&self.identity.admission);
        hasher
            .update(&shopper.0)
            .update(&number.0.to_be_bytes())
            .update(&epoch.to_be_bytes());
        hasher.update(drop.as_str().as_bytes());
        AdmissionId(first_half(&hasher.finalize()))
    }

    /// The seals and signers at this moment.
    pub(crate) fn ring(&self) -> arc_swap::Guard<Arc<Ring>> {
        self.ring.load()
    }

    /// The same, to be kept.
    pub(crate) fn ring_now(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// Whether `ring` is still the one in use: rotation makes another.
    pub(crate) fn is_now(&self, ring: &Arc<Ring>) -> bool {
        Arc::ptr_eq(&self.ring.load(), ring)
    }
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}
