//! Requests that two parsers could read differently are refused.

use http::Request;

use super::*;

fn verdict(request: http::request::Builder) -> Result<Parts, String> {
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    match check(&mut parts) {
        Ok(()) => Ok(parts),
        Err(problem) => Err(format!("{} {}", problem.status().as_u16(), problem.slug())),
    }
}

fn get(uri: &str) -> http::request::Builder {
    Request::builder().uri(uri)
}

#[test]
fn exactly_one_well_formed_host_is_needed() {
    let bad = Err("400 malformed-request".to_owned());
    assert_eq!(verdict(get("/")).map(|_| ()), bad);
    assert_eq!(
        verdict(get("/").header(HOST, "a.example").header(HOST, "b.example")).map(|_| ()),
        bad
    );
    assert_eq!(
        verdict(get("/").header(HOST, "a.example").header(HOST, "a.example")).map(|_| ()),
        bad
    );
    for host in [
        "",
        "a b",
        "a,b",
        "user@a.example",
        "a.example/x",
        "a.example:",
        "a.example:x",
        "[::1",
        "a:1:2",
        "é",
    ] {
        assert_eq!(verdict(get("/").header(HOST, host)).map(|_| ()), bad, "{host}");
    }
    for host in [
        "a.example",
        "a.example:8080",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:8080",
        "localhost",
    ] {
        assert!(verdict(get("/").header(HOST, host)).is_ok(), "{host}");
    }
}

#[test]
fn an_absolute_target_must_name_the_host() {
    for (uri, host) in [
        ("http://a.example/x", "a.example"),
        ("http://A.example/x", "a.EXAMPLE"),
        ("http://a.example:80/x", "a.example"),
        ("https://a.example/x", "a.example:443"),
    ] {
        assert!(verdict(get(uri).header(HOST, host)).is_ok(), "{uri} {host}");
    }
    for (uri, host) in [
        ("http://b.example/x", "a.example"),
        ("http://a.example:81/x", "a.example"),
        ("ftp://a.example/x", "a.example"),
    ] {
        assert!(verdict(get(uri).header(HOST, host)).is_err(), "{uri} {host}");
    }
    assert!(verdict(get("http://a.example/x")).is_err());
}

#[test]
fn http_2_hosts_come_from_the_authority() {
    let parts = verdict(get("https://a.example/x").version(Version::HTTP_2)).unwrap();
    assert_eq!(parts.headers[HOST], "a.example");
    let other = get("https://a.example/x")
        .version(Version::HTTP_2)
        .header(HOST, "b.example");
    assert!(verdict(other).is_err());
}

#[test]
fn framing_has_one_reading() {
    let base = || get("/").header(HOST, "a.example");
    for coding in [
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "chunked;q=1",
        "identity",
        "",
    ] {
        assert!(
            verdict(base().header(TRANSFER_ENCODING, coding)).is_err(),
            "{coding}"
        );
    }
    assert!(verdict(base().header(TRANSFER_ENCODING, "Chunked")).is_ok());
    let twice = base()
        .header(TRANSFER_ENCODING, "chunked")
        .header(TRANSFER_ENCODING, "chunked");
    assert!(verdict(twice).is_err());
    assert!(
        verdict(
            base()
                .header(TRANSFER_ENCODING, "chunked")
                .header(CONTENT_LENGTH, "3")
        )
        .is_err()
    );
    assert!(verdict(base().header(CONTENT_LENGTH, "3").header(CONTENT_LENGTH, "3")).is_err());
    assert!(
        verdict(
            base()
                .version(Version::HTTP_10)
                .header(TRANSFER_ENCODING, "chunked")
        )
        .is_err()
    );
    assert_eq!(
        verdict(base().header(EXPECT, "200-maybe")).map(|_| ()),
        Err("417 expectation-failed".into())
    );
    assert!(verdict(base().header(EXPECT, "100-Continue")).is_ok());
}

#[test]
fn connection_may_not_name_what_carries_meaning() {
    for value in [
        "host",
        "close, Host",
        "keep-alive,content-length",
        "Cookie",
        "authorization ",
        "transfer-encoding",
    ] {
        assert!(
            verdict(get("/").header(HOST, "a").header(CONNECTION, value)).is_err(),
            "{value}"
        );
    }
    assert!(
        verdict(
            get("/")
                .header(HOST, "a")
                .header(CONNECTION, "keep-alive, x-mine")
        )
        .is_ok()
    );
}

#[test]
fn tunnels_and_echoes_are_not_served() {
    for method in ["TRACE", "TRACK", "track"] {
        let request = get("/").method(method).header(HOST, "a");
        assert_eq!(
            verdict(request).map(|_| ()),
            Err("405 method-not-allowed".into()),
            "{method}"
        );
    }
    let connect = get("a.example:443")
        .method("CONNECT")
        .header(HOST, "a.example:443");
    assert_eq!(verdict(connect).map(|_| ()), Err("405 method-not-allowed".into()));
    for method in ["GET", "HEAD", "OPTIONS", "PROPFIND", "PURGE", "BREW"] {
        assert!(
            verdict(get("/").method(method).header(HOST, "a")).is_ok(),
            "{method}"
        );
    }
}

#[test]
fn sizes_are_bounded() {
    let long = format!("/{}", "a".repeat(URI_BYTES_MAX));
    assert_eq!(
        verdict(get(&long).header(HOST, "a")).map(|_| ()),
        Err("414 uri-too-long".into())
    );
    let mut many = get("/").header(HOST, "a");
    for _ in 0..HEADER_LINES_MAX {
        many = many.header("x-filler", "1");
    }
    assert_eq!(verdict(many).map(|_| ()), Err("431 headers-too-large".into()));
}
