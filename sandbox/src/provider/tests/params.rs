//! Parameters: the form dialect, its limits, and the fingerprint that tells two requests apart.

use proptest::prelude::*;

use crate::provider::params::Params;

fn parse(text: &str) -> Params {
    Params::parse(text.as_bytes()).unwrap()
}

#[test]
fn names_with_brackets_are_read_in_any_encoding() {
    for text in ["metadata[order]=7&amount=5", "amount=5&metadata%5Border%5D=7"] {
        let params = parse(text);
        assert_eq!(params.integer("amount").unwrap(), Some(5));
        assert_eq!(params.metadata().unwrap()["order"], "7");
        assert!(params.mentions("metadata") && !params.mentions("order"));
    }
}

#[test]
fn lists_are_read_with_and_without_indices() {
    for text in ["payment_method_types[]=card", "payment_method_types%5B0%5D=card"] {
        assert!(parse(text).lists("payment_method_types", "card"), "{text}");
        assert!(!parse(text).lists("payment_method_types", "sepa_debit"), "{text}");
    }
    assert!(
        !parse("payment_method_types=card").lists("payment_method_types", "card"),
        "not a list"
    );
}

#[test]
fn numbers_and_booleans_are_what_they_say() {
    for (text, number) in [
        ("n=0", Some(0)),
        ("n=18446744073709551615", Some(u64::MAX)),
        ("m=1", None),
    ] {
        assert_eq!(parse(text).integer("n").unwrap(), number, "{text}");
    }
    for text in [
        "n=-1",
        "n=",
        "n=1.5",
        "n=0x10",
        "n=18446744073709551616",
        "n=%201",
    ] {
        let error = parse(text).integer("n").unwrap_err();
        assert_eq!(error.status, 400, "{text}");
        assert!(!error.saved, "a malformed request never began: {text}");
    }
    assert_eq!(parse("b=true").boolean("b").unwrap(), Some(true));
    assert_eq!(parse("b=false").boolean("b").unwrap(), Some(false));
    assert_eq!(parse("").boolean("b").unwrap(), None);
    for text in ["b=1", "b=yes", "b=", "b=TRUE"] {
        assert!(parse(text).boolean("b").is_err(), "{text}");
    }
}

#[test]
fn what_is_required_must_be_there_and_not_empty() {
    assert_eq!(parse("currency=eur").required("currency").unwrap(), "eur");
    for text in ["", "currency=", "currency[]=eur"] {
        let error = parse(text).required("currency").unwrap_err();
        assert!(error.to_body().contains("parameter_missing"), "{text}");
    }
}

#[test]
fn metadata_keeps_within_stripes_limits() {
    let of = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|index| format!("metadata[k{index}]=v")).collect();
        parse(&pairs.join("&")).metadata()
    };
    assert_eq!(of(50).unwrap().len(), 50);
    assert!(of(51).is_err());
    let key = |length: usize| parse(&format!("metadata[{}]=v", "k".repeat(length))).metadata();
    assert!(key(40).is_ok() && key(41).is_err());
    let value = |length: usize| parse(&format!("metadata[k]={}", "v".repeat(length))).metadata();
    assert!(value(500).is_ok() && value(501).is_err());
}

#[test]
fn a_flood_of_parameters_is_refused() {
    let text: Vec<String> = (0..201).map(|index| format!("p{index}=1")).collect();
    assert!(Params::parse(text.join("&").as_bytes()).is_err());
}

#[test]
fn unknown_names_are_refused_by_their_root() {
    let params = parse("amount=1&metadata[a]=b&expand[]=latest_charge");
    assert!(params.only(&["amount", "metadata", "expand"]).is_ok());
    let body = params.only(&["amount", "expand"]).unwrap_err().to_body();
    assert!(
        body.contains("parameter_unknown") && body.contains("metadata"),
        "{body}"
    );
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("[a-z]{1,4}", "[a-z=&%]{0,4}"), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fingerprint_depends_on_the_pairs_and_not_on_their_order(first in pairs(), second in pairs()) {
        let of = |pairs: &[(String, String)]| {
            Params::parse(serde_urlencoded::to_string(pairs).unwrap().as_bytes()).unwrap().fingerprint()
        };
        let mut reversed = first.clone();
        reversed.reverse();
        prop_assert_eq!(of(&first), of(&reversed));
        let (mut left, mut right) = (first.clone(), second.clone());
        left.sort();
        right.sort();
        prop_assert_eq!(of(&first) == of(&second), left == right);
    }
}
