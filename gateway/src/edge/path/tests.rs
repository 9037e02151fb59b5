//! Paths: no spelling of a protected path slips past its pattern, and what is matched is sent.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn normal(raw: &str) -> Result<NormalPath, PathError> {
    NormalPath::of(&raw.parse().unwrap())
}

fn table() -> PathTable<&'static str> {
    let entry = |pattern: &str, name| (pattern.parse().unwrap(), name);
    PathTable::new(vec![
        entry("/drops/aurora", "aurora"),
        entry("/products/aurora/*", "aurora"),
        entry("/drops/aurora/vip", "vip"),
        entry("/limited/*", "limited"),
        entry("/Straße", "street"),
    ])
}

fn found(raw: &str) -> Option<&'static str> {
    let table = table();
    table.find(&normal(raw).unwrap()).map(|found| *table.value(found))
}

/// Every way around the queue by spelling that security tests know of: each is held or refused.
const SPELLINGS: &[&str] = &[
    "/drops/aurora",
    "/drops/aurora/",
    "//drops/aurora",
    "///drops///aurora",
    "/drops//aurora",
    "/./drops/aurora",
    "/drops/./aurora",
    "/drops/aurora/.",
    "/drops/x/../aurora",
    "/x/../drops/aurora",
    "/drops/aurora/x/..",
    "/%64rops/aurora",
    "/drops/%61urora",
    "/drops/auror%61",
    "/drops%2faurora",
    "/drops%2Faurora",
    "/drops/%2faurora",
    "/%2fdrops/aurora",
    "/%2e/drops/aurora",
    "/x/%2e%2e/drops/aurora",
    "/x/.%2e/drops/aurora",
    "/x/%2E./drops/aurora",
    "/x%2f..%2fdrops%2faurora",
    "/x/..;/drops/aurora",
    "/x/..;a=b/drops/aurora",
    "/;/drops/aurora",
    "/;a=b/drops/aurora",
    "/drops;x/aurora",
    "/drops;/aurora;jsessionid=1",
    "/drops/aurora;x=y",
    "/drops/aurora%3Bx=y",
    "/drops/aurora.",
    "/drops/aurora...",
    "/drops/aurora.json",
    "/drops/aurora.JS",
    "/drops/aurora%2Exml",
    "/drops/aurora.html/",
    "/drops/aurora./",
    "/drops./aurora",
    "/drops/aurora%20",
    "/drops/aurora%2e",
    "/DROPS/AURORA",
    "/Drops/Aurora",
    "/%44ROPS/%41urora",
    "/drops/aurora?x=1",
    "/drops/aurora?",
    "/drops/aurora/anything/beneath",
    "/drops/aurora/..%2faurora",
    "http://shop.example/drops/aurora",
    "http://shop.example//drops/aurora",
];

#[test]
fn every_spelling_of_a_protected_path_is_held() {
    for spelling in SPELLINGS {
        assert_eq!(found(spelling), Some("aurora"), "{spelling}");
    }
}

#[test]
fn what_cannot_be_read_in_one_way_is_refused() {
    for (raw, why) in [
        ("/drops%5caurora", PathError::Backslash),
        ("/drops\\aurora", PathError::Backslash),
        ("/x/..%5c..%5cdrops", PathError::Backslash),
        ("/drops/aurora%00", PathError::Control),
        ("/drops/aurora%00.css", PathError::Control),
        ("/drops/%0d%0aaurora", PathError::Control),
        ("/drops/%7faurora", PathError::Control),
        ("/drops/%09aurora", PathError::Control),
        ("/drops/%2561urora", PathError::DoubleEscape),
        ("/drops%252faurora", PathError::DoubleEscape),
        ("/x/%252e%252e/drops/aurora", PathError::DoubleEscape),
        ("/x/%25%32%65%25%32%65/drops", PathError::DoubleEscape),
        ("/drops/%2", PathError::BrokenEscape),
        ("/drops/%", PathError::BrokenEscape),
        ("/drops/%zzaurora", PathError::BrokenEscape),
        ("/drops/%u0061urora", PathError::BrokenEscape),
        ("/..", PathError::AboveRoot),
        ("/../drops/aurora", PathError::AboveRoot),
        ("/%2e%2e/drops/aurora", PathError::AboveRoot),
        ("/x/../../drops/aurora", PathError::AboveRoot),
        ("/drops/.../aurora", PathError::DotsOnly),
        ("/x/..%20/drops/aurora", PathError::DotsOnly),
        ("/drops/%20/aurora", PathError::DotsOnly),
        ("*", PathError::NotAbsolute),
    ] {
        assert_eq!(normal(raw).map(|path| path.path().to_owned()), Err(why), "{raw}");
    }
}

#[test]
fn the_upstream_gets_the_normal_form_and_the_query_untouched() {
    for (raw, sent) in [
        ("/a/b?x=%2e%2e//&y", "/a/b?x=%2e%2e//&y"),
        ("/A/b.C", "/A/b.C"),
        ("/a//b/../c/", "/a/c/"),
        ("/a%2fb", "/a/b"),
        ("/a%3ab%2Cc", "/a%3Ab%2Cc"),
        ("/a/./", "/a/"),
        ("/a/..", "/"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/café", "/caf%C3%A9"),
        ("/a{b}", "/a%7Bb%7D"),
        ("/%7euser", "/~user"),
        ("/100%25", "/100%25"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("http://shop.example", "/"),
    ] {
        assert_eq!(normal(raw).unwrap().target().as_str(), sent, "{raw}");
    }
}

#[test]
fn the_most_specific_pattern_wins() {
    assert_eq!(found("/drops/aurora/vip"), Some("vip"));
    assert_eq!(found("/drops/aurora/vip/x"), Some("vip"));
    assert_eq!(found("/drops/aurora/vipx"), Some("aurora"));
    assert_eq!(found("/limited/edition"), Some("limited"));
    assert_eq!(found("/stra%C3%9Fe"), Some("street"));
    assert_eq!(found("/STRA%C3%9FE"), Some("street"));
}

#[test]
fn neighbours_of_a_protected_path_stay_open() {
    for open in [
        "/",
        "/drops",
        "/drops/aurora2",
        "/drops/aurora.css",
        "/drops/aurora.jpg",
        "/drops/aurora.jsonx",
        "/xdrops/aurora",
        "/a/drops/aurora",
    ] {
        assert_eq!(found(open), None, "{open}");
    }
}

#[test]
fn a_pattern_for_the_root_protects_everything() {
    for root in ["/", "/*"] {
        let table = PathTable::new(vec![(root.parse().unwrap(), ())]);
        assert!(table.find(&normal("/any/thing").unwrap()).is_some());
        assert!(table.find(&normal("/").unwrap()).is_some());
    }
}

#[test]
fn patterns_that_protect_nothing_are_refused_with_the_reason() {
    for (pattern, reason) in [
        ("drops", InvalidPattern::NotAbsolute),
        ("", InvalidPattern::NotAbsolute),
        ("https://shop.example/x", InvalidPattern::NotAbsolute),
        ("/a*/b", InvalidPattern::Star),
        ("/limited*", InvalidPattern::Star),
        ("/a?b", InvalidPattern::NotPlain),
        ("/a#b", InvalidPattern::NotPlain),
        ("/%zz", InvalidPattern::NotPlain),
        ("/..", InvalidPattern::NotPlain),
        ("/...", InvalidPattern::NotPlain),
        ("/a//b", InvalidPattern::NotPlain),
        ("/a\\b", InvalidPattern::NotPlain),
        ("/a b", InvalidPattern::NotPlain),
        ("/.doorline", InvalidPattern::Own),
        ("/.Doorline/v1/*", InvalidPattern::Own),
    ] {
        assert_eq!(pattern.parse::<Pattern>(), Err(reason), "{pattern}");
    }
    let long = format!("/{}", "a".repeat(1_024));
    assert_eq!(long.parse::<Pattern>(), Err(InvalidPattern::TooLong));
}

#[test]
fn patterns_that_cover_the_same_have_the_same_key() {
    let pattern = |text: &str| text.parse::<Pattern>().unwrap();
    for text in [
        "/drops/aurora",
        "/drops/aurora/",
        "/drops/aurora/*",
        "/Drops/AURORA",
    ] {
        assert_eq!(pattern(text).key(), "/drops/aurora", "{text}");
        assert_eq!(pattern(text).to_string(), text, "it is shown as it was written");
    }
    assert_eq!(pattern("/").key(), pattern("/*").key());
    assert_ne!(pattern("/drops/aurora").key(), pattern("/drops/aurora2").key());
}

proptest! {
    /// Normalising twice changes nothing, so that a second proxy of ours reads what we read.
    #[test]
    fn the_normal_form_is_stable(raw in "/([a-zA-Z.%;/]|%2[EeFf]|%41|%3B|//|\\.\\.){0,24}") {
        let Ok(uri) = raw.parse::<Uri>() else { return Ok(()) };
        let Ok(once) = NormalPath::of(&uri) else { return Ok(()) };
        let twice = NormalPath::of(&once.path().parse().unwrap()).unwrap();
        prop_assert_eq!(once.path(), twice.path());
        prop_assert_eq!(once.key(), twice.key());
        let segments: Vec<&str> = once.path().split('/').skip(1).collect();
        let (_, inner) = segments.split_last().unwrap();
        prop_assert!(!inner.iter().any(|s| matches!(*s, "" | "." | "..")));
    }

    /// Escaping any letters of a protected path, in any case, never opens it.
    #[test]
    fn no_mix_of_case_and_escapes_opens_a_protected_path(picks in prop::collection::vec(0_u8..4, 13)) {
        let mut raw = String::new();
        for (letter, pick) in "/drops/aurora".chars().zip(picks) {
            let upper = letter.to_ascii_uppercase();
            match pick {
                _ if raw.is_empty() => raw.push('/'),
                0 => raw.push(letter),
                1 => raw.push(upper),
                2 => write!(raw, "%{:02x}", u32::from(letter)).unwrap(),
                _ => write!(raw, "%{:02X}", u32::from(upper)).unwrap(),
            }
        }
        prop_assert_eq!(found(&raw), Some("aurora"));
    }
}

#[test]
fn a_scan_tells_what_is_normal_already() {
    use super::rewrite::{Shape, normalise, shape};
    for path in [
        "/",
        "/a",
        "/a/",
        "/.a",
        "/a.b/c",
        "/..a",
        "/.doorline/v1/drops/x/ticket",
        "/a=1,2",
    ] {
        assert_eq!(shape(path.as_bytes()), Shape::OwnKey, "{path}");
    }
    for path in ["/A", "/a/B/", "/a.", "/a./b", "/a../b", "/.a.", "/a/b.."] {
        assert_eq!(shape(path.as_bytes()), Shape::Normal, "{path}");
    }
    for path in [
        "", "a", "//", "/a//b", "/.", "/..", "/...", "/./a", "/../a", "/a/.", "/a/../b", "/a/.../b", "/%61",
        "/a;b", "/ü", "/a b", "/A//b", "/a./../b",
    ] {
        assert_eq!(shape(path.as_bytes()), Shape::Other, "{path}");
    }
    // Whatever the scan lets stand, rewriting would let stand as well.
    let alphabet = ["/", ".", "a", "Z", "%41", ";"];
    for n in 0..6_usize.pow(5) {
        let pick = |place: u32| alphabet[n / 6_usize.pow(place) % 6];
        let path = format!("/{}", (0..5).map(pick).collect::<String>());
        if shape(path.as_bytes()) != Shape::Other {
            assert_eq!(normalise(path.as_bytes()).as_deref(), Ok(path.as_str()));
        }
    }
}
