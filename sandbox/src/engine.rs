//! Real engines on loopback: the redis-server, rabbitmq-server and Postgres that are installed on this
//! machine, each started in a temporary folder on ports of its own. Tests and the distributed demo stand
//! on them, and hurt them: kill, freeze, wipe, start again on the same address.

pub mod postgres;
pub mod redis;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock;

/// How long an engine may take from its start until it answers. RabbitMQ needs ten seconds on an idle
/// machine with two cores; the rest is for machines that are busy with something else.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(50);

/// An engine could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A program is not installed.
    #[error("{program} is not installed: run `make setup`")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// The operating system refused something.
    #[error("{name}: cannot {doing}")]
    System {
        /// Which engine.
        name: &'static str,
        /// What was attempted.
        doing: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ended, or did not answer in time.
    #[error("{name} did not become ready; the end of its log:\n{log}")]
    NotReady {
        /// Which engine.
        name: &'static str,
        /// The last lines that it wrote.
        log: String,
    },
}

/// One process of an engine: what is needed to start it again after it was hurt. It is killed when this is
/// dropped.
pub(crate) struct Process {
    name: &'static str,
    log: PathBuf,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Prepares a process that writes its output to `log`; it does not run yet.
    pub(crate) fn new(
        name: &'static str,
        log: PathBuf,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            log,
            command: Box::new(command),
            child: Mutex::new(None),
        }
    }

    /// Starts it. Its output is added to the log.
    pub(crate) fn start(&self) -> Result<(), EngineError> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|source| self.failed("open its log", source))?;
        let errors = log
            .try_clone()
            .map_err(|source| self.failed("open its log", source))?;
        let child = (self.command)()
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|source| self.failed("start it", source))?;
        *self.slot() = Some(child);
        Ok(())
    }

    /// SIGKILL, and waits until the process is gone. Nothing happens if it does not run.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.slot().take() {
            // A frozen process dies of SIGKILL as well; an error means that it is gone already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Sends a signal to the running process.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It fails only if the process is gone already, and then nothing is left to do.
            let _gone = kill_process(pid, signal);
        }
    }

    /// The id of the running process.
    pub(crate) fn pid(&self) -> Option<Pid> {
        let slot = self.slot();
        let id = slot.as_ref().map(Child::id)?;
        Pid::from_raw(i32::try_from(id).ok()?)
    }

    /// Waits until `answers` says yes, the process ends, or time is up.
    pub(crate) async fn ready(&self, answers: impl AsyncFn() -> bool) -> Result<(), EngineError> {
        let begun = clock::monotonic();
        while clock::monotonic().duration_since(begun) < READY_WITHIN && self.lives() {
            if answers().await {
                return Ok(());
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Err(self.not_ready())
    }

    fn lives(&self) -> bool {
        let mut slot = self.slot();
        slot.as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn not_ready(&self) -> EngineError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(20);
        EngineError::NotReady {
            name: self.name,
            log: lines.get(tail..).unwrap_or_default().join("\n"),
        }
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> EngineError {
        EngineError::System {
            name: self.name,
            doing,
            source,
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 on which nobody listens. It lies below the range from which the kernel takes ports
/// for outgoing connections, so that nobody takes it by chance while an engine is down.
pub fn free_port() -> Result<u16, EngineError> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes of one test run start at different places; the low bits of ids in a row differ.
    let start = std::process::id().wrapping_mul(37) % PORTS;
    for _ in 0..PORTS {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORT_FIRST.saturating_add(u16::try_from((start + step) % PORTS).unwrap_or_default());
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(EngineError::System {
        name: "loopback",
        doing: "find a free port",
        source: std::io::ErrorKind::AddrInUse.into(),
    })
}

/// First port that [`free_port`] may give.
const PORT_FIRST: u16 = 12_000;
/// How many ports [`free_port`] may choose from.
const PORTS: u32 = 18_000;

/// Finds a program in the usual folders; servers lie where ordinary users do not look.
pub(crate) fn program(name: &'static str, folders: &[&str]) -> Result<PathBuf, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = folders.iter().map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|folder: PathBuf| folder.join(name))
        .find(|candidate| is_file(candidate))
        .ok_or(EngineError::Missing { program: name })
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}
