//! Logs and metrics: what ops see. Metrics are values that assembly makes and passes in;
//! nothing here is global but the log subscriber.

pub mod checkout;
pub mod edge;
mod flood;
pub mod metrics;
pub mod stores;

use std::io::IsTerminal;
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, registry, reload};

use crate::config::LogFormat;
use flood::{Flood, SPELL};

/// The log of a running program.
#[derive(Clone, Debug)]
pub struct LogHandle {
    /// Nothing where a filter from the environment stands over what is configured.
    filter: Option<reload::Handle<Targets, Registry>>,
    flood: Flood,
}

impl LogHandle {
    /// Logs `level` and what is more severe from now on. A filter from the environment stands over it.
    pub fn set_level(&self, level: &str) {
        let filter: Option<Targets> = level.parse().ok();
        if let Some((handle, filter)) = self.filter.as_ref().zip(filter) {
            // It fails where the subscriber is gone: then there is nobody to log either.
            let _ = handle.reload(filter);
        }
    }

    /// Tells now and then how many lines were held back, a line for each place in the code that says the same too often.
    pub fn tell_held_back(&self) {
        self.tell(SPELL);
    }

    /// Tells what was not told yet: the program ends.
    pub fn tell_all_held_back(&self) {
        self.tell(Duration::ZERO);
    }

    fn tell(&self, patience: Duration) {
        for (place, lines) in self.flood.take(Instant::now(), patience) {
            tracing::warn!(place, lines, "more lines like these were held back");
        }
    }
}

/// Whether the user wants no colour. To the layer, "on a terminal" is the last word: it asks for nothing more.
/// Source: <https://no-color.org>.
fn colour_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|wish| !wish.is_empty())
}

/// Sends log lines to standard error, in the form asked for. The filter comes from
/// `DOORLINE_LOG` (for example `info,gateway=debug`), else it is `level` for everything.
pub fn start_logging(level: &str, format: LogFormat) -> LogHandle {
    let wanted = std::env::var("DOORLINE_LOG").ok();
    let wanted = wanted.and_then(|wanted| wanted.parse().ok());
    let is_fixed = wanted.is_some();
    let filter = wanted.unwrap_or_else(|| level.parse().unwrap_or_else(|_| Targets::new()));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal() && !colour_refused())
            .with_target(false)
            .compact()
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second call (tests start several gateways in one process) keeps the first subscriber.
    let flood = Flood::default();
    let _ = registry().with(filter).with(flood.clone()).with(lines).try_init();
    LogHandle {
        filter: (!is_fixed).then_some(handle),
        flood,
    }
}
