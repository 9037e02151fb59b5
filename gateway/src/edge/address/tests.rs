//! Client addresses: nothing a client writes may move its own address.

use http::header::{FORWARDED, HeaderName};
use proptest::prelude::*;

use super::*;

fn trusted() -> TrustedProxies {
    TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn xff(lines: &[&str]) -> HeaderMap {
    let name = HeaderName::from_static("x-forwarded-for");
    lines
        .iter()
        .map(|line| (name.clone(), line.parse().unwrap()))
        .collect()
}

fn resolve(peer: &str, headers: &HeaderMap) -> String {
    trusted().resolve(peer.parse().unwrap(), headers).ip.to_string()
}

#[test]
fn a_stranger_is_its_own_client() {
    assert_eq!(resolve("198.51.100.7", &xff(&["203.0.113.1"])), "198.51.100.7");
    assert_eq!(
        trusted()
            .resolve("198.51.100.7".parse().unwrap(), &HeaderMap::new())
            .peer,
        Peer::Stranger
    );
}

#[test]
fn hops_count_from_the_right_over_trusted_proxies() {
    for (lines, client) in [
        (vec!["203.0.113.1"], "203.0.113.1"),
        (vec!["6.6.6.6, 203.0.113.1"], "203.0.113.1"),
        (vec!["6.6.6.6, 203.0.113.1, 10.1.1.1"], "203.0.113.1"),
        (vec!["6.6.6.6", "203.0.113.1", "10.1.1.1"], "203.0.113.1"),
        (vec!["203.0.113.1:4711"], "203.0.113.1"),
        (vec!["[2001:db8::5]:4711"], "2001:db8::5"),
        (vec!["2001:db8::5"], "2001:db8::5"),
        (vec!["::ffff:203.0.113.1"], "203.0.113.1"),
        (vec!["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        (vec![], "10.0.0.1"),
    ] {
        assert_eq!(resolve("10.0.0.1", &xff(&lines)), client, "{lines:?}");
    }
}

#[test]
fn a_hop_that_is_no_address_ends_the_walk_at_the_hop_before() {
    assert_eq!(resolve("10.0.0.1", &xff(&["203.0.113.1, unknown"])), "10.0.0.1");
    assert_eq!(
        resolve("10.0.0.1", &xff(&["203.0.113.1, , 10.9.9.9"])),
        "10.9.9.9"
    );
    assert_eq!(resolve("10.0.0.1", &xff(&["203.0.113.1, \u{e4}"])), "10.0.0.1");
}

#[test]
fn forwarded_is_read_only_where_there_is_no_x_forwarded_for() {
    let mut headers = HeaderMap::new();
    headers.append(
        FORWARDED,
        r#"for=6.6.6.6, for="[2001:db8::5]:80";proto=https"#.parse().unwrap(),
    );
    assert_eq!(resolve("10.0.0.1", &headers), "2001:db8::5");
    headers.extend(xff(&["203.0.113.9"]));
    assert_eq!(resolve("10.0.0.1", &headers), "203.0.113.9");
}

#[test]
fn hidden_and_unknown_forwarded_hops_prove_nothing() {
    for value in [
        "for=unknown",
        "for=_hidden",
        "proto=https",
        "for=",
        "for=\"",
        "=;,=",
    ] {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, value.parse().unwrap());
        assert_eq!(resolve("10.0.0.1", &headers), "10.0.0.1", "{value}");
    }
}

#[test]
fn addresses_of_one_household_share_a_key() {
    let key = |text: &str| AddressKey::of(text.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

proptest! {
    /// Whatever a client writes in front, what the trusted proxy appended decides.
    #[test]
    fn what_a_client_writes_never_moves_it(junk in "[ -~]{0,60}", client in any::<[u8; 4]>()) {
        let client = IpAddr::from(client);
        prop_assume!(!trusted().contains(client));
        let line = format!("{junk}, {client}");
        prop_assert_eq!(resolve("10.0.0.1", &xff(&[&line])), client.to_canonical().to_string());
    }

    /// A stranger's headers are never read at all.
    #[test]
    fn a_strangers_headers_are_never_read(junk in "[ -~]{0,60}") {
        prop_assert_eq!(resolve("198.51.100.7", &xff(&[&junk])), "198.51.100.7");
    }
}
