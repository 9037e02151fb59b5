//! How fast slots come free, learnt from sessions that ended and from those that have not.
//!
//! The mean of the sessions that ended would be too short while the first ones still run: who
//! ends first was quick. So what is counted is the time that all sessions ran, ended or not,
//! over the number of those that ended.

use crate::{Span, Timestamp};

/// Fewer endings than this say nothing.
const ENDED_MIN: u64 = 3;
/// Nor does less than this part of a full room: the first to end are not like the rest.
const TELLING_PART: u64 = 8;
/// At least so many endings are remembered, however small the room.
const REMEMBERED_MIN: u64 = 64;

/// Endings and running time, lately.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Turnover {
    ended: u64,
    ran: Span,
    looked_at: Timestamp,
}

/// What a full room's turnover comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotTime {
    /// From one slot that comes free to the next, in microseconds.
    pub micros: u64,
    /// How far this may be off, in thousandths of it: one in the root of the endings seen.
    pub doubt_per_mille: u64,
}

impl Turnover {
    /// A count as it was kept elsewhere: endings, the time that sessions ran, and when that was last looked at.
    pub fn restore(ended: u64, ran: Span, looked_at: Timestamp) -> Self {
        Self {
            ended,
            ran,
            looked_at,
        }
    }

    /// Notes that `running` sessions ran from the last look until `now`.
    pub fn pass(&mut self, running: u64, now: Timestamp) {
        self.ran = self.ran + now.since(self.looked_at).saturating_mul(running);
        self.skip(now);
    }

    /// Notes that no session ran from the last look until `now`.
    pub fn skip(&mut self, now: Timestamp) {
        self.looked_at = self.looked_at.max(now);
    }

    /// Notes that a session of a room with `slots` ended. What lies two full rooms back counts
    /// half: less memory would take one wave of departures for the tide.
    pub fn note_ended(&mut self, slots: u32) {
        self.ended = self.ended.saturating_add(1);
        if self.ended >= u64::from(slots).saturating_mul(2).max(REMEMBERED_MIN) {
            self.ended /= 2;
            self.ran = Span::from_millis(self.ran.as_millis() / 2);
        }
    }

    /// The turnover of a room with all its `slots` taken; none while too few sessions ended.
    pub fn slot_time(&self, slots: u32) -> Option<SlotTime> {
        let slots = u64::from(slots);
        if slots == 0 || self.ended < ENDED_MIN || self.ended.saturating_mul(TELLING_PART) < slots {
            return None;
        }
        let ran = u128::from(self.ran.as_millis()).saturating_mul(1_000);
        let micros = ran.checked_div(u128::from(self.ended).saturating_mul(u128::from(slots)))?;
        Some(SlotTime {
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
            doubt_per_mille: 1_000_000_u64.checked_div(self.ended)?.isqrt(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn nothing_is_said_before_enough_sessions_have_ended() {
        let mut turnover = Turnover::default();
        turnover.skip(at(1_000_000));
        turnover.pass(80, at(1_060_000));
        for _ in 0..9 {
            assert_eq!(turnover.slot_time(80), None);
            turnover.note_ended(80);
        }
        assert_eq!(turnover.slot_time(80), None, "nine of eighty are too few");
        turnover.note_ended(80);
        // Eighty minutes for ten endings: eight minutes each, so one of eighty ends every six seconds.
        let told = SlotTime {
            micros: 6_000_000,
            doubt_per_mille: 316,
        };
        assert_eq!(turnover.slot_time(80), Some(told));
        assert_eq!(turnover.slot_time(0), None);
    }

    #[test]
    fn time_in_which_nobody_could_leave_does_not_count() {
        let mut turnover = Turnover::default();
        turnover.skip(at(5_000));
        turnover.pass(1, at(8_000));
        turnover.skip(at(900_000));
        turnover.pass(1, at(100));
        (0..3).for_each(|_| turnover.note_ended(1));
        assert_eq!(turnover.slot_time(1).map(|told| told.micros), Some(1_000_000));
    }

    proptest! {
        /// A full room whose sessions all last as long: after two rounds what is told is that.
        #[test]
        fn a_steady_room_is_told_as_it_is(slots in 1u32..200, lasts in 1_000u64..600_000, rounds in 2u64..6) {
            let mut turnover = Turnover::default();
            turnover.skip(at(1_000_000));
            let slots_wide = u64::from(slots);
            let mut now = 1_000_000;
            for ending in 0..(rounds * slots_wide).max(ENDED_MIN) {
                let next = 1_000_000 + (ending + 1) * lasts / slots_wide;
                turnover.pass(slots_wide, at(next));
                turnover.note_ended(slots);
                now = next;
            }
            let told = turnover.slot_time(slots).unwrap().micros;
            let truth = lasts * 1_000 / slots_wide;
            prop_assert!(told.abs_diff(truth) <= truth / 20 + 1_000, "told {told}, is {truth}, at {now}");
        }
    }
}
