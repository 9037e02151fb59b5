//! The seals and signers of one moment, parsed and ready.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};

/// How many rotations a gateway can have missed whose cookies are still about: of seals the two newest check.
const MISSED_MAX: u8 = 2;

/// Bytes of a keyed hash that go with a cookie or ticket: 128 bits, beyond any guessing.
pub(crate) const MAC_BYTES: usize = 16;

/// Authenticates what a browser keeps for us. One purpose never passes for another: each has a
/// key of its own, derived from the seal.
#[derive(Clone)]
pub(crate) struct Seal {
    /// Stands in what was sealed, so that the right seal is looked up and none is tried.
    pub(crate) kid: u8,
    visitor: [u8; 32],
    ticket: [u8; 32],
}

/// Signs admission tokens.
#[derive(Clone)]
pub(crate) struct Signer {
    /// Names the public key: the start of its hash.
    pub(crate) kid: String,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    public: Vec<u8>,
}

/// The newest seal and signer, and the ones before them.
pub(crate) struct Ring {
    seals: Vec<Seal>,
    signers: Vec<Signer>,
}

impl Seal {
    /// Derives the keys of one seal from its secret.
    pub(crate) fn new(generation: u32, secret: &[u8; 32]) -> Self {
        let [.., kid] = generation.to_be_bytes();
        Self {
            kid,
            visitor: blake3::derive_key("doorline 2026 visitor cookie", secret),
            ticket: blake3::derive_key("doorline 2026 queue ticket", secret),
        }
    }

    /// Authenticates a visitor cookie's payload.
    pub(crate) fn visitor_mac(&self, payload: &[u8]) -> [u8; MAC_BYTES] {
        mac(blake3::Hasher::new_keyed(&self.visitor).update(payload))
    }

    /// Authenticates a ticket's payload together with whom it was issued to.
    pub(crate) fn ticket_mac(&self, payload: &[u8], shopper: &[u8; 16]) -> [u8; MAC_BYTES] {
        mac(blake3::Hasher::new_keyed(&self.ticket)
            .update(shopper)
            .update(payload))
    }
}

impl Signer {
    /// Takes an Ed25519 pair in PKCS#8; none if it is not one.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let name = blake3::hash(&public);
        let kid = URL_SAFE_NO_PAD.encode(&name.as_bytes()[..9]);
        let decoding = DecodingKey::from_ed_der(&public);
        Some(Self {
            kid,
            encoding: EncodingKey::from_ed_der(der),
            decoding,
            public,
        })
    }

    /// Derives the pair of a seed; none if the library refuses it.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Self::from_pkcs8(pair.to_pkcs8().ok()?.as_ref())
    }

    /// The public half as RFC 8037 writes it.
    pub(crate) fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(&self.public),
        })
    }
}

impl Ring {
    /// Takes seals and signers, newest first; at least one of each.
    pub(crate) fn new(seals: Vec<Seal>, signers: Vec<Signer>) -> Self {
        assert!(!seals.is_empty() && !signers.is_empty(), "a ring has keys");
        Self { seals, signers }
    }

    /// The seal that seals.
    pub(crate) fn newest_seal(&self) -> &Seal {
        &self.seals[0]
    }

    /// The seal of that name, if it still counts.
    pub(crate) fn seal(&self, kid: u8) -> Option<&Seal> {
        self.seals.iter().find(|seal| seal.kid == kid)
    }

    /// Whether a seal of that name comes after all that are known here, and soon. Names count generations and begin anew
    /// after 256 of them.
    pub(crate) fn may_follow(&self, kid: u8) -> bool {
        let newer = |one: u8, other: u8| {
            let is_newer = other.wrapping_sub(one) <= u8::MAX / 2;
            if is_newer { other } else { one }
        };
        let newest = self.seals.iter().map(|seal| seal.kid).reduce(newer);
        newest.is_some_and(|newest| (1..=MISSED_MAX).contains(&kid.wrapping_sub(newest)))
    }

    /// Whether `other` holds the same keys in the same order.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.signers()
            .map(|signer| &signer.kid)
            .eq(other.signers().map(|signer| &signer.kid))
    }

    /// The signer that signs.
    pub(crate) fn newest_signer(&self) -> &Signer {
        &self.signers[0]
    }

    /// The signer of that name, if it still counts.
    pub(crate) fn signer(&self, kid: &str) -> Option<&Signer> {
        self.signers.iter().find(|signer| signer.kid == kid)
    }

    /// Every signer whose tokens count, newest first.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &Signer> {
        self.signers.iter()
    }
}

/// Whether two authenticators are the same, in a time that does not tell where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}

fn mac(hasher: &mut blake3::Hasher) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
    mac
}
