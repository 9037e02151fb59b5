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

/// Why an amount cannot be charged. Minor units, as everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unchargeable {
    /// Nothing would be charged.
    #[error("an amount to charge is 1 or more")]
    Nothing,
    /// The amount lies between two that can be charged.
    #[error("amounts in {currency} are charged in steps of {step} minor units")]
    Uneven {
        /// The currency.
        currency: Currency,
        /// What the amount has to be a multiple of.
        step: u64,
    },
    /// The amount is larger than one charge may be.
    #[error("at most {AMOUNT_MAX} minor units are charged at once")]
    TooLarge,
}

/// Largest amount of one charge, in minor units: the provider takes eight digits
/// (<https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>; a few currencies may have
/// more there, which is not relied on).
pub const AMOUNT_MAX: u64 = 99_999_999;

impl Currency {
    /// Digits after the point where the provider counts an amount in minor units
    /// (<https://docs.stripe.com/currencies#zero-decimal>). `isk` and `ugx` have no minor units and are
    /// counted as if they had, which [`Self::step`] makes up for.
    pub const fn decimals(self) -> u32 {
        match &self.0 {
            b"bif" | b"clp" | b"djf" | b"gnf" | b"jpy" | b"kmf" | b"krw" | b"mga" | b"pyg" | b"rwf"
            | b"vnd" | b"vuv" | b"xaf" | b"xof" | b"xpf" => 0,
            b"bhd" | b"jod" | b"kwd" | b"omr" | b"tnd" => 3,
            _ => 2,
        }
    }

    /// What an amount has to be a multiple of, in minor units
    /// (<https://docs.stripe.com/currencies#special-cases>, <https://docs.stripe.com/currencies#three-decimal>):
    /// the last of three decimals is always 0, and so are both of the two that `isk` and `ugx` do not have.
    pub const fn step(self) -> u64 {
        match &self.0 {
            b"isk" | b"ugx" => 100,
            b"bhd" | b"jod" | b"kwd" | b"omr" | b"tnd" => 10,
            _ => 1,
        }
    }

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

    /// Whether the provider can charge this amount. Sums and multiples of amounts that it can charge have
    /// the same step: only their size has to be looked at again.
    pub const fn check_chargeable(self) -> Result<(), Unchargeable> {
        let (currency, step) = (self.currency, self.currency.step());
        match self.amount {
            0 => Err(Unchargeable::Nothing),
            amount if amount > AMOUNT_MAX => Err(Unchargeable::TooLarge),
            amount if !amount.is_multiple_of(step) => Err(Unchargeable::Uneven { currency, step }),
            _ => Ok(()),
        }
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

#[cfg(test)]
mod tests;
