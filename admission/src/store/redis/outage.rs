//! An engine that is away is logged when it goes and when it comes back, not for everybody who
//! asks meanwhile.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether one engine answers.
#[derive(Debug)]
pub(super) struct Outage {
    engine: &'static str,
    away: AtomicBool,
}

impl Outage {
    pub(super) fn of(engine: &'static str) -> Self {
        Self {
            engine,
            away: AtomicBool::new(false),
        }
    }

    /// It did not answer as asked.
    pub(super) fn note(&self, asked: &'static str, error: &(dyn Error + 'static)) {
        if self.away.swap(true, Ordering::Relaxed) {
            tracing::debug!(
                engine = self.engine,
                asked,
                error,
                "an engine did not answer as asked"
            );
        } else {
            tracing::warn!(
                engine = self.engine,
                asked,
                error,
                "an engine did not answer as asked"
            );
        }
    }

    /// It answered.
    pub(super) fn over(&self) {
        // Looked at before it is written: this is on everybody's way.
        if self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed) {
            tracing::info!(engine = self.engine, "an engine answers again");
        }
    }
}
