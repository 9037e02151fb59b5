//! What a run is made of: the drop, its shoppers and how much breaks, all drawn from the seed.

use domain::{
    AfterOrder, Currency, DropId, DropRules, Limits, Money, QueueingMethod, Renewal, Schedule, Shuffle, Sku,
    Span, Timestamp,
};

use super::random::Random;

/// The true time at which every run starts, in milliseconds.
pub(crate) const START: u64 = 1_000_000_000;

/// Which kinds of trouble a run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    /// Nothing breaks; shoppers are trouble enough.
    Calm,
    /// Processes die and come back; the broker loses, repeats and reorders.
    Crashes,
    /// The provider is slow, silent, overrun, wrong and late.
    Storm,
    /// The provider answers every read and fails every change.
    WritesFail,
    /// The clock jumps.
    Clock,
    /// All of it, and an operator who changes things.
    Everything,
}

/// How much breaks. Chances are in thousandths, lengths in milliseconds; a mean of 0 means never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash_mean: u64,
    pub(crate) down_max: u64,
    /// All processes are down for most of a day, so that keys age.
    pub(crate) long_night: bool,
    pub(crate) answer_lost: u64,
    pub(crate) message_lost: u64,
    pub(crate) message_twice: u64,
    /// A worker sleeps over its lease in the middle of something.
    pub(crate) stall: u64,
    pub(crate) outage_mean: u64,
    pub(crate) call_dropped: u64,
    pub(crate) call_answer_lost: u64,
    pub(crate) call_late: u64,
    pub(crate) call_limited: u64,
    pub(crate) call_failed_saved: u64,
    pub(crate) call_failed_unsaved: u64,
    /// From then on, in milliseconds from the start, every change fails with a saved error, and reads work.
    pub(crate) writes_fail: bool,
    pub(crate) writes_fail_after: u64,
    pub(crate) webhook_lost: u64,
    pub(crate) webhook_twice: u64,
    pub(crate) authorisation_life: u64,
    pub(crate) jump_mean: u64,
    pub(crate) jump_max: u64,
    pub(crate) operator_mean: u64,
}

/// One SKU of the drop.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) sku: Sku,
    pub(crate) units: u32,
    pub(crate) buckets: u32,
    pub(crate) price: Money,
}

/// Everything about a run that is known before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rules: DropRules,
    pub(crate) items: Vec<Item>,
    pub(crate) shoppers: u64,
    pub(crate) arrivals: u64,
    pub(crate) per_shopper: u32,
    pub(crate) workers: usize,
    /// Milliseconds between two orders taken to payment.
    pub(crate) drain_gap: u64,
    pub(crate) faults: Faults,
    /// When faults stop, in milliseconds from the start.
    pub(crate) calm_after: u64,
}

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Crashes => "crashes",
            Self::Storm => "provider_storm",
            Self::WritesFail => "writes_fail",
            Self::Clock => "clock_jumps",
            Self::Everything => "everything",
        }
    }

    fn faults(self, random: &mut Random) -> Faults {
        match self {
            Self::Calm => Faults {
                webhook_twice: 100,
                ..Faults::default()
            },
            Self::Crashes => Faults {
                webhook_lost: 50,
                ..crashes(random)
            },
            Self::Storm => storm(random),
            Self::WritesFail => Faults {
                writes_fail: true,
                // So that orders meet it at every stage, not at their first call only.
                writes_fail_after: random.pick(&[0, 30_000, 120_000]),
                webhook_lost: random.pick(&[0, 1_000]),
                ..Faults::default()
            },
            Self::Clock => Faults {
                jump_mean: random.between(10_000, 60_000),
                jump_max: random.pick(&[2_000, 60_000, 240_000]),
                crash_mean: random.pick(&[0, 60_000, 120_000]),
                down_max: 30_000,
                call_answer_lost: 30,
                ..Faults::default()
            },
            Self::Everything => {
                let (crashes, storm) = (crashes(random), storm(random));
                Faults {
                    crash_mean: crashes.crash_mean,
                    down_max: crashes.down_max,
                    answer_lost: crashes.answer_lost,
                    message_lost: crashes.message_lost,
                    message_twice: crashes.message_twice,
                    stall: crashes.stall,
                    jump_mean: random.pick(&[0, 45_000]),
                    jump_max: 90_000,
                    operator_mean: random.between(10_000, 60_000),
                    ..storm
                }
            }
        }
    }
}

impl Faults {
    /// Whether the provider answers every call, so that no order has a reason to be parked.
    pub(crate) fn provider_is_well(&self) -> bool {
        let calls = self.call_dropped + self.call_answer_lost + self.call_late + self.call_limited;
        let calls = calls + self.call_failed_saved + self.call_failed_unsaved + self.outage_mean;
        calls == 0 && !self.writes_fail
    }
}

fn crashes(random: &mut Random) -> Faults {
    Faults {
        crash_mean: random.between(5_000, 90_000),
        down_max: random.pick(&[500, 10_000, 90_000]),
        answer_lost: random.between(0, 150),
        message_lost: random.pick(&[0, 50, 400]),
        message_twice: random.pick(&[0, 100, 500]),
        stall: random.pick(&[0, 10, 80]),
        webhook_twice: 200,
        ..Faults::default()
    }
}

fn storm(random: &mut Random) -> Faults {
    Faults {
        outage_mean: random.pick(&[0, 60_000, 240_000]),
        call_dropped: random.between(0, 100),
        call_answer_lost: random.between(0, 200),
        call_late: random.pick(&[0, 30, 150]),
        call_limited: random.pick(&[0, 100, 400]),
        call_failed_saved: random.pick(&[0, 30, 150]),
        call_failed_unsaved: random.pick(&[0, 30, 150]),
        webhook_lost: random.pick(&[0, 300, 1_000]),
        webhook_twice: random.pick(&[0, 500]),
        authorisation_life: random.pick(&[0, 0, 45_000, 120_000]),
        long_night: random.chance(100),
        ..Faults::default()
    }
}

impl Plan {
    pub(crate) fn draw(profile: Profile, random: &mut Random) -> Self {
        let faults = profile.faults(random);
        let count = random.between(1, 3);
        let items = (0..count).map(|index| item(index, random)).collect();
        Self {
            rules: rules(random),
            items,
            shoppers: random.between(6, 36),
            arrivals: random.pick(&[5_000, 90_000, 240_000]),
            per_shopper: random.small(2, 3),
            workers: random.pick(&[1, 2, 3]),
            drain_gap: random.pick(&[50, 500, 3_000]),
            faults,
            calm_after: random.between(180_000, 480_000),
        }
    }
}

fn item(index: u64, random: &mut Random) -> Item {
    let currency = Currency::new("eur").expect("three letters");
    Item {
        sku: Sku::new(&format!("sku-{index}")).expect("a short name"),
        units: random.small(1, 12),
        buckets: random.small(1, 4),
        price: Money::new(random.between(1, 50_000), currency),
    }
}

fn rules(random: &mut Random) -> DropRules {
    let drop = DropId::new("drop").expect("a short name");
    let event_start = Timestamp::from_millis(START + random.pick(&[0, 30_000, 60_000]));
    DropRules {
        schedule: Schedule {
            prequeue_start: Timestamp::EPOCH,
            event_start,
            event_end: None,
        },
        method: random.pick(&[
            QueueingMethod::Fifo,
            QueueingMethod::Fifo,
            QueueingMethod::Fifo,
            QueueingMethod::Random,
        ]),
        shuffle: random.pick(&[Shuffle::AtEventStart, Shuffle::Never]),
        limits: Limits {
            total_active_users: random.small(1, 10),
            new_users_per_minute: random.small(3, 40),
        },
        session_duration: Span::from_secs(random.between(30, 150)),
        renewal: random.pick(&[Renewal::Sliding, Renewal::Fixed]),
        after_order: random.pick(&[AfterOrder::EndSession, AfterOrder::KeepSession]),
        claim_window: Span::from_secs(random.between(10, 30)),
        late_grace: Span::from_secs(random.between(10, 60)),
        show_horizon: Span::from_secs(5),
        overbooking_per_mille: random.pick(&[1_000, 1_500, 3_000]),
        reserve_for: Span::from_secs(random.between(15, 60)),
        ..DropRules::new(drop)
    }
}
