//! Amounts in minor units of a currency. Amounts of different currencies never meet.

use core::fmt;

/// An ISO 4217 currency as the provider writes it: three lower-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Currency([u8; 3]);

/// An amount to charge, in minor units (cents for `eur`, whole yen for `jpy`). Never negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    /// Minor units.
    pub amount: u64,
    /// What the units are of.
    pub currency: Currency,
}

/// The text is not a three-letter currency code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a currency is a three-letter ISO 4217 code in lower case, such as \"eur\"")]
pub struct UnknownCurrency;

impl Currency {
    /// Checks the form of `code`; whether the provider offers it is the provider's to say.
    pub fn new(code: &str) -> Result<Self, UnknownCurrency> {
        match code.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|l| l.is_ascii_lowercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(UnknownCurrency),
        }
    }

    /// The code, for example `eur`.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl Money {
    /// Takes minor units of `currency`.
    pub const fn new(amount: u64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The price of `quantity` such units, or nothing where the amount does not fit.
    pub fn times(self, quantity: u32) -> Option<Self> {
        let amount = self.amount.checked_mul(u64::from(quantity))?;
        Some(Self { amount, ..self })
    }

    /// The sum, or nothing where the currencies differ or the amount does not fit.
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let amount = self.amount.checked_add(other.amount)?;
        Some(Self { amount, ..self })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}
