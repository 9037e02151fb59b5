//! SIGTERM and SIGINT: the first asks for an orderly end, the second leaves at once. SIGHUP asks for the configuration to be
//! read again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The shell's convention for a process that was ended by SIGTERM: 128 + 15.
const ENDED_BY_SIGNAL: i32 = 143;

/// Every hang-up from now on.
pub(super) fn hangups() -> anyhow::Result<Signal> {
    Ok(signal(SignalKind::hangup())?)
}

/// A token that is cancelled by the first signal; `first` is run then. The second signal ends
/// the process: whoever sends it twice does not want to wait, and a crash loses nothing.
pub(super) fn listen(first: impl FnOnce() + Send + 'static) -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    let waiting = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        first();
        told.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(ENDED_BY_SIGNAL);
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "lives as long as the process, by design"
    )]
    tokio::spawn(waiting);
    Ok(stop)
}
