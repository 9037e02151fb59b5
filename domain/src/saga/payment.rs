//! A payment as the provider last described it.

use alloc::sync::Arc;
use core::fmt;

use super::attempt::KeySpace;
use crate::{DropId, Money, OrderId};

/// Longest name the provider may give to anything, in bytes (its documented limit for object ids).
pub const PROVIDER_NAME_BYTES_MAX: usize = 255;

macro_rules! provider_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks that `text` is 1 to 255 printable ASCII characters without space, as all such names are.
            pub fn new(text: &str) -> Result<Self, InvalidProviderName> {
                let fits = (1..=PROVIDER_NAME_BYTES_MAX).contains(&text.len());
                if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidProviderName { what: $what })
                }
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

provider_name! {
    /// Names a payment at the provider (`pi_…`).
    PaymentId, "payment id"
}
provider_name! {
    /// Names what the shopper pays with (`pm_…`). A token of the provider's: no card number ever passes us.
    PaymentMethod, "payment method"
}
provider_name! {
    /// Lets the shopper's own browser finish one payment. Secret towards everybody else, hence never printed.
    ClientSecret, "client secret"
}
provider_name! {
    /// The provider's short word for why it refused (`insufficient_funds`).
    Reason, "reason"
}

/// The text cannot be a name given by the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a {what} is 1 to {PROVIDER_NAME_BYTES_MAX} printable ASCII characters without space")]
pub struct InvalidProviderName {
    /// What was being named.
    pub what: &'static str,
}

/// How far a payment has come at the provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PaymentStatus {
    /// The method was refused; the payment waits for another one, which we never give it.
    RequiresMethod,
    /// Created, not confirmed.
    RequiresConfirmation,
    /// The shopper has to prove that it is them (3-D Secure).
    RequiresAction,
    /// The provider is still working on it.
    Processing,
    /// Authorised: the amount can be captured.
    RequiresCapture,
    /// Captured.
    Succeeded,
    /// Given up, by us or because the authorisation expired. Nothing more can happen to it.
    Cancelled,
}

/// One payment object, as last answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Payment {
    /// Its name.
    pub id: PaymentId,
    /// The drop in its metadata.
    pub drop: DropId,
    /// The order in its metadata.
    pub order: OrderId,
    /// The key space in its metadata; the first where it names none.
    pub space: KeySpace,
    /// The authorisation attempt in its metadata.
    pub n: u32,
    /// How far it has come.
    pub status: PaymentStatus,
    /// What it is for in all.
    pub amount: Money,
    /// Minor units that can be captured now.
    pub capturable: u64,
    /// Minor units captured.
    pub captured: u64,
    /// Minor units given back.
    pub refunded: u64,
    /// For the shopper's browser.
    pub client_secret: Option<ClientSecret>,
    /// Why the last method was refused.
    pub decline: Option<Reason>,
}

impl Payment {
    /// Whether money may still be taken or is held: the provider can neither forget it nor has finished with it.
    pub fn is_open(&self) -> bool {
        match self.status {
            PaymentStatus::Cancelled | PaymentStatus::Succeeded => false,
            PaymentStatus::RequiresMethod
            | PaymentStatus::RequiresConfirmation
            | PaymentStatus::RequiresAction
            | PaymentStatus::Processing
            | PaymentStatus::RequiresCapture => true,
        }
    }

    /// Whether captured money is still with the merchant.
    pub fn is_kept(&self) -> bool {
        self.status == PaymentStatus::Succeeded && self.refunded < self.captured
    }
}

impl fmt::Debug for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentId({})", self.0)
    }
}

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(…)")
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reason({})", self.0)
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
