//! Request ids and trace contexts: taken over when well-formed, made when not.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue};

use super::*;

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

#[test]
fn made_ids_are_well_formed_and_differ() {
    let source = IdSource::new(&Fixed);
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        let made = source.make();
        assert!(is_request_id(made.id.as_str().as_bytes()));
        assert!(is_traceparent(made.traceparent().as_bytes()));
        assert_eq!(made.id.as_str(), &made.traceparent().to_str().unwrap()[3..35]);
        assert!(seen.insert(made.id.as_str().to_owned()));
    }
}

#[test]
fn well_formed_ids_are_kept() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let longest = "a".repeat(128);
    for id in [
        "order-42.retry_1",
        "7",
        "Root=1-67891233-abcdef012345678912345678",
        "job:eu/west+1@host,a;b~c",
        longest.as_str(),
    ] {
        let given = headers(&[("x-request-id", id), ("traceparent", trace)]);
        let identity = IdSource::new(&Fixed).identify(&given);
        assert_eq!(identity.id.as_str(), id);
        assert_eq!(identity.id.header(), id);
        assert_eq!(identity.traceparent(), trace);
    }
}

#[test]
fn malformed_ids_are_replaced() {
    let too_long = "a".repeat(129);
    for id in [
        "has space in it",
        "<script>alert(1)</script>",
        "a\"b",
        "a\\b",
        "a'b",
        "a&b",
        "a%0ab",
        "",
        too_long.as_str(),
    ] {
        let identity = IdSource::new(&Fixed).identify(&headers(&[("x-request-id", id)]));
        assert_ne!(identity.id.as_str(), id);
        assert_eq!(identity.id.as_str().len(), 32);
    }
}

#[test]
fn malformed_trace_contexts_are_replaced() {
    for trace in [
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "junk",
    ] {
        let identity = IdSource::new(&Fixed).identify(&headers(&[("traceparent", trace)]));
        assert_ne!(identity.traceparent(), HeaderValue::from_str(trace).unwrap());
        assert!(is_traceparent(identity.traceparent().as_bytes()));
    }
}

#[test]
fn digits_are_those_of_the_number() {
    for value in [0, 1, 0x9a, u64::MAX, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210] {
        let mut written = [0; 16];
        write_hex(&mut written, value);
        assert_eq!(std::str::from_utf8(&written).unwrap(), format!("{value:016x}"));
    }
}

#[test]
fn of_several_ids_the_first_counts() {
    let given = headers(&[
        ("x-request-id", "the-first-one"),
        ("x-request-id", "the-second-one"),
    ]);
    assert_eq!(
        IdSource::new(&Fixed).identify(&given).id.as_str(),
        "the-first-one"
    );
}
