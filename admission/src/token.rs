//! The admission token: an EdDSA-signed JWT that passes the gateway for one drop and session.
//!
//! RFC 7519 with explicit typing (RFC 8725, 3.11). Header: `alg` `EdDSA`, `typ` `admission+jwt`,
//! `kid`. Claims: `iss` the house, `aud` doorline, `sub` the shopper (named per drop from the
//! visitor cookie, which binds the token to it), `jti` the admission, `iat nbf exp` in seconds,
//! `drop`, `epoch`. Whatever else a header offers (`jku`, `x5u`, `jwk`, `x5c`) is never looked
//! at; a header that calls something critical is refused.
//!
//! A verified token is remembered by its hash, because the signature costs fifty microseconds.
//! What can change after verification is checked at every use.

mod desk;

#[cfg(test)]
mod tests;

use domain::{AdmissionId, DropId, ShopperKey, Timestamp};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::keys::{Keys, Ring};
pub(crate) use desk::TokenDesk;

/// Longest token looked at. Ours have about 450 characters.
pub const TOKEN_BYTES_MAX: usize = 2_048;

const TYP: &str = "admission+jwt";
const AUDIENCE: &str = "doorline";

/// How far another gateway's clock may be ahead of ours. Not granted on `exp`: the slot is
/// somebody else's from then on.
const LEEWAY_SECS: u64 = 5;

/// What a verified admission token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// The drop it opens.
    pub drop: DropId,
    /// Names the admission; an order takes it once.
    pub admission: AdmissionId,
    /// Who holds it.
    pub shopper: ShopperKey,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a token does not open the door. All of them mean the same to a shopper: the waiting room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a token, too long, or not of the form we issue.
    #[error("not an admission token")]
    Malformed,
    /// No key of ours signed it.
    #[error("the admission token's signature or key is not ours")]
    Forged,
    /// Its time is over, or has not come.
    #[error("the admission token has expired or is not valid yet")]
    Expired,
    /// It opens another drop, another epoch or another house.
    #[error("the admission token is for something else")]
    Foreign,
    /// It was issued to another visitor.
    #[error("the admission token belongs to another visitor")]
    NotYours,
    /// The session was ended.
    #[error("the admission was revoked")]
    Revoked,
}

/// The claims as they travel.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    drop: String,
    epoch: u32,
}

/// A token whose signature was checked, and what still has to be checked at every use.
pub(crate) struct Verified {
    pub(crate) admitted: Admitted,
    epoch: u32,
    not_before_secs: u64,
    kid: String,
}

/// Signs `admitted` in the house `issuer`.
fn sign(admitted: &Admitted, epoch: u32, issuer: &str, keys: &Keys) -> Result<String, TokenError> {
    let ring = keys.ring();
    let signer = ring.newest_signer();
    let header = Header {
        typ: Some(TYP.to_owned()),
        kid: Some(signer.kid.clone()),
        ..Header::new(Algorithm::EdDSA)
    };
    let since = admitted.issued_at.as_secs();
    let claims = Claims {
        iss: issuer.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: admitted.shopper.to_string(),
        jti: admitted.admission.to_string(),
        iat: since,
        nbf: since,
        exp: admitted.expires_at.as_secs(),
        drop: admitted.drop.as_str().to_owned(),
        epoch,
    };
    jsonwebtoken::encode(&header, &claims, &signer.encoding).map_err(|_| TokenError::Malformed)
}

/// Checks form, key, signature and house. Times, drop, visitor and revocation are checked at use.
fn verify(token: &str, issuer: &str, ring: &Ring) -> Result<Verified, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.typ.as_deref() != Some(TYP) {
        return Err(TokenError::Foreign);
    }
    if header.alg != Algorithm::EdDSA || header.crit.is_some() {
        return Err(TokenError::Forged);
    }
    let kid = header.kid.ok_or(TokenError::Malformed)?;
    let signer = ring.signer(&kid).ok_or(TokenError::Forged)?;
    let claims = jsonwebtoken::decode::<Claims>(token, &signer.decoding, &signature_only())
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Forged,
            _ => TokenError::Malformed,
        })?
        .claims;
    if claims.iss != issuer || claims.aud != AUDIENCE {
        return Err(TokenError::Foreign);
    }
    Verified::try_from((claims, kid))
}

/// The library's own checks read the system clock and allow a minute; ours replace them.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl TryFrom<(Claims, String)> for Verified {
    type Error = TokenError;

    fn try_from((claims, kid): (Claims, String)) -> Result<Self, TokenError> {
        let name = |hex: &str| parse_hex(hex).ok_or(TokenError::Malformed);
        let admitted = Admitted {
            drop: DropId::new(&claims.drop).map_err(|_| TokenError::Malformed)?,
            admission: AdmissionId(name(&claims.jti)?),
            shopper: ShopperKey(name(&claims.sub)?),
            issued_at: Timestamp::from_millis(claims.iat.saturating_mul(1_000)),
            expires_at: Timestamp::from_millis(claims.exp.saturating_mul(1_000)),
        };
        Ok(Self {
            admitted,
            epoch: claims.epoch,
            not_before_secs: claims.nbf.max(claims.iat),
            kid,
        })
    }
}

/// Exactly 32 lower-case hexadecimal digits, as we write them.
fn parse_hex(hex: &str) -> Option<[u8; 16]> {
    let written = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if hex.len() != 32 || !hex.bytes().all(written) {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}
