//! Keys that all gateways share: the port to where they are kept, and which of them sign.
//!
//! A new generation checks from the moment it is seen, but signs only once it is
//! [`SEASONED_AFTER`] old: by then every gateway has seen it, so nobody is shown a token that
//! another gateway does not know yet. Until then the one before signs; from then on the one
//! before that no longer counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Entropy, Span};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{KeyError, Ring, Seal, Signer, secret};
use crate::store::Answer;

/// How often each gateway looks for what others changed.
pub const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// Age at which a generation signs: two looks and a slow answer after it was made. What it
/// displaces stops to count within a look of that, in all under a minute after the rotation.
pub const SEASONED_AFTER: Span = Span::from_secs(30);

/// How long it is waited at least between two looks that were asked for by who showed a cookie: anybody can.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Of generations that sign or have signed as many check.
const KEPT: usize = 2;

/// The keys that all gateways share, as this one knows them.
pub(super) struct Known {
    pub(super) source: Arc<dyn SharedKeys>,
    ring: Arc<ArcSwap<Ring>>,
    /// When the last look began that was answered.
    looked_at: Mutex<Instant>,
    /// Wakes who looks.
    wanted: Notify,
}

/// The known keys, and who looks for newer ones when they are shown here before they are known.
pub(super) struct Lookout {
    pub(super) known: Arc<Known>,
    /// Ends with the keys.
    _task: JoinSet<()>,
}

/// One generation of seal and signer.
#[derive(Clone, PartialEq, Eq)]
pub struct Generation {
    /// Which; grows.
    pub number: u32,
    /// The secret of the seal.
    pub seal: [u8; 32],
    /// The seed of the signer.
    pub signer: [u8; 32],
    /// Whether it was made at least [`SEASONED_AFTER`] ago, by the clock of where it is kept.
    pub seasoned: bool,
}

/// Keeps the keys that all gateways share.
pub trait SharedKeys: Send + Sync {
    /// The secret that names are derived from: the first that was ever offered.
    fn identity(&self, fresh: [u8; 32]) -> Answer<'_, [u8; 32]>;

    /// The generations, newest first: the newest three at least, if there are as many.
    fn generations(&self) -> Answer<'_, Vec<Generation>>;

    /// Adds a generation, unless one of its number is there already; those that no longer count
    /// may be removed.
    fn add(&self, generation: Generation) -> Answer<'_, ()>;
}

impl Generation {
    /// A generation that nobody can predict.
    pub(super) fn fresh(number: u32, entropy: &dyn Entropy) -> Self {
        Self {
            number,
            seal: secret(entropy),
            signer: secret(entropy),
            seasoned: false,
        }
    }
}

impl Lookout {
    /// Reads the keys, and looks out from here on. Gives the ring that is kept up to date.
    pub(super) async fn over(source: Arc<dyn SharedKeys>) -> Result<(Self, Arc<ArcSwap<Ring>>), KeyError> {
        let looked_at = Mutex::new(Instant::now());
        let first = ring(&source.generations().await?)?;
        let ring = Arc::new(ArcSwap::from_pointee(first));
        let known = Arc::new(Known {
            source,
            ring: ring.clone(),
            looked_at,
            wanted: Notify::new(),
        });
        let mut task = JoinSet::new();
        task.spawn(look_out(known.clone()));
        let lookout = Self { known, _task: task };
        Ok((lookout, ring))
    }
}

impl Known {
    /// Takes over what others changed. Keys that are the same stay where they are: what was checked with them counts on.
    pub(super) async fn look(&self) -> Result<(), KeyError> {
        let begun = Instant::now();
        let fresh = ring(&self.source.generations().await?)?;
        if !self.ring.load().is_as(&fresh) {
            self.ring.store(Arc::new(fresh));
        }
        *self.looked_at() = begun;
        Ok(())
    }

    /// Whether other gateways may seal with that seal although it is not known here. Then it is looked for at once. A
    /// generation does not seal before it is [`SEASONED_AFTER`] old, so whoever has looked since then knows better.
    pub(super) fn may_have_missed(&self, kid: u8) -> bool {
        let unseen_for = self.looked_at().elapsed();
        let missed = unseen_for >= Duration::from_millis(SEASONED_AFTER.as_millis())
            && self.ring.load().may_follow(kid);
        if missed {
            self.wanted.notify_one();
        }
        missed
    }

    fn looked_at(&self) -> MutexGuard<'_, Instant> {
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look_out(known: Arc<Known>) {
    loop {
        known.wanted.notified().await;
        if let Err(error) = known.look().await {
            tracing::warn!(%error, "a cookie is of a key that is not known here, and the keys could not be read again");
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// The ring of these generations, newest first: who signs comes first.
pub(super) fn ring(generations: &[Generation]) -> Result<Ring, KeyError> {
    let (seasoned, fresh): (Vec<_>, Vec<_>) = generations.iter().partition(|one| one.seasoned);
    // Of keys that were only just made all gateways must choose the same, so the oldest.
    let order: Vec<&Generation> = if seasoned.is_empty() {
        fresh.into_iter().rev().collect()
    } else {
        seasoned.into_iter().take(KEPT).chain(fresh).collect()
    };
    let (mut seals, mut signers) = (Vec::new(), Vec::new());
    for one in order {
        let signer = Signer::from_seed(&one.signer);
        seals.push(Seal::new(one.number, &one.seal));
        signers.push(signer.ok_or(KeyError::Damaged {
            generation: one.number,
        })?);
    }
    if seals.is_empty() {
        return Err(KeyError::Damaged { generation: 1 });
    }
    Ok(Ring::new(seals, signers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: u8, seasoned: bool) -> Generation {
        Generation {
            number: number.into(),
            seal: [number; 32],
            signer: [number; 32],
            seasoned,
        }
    }

    /// Which generation signs, and which check.
    fn signs_and_checks(generations: &[Generation]) -> (u8, Vec<u8>) {
        let ring = ring(generations).unwrap();
        let checks = (0..10).filter(|kid| ring.seal(*kid).is_some()).collect();
        (ring.newest_seal().kid, checks)
    }

    #[test]
    fn a_new_generation_checks_at_once_and_signs_when_everybody_knows_it() {
        let before = [generation(3, false), generation(2, true), generation(1, true)];
        assert_eq!(signs_and_checks(&before), (2, vec![1, 2, 3]));
        let after = [generation(3, true), generation(2, true), generation(1, true)];
        assert_eq!(signs_and_checks(&after), (3, vec![2, 3]));
    }

    #[test]
    fn the_first_generation_signs_at_once() {
        assert_eq!(signs_and_checks(&[generation(1, false)]), (1, vec![1]));
        assert_eq!(
            signs_and_checks(&[generation(2, false), generation(1, false)]),
            (1, vec![1, 2])
        );
        assert!(ring(&[]).is_err());
    }
}
