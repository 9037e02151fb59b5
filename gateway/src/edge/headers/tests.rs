//! Headers: what is stripped stays stripped, what is ours is ours alone.

use std::sync::Arc;

use domain::Entropy;

use super::super::address::TrustedProxies;
use super::super::connection::{Connection, Scheme};
use super::*;

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(9);
    }
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    headers
}

fn visit(headers: &HeaderMap, peer: &str, trusted: &[&str]) -> Visit {
    let peer = peer.parse().unwrap();
    let connection = Arc::new(Connection::new(peer, Scheme::Https, &Fixed));
    let trusted = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
    let client = trusted.resolve(peer.ip(), headers);
    let identity = connection.ids().identify(headers);
    Visit {
        identity,
        client,
        connection,
        host: host(headers),
        started: tokio::time::Instant::now(),
    }
}

fn sent(lines: &[(&str, &str)], peer: &str, trusted: &[&str]) -> HeaderMap {
    let mut headers = map(lines);
    let visit = visit(&headers, peer, trusted);
    to_upstream(&mut headers, &visit, None);
    headers
}

fn as_stranger(lines: &[(&str, &str)]) -> HeaderMap {
    sent(lines, "203.0.113.5:999", &[])
}

#[test]
fn hop_by_hop_headers_do_not_pass() {
    let headers = as_stranger(&[
        ("host", "a.example"),
        ("connection", "keep-alive, X-Mine,, bad name"),
        ("connection", "x-other"),
        ("x-mine", "1"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMA"),
        ("expect", "100-continue"),
        ("accept", "*/*"),
    ]);
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "forwarded",
            "host",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id"
        ]
    );
}

#[test]
fn a_stranger_cannot_forge_what_the_upstream_believes() {
    let headers = as_stranger(&[
        ("host", "a.example"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "ftp"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("true-client-ip", "6.6.6.6"),
        ("cf-connecting-ip", "6.6.6.6"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-original-url", "/drops/aurora"),
        ("x-rewrite-url", "/drops/aurora"),
        ("doorline-admission", "forged"),
        ("doorline-drop", "aurora"),
        ("doorline-anything", "x"),
    ]);
    let all: Vec<String> = headers
        .iter()
        .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
        .collect();
    assert!(
        !all.iter()
            .any(|line| line.contains("6.6.6.6") || line.contains("evil") || line.contains("doorline")),
        "{all:?}"
    );
    assert!(!all.iter().any(|line| line.contains("drops")), "{all:?}");
    assert_eq!(headers["x-forwarded-for"], "203.0.113.5");
    assert_eq!(headers["x-forwarded-host"], "a.example");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(
        headers["forwarded"],
        r#"for="203.0.113.5";host="a.example";proto=https"#
    );
}

#[test]
fn naming_our_headers_in_connection_does_not_remove_them() {
    let headers = as_stranger(&[
        ("host", "a.example"),
        (
            "connection",
            "x-forwarded-for, x-request-id, forwarded, doorline-admission",
        ),
    ]);
    assert_eq!(headers["x-forwarded-for"], "203.0.113.5");
    assert!(headers.contains_key("x-request-id"));
    assert!(headers.contains_key("forwarded"));
}

#[test]
fn a_trusted_proxys_list_grows_by_its_hop() {
    let headers = sent(
        &[
            ("host", "a.example"),
            ("x-forwarded-for", "198.51.100.9"),
            ("x-forwarded-for", "10.0.0.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("forwarded", "for=198.51.100.9"),
            ("doorline-admission", "forged"),
        ],
        "10.0.0.1:5",
        &["10.0.0.0/8"],
    );
    assert_eq!(headers["x-forwarded-for"], "198.51.100.9, 10.0.0.7, 10.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
    assert_eq!(
        headers["forwarded"],
        r#"for=198.51.100.9, for="10.0.0.1";host="a.example";proto=https"#
    );
    assert!(!headers.contains_key("doorline-admission"));
}

#[test]
fn proof_is_added_after_stripping() {
    let mut headers = map(&[("host", "a.example"), ("doorline-admission", "forged")]);
    let visit = visit(&headers, "203.0.113.5:999", &[]);
    let proof = Proof::new(
        &DropId::new("aurora").unwrap(),
        Some(HeaderValue::from_static("signed")),
    );
    to_upstream(&mut headers, &visit, Some(&proof));
    assert_eq!(
        headers.get_all("doorline-admission").iter().collect::<Vec<_>>(),
        ["signed"]
    );
    assert_eq!(headers["doorline-drop"], "aurora");
}

#[test]
fn our_cookies_stay_with_us() {
    for (lines, kept) in [
        (vec!["a=1; b=2"], Some("a=1; b=2")),
        (vec!["a=1; __Host-doorline-visitor=x; b=2"], Some("a=1; b=2")),
        (vec!["doorline-ticket-aurora=x"], None),
        (
            vec!["__Host-doorline-visitor=x;__Host-doorline-admission-aurora=y"],
            None,
        ),
        (vec!["__HOST-Doorline-Visitor=x; c=3"], Some("c=3")),
        (vec!["a=1", "doorline-visitor=x", "b=2"], Some("a=1; b=2")),
        (vec!["note=I-love-doorline-x"], Some("note=I-love-doorline-x")),
        (vec!["  doorline-visitor =x ; d=4 "], Some("d=4")),
    ] {
        let mut pairs = vec![("host", "a.example")];
        pairs.extend(lines.iter().map(|line| ("cookie", *line)));
        let headers = as_stranger(&pairs);
        assert_eq!(
            headers.get("cookie").map(|v| v.to_str().unwrap()),
            kept,
            "{lines:?}"
        );
    }
}

#[test]
fn an_upstream_cannot_set_our_cookies_nor_leak_commands() {
    let mut headers = map(&[
        ("set-cookie", "session=1; Path=/"),
        ("set-cookie", "__Host-doorline-admission-aurora=stolen; Path=/"),
        ("set-cookie", "doorline-visitor=x"),
        ("set-cookie", "theme=dark"),
        ("doorline-command", "Revoke"),
        ("doorline-debug", "x"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("server", "shop/1"),
    ]);
    assert_eq!(from_upstream(&mut headers), Some(Command::Revoke));
    let cookies: Vec<&str> = headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(cookies, ["session=1; Path=/", "theme=dark"]);
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["server", "set-cookie"]);
}

#[test]
fn commands_are_read_by_either_name() {
    assert_eq!(
        from_upstream(&mut map(&[("cf-waiting-room-command", "revoke")])),
        Some(Command::Revoke)
    );
    assert_eq!(from_upstream(&mut map(&[("doorline-command", "dance")])), None);
    assert_eq!(from_upstream(&mut map(&[])), None);
}

#[test]
fn trailers_that_frame_or_route_are_dropped() {
    let mut trailers = map(&[
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("host", "evil.example"),
        ("x-forwarded-for", "6.6.6.6"),
        ("doorline-admission", "forged"),
        ("set-cookie", "a=1"),
        ("authorization", "x"),
        ("x_checksum", "1"),
        ("x-checksum", "abc"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(
        trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
        ["x-checksum"]
    );
}

#[test]
fn our_lines_and_the_clients_share_no_name() {
    let headers = map(&[
        ("host", "a.example"),
        ("x-request-id", "the-clients-own"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "for=192.0.2.9"),
        ("x-forwarded-proto", "http"),
        ("doorline-drop", "forged"),
        ("accept", "*/*"),
    ]);
    for (peer, trusted) in [
        ("203.0.113.5:999", &[][..]),
        ("10.0.0.1:999", &["10.0.0.0/8"][..]),
    ] {
        let mut headers = headers.clone();
        let visit = visit(&headers, peer, trusted);
        let drop = DropId::new("aurora").unwrap();
        let proof = Proof::new(&drop, Some(HeaderValue::from_static("token")));
        let added = strip_for_upstream(&mut headers, &visit, Some(&proof));
        let mut names: Vec<&str> = added.lines().map(|(name, _)| name).collect();
        for name in &names {
            assert!(!headers.contains_key(*name), "{name} stands twice");
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "no name of ours stands twice");
        assert_eq!(headers["accept"], "*/*");
    }
}

#[test]
fn our_lines_are_the_same_in_one_map_and_apart() {
    let lines = [
        ("host", "a.example"),
        ("x-request-id", "the-clients-own"),
        ("x-forwarded-for", "192.0.2.9"),
        ("x-forwarded-host", "front.example"),
    ];
    for (peer, trusted) in [
        ("203.0.113.5:999", &[][..]),
        ("10.0.0.1:999", &["10.0.0.0/8"][..]),
    ] {
        let mut apart = map(&lines);
        let visit = visit(&apart, peer, trusted);
        let added = strip_for_upstream(&mut apart, &visit, None);
        for (name, value) in added.lines() {
            apart.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.clone());
        }
        let mut one = map(&lines);
        to_upstream(&mut one, &visit, None);
        assert_eq!(one, apart, "{peer}");
    }
}
