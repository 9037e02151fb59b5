//! Watches the file and the signal, and tells the house.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use checkout_worker::ledger::AuditEntry;
use domain::DropId;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::difference::Difference;
use super::{Live, Taken, gone, note_loaded};
use crate::config::keys::Keys;
use crate::config::{self, Config, Environment, LoadError, Loaded, Override};
use crate::supervisor::Supervisor;
use crate::telemetry::LogHandle;

/// How often the file is looked at. A new one is taken when it has been the same for two looks: whoever writes it may not be
/// done at the first.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file that was named, if any.
    pub file: Option<PathBuf>,
    /// What was said on the command line.
    pub overrides: Vec<Override>,
    /// The environment of the process, which does not change.
    pub environment: Environment,
}

/// Reads the configuration again when it changes or when somebody asks.
pub struct Following {
    source: Source,
    running: Config,
    keys: Keys,
    log: LogHandle,
    hangups: Signal,
    /// What the file held when it was last judged.
    judged: Option<Vec<u8>>,
}

/// Why the configuration is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// The file changed.
    File,
    /// Somebody sent a hang-up.
    Signal,
}

impl Source {
    fn path(&self) -> &Path {
        self.file
            .as_deref()
            .unwrap_or_else(|| Path::new(config::DEFAULT_FILE))
    }

    /// With the same checks as `doorline check`.
    fn load(&self) -> Result<Loaded, LoadError> {
        config::load(self.file.as_deref(), &self.overrides, &self.environment)
    }

    /// What the file holds now; nothing where it cannot be read. It is small: reading it each second costs less than the
    /// mistakes of times and sizes, which an editor may leave as they were.
    fn look(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.path()).ok()?;
        // One more than is ever good: such a file is refused, whatever follows.
        file.take(config::FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(bytes)
    }
}

impl Following {
    /// Follows `source`, of which `loaded` is in force.
    pub fn new(mut source: Source, loaded: &Loaded, log: LogHandle, hangups: Signal) -> Self {
        // A file that nobody named is read where it is there. Once it was, its absence is a mistake and means no defaults.
        source.file = source.file.or_else(|| loaded.file.clone());
        Self {
            judged: source.look(),
            running: loaded.config.clone(),
            keys: loaded.keys(),
            source,
            log,
            hangups,
        }
    }

    pub(in crate::assembly) fn start(self, supervisor: &Supervisor, live: Arc<Live>) {
        supervisor.once("configuration", move |stop| self.run(live, stop));
    }

    async fn run(mut self, live: Arc<Live>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = self.judged.clone();
        loop {
            let cause = tokio::select! {
                () = stop.cancelled() => return self.log.tell_all_held_back(),
                _ = ticks.tick() => Cause::File,
                Some(()) = self.hangups.recv() => Cause::Signal,
            };
            self.log.tell_held_back();
            let now = self.source.look();
            let is_settled = now == last;
            last.clone_from(&now);
            if cause == Cause::File && (now == self.judged || !is_settled) {
                continue;
            }
            if self.read(&live, cause).await.is_ok() {
                self.judged = now;
            }
        }
    }

    /// Reads the configuration and puts it in force, or says why not.
    ///
    /// # Errors
    /// If it is good, but the house cannot take it over yet.
    async fn read(&mut self, live: &Live, cause: Cause) -> Result<(), ()> {
        let count = |outcome| {
            let reloads = &live.admin.metrics.config_reloads;
            reloads.with_label_values(&[outcome]).inc();
        };
        let next = match self.source.load() {
            Ok(next) => next,
            Err(error) => {
                count("rejected");
                tracing::error!(
                    "the configuration is not put in force, nothing changes: {}",
                    told(&error)
                );
                return Ok(());
            }
        };
        let taken = live.put_in_force(&self.running, &next.config).await;
        let Taken { config, refused } = taken.map_err(|error| {
            tracing::error!(%error, "the configuration cannot be put in force yet; it is tried again");
        })?;
        for (drop, why) in &refused {
            tracing::error!(drop.id = %drop, %why, "a drop is not configured anew, it stays as it was");
        }
        let gone: Vec<DropId> = gone(&self.running, &next.config)
            .map(|drop| drop.id.clone())
            .collect();
        let stay = refused.iter().map(|(drop, _)| drop).chain(&gone);
        let kept: BTreeSet<DropId> = stay.cloned().collect();
        let found = Difference::between(&self.keys, &next.keys(), &kept);
        say(&found, &gone);
        count(if refused.is_empty() { "applied" } else { "partly" });
        note_loaded(&live.admin.metrics, live.admin.house.now());
        self.log.set_level(config.log.level.as_str());
        self.write_down(live, &found, cause).await;
        (self.running, self.keys) = (config, found.keys);
        Ok(())
    }
}

impl Following {
    /// Writes down what was put in force. Where that fails it is in force all the same.
    async fn write_down(&self, live: &Live, found: &Difference, cause: Cause) {
        if found.live.is_empty() {
            return;
        }
        let by = match cause {
            Cause::File => "file",
            Cause::Signal => "signal",
        };
        let (before, after) = found.told();
        // The file's name only: where it lies is nobody's business.
        let name = self
            .source
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let entry = AuditEntry::new("config.reload", &name, by).changing(before, after);
        if let Err(error) = live.admin.checkout.note(entry).await {
            tracing::warn!(%error, "a new configuration is in force and could not be written down");
        }
    }
}

/// What is in force now, and what waits.
fn say(found: &Difference, gone: &[DropId]) {
    let changed: Vec<&str> = found.live.keys().map(String::as_str).collect();
    tracing::info!(changed = changed.join(", "), "a new configuration is in force");
    let waiting = found.waiting.iter().cloned();
    let gone = gone
        .iter()
        .map(|drop| format!("drop.{drop} (no longer in the file, runs on)"));
    let waiting: Vec<String> = waiting.chain(gone).collect();
    if !waiting.is_empty() {
        tracing::warn!("needs a restart: {}", waiting.join(", "));
    }
}

/// Every mistake with its place, or why there is nothing to read.
fn told(error: &LoadError) -> String {
    match error {
        LoadError::Unreadable { source, .. } => format!("{error}: {source}"),
        LoadError::TooLarge { .. } | LoadError::Invalid(_) => error.to_string(),
    }
}
