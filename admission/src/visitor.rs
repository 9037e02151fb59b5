//! The visitor cookie: a random name that we sealed, so that names chosen by a client have no
//! power. It names a browser, holds nothing about a person, and binds tickets and tokens.
//!
//! Layout before base64url: version (1), seal (1), name (16), authenticator (16).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Entropy;

use crate::keys::{Keys, Ring, Seal};

const VERSION: u8 = 1;
const PAYLOAD_BYTES: usize = 18;
const COOKIE_BYTES: usize = PAYLOAD_BYTES + crate::keys::MAC_BYTES;
const COOKIE_CHARS: usize = (COOKIE_BYTES * 8).div_ceil(6);

/// A visitor whose cookie was checked, or who has just been named.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visitor(pub(crate) [u8; 16]);

/// What a visitor cookie says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A visitor of ours. With it a fresh value, where the cookie's seal will not outlive the next rotation.
    Visitor(Visitor, Option<String>),
    /// Perhaps a visitor of ours: the seal may be one that other gateways have and this one is about to read. Whoever
    /// shows it must keep it, and ask again in a moment: with another cookie the place would be lost.
    NotYet,
    /// Nobody.
    Nobody,
}

impl Visitor {
    /// Names a new visitor.
    pub(crate) fn fresh(entropy: &dyn Entropy) -> Self {
        let mut name = [0; 16];
        entropy.fill(&mut name);
        Self(name)
    }

    /// The cookie's value.
    pub(crate) fn seal(&self, keys: &Keys) -> String {
        URL_SAFE_NO_PAD.encode(self.sealed(keys.ring().newest_seal()))
    }

    /// The visitor a cookie names; none unless we sealed it. With it a fresh value, where the
    /// cookie's seal will not outlive the next rotation.
    pub(crate) fn check(cookie: &str, keys: &Keys) -> Option<(Self, Option<String>)> {
        match Self::seen(cookie, keys) {
            Seen::Visitor(visitor, fresh) => Some((visitor, fresh)),
            Seen::NotYet | Seen::Nobody => None,
        }
    }

    /// Whom a cookie names; and where that cannot be told, whether another gateway could tell.
    pub fn seen(cookie: &str, keys: &Keys) -> Seen {
        let Some(bytes) = decode(cookie).filter(|bytes| bytes[0] == VERSION) else {
            return Seen::Nobody;
        };
        let ring: &Ring = &keys.ring();
        let Some(seal) = ring.seal(bytes[1]) else {
            return if keys.may_have_missed(bytes[1]) {
                Seen::NotYet
            } else {
                Seen::Nobody
            };
        };
        let (payload, mac) = bytes.split_at(PAYLOAD_BYTES);
        if !crate::keys::same(mac, &seal.visitor_mac(payload)) {
            return Seen::Nobody;
        }
        let mut name = [0; 16];
        name.copy_from_slice(&payload[2..]);
        let visitor = Self(name);
        let newest = ring.newest_seal();
        let fresh = (seal.kid != newest.kid).then(|| URL_SAFE_NO_PAD.encode(visitor.sealed(newest)));
        Seen::Visitor(visitor, fresh)
    }

    fn sealed(&self, seal: &Seal) -> [u8; COOKIE_BYTES] {
        let mut bytes = [0; COOKIE_BYTES];
        bytes[0] = VERSION;
        bytes[1] = seal.kid;
        bytes[2..PAYLOAD_BYTES].copy_from_slice(&self.0);
        let mac = seal.visitor_mac(&bytes[..PAYLOAD_BYTES]);
        bytes[PAYLOAD_BYTES..].copy_from_slice(&mac);
        bytes
    }
}

/// A visitor's name is a secret of the browser: it is not printed.
impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Visitor(…)")
    }
}

fn decode(cookie: &str) -> Option<[u8; COOKIE_BYTES]> {
    if cookie.len() != COOKIE_CHARS {
        return None;
    }
    let mut bytes = [0; COOKIE_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(cookie, &mut bytes).ok()?;
    (length == COOKIE_BYTES).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Repeating, at_once};
    use proptest::prelude::*;

    fn keys() -> (tempfile::TempDir, Keys) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path(), &Repeating::from(1)).unwrap();
        (dir, keys)
    }

    #[test]
    fn a_cookie_of_ours_names_its_visitor() {
        let (_dir, keys) = keys();
        let visitor = Visitor::fresh(&Repeating::from(7));
        assert_eq!(Visitor::check(&visitor.seal(&keys), &keys), Some((visitor, None)));
    }

    #[test]
    fn one_rotation_renews_the_cookie_and_two_end_it() {
        let (_dir, keys) = keys();
        let visitor = Visitor::fresh(&Repeating::from(7));
        let old = visitor.seal(&keys);
        at_once(keys.rotate(&Repeating::from(20))).unwrap();
        let (same, fresh) = Visitor::check(&old, &keys).unwrap();
        assert_eq!(same, visitor);
        at_once(keys.rotate(&Repeating::from(30))).unwrap();
        assert_eq!(Visitor::check(&old, &keys), None);
        assert!(Visitor::check(&fresh.unwrap(), &keys).is_some());
    }

    #[test]
    fn where_nobody_shares_the_keys_a_newer_one_is_nobodys() {
        let (dir, keys) = keys();
        let older = Keys::open(dir.path(), &Repeating::from(1)).unwrap();
        at_once(keys.rotate(&Repeating::from(20))).unwrap();
        let cookie = Visitor([7; 16]).seal(&keys);
        assert_eq!(
            Visitor::seen(&cookie, &keys),
            Seen::Visitor(Visitor([7; 16]), None)
        );
        assert_eq!(Visitor::seen(&cookie, &older), Seen::Nobody);
    }

    #[test]
    fn a_name_chosen_by_the_client_has_no_power() {
        let (_dir, keys) = keys();
        let foreign = Keys::open(tempfile::tempdir().unwrap().path(), &Repeating::from(99)).unwrap();
        let chosen = Visitor([7; 16]).seal(&foreign);
        assert_eq!(Visitor::check(&chosen, &keys), None);
    }

    #[test]
    fn the_name_is_not_printed() {
        assert_eq!(format!("{:?}", Visitor([7; 16])), "Visitor(…)");
    }

    proptest! {
        #[test]
        fn no_single_changed_bit_goes_unnoticed(byte in 0usize..COOKIE_BYTES, bit in 0u8..8) {
            let (_dir, keys) = keys();
            let mut bytes = decode(&Visitor([3; 16]).seal(&keys)).unwrap();
            bytes[byte] ^= 1 << bit;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(Visitor::check(&forged, &keys), None);
        }

        #[test]
        fn any_text_is_met_with_calm(text in "\\PC{0,60}") {
            let (_dir, keys) = keys();
            prop_assert_eq!(Visitor::check(&text, &keys), None);
        }
    }
}
