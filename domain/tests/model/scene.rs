//! What a run of the model checker is about: which cards, how many units, how many faults, and which mistake, if any.

use domain::ShopperKey;
use domain::saga::PaymentMethod;

use super::mutation::Mutation;

/// How a shopper's card behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Card {
    /// Authorised at once.
    Good,
    /// Refused at once.
    Bad,
    /// The shopper has to confirm with their bank (3-D Secure); who fails may try another card in their own browser.
    Secure,
    /// The provider works on it for a while, then authorises or refuses it.
    Slow,
}

/// The terms of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// What each of the two orders is paid with.
    pub(crate) cards: [Card; 2],
    /// Orders that may be placed: two, or the first alone.
    pub(crate) orders: usize,
    /// Whose orders they are.
    pub(crate) shoppers: [u8; 2],
    /// Units there are; each order wants one.
    pub(crate) units: u32,
    /// Faults that may happen in all, of any kind.
    pub(crate) faults: u8,
    /// Whether an operator may refund paid orders.
    pub(crate) refunds: bool,
    /// The mistake.
    pub(crate) mutation: Option<Mutation>,
}

/// Units over all live orders that one shopper may have.
pub(crate) const PER_SHOPPER: usize = 1;

impl Scene {
    /// Two shoppers who pay with `cards` and want the only unit.
    pub(crate) const fn last_unit(cards: [Card; 2], faults: u8) -> Self {
        Self {
            cards,
            orders: 2,
            shoppers: [1, 2],
            units: 1,
            faults,
            refunds: false,
            mutation: None,
        }
    }

    /// One shopper alone in the shop, who pays with `card`.
    pub(crate) const fn alone(card: Card, faults: u8) -> Self {
        Self {
            orders: 1,
            ..Self::last_unit([card, card], faults)
        }
    }

    pub(crate) fn shopper(&self, order: usize) -> ShopperKey {
        ShopperKey([self.shoppers[order]; 16])
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

impl Card {
    pub(crate) fn method(self) -> PaymentMethod {
        PaymentMethod::new(self.name()).expect("a short name")
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Good => "pm_good",
            Self::Bad => "pm_bad",
            Self::Secure => "pm_secure",
            Self::Slow => "pm_slow",
        }
    }

    /// The card behind a payment method.
    pub(crate) fn of(method: &PaymentMethod) -> Self {
        let all = [Self::Good, Self::Bad, Self::Secure, Self::Slow];
        let card = all.into_iter().find(|card| card.name() == method.as_str());
        card.expect("a card of this model")
    }
}
