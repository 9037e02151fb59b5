//! The cookies of a shopper: who is asking, which place, which admission, and how far the queue was seen to move.
//!
//! Over https their names carry the `__Host-` prefix, which browsers accept only with
//! `Secure`, `Path=/` and no domain, so that no sister site can plant one
//! (RFC 6265bis, section 4.1.3.2). Over plain http browsers refuse the prefix, so it is dropped.

use domain::{DropId, Span};
use http::HeaderMap;
use http::header::{COOKIE, HeaderValue};

use crate::edge::headers::cookie_pairs;

/// How long a browser keeps its visitor cookie: a drop and its pre-queue, with room to spare.
const VISITOR_LIFE: Span = Span::from_mins(7 * 24 * 60);
/// How long a browser keeps a ticket: as long as the visitor cookie it is bound to.
const TICKET_LIFE: Span = VISITOR_LIFE;

/// Names and attributes of the cookies under one public address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CookieStyle {
    /// `public_url` is https: `__Host-` names, `Secure`.
    Secure,
    /// `public_url` is plain http: bare names.
    Plain,
}

/// Which of the cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cookie<'a> {
    /// Who is asking; one for all drops.
    Visitor,
    /// The place in one drop's queue.
    Ticket(&'a DropId),
    /// The admission token of one drop.
    Admission(&'a DropId),
    /// How far one drop's queue had moved when a position was shown last.
    Shown(&'a DropId),
}

impl CookieStyle {
    fn prefix(self) -> &'static str {
        match self {
            Self::Secure => "__Host-",
            Self::Plain => "",
        }
    }

    fn attributes(self) -> &'static str {
        match self {
            Self::Secure => "; Path=/; Secure; HttpOnly; SameSite=Lax",
            Self::Plain => "; Path=/; HttpOnly; SameSite=Lax",
        }
    }

    /// The cookie's full name.
    pub(super) fn name(self, cookie: Cookie<'_>) -> String {
        let prefix = self.prefix();
        match cookie {
            Cookie::Visitor => format!("{prefix}doorline-visitor"),
            Cookie::Ticket(drop) => format!("{prefix}doorline-ticket-{drop}"),
            Cookie::Admission(drop) => format!("{prefix}doorline-admission-{drop}"),
            Cookie::Shown(drop) => format!("{prefix}doorline-shown-{drop}"),
        }
    }

    /// The value the client sent, from whichever `Cookie` field holds it; the first one counts.
    pub(super) fn read<'h>(self, headers: &'h HeaderMap, cookie: Cookie<'_>) -> Option<&'h str> {
        headers.get_all(COOKIE).iter().find_map(|field| {
            cookie_pairs(field.as_bytes()).find_map(|pair| {
                let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
                let ours = self.is_name(name.trim_ascii(), cookie);
                ours.then(|| std::str::from_utf8(value[1..].trim_ascii()).ok())?
            })
        })
    }

    /// Compares without building the name: this runs several times on every request.
    fn is_name(self, name: &[u8], cookie: Cookie<'_>) -> bool {
        let Some(bare) = name.strip_prefix(self.prefix().as_bytes()) else {
            return false;
        };
        let of = |kind: &[u8], drop: &DropId| bare.strip_prefix(kind) == Some(drop.as_str().as_bytes());
        match cookie {
            Cookie::Visitor => bare == b"doorline-visitor",
            Cookie::Ticket(drop) => of(b"doorline-ticket-", drop),
            Cookie::Admission(drop) => of(b"doorline-admission-", drop),
            Cookie::Shown(drop) => of(b"doorline-shown-", drop),
        }
    }

    /// A `Set-Cookie` value that keeps `value`. An admission lives as long as `life`; the
    /// others have lives of their own.
    pub(super) fn keep(self, cookie: Cookie<'_>, value: &str, life: Span) -> HeaderValue {
        let seconds = match cookie {
            Cookie::Visitor => VISITOR_LIFE,
            Cookie::Ticket(_) | Cookie::Shown(_) => TICKET_LIFE,
            Cookie::Admission(_) => life,
        }
        .as_secs_ceil();
        let text = format!(
            "{}={value}; Max-Age={seconds}{}",
            self.name(cookie),
            self.attributes()
        );
        HeaderValue::try_from(text).expect("names are checked and values are base64url")
    }

    /// A `Set-Cookie` value that makes the browser forget the cookie.
    pub(super) fn forget(self, cookie: Cookie<'_>) -> HeaderValue {
        let text = format!("{}=; Max-Age=0{}", self.name(cookie), self.attributes());
        HeaderValue::try_from(text).expect("names are checked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(fields: &[&str]) -> HeaderMap {
        let pairs = fields
            .iter()
            .map(|f| (COOKIE, HeaderValue::from_str(f).expect("a valid field")));
        pairs.collect()
    }

    #[test]
    fn a_cookie_is_found_among_others_and_in_any_field() {
        let drop = DropId::new("aurora").expect("a name");
        let headers = sent(&[
            "a=b; doorline-visitor=v1",
            "doorline-ticket-aurora2=no; doorline-ticket-aurora=yes",
        ]);
        assert_eq!(CookieStyle::Plain.read(&headers, Cookie::Visitor), Some("v1"));
        assert_eq!(
            CookieStyle::Plain.read(&headers, Cookie::Ticket(&drop)),
            Some("yes")
        );
        assert_eq!(CookieStyle::Plain.read(&headers, Cookie::Admission(&drop)), None);
    }

    #[test]
    fn over_https_a_bare_name_is_somebody_elses_cookie() {
        let headers = sent(&["doorline-visitor=planted; __Host-doorline-visitor=ours"]);
        assert_eq!(CookieStyle::Secure.read(&headers, Cookie::Visitor), Some("ours"));
        assert_eq!(
            CookieStyle::Secure.read(&sent(&["doorline-visitor=planted"]), Cookie::Visitor),
            None
        );
    }

    #[test]
    fn every_cookie_is_kept_from_scripts_and_other_sites() {
        let drop = DropId::new("aurora").expect("a name");
        let kept = CookieStyle::Secure.keep(Cookie::Admission(&drop), "x.y.z", Span::from_secs(600));
        let expected =
            "__Host-doorline-admission-aurora=x.y.z; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(kept, expected);
        let gone = CookieStyle::Plain.forget(Cookie::Ticket(&drop));
        assert_eq!(
            gone,
            "doorline-ticket-aurora=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
        );
    }
}
