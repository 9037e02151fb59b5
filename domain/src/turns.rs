//! One rate that many processes share: each asks for a few turns ahead and takes them at their times.
//!
//! This is the generic cell rate algorithm over blocks. A lane remembers until when its turns are given away; a block
//! begins at that instant and one interval, or now, whichever is later. Time that nobody used is never saved up.
//!
//! **The bound.** Within any second at most `rate` turns and a tenth of it, and one, are taken, whoever takes them: turns
//! stand at least one interval apart, and each is taken within a tenth of a second after its time. Whoever is further away
//! from the lane than that says so ([`Ask::late`]); its block then keeps the lane for as much longer, so that a block that
//! is taken late is over before the next one begins.

/// Microseconds: an instant on the clock of whoever keeps the lane, or a length of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Micros(pub u64);

/// One second.
const SECOND: Micros = Micros(1_000_000);
/// How long after its time a turn may be taken without paying for it: a tenth of a second's worth of turns.
pub const SLACK: Micros = Micros(100_000);
/// Most that one block may hold: a process that dies with a block in hand wastes no more than that.
pub const BLOCK: Micros = Micros(250_000);
/// How far ahead a block may begin. Turns given away cannot be taken back when the provider asks for less, and whoever
/// holds a turn far ahead does not see a new rate.
pub const AHEAD_MAX: Micros = Micros(500_000);
/// The farthest that anybody may be from the lane.
pub const LATE_MAX: Micros = Micros(10_000_000);
/// The longest that a lane is held back.
pub const HOLD_MAX: Micros = Micros(60_000_000);
/// How long a lowered rate stays before it takes a step back up.
const RECOVERY_STEP: Micros = Micros(5_000_000);
/// A tenth of the configured rate is regained per step: from half speed back to full in 25 s.
const RECOVERY_PARTS: u32 = 10;

/// What is remembered of a rate that is shared. The default is a lane that nobody has used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The time of the last turn that was given away, or the end of what a late block keeps.
    pub last: Micros,
    /// Turns per second since somebody was told to give way; [`Self::FULL`] where nobody was.
    pub in_force: u32,
    /// When `in_force` last changed.
    pub changed: Micros,
    /// No turn is before this instant.
    pub not_before: Micros,
}

/// What somebody asks of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Turns per second as configured; 0 counts as 1.
    pub per_second: u32,
    /// Turns that can be used at once; 0 counts as 1. At most [`BLOCK`]'s worth is given, and never less than one.
    pub turns: u32,
    /// How long after its time a turn may come to be taken, because the answer is on its way for so long.
    pub late: Micros,
}

/// What a lane answers. Times are counted from the instant at which it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// Turns to be taken, each at its time or shortly after, else not at all.
    Granted(Block),
    /// Nothing yet: others have turns until then.
    Later {
        /// Ask again in so long.
        ask_in: Micros,
    },
}

/// Turns of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The first turn comes in so long.
    pub first_in: Micros,
    /// Then one turn per interval.
    pub interval: Micros,
    /// So many turns in all.
    pub turns: u32,
}

impl Micros {
    /// The sum, or the greatest value there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or nothing where `other` is greater.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times as long.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count as u64))
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            last: Micros(0),
            in_force: Self::FULL,
            changed: Micros(0),
            not_before: Micros(0),
        }
    }
}

impl Lane {
    /// Nobody was told to give way: what is configured is in force.
    pub const FULL: u32 = u32::MAX;

    /// Turns per second in force, where `per_second` is configured.
    pub fn rate(&self, per_second: u32) -> u32 {
        self.in_force.min(per_second.max(1)).max(1)
    }

    /// Gives turns away, or says when to ask again. The lane is to be kept as it comes back in both cases.
    #[must_use]
    pub fn lease(self, now: Micros, ask: Ask) -> (Self, Lease) {
        let lane = self.sane(now).recovered(now, ask.per_second);
        let rate = lane.rate(ask.per_second);
        let interval = interval(rate);
        let first = lane.last.plus(interval).max(now).max(lane.not_before);
        let wait = first.minus(now);
        if wait > AHEAD_MAX {
            let ask_in = wait.minus(AHEAD_MAX);
            return (lane, Lease::Later { ask_in });
        }
        let fit = BLOCK.0.checked_div(interval.0).unwrap_or(1);
        let fit = u32::try_from(fit).unwrap_or(u32::MAX);
        let turns = ask.turns.min(fit).max(1);
        let last = first.plus(interval.times(turns.saturating_sub(1)));
        let kept = ask.late.min(LATE_MAX).minus(SLACK);
        let block = Block {
            first_in: wait,
            interval,
            turns,
        };
        let last = last.plus(kept);
        (Self { last, ..lane }, Lease::Granted(block))
    }

    /// Gives way: halves the rate in force, at most once a second, and keeps everybody away for `hold`.
    #[must_use]
    pub fn slowed(self, now: Micros, per_second: u32, hold: Micros) -> Self {
        let lane = self.sane(now).recovered(now, per_second);
        let rate = lane.rate(per_second);
        let not_before = lane.not_before.max(now.plus(hold.min(HOLD_MAX)));
        let halves = lane.in_force == Self::FULL || now.minus(lane.changed) >= SECOND;
        let (in_force, changed) = if halves {
            ((rate / 2).max(1), now)
        } else {
            (lane.in_force, lane.changed)
        };
        Self {
            in_force,
            changed,
            not_before,
            ..lane
        }
    }

    /// Where the clock was set back, instants lie further ahead than any that is ever written: the lane would stand still
    /// until the clock has caught up. What was given away before lies no further ahead than this.
    fn sane(self, now: Micros) -> Self {
        let given_away = now.plus(AHEAD_MAX).plus(BLOCK).plus(LATE_MAX);
        Self {
            last: self.last.min(given_away),
            changed: self.changed.min(now),
            not_before: self.not_before.min(now.plus(HOLD_MAX)),
            ..self
        }
    }

    fn recovered(self, now: Micros, per_second: u32) -> Self {
        let configured = per_second.max(1);
        if self.in_force >= configured {
            return Self {
                in_force: Self::FULL,
                ..self
            };
        }
        let steps = now.minus(self.changed).0 / RECOVERY_STEP.0;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        let step = (configured / RECOVERY_PARTS).max(1);
        let in_force = self.in_force.saturating_add(step.saturating_mul(steps));
        let changed = self.changed.plus(RECOVERY_STEP.times(steps));
        let in_force = if in_force >= configured {
            Self::FULL
        } else {
            in_force
        };
        Self {
            in_force,
            changed,
            ..self
        }
    }
}

/// The distance of two turns, rounded up: rather a little slower than too fast.
fn interval(rate: u32) -> Micros {
    Micros(SECOND.0.div_ceil(u64::from(rate.max(1))))
}

#[cfg(test)]
mod tests;
