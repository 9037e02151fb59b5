//! Keys: made on first start, kept in `data_dir/keys`, rotated without invalidating anything.
//!
//! Three kinds. The *identity* key names shoppers and admissions; it never changes, because a
//! name must not. *Seals* are secret keys under which cookies and tickets are authenticated.
//! *Signers* are Ed25519 pairs whose public half anybody may fetch. Of seals and signers the
//! newest makes and the two newest check, so whatever was valid survives one rotation.

mod files;
mod ring;
pub mod shared;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{AdmissionId, DropId, Entropy, Number, ShopperKey};

use crate::store::Unavailable;
use crate::visitor::Visitor;
pub use files::KeyFileError;
use files::KeyFiles;
pub(crate) use ring::{MAC_BYTES, Ring, Seal, Signer, same};
use shared::{Generation, Lookout, SharedKeys};

/// The keys of the house. Reading them costs no lock; rotation replaces them whole.
pub struct Keys {
    source: Source,
    identity: Identity,
    ring: Arc<ArcSwap<Ring>>,
}

/// Where the keys are kept.
enum Source {
    /// In files of this process.
    Files(KeyFiles),
    /// In a place that all gateways share.
    Shared(Lookout),
}

/// Keys could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// What all gateways share could not be asked.
    #[error("cannot use the keys that the gateways share")]
    Shared(#[from] Unavailable),
    /// The keys of the last rotation do not sign yet. Ask again after [`shared::SEASONED_AFTER`].
    #[error("the last rotation is under way still; half a minute after it the next can begin")]
    TooSoon,
    /// What all gateways share holds something else than keys.
    #[error("generation {generation} of the shared keys is damaged")]
    Damaged {
        /// Which.
        generation: u32,
    },
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
        let identity = Identity::of(&files.identity(entropy)?);
        if files.newest()?.is_none() {
            files.make(1, entropy)?;
        }
        let ring = Arc::new(ArcSwap::from_pointee(files.ring()?));
        Ok(Self {
            source: Source::Files(files),
            identity,
            ring,
        })
    }

    /// Reads the keys that all gateways share, making those that are missing. Of several gateways
    /// that make them at once, all take those of the first. To be called on the runtime that the keys will be used on.
    pub async fn shared(source: Arc<dyn SharedKeys>, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let identity = Identity::of(&source.identity(secret(entropy)).await?);
        if source.generations().await?.is_empty() {
            source.add(Generation::fresh(1, entropy)).await?;
        }
        let (lookout, ring) = Lookout::over(source).await?;
        Ok(Self {
            source: Source::Shared(lookout),
            identity,
            ring,
        })
    }

    /// Makes a new seal and a new signer, demotes the present ones to checking, and removes
    /// those that only checked until now. Tokens live as long as a session: rotate less often.
    /// Shared keys change over a little later, when every gateway has had the time to see them.
    pub async fn rotate(&self, entropy: &dyn Entropy) -> Result<(), KeyError> {
        match &self.source {
            Source::Files(files) => {
                let newest = files.newest()?.unwrap_or(0);
                files.make(newest.saturating_add(1), entropy)?;
                self.ring.store(Arc::new(files.ring()?));
                files.remove_below(newest)?;
                Ok(())
            }
            Source::Shared(lookout) => {
                let source = &lookout.known.source;
                // One that does not sign yet is a rotation still under way; another on top of it
                // would push out the one that signs.
                let newest = source.generations().await?.into_iter().next();
                if newest.as_ref().is_some_and(|newest| !newest.seasoned) {
                    return Err(KeyError::TooSoon);
                }
                let number = newest.map_or(0, |newest| newest.number).saturating_add(1);
                source.add(Generation::fresh(number, entropy)).await?;
                self.refresh().await
            }
        }
    }

    /// Takes over what other gateways changed. To be called every [`shared::REFRESH_EVERY`].
    pub async fn refresh(&self) -> Result<(), KeyError> {
        match &self.source {
            Source::Files(_) => Ok(()),
            Source::Shared(lookout) => lookout.known.look().await,
        }
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

    /// Whether a seal of that name may be in use at other gateways although it is not known here; then it is looked for
    /// at once. Never so where no others share the keys.
    pub(crate) fn may_have_missed(&self, kid: u8) -> bool {
        match &self.source {
            Source::Files(_) => false,
            Source::Shared(lookout) => lookout.known.may_have_missed(kid),
        }
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

impl Identity {
    fn of(root: &[u8; 32]) -> Self {
        Self {
            shopper: blake3::derive_key("doorline 2026 shopper key", root),
            admission: blake3::derive_key("doorline 2026 admission id", root),
        }
    }
}

fn secret(entropy: &dyn Entropy) -> [u8; 32] {
    let mut secret = [0; 32];
    entropy.fill(&mut secret);
    secret
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}
