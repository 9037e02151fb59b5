//! One reading of a path: the normal form that is matched against protected paths *and* sent
//! upstream, so that the two can never disagree.
//!
//! The normal form has unreserved characters and slashes decoded, every other escape in upper
//! case, no empty or dot segments, and nothing raw that RFC 3986 does not allow. What cannot be
//! read in one way only (broken or double escapes, control characters, backslashes, segments of
//! dots, climbing above the root) is refused.
//!
//! Matching goes further than sending, because upstreams do: the *key* of a path is its normal
//! form with everything decoded, lower case, without `;parameters`, trailing dots and spaces and
//! trailing slash. A key only ever holds more requests at the door than it must.

use http::Uri;
use http::uri::PathAndQuery;

mod key;
mod pattern;
mod rewrite;
mod table;

pub use pattern::{InvalidPattern, Pattern};
pub use table::{Found, PathTable};

/// A path in normal form, with its query untouched.
#[derive(Clone, Debug)]
pub struct NormalPath {
    target: PathAndQuery,
    /// `None` where the normal form is its own key (but for a trailing slash).
    key: Option<String>,
}

/// Why a path is refused. Each is an attack on somebody's parser or a client's mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// Not origin-form: `*`, an authority, or nothing.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    BrokenEscape,
    /// `%25` that begins another escape.
    #[error("the path is percent-encoded twice")]
    DoubleEscape,
    /// A control character, NUL included.
    #[error("the path has a control character")]
    Control,
    /// `\` or `%5C`: a slash to some servers.
    #[error("the path has a backslash")]
    Backslash,
    /// `..` above the root.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// A segment of dots and spaces that is neither `.` nor `..`.
    #[error("the path has a segment of dots and spaces")]
    DotsOnly,
    /// Too long after normalisation, or otherwise no path.
    #[error("the path cannot be written in normal form")]
    Unwritable,
}

impl NormalPath {
    /// Reads the path of `uri`. Costs one scan and no allocation where it is normal already.
    pub fn of(uri: &Uri) -> Result<Self, PathError> {
        let target = uri.path_and_query().ok_or(PathError::NotAbsolute)?;
        let path = target.path();
        let shape = rewrite::shape(path.as_bytes());
        match shape {
            rewrite::Shape::OwnKey => Ok(Self {
                target: target.clone(),
                key: None,
            }),
            rewrite::Shape::Normal => Ok(Self {
                target: target.clone(),
                key: Some(key::of(path)?),
            }),
            rewrite::Shape::Other => {
                let normal = rewrite::normalise(path.as_bytes())?;
                let key = key::of(&normal)?;
                let text = match target.query() {
                    Some(query) => format!("{normal}?{query}"),
                    None => normal,
                };
                let target = PathAndQuery::try_from(text).map_err(|_| PathError::Unwritable)?;
                Ok(Self {
                    target,
                    key: Some(key),
                })
            }
        }
    }

    /// The path in normal form.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// Whether `uri`, which it was read from, is written in another way.
    pub fn differs_from(&self, uri: &Uri) -> bool {
        // One text at one address: the path was taken over as it stood.
        let same = uri
            .path_and_query()
            .is_some_and(|target| std::ptr::eq(target.as_str(), self.target.as_str()));
        !same || uri.authority().is_some()
    }

    /// Path and query as they go upstream.
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// What the path is matched by.
    pub fn key(&self) -> &str {
        let key = self.key.as_deref().unwrap_or_else(|| self.target.path());
        if key.len() > 1 {
            key.strip_suffix('/').unwrap_or(key)
        } else {
            key
        }
    }
}

#[cfg(test)]
mod tests;
