//! Issues tokens, and checks them with a memory for those that were checked before.

use std::sync::Arc;

use domain::{DropId, Entropy, ShopperKey, Timestamp};
use moka::sync::Cache;

use super::{Admitted, LEEWAY_SECS, TOKEN_BYTES_MAX, TokenError, Verified, sign, verify};
use crate::keys::Keys;
use crate::snapshot::Snapshot;

/// Most tokens remembered: every active session of a large drop twice over, at about 300 bytes.
const REMEMBERED_MAX: u64 = 100_000;

/// Issues and checks the tokens of one house.
pub(crate) struct TokenDesk {
    issuer: String,
    keys: Arc<Keys>,
    /// Keyed, so that nobody can prepare two tokens with the same name.
    hash_key: [u8; 32],
    remembered: Cache<[u8; 32], Arc<Verified>>,
}

impl TokenDesk {
    /// A desk of the house `issuer`.
    pub(crate) fn new(issuer: String, keys: Arc<Keys>, entropy: &dyn Entropy) -> Self {
        // Installing twice fails, and the first one installed is the one we want.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let mut hash_key = [0; 32];
        entropy.fill(&mut hash_key);
        Self {
            issuer,
            keys,
            hash_key,
            remembered: Cache::new(REMEMBERED_MAX),
        }
    }

    /// Signs a token that says `admitted`, for sessions of `epoch`.
    pub(crate) fn issue(&self, admitted: &Admitted, epoch: u32) -> Result<String, TokenError> {
        sign(admitted, epoch, &self.issuer, &self.keys)
    }

    /// Checks a token shown by `shopper` at the door of `snapshot`'s drop.
    pub(crate) fn check(
        &self,
        token: &str,
        shopper: ShopperKey,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Admitted, TokenError> {
        let verified = self.verified(token)?;
        self.check_use(&verified, shopper, snapshot, now)?;
        Ok(verified.admitted.clone())
    }

    /// Checks all that does not change with time.
    pub(crate) fn verified(&self, token: &str) -> Result<Arc<Verified>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let name = *blake3::keyed_hash(&self.hash_key, token.as_bytes()).as_bytes();
        match self.remembered.get(&name) {
            Some(verified) => Ok(verified),
            None => self.verify_and_remember(token, name),
        }
    }

    fn verify_and_remember(&self, token: &str, name: [u8; 32]) -> Result<Arc<Verified>, TokenError> {
        let verified = Arc::new(verify(token, &self.issuer, &self.keys.ring())?);
        self.remembered.insert(name, verified.clone());
        Ok(verified)
    }

    /// Checks what may have changed since: key, times, drop and epoch, bearer, revocation.
    pub(crate) fn check_use(
        &self,
        verified: &Verified,
        shopper: ShopperKey,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let Verified {
            admitted,
            epoch,
            not_before_secs,
            kid,
        } = verified;
        // A key that was removed since stops opening doors at once.
        if self.keys.ring().signer(kid).is_none() {
            return Err(TokenError::Forged);
        }
        if now >= admitted.expires_at || now.as_secs().saturating_add(LEEWAY_SECS) < *not_before_secs {
            return Err(TokenError::Expired);
        }
        let drop: &DropId = &snapshot.rules.drop;
        if admitted.drop != *drop || *epoch != snapshot.epoch {
            return Err(TokenError::Foreign);
        }
        if !crate::keys::same(&admitted.shopper.0, &shopper.0) {
            return Err(TokenError::NotYours);
        }
        if snapshot.revoked.contains(&admitted.admission) {
            return Err(TokenError::Revoked);
        }
        Ok(())
    }
}
