//! Where a drop stands: a function of its schedule, the operator's hand, its stock and `now`.

use crate::Timestamp;

/// When a drop opens and closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Joining begins. Equal to `event_start` where there is no pre-queue.
    pub prequeue_start: Timestamp,
    /// Calling begins.
    pub event_start: Timestamp,
    /// Everything ends, where an end is set.
    pub event_end: Option<Timestamp>,
}

/// What the operator has asked for. Survives a restart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches, each a verb of the admin API"
)]
pub struct Control {
    /// Nobody is called or let in; those inside go on.
    pub paused: bool,
    /// Nobody joins or is called; those already called may still come in.
    pub draining: bool,
    /// The drop is over.
    pub ended: bool,
    /// Everybody is held at the door, those already admitted included. Sessions are kept.
    pub queue_all: bool,
}

/// Whether anything is left to sell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum StockState {
    /// Units are available, or held at checkout and may come back.
    #[default]
    Left,
    /// Every unit is sold and none is held.
    SoldOut,
}

/// Where a drop stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Before anybody may join.
    Scheduled,
    /// Shoppers gather; nobody is called.
    Prequeue,
    /// Shoppers are called.
    Open,
    /// Held by an operator; every place is kept and no time runs against anybody.
    Paused,
    /// Running out: the called may come in, nobody else is called.
    Draining,
    /// All units are sold.
    SoldOut,
    /// Over.
    Ended,
}

impl Schedule {
    /// No start and no end: the drop is open whenever the gateway runs.
    pub const ALWAYS: Self = Self {
        prequeue_start: Timestamp::EPOCH,
        event_start: Timestamp::EPOCH,
        event_end: None,
    };
}

impl Phase {
    /// Every phase, in the order in which a drop goes through them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Prequeue,
        Self::Open,
        Self::Paused,
        Self::Draining,
        Self::SoldOut,
        Self::Ended,
    ];

    /// The phase at `now`. What is final outranks what may change again: an ended drop is ended
    /// though it is also paused.
    pub fn at(schedule: &Schedule, control: Control, stock: StockState, now: Timestamp) -> Self {
        if control.ended || schedule.event_end.is_some_and(|end| now >= end) {
            Self::Ended
        } else if now < schedule.event_start {
            if now < schedule.prequeue_start {
                Self::Scheduled
            } else {
                Self::Prequeue
            }
        } else if stock == StockState::SoldOut {
            Self::SoldOut
        } else if control.paused || control.queue_all {
            Self::Paused
        } else if control.draining {
            Self::Draining
        } else {
            Self::Open
        }
    }

    /// Whether a shopper may take a place in the queue.
    pub fn admits_joining(self) -> bool {
        match self {
            Self::Prequeue | Self::Open | Self::Paused => true,
            Self::Scheduled | Self::Draining | Self::SoldOut | Self::Ended => false,
        }
    }

    /// The word used in the API, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Prequeue => "prequeue",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::SoldOut => "sold_out",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule() -> Schedule {
        Schedule {
            prequeue_start: Timestamp::from_millis(100),
            event_start: Timestamp::from_millis(200),
            event_end: Some(Timestamp::from_millis(300)),
        }
    }

    fn at(control: Control, stock: StockState, millis: u64) -> Phase {
        Phase::at(&schedule(), control, stock, Timestamp::from_millis(millis))
    }

    #[test]
    fn the_clock_alone_walks_from_scheduled_to_ended() {
        use Phase::{Ended, Open, Prequeue, Scheduled};
        let walk = [99, 100, 199, 200, 299, 300].map(|t| at(Control::default(), StockState::Left, t));
        assert_eq!(walk, [Scheduled, Prequeue, Prequeue, Open, Open, Ended]);
    }

    #[test]
    fn no_prequeue_means_scheduled_until_the_start() {
        let schedule = Schedule {
            prequeue_start: schedule().event_start,
            ..schedule()
        };
        let phase = Phase::at(
            &schedule,
            Control::default(),
            StockState::Left,
            Timestamp::from_millis(199),
        );
        assert_eq!(phase, Phase::Scheduled);
    }

    #[test]
    fn always_is_open_at_any_time() {
        for now in [Timestamp::EPOCH, Timestamp::from_millis(u64::MAX / 2)] {
            assert_eq!(
                Phase::at(&Schedule::ALWAYS, Control::default(), StockState::Left, now),
                Phase::Open
            );
        }
    }

    #[test]
    fn sold_out_is_said_even_while_paused() {
        let control = Control {
            paused: true,
            ..Control::default()
        };
        assert_eq!(at(control, StockState::SoldOut, 250), Phase::SoldOut);
        assert_eq!(at(control, StockState::Left, 250), Phase::Paused);
    }

    fn control() -> impl Strategy<Value = Control> {
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(paused, draining, ended, queue_all)| Control {
                paused,
                draining,
                ended,
                queue_all,
            },
        )
    }

    proptest! {
        #[test]
        fn an_ended_drop_stays_ended(c in control(), early in 0u64..400, later in 0u64..400) {
            let (early, later) = (early.min(later), early.max(later));
            if at(c, StockState::Left, early) == Phase::Ended {
                prop_assert_eq!(at(c, StockState::Left, later), Phase::Ended);
            }
        }

        #[test]
        fn open_needs_every_hand_off_the_lever(c in control(), t in 0u64..400) {
            let open = at(c, StockState::Left, t) == Phase::Open;
            let free = c == Control::default() && (200..300).contains(&t);
            prop_assert_eq!(open, free);
        }

        #[test]
        fn before_the_start_nothing_but_the_end_outranks_the_clock(c in control(), t in 0u64..200) {
            let phase = at(c, StockState::SoldOut, t);
            let expected = if c.ended { Phase::Ended } else if t < 100 { Phase::Scheduled } else { Phase::Prequeue };
            prop_assert_eq!(phase, expected);
        }
    }
}
