//! An observer that counts everything.

use std::sync::Mutex;
use std::time::Duration;

use gateway::edge::observe::{ConnectionEnd, Limit, Observer, Outcome, Priority, Route, UpstreamOutcome};

#[derive(Default)]
pub(crate) struct Counts {
    events: Mutex<Vec<String>>,
    upstream_took: Mutex<Vec<Duration>>,
}

impl Counts {
    fn note(&self, event: String) {
        self.events.lock().unwrap().push(event);
    }

    /// How often `event` happened, such as `request open ok` or `ended idle`.
    pub(crate) fn of(&self, event: &str) -> usize {
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|noted| *noted == event)
            .count()
    }

    /// How long the upstream is said to have taken, exchange by exchange.
    pub(crate) fn upstream_took(&self) -> Vec<Duration> {
        self.upstream_took.lock().unwrap().clone()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

impl Observer for Counts {
    fn request(&self, route: Route, outcome: Outcome, _: Duration) {
        self.note(format!("request {} {}", route.label(), outcome.label()));
    }
    fn rate_limited(&self, limit: Limit) {
        self.note(format!("limited {}", limit.label()));
    }
    fn shed(&self, priority: Priority) {
        self.note(format!("shed {}", priority.label()));
    }
    fn connection_opened(&self) {
        self.note("opened".to_owned());
    }
    fn connection_closed(&self) {
        self.note("closed".to_owned());
    }
    fn connection_ended(&self, why: ConnectionEnd) {
        self.note(format!("ended {}", why.label()));
    }
    fn panicked(&self) {
        self.note("panicked".to_owned());
    }
    fn upstream(&self, outcome: UpstreamOutcome, took: Duration) {
        self.upstream_took.lock().unwrap().push(took);
        self.note(format!("upstream {}", outcome.label()));
    }
    fn upstream_retried(&self) {
        self.note("retried".to_owned());
    }
}
