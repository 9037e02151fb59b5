//! When the merchant's system is told again what it did not take: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h,
//! 14 h, 20 h and 24 h, each spread by up to a tenth; then it is given up and waits for a person.
//!
//! Source: the schedule that <https://www.standardwebhooks.com> recommends. Over three days it outlives a weekend.

use crate::Span;
use crate::backoff::Jitter;

/// Waits between one try and the next.
const WAITS: [Span; 9] = [
    Span::from_secs(5),
    Span::from_mins(5),
    Span::from_mins(30),
    Span::from_mins(2 * 60),
    Span::from_mins(5 * 60),
    Span::from_mins(10 * 60),
    Span::from_mins(14 * 60),
    Span::from_mins(20 * 60),
    Span::from_mins(24 * 60),
];

/// Tries in all, the one at once included.
pub const TRIES_MAX: u32 = 10;

/// From the first try to the last, without spread and rounded up to whole hours: 75 h 35 min 5 s. What is older than this
/// and was never tried is not news any more. What waits behind an earlier notice of its order is as old as the end of that one.
pub const HORIZON: Span = Span::from_mins(76 * 60);

/// The longest wait that a receiver can ask for. A longer one would turn a slip of its operator into days of silence.
pub const ASKED_MAX: Span = Span::from_mins(60);

/// How long to wait after `tries` tries that failed, or nothing where that was the last. A receiver that `asked` for time
/// gets it, up to [`ASKED_MAX`]; it never shortens the schedule.
///
/// ```
/// use domain::Span;
/// use domain::backoff::Jitter;
/// use domain::redelivery::wait;
/// assert_eq!(wait(1, None, Jitter::NONE), Some(Span::from_secs(5)));
/// assert_eq!(wait(1, Some(Span::from_mins(2)), Jitter::NONE), Some(Span::from_mins(2)));
/// assert_eq!(wait(10, None, Jitter::NONE), None);
/// ```
pub fn wait(tries: u32, asked: Option<Span>, jitter: Jitter) -> Option<Span> {
    let place = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    let scheduled = WAITS.get(place)?.as_millis();
    let spread = jitter.share_of(scheduled / 10);
    let planned = Span::from_millis(scheduled.saturating_add(spread));
    Some(planned.max(asked.unwrap_or(Span::ZERO).min(ASKED_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_schedule_is_the_recommended_one_and_ends() {
        let seconds: alloc::vec::Vec<Option<u64>> = (1..=11)
            .map(|tries| wait(tries, None, Jitter::NONE).map(|span| span.as_millis() / 1_000))
            .collect();
        let hours = |hours: u64| Some(hours * 3_600);
        assert_eq!(
            seconds,
            [
                Some(5),
                Some(300),
                Some(1_800),
                hours(2),
                hours(5),
                hours(10),
                hours(14),
                hours(20),
                hours(24),
                None,
                None
            ]
        );
    }

    #[test]
    fn there_are_as_many_tries_as_waits_and_one() {
        assert!(wait(TRIES_MAX - 1, None, Jitter::NONE).is_some());
        assert_eq!(wait(TRIES_MAX, None, Jitter::NONE), None);
        assert_eq!(wait(u32::MAX, None, Jitter::NONE), None);
    }

    #[test]
    fn the_horizon_is_the_whole_schedule() {
        let whole = WAITS.iter().fold(Span::ZERO, |sum, wait| sum + *wait);
        assert!(whole <= HORIZON && HORIZON - whole < Span::from_mins(60));
    }

    #[test]
    fn a_receiver_may_ask_for_an_hour_and_no_more() {
        let asked = |span| wait(1, Some(span), Jitter::NONE);
        assert_eq!(asked(Span::from_secs(1)), Some(Span::from_secs(5)));
        assert_eq!(asked(Span::from_mins(59)), Some(Span::from_mins(59)));
        assert_eq!(asked(Span::from_mins(60 * 24 * 365)), Some(ASKED_MAX));
        assert_eq!(
            wait(5, Some(ASKED_MAX), Jitter::NONE),
            Some(Span::from_mins(300)),
            "the schedule is longer"
        );
    }

    proptest! {
        #[test]
        fn a_wait_stays_between_its_schedule_and_a_tenth_more(tries in 1_u32..10, jitter: u16) {
            let plain = wait(tries, None, Jitter::NONE).map_or(0, Span::as_millis);
            let spread = wait(tries, None, Jitter(jitter)).map_or(0, Span::as_millis);
            prop_assert!(spread >= plain);
            prop_assert!(spread <= plain + plain / 10);
        }

        #[test]
        fn more_jitter_never_waits_less(tries in 1_u32..12, a: u16, b: u16) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(wait(tries, None, Jitter(low)) <= wait(tries, None, Jitter(high)));
        }

        #[test]
        fn asking_never_ends_the_tries_or_prolongs_them(tries: u32, asked: u64) {
            let asked = Some(Span::from_millis(asked));
            prop_assert_eq!(
                wait(tries, asked, Jitter::NONE).is_some(),
                wait(tries, None, Jitter::NONE).is_some()
            );
        }
    }
}
