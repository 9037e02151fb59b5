//! Keeps what the admitted see out of shared caches: served from there, it would reach those who
//! were never let in.

use http::header::{CACHE_CONTROL, Entry, OccupiedEntry, VARY};
use http::{HeaderMap, HeaderValue};

/// Lets only the shopper's own browser keep an answer (RFC 9111, section 5.2.2.7), whatever the
/// upstream says to shared caches.
pub fn keep_private(headers: &mut HeaderMap) {
    super::strip(headers, speaks_to_shared_caches);
    match headers.entry(CACHE_CONTROL) {
        Entry::Vacant(none) => {
            none.insert(HeaderValue::from_static("private"));
        }
        Entry::Occupied(mut lines) => {
            if !are_private(&lines) {
                let private = made_private(&lines);
                lines.insert(private);
            }
        }
    }
    match headers.entry(VARY) {
        Entry::Vacant(none) => {
            none.insert(HeaderValue::from_static("cookie"));
        }
        Entry::Occupied(mut lines) => {
            if !lines.iter().any(names_cookie) {
                lines.append(HeaderValue::from_static("cookie"));
            }
        }
    }
}

/// Forbids everybody to keep an answer: it carries a cookie of ours.
pub fn forbid_storing(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Names by which shared caches are told apart from browsers (RFC 9213, Edge Architecture, nginx).
fn speaks_to_shared_caches(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b's') => name == "surrogate-control",
        Some(b'e') => name == "edge-control",
        Some(b'x') => name == "x-accel-expires",
        // `CDN-Cache-Control`, and the same in front of which a provider has put its name.
        _ => name.ends_with("cdn-cache-control"),
    }
}

/// Whether `Cache-Control` is one line that may stay as it is, as it does in answers of most shops.
fn are_private(lines: &OccupiedEntry<'_, HeaderValue>) -> bool {
    let mut lines = lines.iter();
    let only = lines.next().filter(|_| lines.next().is_none());
    only.and_then(readable).is_some_and(|line| {
        !directives(line).any(|directive| allows_sharing(&directive))
            && directives(line).any(|directive| forbids_sharing(&directive))
    })
}

/// What `Cache-Control` says, without what lets shared caches keep the answer.
fn made_private(lines: &OccupiedEntry<'_, HeaderValue>) -> HeaderValue {
    let mut kept: Vec<&str> = Vec::new();
    for line in lines.iter().filter_map(readable) {
        kept.extend(directives(line).filter(|directive| !allows_sharing(directive)));
    }
    if !kept.iter().any(forbids_sharing) {
        kept.push("private");
    }
    HeaderValue::try_from(kept.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("private"))
}

/// A line whose directives can be told apart: what is quoted may hold commas.
fn readable(line: &HeaderValue) -> Option<&str> {
    let quotes = |line: &str| line.bytes().filter(|byte| *byte == b'"').count();
    line.to_str().ok().filter(|line| quotes(line).is_multiple_of(2))
}

fn directives(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
    .map(str::trim)
    .filter(|directive| !directive.is_empty())
}

fn allows_sharing(directive: &&str) -> bool {
    let (name, argument) = match directive.split_once('=') {
        Some((name, argument)) => (name.trim(), Some(argument)),
        None => (*directive, None),
    };
    let is = |other| name.eq_ignore_ascii_case(other);
    // `private="set-cookie"` keeps that header alone from being shared.
    is("public") || is("s-maxage") || (is("private") && argument.is_some())
}

fn forbids_sharing(directive: &&str) -> bool {
    directive.eq_ignore_ascii_case("private") || directive.eq_ignore_ascii_case("no-store")
}

/// Whether a line of `Vary` says that a cookie makes another answer.
fn names_cookie(line: &HeaderValue) -> bool {
    let names = line.as_bytes().split(|byte| *byte == b',');
    names
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn kept_private(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_static(value));
        }
        keep_private(&mut headers);
        headers
    }

    #[test]
    fn what_lets_shared_caches_keep_an_answer_goes_and_the_rest_stays() {
        for (told, tells) in [
            ("public, max-age=60", "max-age=60, private"),
            ("PUBLIC,S-MaxAge=60 , immutable", "immutable, private"),
            ("s-maxage=\"60\", max-age=5", "max-age=5, private"),
            ("", "private"),
            ("private", "private"),
            ("Private, max-age=5", "Private, max-age=5"),
            ("private,no-cache,", "private,no-cache,"),
            ("no-store", "no-store"),
            ("public, no-store", "no-store"),
            ("private=\"set-cookie, x-a\", max-age=5", "max-age=5, private"),
            ("no-cache=\"public, x-a\"", "no-cache=\"public, x-a\", private"),
            ("max-age=5, x=\"public", "private"),
            (
                "publicity, must-revalidate",
                "publicity, must-revalidate, private",
            ),
        ] {
            assert_eq!(
                kept_private(&[("cache-control", told)])[CACHE_CONTROL],
                tells,
                "{told}"
            );
        }
        assert_eq!(kept_private(&[])[CACHE_CONTROL], "private");
        let several = [("cache-control", "public"), ("cache-control", "max-age=5")];
        let headers = kept_private(&several);
        assert_eq!(headers[CACHE_CONTROL], "max-age=5, private");
        assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
    }

    #[test]
    fn what_speaks_to_shared_caches_alone_goes() {
        let headers = kept_private(&[
            ("Surrogate-Control", "max-age=60"),
            ("CDN-Cache-Control", "max-age=60"),
            ("Cloudflare-CDN-Cache-Control", "max-age=60"),
            ("Edge-Control", "cache-maxage=60"),
            ("X-Accel-Expires", "60"),
            ("ETag", "x"),
        ]);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["etag", "cache-control", "vary"]);
    }

    #[test]
    fn a_cookie_makes_another_answer_and_that_is_said_once() {
        for (told, tells) in [
            (&[][..], &["cookie"][..]),
            (&["accept"], &["accept", "cookie"]),
            (&["accept, Cookie"], &["accept, Cookie"]),
            (&["accept", "cookie"], &["accept", "cookie"]),
            (&["*"], &["*"]),
            (&["x-cookie"], &["x-cookie", "cookie"]),
        ] {
            let lines: Vec<_> = told.iter().map(|line| ("vary", *line)).collect();
            let headers = kept_private(&lines);
            let varies: Vec<_> = headers.get_all(VARY).iter().collect();
            assert_eq!(varies, tells, "{told:?}");
        }
    }
}
