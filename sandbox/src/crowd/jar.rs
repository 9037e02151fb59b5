//! A shopper's cookies: the part of RFC 6265 that one origin needs.

use http::{HeaderMap, HeaderValue, header};

/// Name and value pairs for one origin. No shopper needs more than a handful.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<(Box<str>, Box<str>)>,
}

const COOKIES_MAX: usize = 16;

impl Jar {
    /// Takes the cookies of an answer over. An empty value or `Max-Age=0` deletes.
    pub(crate) fn take(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = value.is_empty() || parts.any(is_deletion);
            self.cookies.retain(|(known, _)| known.as_ref() != name);
            if !gone && self.cookies.len() < COOKIES_MAX {
                self.cookies.push((name.into(), value.into()));
            }
        }
    }

    /// The `Cookie` header, if there is anything to say.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty())
            .then(|| HeaderValue::from_str(&pairs.join("; ")).ok())
            .flatten()
    }
}

fn is_deletion(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else {
        return false;
    };
    name.eq_ignore_ascii_case("max-age") && (value == "0" || value.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (header::SET_COOKIE, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn cookies_are_kept_replaced_and_deleted() {
        let mut jar = Jar::default();
        jar.take(&headers(&[
            "a=1; Path=/; HttpOnly",
            "doorline-ticket-x=t; Secure",
        ]));
        assert_eq!(jar.header().unwrap(), "a=1; doorline-ticket-x=t");
        jar.take(&headers(&["a=2", "doorline-ticket-x=; Max-Age=0"]));
        assert_eq!(jar.header().unwrap(), "a=2");
        jar.take(&headers(&["a=2; max-age=0"]));
        assert_eq!(jar.header(), None);
    }

    #[test]
    fn the_number_of_cookies_is_bounded() {
        let mut jar = Jar::default();
        for index in 0..100 {
            let line = HeaderValue::from_str(&format!("c{index}=v")).unwrap();
            jar.take(&[(header::SET_COOKIE, line)].into_iter().collect());
        }
        assert_eq!(jar.cookies.len(), COOKIES_MAX);
    }
}
