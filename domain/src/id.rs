//! Names and numbers that could be swapped by mistake, each in a type of its own.

use alloc::sync::Arc;
use core::fmt;

/// Longest name of a drop or SKU, in bytes. It becomes part of cookie names, metric labels
/// and provider idempotency keys (255 characters at most at Stripe), so it stays short.
pub const NAME_BYTES_MAX: usize = 48;

/// Names a drop: `[a-z0-9-]`, 1 to 48 bytes, because it stands in URLs and cookie names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DropId(Arc<str>);

/// Names one kind of unit for sale: `[A-Za-z0-9._-]`, 1 to 48 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sku(Arc<str>);

/// Order of joining: 1, 2, 3 … Gaps are normal; a number may belong to nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Number(pub u64);

/// Order of service, after the draw. Equal to the number where nothing was drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rank(pub u64);

/// Names a shopper within one drop: derived from the visitor cookie, says nothing about the person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShopperKey(pub [u8; 16]);

/// Names one admission: derived from drop, ticket and epoch, so that claiming again gives the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdmissionId(pub [u8; 16]);

/// Names an order: the 128 bits of a UUID version 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u128);

/// A name was empty, too long or held a character that is not allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a {what} is 1 to {NAME_BYTES_MAX} characters of {allowed}")]
pub struct InvalidName {
    /// What was being named.
    pub what: &'static str,
    /// The characters that are allowed.
    pub allowed: &'static str,
}

impl DropId {
    /// Checks `name` against the rule for drops.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        checked(name, fits, "drop id", "a-z, 0-9 and -").map(Self)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Sku {
    /// Checks `name` against the rule for SKUs.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        checked(name, fits, "SKU", "A-Z, a-z, 0-9, '.', '_' and '-'").map(Self)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(
    name: &str,
    fits: impl Fn(u8) -> bool,
    what: &'static str,
    allowed: &'static str,
) -> Result<Arc<str>, InvalidName> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(InvalidName { what, allowed });
    }
    Ok(Arc::from(name))
}

impl fmt::Display for DropId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Written as 32 hexadecimal digits; adapters that want dashes use their UUID library.
impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderId({self})")
    }
}

macro_rules! hex_key {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}
hex_key!(ShopperKey);
hex_key!(AdmissionId);
