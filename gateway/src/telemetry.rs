//! Logs and metrics: what ops see. Metrics are values that assembly makes and passes in;
//! nothing here is global but the log subscriber.

pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error: readable on a terminal, JSON everywhere else.
/// The filter comes from `DOORLINE_LOG` (for example `info,gateway=debug`), else `default`.
pub fn start_logging(default: &str) {
    let filter = EnvFilter::try_from_env("DOORLINE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second call (tests start several gateways in one process) keeps the first subscriber.
    let _ = if std::io::stderr().is_terminal() {
        lines.with_target(false).compact().try_init()
    } else {
        lines.json().flatten_event(true).try_init()
    };
}
