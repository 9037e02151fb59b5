//! What a waiting shopper is told: how long it takes, and whether units will be left.
//! Both come from measured values; where nothing was measured, nothing is claimed.

use crate::Span;

/// An honest interval until a shopper's turn comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// It will hardly be sooner.
    pub min: Span,
    /// It will hardly be later.
    pub max: Span,
}

/// How likely units remain when a shopper's turn comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Chance {
    /// Nothing is left and nothing can come back.
    Gone,
    /// Units come back only if others give them up.
    Unlikely,
    /// It depends on those ahead.
    Possible,
    /// More units are available than shoppers ahead will take.
    Likely,
}

/// Units of a whole drop, summed over its items.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StockLevel {
    /// Free to reserve.
    pub available: u64,
    /// Held by open reservations and orders: may come back.
    pub reserved: u64,
    /// Sold for good.
    pub sold: u64,
}

/// Half width of the interval, in thousandths of the middle: outflow is measured over the last
/// minute, and within a drop it moves by about a quarter from one minute to the next.
const SPREAD_PER_MILLE: u64 = 250;

/// Least half width: under this the page's own polling interval dominates.
const SPREAD_MIN: Span = Span::from_secs(5);

impl Wait {
    /// The interval for somebody with `ranks_ahead` ranks to go while the frontier passes
    /// `ranks_per_minute`; none where nothing moved lately.
    pub fn estimate(ranks_ahead: u64, ranks_per_minute: Option<u64>) -> Option<Self> {
        let pace = ranks_per_minute.filter(|pace| *pace > 0)?;
        let middle = u128::from(ranks_ahead)
            .saturating_mul(60_000)
            .checked_div(u128::from(pace))?;
        let middle = u64::try_from(middle).unwrap_or(u64::MAX);
        let spread = (middle / 1_000)
            .saturating_mul(SPREAD_PER_MILLE)
            .max(SPREAD_MIN.as_millis());
        let (low, high) = (middle.saturating_sub(spread), middle.saturating_add(spread));
        Some(Self {
            min: Span::from_millis(low),
            max: Span::from_millis(high),
        })
    }

    /// Whether a shopper who waited `actual` was told the truth.
    pub fn holds(&self, actual: Span) -> bool {
        self.min <= actual && actual <= self.max
    }
}

impl StockLevel {
    /// Whether everything is sold and nothing can come back.
    pub fn is_gone(&self) -> bool {
        self.available == 0 && self.reserved == 0
    }
}

impl Chance {
    /// The chance of somebody with `shoppers_ahead`, of whom `conversion_per_mille` buy about
    /// `units_per_order_per_mille` thousandths of a unit each.
    pub fn estimate(
        stock: StockLevel,
        shoppers_ahead: u64,
        conversion_per_mille: u32,
        units_per_order_per_mille: u32,
    ) -> Self {
        if stock.is_gone() {
            return Self::Gone;
        }
        let wanted = u128::from(shoppers_ahead)
            .saturating_mul(u128::from(conversion_per_mille))
            .saturating_mul(u128::from(units_per_order_per_mille))
            .checked_div(1_000_000)
            .unwrap_or(0);
        let (free, held) = (u128::from(stock.available), u128::from(stock.reserved));
        if wanted < free {
            Self::Likely
        } else if wanted < free.saturating_mul(2).saturating_add(held / 4) {
            Self::Possible
        } else {
            Self::Unlikely
        }
    }

    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Unlikely => "unlikely",
            Self::Possible => "possible",
            Self::Likely => "likely",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_moved_means_nothing_promised() {
        assert_eq!(Wait::estimate(10, None), None);
        assert_eq!(Wait::estimate(10, Some(0)), None);
    }

    #[test]
    fn ten_minutes_ahead_is_told_as_an_interval_around_ten_minutes() {
        let wait = Wait::estimate(6_000, Some(600)).unwrap();
        assert_eq!((wait.min, wait.max), (Span::from_secs(450), Span::from_secs(750)));
        assert!(wait.holds(Span::from_mins(10)) && !wait.holds(Span::from_mins(13)));
    }

    #[test]
    fn gone_is_said_only_when_nothing_can_come_back() {
        let held = StockLevel {
            available: 0,
            reserved: 3,
            sold: 97,
        };
        assert_eq!(Chance::estimate(held, 10, 600, 1_000), Chance::Unlikely);
        let sold = StockLevel {
            available: 0,
            reserved: 0,
            sold: 100,
        };
        assert_eq!(Chance::estimate(sold, 0, 600, 1_000), Chance::Gone);
    }

    proptest! {
        #[test]
        fn more_shoppers_ahead_never_improve_the_chance(
            available in 0u64..1_000, reserved in 0u64..1_000, ahead in 0u64..5_000, more in 0u64..5_000,
        ) {
            let stock = StockLevel { available, reserved, sold: 0 };
            let near = Chance::estimate(stock, ahead, 600, 1_200);
            let far = Chance::estimate(stock, ahead + more, 600, 1_200);
            prop_assert!(far <= near);
        }

        #[test]
        fn the_middle_is_always_inside_the_interval(ahead in 0u64..1 << 40, pace in 1u64..1 << 20) {
            let wait = Wait::estimate(ahead, Some(pace)).unwrap();
            let middle = u128::from(ahead) * 60_000 / u128::from(pace);
            prop_assert!(wait.holds(Span::from_millis(u64::try_from(middle).unwrap())));
        }

        #[test]
        fn a_place_further_back_is_never_told_a_shorter_wait(ahead in 0u64..1 << 30, more in 0u64..1 << 30, pace in 1u64..1 << 20) {
            let near = Wait::estimate(ahead, Some(pace)).unwrap();
            let far = Wait::estimate(ahead + more, Some(pace)).unwrap();
            prop_assert!(near.max <= far.max && near.min <= far.min.max(near.min));
        }

        #[test]
        fn enough_for_everybody_ahead_is_likely(available in 1u64..10_000, ahead in 0u64..10_000) {
            prop_assume!(ahead < available);
            let stock = StockLevel { available, reserved: 0, sold: 0 };
            prop_assert_eq!(Chance::estimate(stock, ahead, 1_000, 1_000), Chance::Likely);
        }
    }
}
