//! What a waiting shopper is told: how long it takes, and whether units will be left.
//! Both come from measured values; where nothing was measured, nothing is claimed.

use crate::calls::Speed;
use crate::turnover::{SlotTime, Turnover};
use crate::{Room, Span};

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

/// What is known of how fast a queue moves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flow {
    /// How fast it moved over the last minute; none where it did not.
    pub speed: Option<Speed>,
    /// Calls until every slot is taken.
    pub free_calls: u64,
    /// Whether nearly every slot is taken: from now on the queue moves as sessions end.
    pub is_full: bool,
    /// From one call to the next in a full room; none while too few sessions have ended to tell.
    pub turnover: Option<SlotTime>,
}

impl Flow {
    /// The flow of a room with so many `slots`.
    pub fn of(speed: Option<Speed>, room: &Room, turnover: &Turnover, slots: u32) -> Self {
        let free = room.free_slots(slots);
        let claims = |calls: u64| calls.saturating_mul(u64::from(room.show_per_mille));
        let turnover = turnover.slot_time(slots).map(|slot| SlotTime {
            micros: claims(slot.micros) / 1_000,
            ..slot
        });
        Self {
            speed,
            free_calls: room.calls_for(free),
            // A slot that came free a moment ago is not room: the next tick calls somebody for it.
            is_full: free.saturating_mul(20) <= u64::from(slots).saturating_mul(1_000),
            turnover,
        }
    }
}

/// Half width of the interval, in thousandths of the middle: outflow is measured over the last
/// minute, and within a drop it moves by about a quarter from one minute to the next.
const SPREAD_PER_MILLE: u64 = 250;

/// Least half width: under this the page's own polling interval dominates.
const SPREAD_MIN: Span = Span::from_secs(5);

impl Wait {
    /// The interval for somebody with `ranks_ahead` ranks to go; none where nothing moved lately.
    ///
    /// The pace of the last minute holds only as long as there are free slots: a room that fills
    /// does so much faster than it empties. For whoever is called after that it takes as long as
    /// sessions take to end, and where nobody knows yet how long, nothing is said. In a full room
    /// sessions end in waves, and both the last minute and the long run may be what comes.
    pub fn estimate(ranks_ahead: u64, flow: &Flow) -> Option<Self> {
        let speed = flow.speed.filter(|speed| speed.ranks_per_minute > 0)?;
        let by_speed = muldiv(ranks_ahead, 60_000, speed.ranks_per_minute);
        let calls_ahead = muldiv(ranks_ahead, speed.calls_per_minute, speed.ranks_per_minute);
        let measured = Self::around(by_speed, by_speed, SPREAD_PER_MILLE);
        let beyond = calls_ahead.saturating_sub(flow.free_calls);
        if beyond == 0 && (flow.turnover.is_none() || !flow.is_full) {
            return Some(measured);
        }
        let turn = flow.turnover?;
        let doubt = turn.doubt_per_mille.saturating_add(SPREAD_PER_MILLE);
        if flow.is_full {
            let by_slots = muldiv(calls_ahead, turn.micros, 1_000);
            Some(Self::around(
                by_speed.min(by_slots),
                by_speed.max(by_slots),
                doubt,
            ))
        } else {
            let by_slots = muldiv(beyond, turn.micros, 1_000);
            let longer = by_speed.max(by_slots);
            let Self { min, max } = Self::around(longer, longer, doubt);
            // Whoever is called before the room is full is told no less.
            Some(Self {
                min: min.max(measured.min),
                max,
            })
        }
    }

    /// From `low` to `high` milliseconds, and a part of each more.
    fn around(low: u64, high: u64, spread_per_mille: u64) -> Self {
        let spread = |middle: u64| muldiv(middle, spread_per_mille, 1_000).max(SPREAD_MIN.as_millis());
        Self {
            min: Span::from_millis(low.saturating_sub(spread(low))),
            max: Span::from_millis(high.saturating_add(spread(high))),
        }
    }

    /// Whether a shopper who waited `actual` was told the truth.
    pub fn holds(&self, actual: Span) -> bool {
        self.min <= actual && actual <= self.max
    }
}

fn muldiv(value: u64, by: u64, over: u64) -> u64 {
    let product = u128::from(value).saturating_mul(u128::from(by));
    let quotient = product.checked_div(u128::from(over)).unwrap_or(0);
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

impl StockLevel {
    /// Whether everything is sold and nothing can come back.
    pub fn is_gone(&self) -> bool {
        self.available == 0 && self.reserved == 0
    }
}

impl Chance {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Likely, Self::Possible, Self::Unlikely, Self::Gone];

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
mod tests;
