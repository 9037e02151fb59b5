//! Kills the gateway at random moments of a drop and starts it again on the same address.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use sandbox::crowd::{Counts, Progress};
use tokio::time::Instant;

use crate::house::House;
use crate::random::Random;

/// From serving again to the next kill, in milliseconds.
const MOMENTS_MS: RangeInclusive<u64> = 50..=1_500;
/// One kill in so many does not wait until the gateway serves: it strikes while it opens.
const OPENING_ONE_IN: u64 = 5;
/// How far into its start such a kill strikes, in milliseconds.
const OPENING_MS: RangeInclusive<u64> = 0..=150;
/// How long to wait for a part of the drop to begin before going on without.
const BEGINS_WITHIN: Duration = Duration::from_secs(25);

/// The parts of a drop, by what may be lost in them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    /// Places are taken.
    Prequeue,
    /// The draw is held, the first are called and let in.
    Opening,
    /// Units are reserved, payments are under way.
    Selling,
    /// The last orders come to their end.
    Settling,
}

/// How many kills each part gets.
pub(crate) type Plan = [(Part, u32)];

/// One kill: when, counted from the first, and in which part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) part: Part,
    pub(crate) seen: Counts,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, seen } = self;
        write!(
            f,
            "{part:?}: {} joined, {} admitted, {} accepted, {} paid",
            seen.joined, seen.admitted, seen.accepted, seen.paid
        )
    }
}

/// Carries the plan out; the gateway serves when it returns.
pub(crate) async fn fire(
    house: &mut House,
    crowd: &Progress,
    plan: &Plan,
    random: &mut Random,
) -> anyhow::Result<Vec<Kill>> {
    let mut kills = Vec::new();
    for (part, count) in plan {
        begins(*part, house, crowd).await;
        for _ in 0..*count {
            tokio::time::sleep(Duration::from_millis(random.within(MOMENTS_MS))).await;
            house.kill()?;
            kills.push(Kill {
                part: *part,
                seen: crowd.counts(),
            });
            house.start()?;
            if random.within(1..=OPENING_ONE_IN) == 1 {
                tokio::time::sleep(Duration::from_millis(random.within(OPENING_MS))).await;
                house.kill()?;
                kills.push(Kill {
                    part: *part,
                    seen: crowd.counts(),
                });
                house.start()?;
            }
            house.serves().await?;
        }
    }
    Ok(kills)
}

/// Waits until a part of the drop has begun, as the shoppers see it.
async fn begins(part: Part, house: &House, crowd: &Progress) {
    let until = Instant::now() + BEGINS_WITHIN;
    let stock = u64::from(house.terms.stock);
    let has_begun = || {
        let seen = crowd.counts();
        match part {
            Part::Prequeue => true,
            Part::Opening => house.opens_in() <= Duration::from_millis(500),
            Part::Selling => seen.accepted * 10 >= stock,
            Part::Settling => seen.sold_out > 0 || seen.accepted >= stock,
        }
    };
    while !has_begun() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
