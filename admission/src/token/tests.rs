//! Each line of the attack list for tokens, one test each.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::DropRules;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;
use crate::snapshot::Snapshot;
use crate::testing::{Repeating, at_once};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const ME: ShopperKey = ShopperKey([1; 16]);
const ISSUER: &str = "https://shop.example";

struct House {
    _dir: tempfile::TempDir,
    keys: Arc<Keys>,
    desk: TokenDesk,
    snapshot: Snapshot,
}

fn house(seed: u64) -> House {
    let dir = tempfile::tempdir().unwrap();
    let keys = Arc::new(Keys::open(dir.path(), &Repeating::from(seed)).unwrap());
    let desk = TokenDesk::new(ISSUER.to_owned(), keys.clone(), &Repeating::from(seed + 100));
    let snapshot = Snapshot {
        epoch: 3,
        ..Snapshot::empty(Arc::new(DropRules::new(drop_id("aurora"))), NOW)
    };
    House {
        _dir: dir,
        keys,
        desk,
        snapshot,
    }
}

fn drop_id(name: &str) -> DropId {
    DropId::new(name).unwrap()
}

fn admitted() -> Admitted {
    Admitted {
        drop: drop_id("aurora"),
        admission: AdmissionId([5; 16]),
        shopper: ME,
        issued_at: NOW,
        expires_at: NOW + domain::Span::from_mins(10),
    }
}

impl House {
    fn token(&self) -> String {
        self.desk.issue(&admitted(), 3).unwrap()
    }

    fn check(&self, token: &str) -> Result<Admitted, TokenError> {
        self.desk.check(token, ME, &self.snapshot, NOW)
    }

    fn check_at(&self, token: &str, now: Timestamp) -> Result<Admitted, TokenError> {
        self.desk.check(token, ME, &self.snapshot, now)
    }

    /// A token with our own key and whatever header and claims a test wants.
    fn signed(&self, change_header: impl Fn(&mut Value), change_claims: impl Fn(&mut Value)) -> String {
        let (mut header, mut claims) = parts(&self.token());
        change_header(&mut header);
        change_claims(&mut claims);
        let message = format!("{}.{}", part(&header), part(&claims));
        let key = self.keys.ring().newest_signer().encoding.clone();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }
}

fn parts(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .map(|p| URL_SAFE_NO_PAD.decode(p).unwrap_or_default());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn untouched(_: &mut Value) {}

#[test]
fn a_token_of_ours_opens_its_drop_again_and_again() {
    let house = house(1);
    let token = house.token();
    assert!(token.len() < 600);
    for _ in 0..3 {
        assert_eq!(house.check(&token), Ok(admitted()));
    }
    assert_eq!(house.check(&house.signed(untouched, untouched)), Ok(admitted()));
}

#[test]
fn no_other_algorithm_is_accepted() {
    let house = house(1);
    for alg in [
        "none", "None", "NONE", "", "HS256", "RS256", "ES256", "PS256", "eddsa", "EDDSA", "HS512",
    ] {
        let token = house.signed(|header| header["alg"] = json!(alg), untouched);
        assert!(house.check(&token).is_err(), "{alg}");
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert!(house.check(&unsigned).is_err(), "{alg} unsigned");
    }
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let house = house(1);
    let jwks = house.keys.jwks();
    let public = URL_SAFE_NO_PAD
        .decode(jwks["keys"][0]["x"].as_str().unwrap())
        .unwrap();
    let (mut header, claims) = parts(&house.token());
    header["alg"] = json!("HS256");
    let message = format!("{}.{}", part(&header), part(&claims));
    for secret in [
        public.clone(),
        jwks.to_string().into_bytes(),
        URL_SAFE_NO_PAD.encode(public).into_bytes(),
    ] {
        let key = EncodingKey::from_secret(&secret);
        let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(house.check(&format!("{message}.{mac}")), Err(TokenError::Forged));
    }
}

#[test]
fn keys_offered_by_the_token_are_ignored() {
    let (ours, theirs) = (house(1), house(2));
    let their_jwk = theirs.keys.jwks()["keys"][0].clone();
    let our_kid = parts(&ours.token()).0["kid"].clone();
    let offer = |header: &mut Value| {
        header["kid"] = our_kid.clone();
        header["jwk"] = their_jwk.clone();
        header["jku"] = json!("https://evil.example/jwks.json");
        header["x5u"] = json!("https://evil.example/cert.pem");
        header["x5c"] = json!(["MIIB"]);
    };
    assert_eq!(
        ours.check(&theirs.signed(offer, untouched)),
        Err(TokenError::Forged)
    );
    assert_eq!(ours.check(&ours.signed(offer, untouched)), Ok(admitted()));
}

#[test]
fn the_kid_is_looked_up_and_nothing_else() {
    let house = house(1);
    let long = "k".repeat(500);
    for kid in [
        json!("../../etc/passwd"),
        json!("' OR 1=1"),
        json!(long),
        json!(""),
    ] {
        let token = house.signed(|header| header["kid"] = kid.clone(), untouched);
        assert_eq!(house.check(&token), Err(TokenError::Forged), "{kid}");
    }
    let without = house.signed(|h| drop(h.as_object_mut().unwrap().remove("kid")), untouched);
    assert_eq!(house.check(&without), Err(TokenError::Malformed));
}

#[test]
fn one_type_never_passes_for_another() {
    let house = house(1);
    for typ in ["ticket+jwt", "admin+jwt", "JWT", "at+jwt", "Admission+JWT", ""] {
        let token = house.signed(|header| header["typ"] = json!(typ), untouched);
        assert_eq!(house.check(&token), Err(TokenError::Foreign), "{typ}");
    }
    let untyped = house.signed(|h| drop(h.as_object_mut().unwrap().remove("typ")), untouched);
    assert_eq!(house.check(&untyped), Err(TokenError::Foreign));
}

#[test]
fn a_header_that_calls_something_critical_is_refused() {
    let house = house(1);
    let token = house.signed(|header| header["crit"] = json!(["b64"]), untouched);
    assert_eq!(house.check(&token), Err(TokenError::Forged));
}

#[test]
fn every_claim_is_required_and_of_its_kind() {
    let house = house(1);
    for claim in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "drop", "epoch"] {
        let gone = house.signed(untouched, |claims| {
            drop(claims.as_object_mut().unwrap().remove(claim));
        });
        assert_eq!(house.check(&gone), Err(TokenError::Malformed), "without {claim}");
        let null = house.signed(untouched, |claims| claims[claim] = Value::Null);
        assert_eq!(house.check(&null), Err(TokenError::Malformed), "{claim} null");
        let odd = house.signed(untouched, |claims| claims[claim] = json!([1]));
        assert_eq!(house.check(&odd), Err(TokenError::Malformed), "{claim} a list");
    }
    for sub in ["", "0", "zz", &"A".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
        let token = house.signed(untouched, |claims| claims["sub"] = json!(sub));
        assert_eq!(house.check(&token), Err(TokenError::Malformed), "sub {sub:?}");
    }
}

#[test]
fn another_house_audience_drop_or_epoch_is_foreign() {
    let house = house(1);
    let changes = [
        ("iss", json!("https://evil.example")),
        ("aud", json!("elsewhere")),
        ("drop", json!("borealis")),
        ("epoch", json!(2)),
        ("epoch", json!(4)),
    ];
    for (claim, value) in changes {
        let token = house.signed(untouched, |claims| claims[claim] = value.clone());
        assert_eq!(house.check(&token), Err(TokenError::Foreign), "{claim}");
    }
}

#[test]
fn it_ends_on_the_second_and_begins_with_five_seconds_of_leeway() {
    let house = house(1);
    let token = house.token();
    let end = admitted().expires_at;
    assert!(house.check_at(&token, end - domain::Span::from_millis(1)).is_ok());
    assert_eq!(house.check_at(&token, end), Err(TokenError::Expired));
    assert!(house.check_at(&token, NOW - domain::Span::from_secs(5)).is_ok());
    assert_eq!(
        house.check_at(&token, NOW - domain::Span::from_secs(6)),
        Err(TokenError::Expired)
    );
    let later = house.signed(untouched, |claims| claims["nbf"] = json!(NOW.as_secs() + 60));
    assert_eq!(house.check(&later), Err(TokenError::Expired));
    let from_the_future = house.signed(untouched, |claims| claims["iat"] = json!(NOW.as_secs() + 60));
    assert_eq!(house.check(&from_the_future), Err(TokenError::Expired));
}

#[test]
fn it_is_bound_to_its_visitor() {
    let house = house(1);
    let token = house.token();
    let stranger = house
        .desk
        .check(&token, ShopperKey([2; 16]), &house.snapshot, NOW);
    assert_eq!(stranger, Err(TokenError::NotYours));
    assert!(house.check(&token).is_ok());
}

#[test]
fn a_revoked_admission_opens_nothing_though_it_was_remembered() {
    let mut house = house(1);
    let token = house.token();
    assert!(house.check(&token).is_ok());
    house.snapshot.revoked = Arc::new(BTreeSet::from([AdmissionId([5; 16])]));
    assert_eq!(house.check(&token), Err(TokenError::Revoked));
}

#[test]
fn rotation_fails_no_valid_token_and_a_removed_key_stops_at_once() {
    let house = house(1);
    let token = house.token();
    assert!(house.check(&token).is_ok());
    at_once(house.keys.rotate(&Repeating::from(70))).unwrap();
    assert!(house.check(&token).is_ok());
    let newer = house.token();
    at_once(house.keys.rotate(&Repeating::from(80))).unwrap();
    assert_eq!(house.check(&token), Err(TokenError::Forged));
    assert!(house.check(&newer).is_ok());
}

#[test]
fn nothing_long_reaches_the_crypto() {
    let house = house(1);
    let long = house.signed(untouched, |claims| claims["pad"] = json!("x".repeat(2_000)));
    assert_eq!(house.check(&long), Err(TokenError::Malformed));
}

#[test]
fn garbage_is_met_with_calm() {
    let house = house(1);
    let token = house.token();
    let mut corpus: Vec<String> = ["", ".", "..", "...", "a.b.c", "\u{0}", "e30.e30.", "e30.e30.e30"]
        .map(str::to_owned)
        .to_vec();
    corpus.extend((0..token.len()).step_by(7).map(|cut| token[..cut].to_owned()));
    corpus.push(format!("{token}."));
    corpus.push(format!(" {token}"));
    corpus.push(format!("{token}="));
    for text in corpus {
        assert!(house.check(&text).is_err(), "{text:?}");
    }
}

#[test]
fn no_changed_byte_survives() {
    let house = house(1);
    let token = house.token();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        if changed != token {
            assert!(house.check(&changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn the_jwks_verifies_what_we_sign() {
    let house = house(1);
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(house.keys.jwks()).unwrap();
    let token = house.token();
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
    let read = jsonwebtoken::decode::<Claims>(&token, &key, &signature_only()).unwrap();
    assert_eq!(read.claims.sub, ME.to_string());
}
