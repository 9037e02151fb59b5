//! How many waiting shoppers to call next: the least of all bounds, and its name.
//!
//! Bounds are counted in thousandths of a *claim*, because a call is only a chance of a claim:
//! where one in two called shoppers turns up, a free slot is worth two calls. What has been
//! called but not claimed yet counts against every bound, for a few seconds only, so that
//! no-shows and numbers that belong to nobody idle capacity for seconds and not for minutes.

use crate::{DropRules, Phase, QueueingMethod, StockLevel, StockState};

/// The show rate is never believed to be below this, so that a run of no-shows cannot make one
/// free slot call more than twenty shoppers at once.
pub const SHOW_PER_MILLE_MIN: u32 = 50;

/// What bounds the outflow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bound {
    /// The phase calls nobody: not started, draining, sold out or over.
    Phase,
    /// An operator holds the queue.
    Paused,
    /// Nobody waits.
    QueueEmpty,
    /// Those inside will take what is left.
    Stock,
    /// The room is full.
    Sessions,
    /// Orders would pile up for longer than a reservation is held.
    Backlog,
    /// The upstream shows errors or is slow.
    Upstream,
    /// New shoppers per minute.
    Rate,
}

/// What the rest of the house measures and the queue cannot know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Readings {
    /// Units of the drop; none where the drop sells nothing.
    pub stock: Option<StockLevel>,
    /// Units per order as measured, in thousandths.
    pub units_per_order_per_mille: u32,
    /// Admitted shoppers who order, in thousandths of all.
    pub conversion_per_mille: u32,
    /// Accepted orders that are not at an end yet.
    pub order_backlog: u64,
    /// Orders taken to payment per minute; none where nothing is drained.
    pub drain_per_minute: Option<u64>,
    /// Share of the pace the upstream can bear, in thousandths, from [`crate::health::Health`].
    pub health_per_mille: u32,
}

/// What the queue itself knows at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Shoppers known to wait, not called yet.
    pub waiting: u64,
    /// Active sessions.
    pub active: u64,
    /// Active sessions that may still order: they have not, and were not told that nothing is left.
    pub undecided: u64,
    /// Claims that still count against the rolling minute.
    pub claims_last_minute: u64,
    /// Called lately and not claimed yet.
    pub pending_calls: u64,
    /// Came and met a full room, and are expected back.
    pub returning: u64,
    /// Called shoppers who turn up, in thousandths.
    pub show_per_mille: u32,
    /// What smooth pacing allows now, in thousandths of a claim.
    pub pace_milli_claims: u64,
}

/// How many to call, and why not more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outflow {
    /// Waiting shoppers to call now.
    pub calls: u64,
    /// The bound that allows the least.
    pub bound: Bound,
}

impl Default for Readings {
    /// Nothing for sale, nothing behind, a healthy upstream: only the drop's own limits bind.
    fn default() -> Self {
        Self {
            stock: None,
            units_per_order_per_mille: 1_000,
            conversion_per_mille: 600,
            order_backlog: 0,
            drain_per_minute: None,
            health_per_mille: 1_000,
        }
    }
}

impl Readings {
    /// Whether anything is left to sell. A drop that sells nothing never sells out.
    pub fn stock_state(&self) -> StockState {
        match self.stock {
            Some(level) if level.is_gone() => StockState::SoldOut,
            Some(_) | None => StockState::Left,
        }
    }
}

impl Bound {
    /// Every bound, in the order in which ties are broken: the more lasting reason first.
    pub const ALL: [Self; 8] = [
        Self::Phase,
        Self::Paused,
        Self::QueueEmpty,
        Self::Stock,
        Self::Sessions,
        Self::Backlog,
        Self::Upstream,
        Self::Rate,
    ];

    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Paused => "paused",
            Self::QueueEmpty => "queue_empty",
            Self::Stock => "stock",
            Self::Sessions => "sessions",
            Self::Backlog => "backlog",
            Self::Upstream => "upstream",
            Self::Rate => "rate",
        }
    }
}

impl Outflow {
    /// The least of all bounds.
    pub fn decide(phase: Phase, rules: &DropRules, room: &Room, readings: &Readings) -> Self {
        match phase {
            Phase::Open => {}
            Phase::Paused => {
                return Self {
                    calls: 0,
                    bound: Bound::Paused,
                };
            }
            Phase::Scheduled | Phase::Prequeue | Phase::Draining | Phase::SoldOut | Phase::Ended => {
                return Self {
                    calls: 0,
                    bound: Bound::Phase,
                };
            }
        }
        if rules.method == QueueingMethod::Passthrough {
            return Self {
                calls: room.waiting,
                bound: Bound::QueueEmpty,
            };
        }
        let allowed = |bound| Self {
            calls: room.calls_within(bound, rules, readings),
            bound,
        };
        Bound::ALL
            .into_iter()
            .map(allowed)
            .min_by_key(|o| (o.calls, o.bound))
            .unwrap_or(Self {
                calls: 0,
                bound: Bound::Phase,
            })
    }
}

impl Room {
    /// Slots free of `slots` beyond those that the called are expected to take, in thousandths.
    pub fn free_slots(&self, slots: u32) -> u64 {
        self.less_coming(u64::from(slots).saturating_sub(self.active))
    }

    /// Calls that come to so many thousandths of a claim.
    pub fn calls_for(&self, milli_claims: u64) -> u64 {
        milli_claims.checked_div(self.show()).unwrap_or(0)
    }

    fn show(&self) -> u64 {
        u64::from(self.show_per_mille.clamp(SHOW_PER_MILLE_MIN, 1_000))
    }

    /// What is left of so many claims once the called have come, in thousandths.
    fn less_coming(&self, claims: u64) -> u64 {
        let pending = self.pending_calls.saturating_mul(self.show());
        let coming = pending.saturating_add(self.returning.saturating_mul(1_000));
        claims.saturating_mul(1_000).saturating_sub(coming)
    }

    /// Calls that one bound alone would allow; bounds that do not apply allow everything.
    fn calls_within(&self, bound: Bound, rules: &DropRules, readings: &Readings) -> u64 {
        let milli_claims = match bound {
            Bound::Phase | Bound::Paused => return u64::MAX,
            Bound::QueueEmpty => return self.waiting,
            Bound::Stock => match readings.stock {
                None => return u64::MAX,
                Some(level) => {
                    self.less_coming(buyers_for(level, rules, readings).saturating_sub(self.undecided))
                }
            },
            Bound::Sessions => self.free_slots(rules.limits.total_active_users),
            Bound::Backlog => match readings.drain_per_minute {
                None => return u64::MAX,
                Some(drain) => self.less_coming(
                    orders_cleared_in_time(drain, rules)
                        .saturating_sub(readings.order_backlog)
                        .saturating_sub(self.undecided),
                ),
            },
            Bound::Upstream if readings.health_per_mille >= 1_000 => return u64::MAX,
            Bound::Upstream => self.pace_milli_claims,
            Bound::Rate => {
                let limit = u64::from(rules.limits.new_users_per_minute);
                self.less_coming(limit.saturating_sub(self.claims_last_minute))
                    .min(self.pace_milli_claims)
            }
        };
        self.calls_for(milli_claims)
    }
}

/// Shoppers the free units are good for. Rounded up: the last single unit is worth a shopper.
fn buyers_for(level: StockLevel, rules: &DropRules, readings: &Readings) -> u64 {
    let units = u128::from(level.available).saturating_mul(u128::from(rules.overbooking_per_mille));
    let per_order = u128::from(readings.units_per_order_per_mille.max(1));
    u64::try_from(units.div_ceil(per_order)).unwrap_or(u64::MAX)
}

/// Orders that the drain clears while a reservation is held.
fn orders_cleared_in_time(drain_per_minute: u64, rules: &DropRules) -> u64 {
    drain_per_minute
        .saturating_mul(rules.reserve_for.as_millis())
        .checked_div(60_000)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
