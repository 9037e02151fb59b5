//! The visitor cookie: a random name that we signed, so that names chosen by a client have no
//! power. It names a browser, holds nothing about a person, and binds tickets and tokens.

/// A visitor whose cookie was checked, or who has just been named.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visitor(pub(crate) [u8; 16]);
