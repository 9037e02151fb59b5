//! Logs and metrics: what ops see. Metrics are values that assembly makes and passes in;
//! nothing here is global but the log subscriber.

pub mod checkout;
pub mod edge;
pub mod metrics;
pub mod stores;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sends log lines to standard error, in the form asked for. The filter comes from
/// `DOORLINE_LOG` (for example `info,gateway=debug`), else it is `level` for everything.
pub fn start_logging(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("DOORLINE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second call (tests start several gateways in one process) keeps the first subscriber.
    let _ = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .compact()
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
