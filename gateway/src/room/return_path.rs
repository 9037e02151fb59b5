//! Where a shopper may be sent back to: a path on this shop, or a URL whose host is on the
//! merchant's list. Everything that one URL parser might read differently from another is refused,
//! because the browser's reading is the one that counts.

use std::fmt;

use thiserror::Error;

/// Longest return path taken, in bytes: it fits, with each byte escaped, into the body of a form.
const LENGTH_MAX: usize = 4_096;

/// Our own endpoints; sending a shopper there shows JSON instead of a shop.
const OWN_PREFIX: &str = "/.doorline";

/// A validated place to send a shopper to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnPath(String);

/// Why a return path was refused. Never echoes the input: it is hostile when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReturnPathError {
    /// Empty, or longer than 4,096 bytes.
    #[error("return path is empty or longer than {LENGTH_MAX} bytes")]
    Length,
    /// A control character, space, backslash, quote, angle bracket or non-ASCII character.
    #[error("return path has a character that URLs must escape")]
    Character,
    /// Neither `/…` nor an absolute `http://` or `https://` URL.
    #[error("return path is neither a path nor an http(s) URL")]
    Form,
    /// `//`, `/%2f`, `/%5c` or dot segments: read as another host or another path by some parser.
    #[error("return path is ambiguous")]
    Ambiguous,
    /// An absolute URL whose host is not on the list.
    #[error("return path points to a host that is not on the allow-list")]
    Host,
    /// A path of the gateway's own API.
    #[error("return path points into the gateway's own endpoints")]
    Own,
}

impl ReturnPath {
    /// The shop's front door, for when nothing better is known.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// Takes `raw` (a path with optional query and fragment, or an absolute URL) if it is safe.
    /// `allowed_hosts` holds exact `host` or `host:port` values, lower case.
    pub fn parse(raw: &str, allowed_hosts: &[String]) -> Result<Self, ReturnPathError> {
        if raw.is_empty() || raw.len() > LENGTH_MAX {
            return Err(ReturnPathError::Length);
        }
        if !raw.bytes().all(is_plain) {
            return Err(ReturnPathError::Character);
        }
        let rest = match absolute(raw) {
            None => raw,
            Some(after_scheme) => {
                let end = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
                let (authority, rest) = after_scheme.split_at(end);
                // Exact match: user info, ports and case variants cannot hide in an equal string.
                if !allowed_hosts.iter().any(|host| host == authority) {
                    return Err(ReturnPathError::Host);
                }
                if rest.is_empty() { "/" } else { rest }
            }
        };
        check_path(rest)?;
        Ok(Self(raw.to_owned()))
    }

    /// [`parse`](Self::parse), or the front door if it is refused.
    pub fn parse_or_home(raw: &str, allowed_hosts: &[String]) -> Self {
        Self::parse(raw, allowed_hosts).unwrap_or_else(|_| Self::home())
    }

    /// As it goes into a `Location` header or an attribute.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn absolute(raw: &str) -> Option<&str> {
    raw.strip_prefix("https://")
        .or_else(|| raw.strip_prefix("http://"))
}

fn check_path(rest: &str) -> Result<(), ReturnPathError> {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let Some(inside) = path.strip_prefix('/') else {
        return Err(ReturnPathError::Form);
    };
    let lower = inside.to_ascii_lowercase();
    if ["/", "%2f", "%5c", "%09", "%0a", "%0d"]
        .iter()
        .any(|start| lower.starts_with(start))
    {
        return Err(ReturnPathError::Ambiguous);
    }
    if lower
        .split('/')
        .any(|segment| matches!(segment.replace("%2e", ".").as_str(), "." | ".."))
    {
        return Err(ReturnPathError::Ambiguous);
    }
    if path == OWN_PREFIX || path.starts_with("/.doorline/") {
        return Err(ReturnPathError::Own);
    }
    Ok(())
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'\'' | b'<' | b'>' | b'`')
}

#[cfg(test)]
mod tests;
