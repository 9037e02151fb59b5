//! Keeps the log short when the same thing happens over and over: what one place in the code says too often is counted, and
//! the count is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use checkout_worker::trail;
use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that one place may write within [`SPELL`].
const LINES_MAX: u32 = 50;
/// How long a place's lines are counted before it starts anew.
pub(super) const SPELL: Duration = Duration::from_secs(10);

/// Holds lines back. Two kinds pass always: what only somebody who looks for a fault has turned on (debug and trace), and
/// the trail of orders, of which the stock and the drain allow only so many.
#[derive(Clone, Debug, Default)]
pub(super) struct Flood {
    /// Grows with the places in the code that ever wrote a line.
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

#[derive(Debug)]
struct Place {
    name: &'static str,
    since: Instant,
    written: u32,
    held_back: u64,
    /// When it was last told how many were held back.
    told: Instant,
}

impl Flood {
    fn lets_pass(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == trail::TARGET {
            return true;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert(Place {
            name: metadata.name(),
            since: now,
            written: 0,
            held_back: 0,
            told: now,
        });
        if now.duration_since(place.since) >= SPELL {
            (place.since, place.written) = (now, 0);
        }
        let passes = place.written < LINES_MAX;
        if passes {
            place.written += 1;
        } else {
            place.held_back += 1;
        }
        passes
    }

    /// Takes the counts that were last told at least `patience` ago: where lines were held back, and how many.
    pub(super) fn take(&self, now: Instant, patience: Duration) -> Vec<(&'static str, u64)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let due = places
            .values_mut()
            .filter(|place| place.held_back > 0 && now.duration_since(place.told) >= patience);
        due.map(|place| {
            place.told = now;
            (place.name, std::mem::take(&mut place.held_back))
        })
        .collect()
    }
}

impl<S: Subscriber> Layer<S> for Flood {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.lets_pass(event, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::DefaultGuard;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Counts the lines that come through.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<Level>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
    }

    impl Lines {
        fn of(&self, level: Level) -> usize {
            self.0
                .lock()
                .unwrap()
                .iter()
                .filter(|line| **line == level)
                .count()
        }
    }

    /// A log in force for this thread as long as the guard lives.
    fn log() -> (Flood, Lines, DefaultGuard) {
        let (flood, lines) = (Flood::default(), Lines::default());
        let log = tracing_subscriber::registry()
            .with(flood.clone())
            .with(lines.clone());
        (flood, lines, tracing::subscriber::set_default(log))
    }

    fn one_place(lines: u32) {
        for n in 0..lines {
            tracing::error!(n, "the same thing again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_place_says_too_often_is_counted_and_others_are_heard() {
        let (flood, lines, _log) = log();
        one_place(LINES_MAX + 950);
        tracing::warn!("something else");
        assert_eq!((lines.of(Level::ERROR), lines.of(Level::WARN)), (50, 1));
        let take = || flood.take(Instant::now(), SPELL);
        assert!(take().is_empty(), "nobody is told at once");
        tokio::time::advance(SPELL).await;
        // It goes on meanwhile.
        one_place(LINES_MAX + 7);
        assert_eq!(lines.of(Level::ERROR), 100, "a new spell");
        let told = take();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1, 957);
        assert!(told[0].0.contains("flood.rs"), "{told:?}");
        one_place(1);
        assert!(take().is_empty(), "it was told just now");
        assert_eq!(
            flood.take(Instant::now(), Duration::ZERO)[0].1,
            1,
            "at the end all is told"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn trails_of_orders_and_what_a_person_turned_on_pass_whole() {
        let (_, lines, _log) = log();
        for _ in 0..LINES_MAX * 2 {
            tracing::info!(target: trail::TARGET, "an order went on");
            tracing::debug!("answered");
        }
        assert_eq!((lines.of(Level::INFO), lines.of(Level::DEBUG)), (100, 100));
    }
}
