//! How an event is signed, so that its receiver knows that it is ours, whole and new: HMAC-SHA256 over its name, the
//! instant of sending and the body.
//!
//! Source: the Standard Webhooks specification, <https://www.standardwebhooks.com>, symmetric signatures (`v1`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

/// What every secret begins with.
const PREFIX: &str = "whsec_";
/// Least and most bytes of a key, by the specification.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Secrets are handed round with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that signs events. It cannot be printed.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

/// A secret is not a key. Says nothing of the secret itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidKey {
    /// It does not begin as it must.
    #[error("a webhook secret begins with whsec_")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows whsec_ in a webhook secret is base64")]
    Encoding,
    /// Easy to guess, or cut from something else.
    #[error("a webhook secret holds 24 to 64 bytes, in base64; this one holds {0}")]
    Length(usize),
}

impl SigningKey {
    /// Reads a secret: `whsec_` and 24 to 64 bytes in base64.
    pub fn parse(secret: &str) -> Result<Self, InvalidKey> {
        let encoded = secret.strip_prefix(PREFIX).ok_or(InvalidKey::Prefix)?;
        let key = LENIENT.decode(encoded).map_err(|_| InvalidKey::Encoding)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(InvalidKey::Length(key.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// Signs one message, as `v1,` and base64.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{seconds}.").into_bytes();
        signed.extend_from_slice(body);
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, &signed)))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_known_message_gets_its_known_signature() {
        let key = SigningKey::parse(SECRET).unwrap();
        let signature = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            b"{\"test\": 2432232314}",
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_part_of_a_message_is_signed() {
        let key = SigningKey::parse(SECRET).unwrap();
        let plain = key.sign("msg_1", 1, b"{}");
        for other in [
            key.sign("msg_2", 1, b"{}"),
            key.sign("msg_1", 2, b"{}"),
            key.sign("msg_1", 1, b"{ }"),
        ] {
            assert_ne!(plain, other);
        }
    }

    #[test]
    fn secrets_are_read_with_and_without_padding_and_refused_when_weak() {
        let of_length = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7_u8; bytes]));
        for bytes in [24, 25, 26, 64] {
            let padded = of_length(bytes);
            for secret in [padded.trim_end_matches('='), &padded] {
                assert!(SigningKey::parse(secret).is_ok(), "{bytes}");
            }
        }
        for (secret, refused) in [
            (of_length(23), InvalidKey::Length(23)),
            (of_length(65), InvalidKey::Length(65)),
            ("whsec_".to_owned(), InvalidKey::Length(0)),
            ("hunter2".to_owned(), InvalidKey::Prefix),
            ("WHSEC_AAAA".to_owned(), InvalidKey::Prefix),
            ("whsec_not base64!".to_owned(), InvalidKey::Encoding),
        ] {
            let error = SigningKey::parse(&secret).map(|_| ()).unwrap_err();
            assert_eq!(error, refused);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(
            format!("{:?}", SigningKey::parse(SECRET).unwrap()),
            "SigningKey(redacted)"
        );
    }
}
