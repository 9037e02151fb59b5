//! The corpus of open-redirect tricks, and a property against the parser that browsers use.

use proptest::prelude::*;

use super::*;

fn hosts() -> Vec<String> {
    vec!["shop.example".to_owned(), "shop.example:8443".to_owned()]
}

#[test]
fn ordinary_paths_and_listed_hosts_are_taken_unchanged() {
    for raw in [
        "/",
        "/drops/aurora",
        "/drops/aurora?size=42&color=a%20b#details",
        "/@brand/aurora",
        "/a//b",
        "/r?next=https://elsewhere.example/",
        "/drops/.hidden",
        "/.doorline-look-alike",
        "https://shop.example",
        "https://shop.example/drops?x=1",
        "http://shop.example:8443/",
    ] {
        assert_eq!(
            ReturnPath::parse(raw, &hosts()).map(|path| path.to_string()),
            Ok(raw.to_owned())
        );
    }
}

#[test]
fn every_trick_of_the_corpus_is_refused_for_its_reason() {
    use ReturnPathError::{Ambiguous, Character, Form, Host, Length, Own};
    for (raw, reason) in [
        ("", Length),
        ("//evil.example", Ambiguous),
        ("///evil.example", Ambiguous),
        ("////evil.example", Ambiguous),
        ("/\\evil.example", Character),
        ("\\\\evil.example", Character),
        ("\\/evil.example", Character),
        ("/%5cevil.example", Ambiguous),
        ("/%5Cevil.example", Ambiguous),
        ("/%2f/evil.example", Ambiguous),
        ("/%2Fevil.example", Ambiguous),
        ("https:evil.example", Form),
        ("https:/evil.example", Form),
        ("https:///evil.example", Host),
        ("HTTPS://shop.example/", Form),
        ("https://evil.example/", Host),
        ("https://shop.example.evil.example/", Host),
        ("https://shop.example@evil.example/", Host),
        ("https://evil.example@shop.example/", Host),
        ("https://shop.example:99/", Host),
        ("https://shop.example%2eevil.example/", Host),
        ("https://SHOP.example/", Host),
        ("https://shop.example./", Host),
        ("https://shop.example//evil.example", Ambiguous),
        ("%09//evil.example", Form),
        ("\t//evil.example", Character),
        ("/\t/evil.example", Character),
        ("/%09//evil.example", Ambiguous),
        ("/\n/evil.example", Character),
        ("@evil.example", Form),
        ("shop.example@evil.example", Form),
        ("javascript:alert(1)", Form),
        ("data:text/html,x", Form),
        ("/ok\r\nSet-Cookie: a=b", Character),
        ("/%0d%0aSet-Cookie:a=b", Ambiguous),
        ("/./evil", Ambiguous),
        ("/.//evil.example", Ambiguous),
        ("/a/..//evil.example", Ambiguous),
        ("/a/%2E%2e//evil.example", Ambiguous),
        ("/.%2e//evil.example", Ambiguous),
        (" /drops", Character),
        ("/drops\"onload=", Character),
        ("/é", Character),
        ("?next=/", Form),
        ("drops/aurora", Form),
        ("/.doorline", Own),
        ("/.doorline/v1/drops/a/ticket", Own),
    ] {
        assert_eq!(ReturnPath::parse(raw, &hosts()), Err(reason), "{raw:?}");
    }
}

#[test]
fn over_long_paths_are_refused_and_the_longest_is_taken() {
    let longest = format!("/{}", "a".repeat(LENGTH_MAX - 1));
    assert!(ReturnPath::parse(&longest, &[]).is_ok());
    assert_eq!(
        ReturnPath::parse(&format!("{longest}a"), &[]),
        Err(ReturnPathError::Length)
    );
}

#[test]
fn a_refused_path_becomes_the_front_door() {
    assert_eq!(
        ReturnPath::parse_or_home("//evil.example", &hosts()),
        ReturnPath::home()
    );
    assert_eq!(ReturnPath::parse_or_home("/drops", &hosts()).as_str(), "/drops");
}

/// Pieces from which redirect tricks are made, glued at random.
fn trick() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("//"),
        Just("\\"),
        Just("%2f"),
        Just("%5c"),
        Just("%09"),
        Just("\t"),
        Just("\r\n"),
        Just("@"),
        Just(":"),
        Just("https:"),
        Just("http://"),
        Just("https://"),
        Just("javascript:"),
        Just("evil.example"),
        Just("shop.example"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("?"),
        Just("#"),
        Just("a"),
        Just(":8443"),
        Just(";"),
        Just("\u{2025}"),
        Just("%00"),
    ];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// `reqwest::Url` implements the URL standard that browsers implement: whatever we accept
    /// must lead, from a page of the shop, to the shop or to a listed host.
    #[test]
    fn what_is_accepted_never_leaves_the_listed_hosts(raw in trick()) {
        if let Ok(path) = ReturnPath::parse(&raw, &hosts()) {
            let base = reqwest::Url::parse("https://shop.example/drops/aurora").unwrap();
            let target = base.join(path.as_str()).unwrap();
            prop_assert_eq!(target.host_str(), Some("shop.example"), "{}", raw);
            prop_assert!(matches!(target.scheme(), "http" | "https"));
            prop_assert_eq!(target.username(), "");
            prop_assert!(!target.path().starts_with("//"), "{}", raw);
        }
    }
}
