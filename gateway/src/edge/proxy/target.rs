//! Where the upstream is.

use std::str::FromStr;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

/// The address of an upstream: `http` or `https`, a host, a port, nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    host: String,
    port: u16,
    tls: bool,
    host_header: HeaderValue,
}

/// A text that is no upstream.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not an upstream: {reason}")]
pub struct InvalidTarget {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Target {
    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is reached over TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// What its own `Host` header reads.
    pub fn host_header(&self) -> HeaderValue {
        self.host_header.clone()
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let refuse = |reason| InvalidTarget {
            text: text.to_owned(),
            reason,
        };
        let uri: Uri = text.parse().map_err(|_| refuse("it is not a URL"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(refuse("only http:// and https:// are spoken")),
        };
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(refuse("it may not have a path or a query"));
        }
        let authority: &Authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it may not hold a user or a password"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(refuse("it has no host"));
        }
        let default = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        let host_header =
            HeaderValue::from_str(authority.as_str()).map_err(|_| refuse("its host is not a host"))?;
        Ok(Self {
            host,
            port,
            tls,
            host_header,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_and_ports_only() {
        let target: Target = "http://127.0.0.1:3000".parse().unwrap();
        assert_eq!(
            (target.host(), target.port(), target.is_tls()),
            ("127.0.0.1", 3000, false)
        );
        let target: Target = "https://shop.example/".parse().unwrap();
        assert_eq!(
            (target.host(), target.port(), target.is_tls()),
            ("shop.example", 443, true)
        );
        let target: Target = "http://[::1]:81".parse().unwrap();
        assert_eq!((target.host(), target.port()), ("::1", 81));
        assert_eq!(target.host_header(), "[::1]:81");
        for text in [
            "",
            "shop",
            "ftp://a",
            "file:///etc/passwd",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "/x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
