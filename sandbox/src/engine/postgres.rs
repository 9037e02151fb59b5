//! A Postgres of its own: one server in a temporary folder, with as many databases as tests ask for.
//!
//! Postgres is several processes, each a group of its own, so whatever hurts it must hurt all of them: a
//! killed postmaster whose children go on writing is a fault that no machine shows.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{EngineError, Process, free_port, program};
use crate::clock;

/// The role that owns the server, and the database that is there from the start.
const NAME: &str = "doorline";
/// Where distributions put the servers, newest first; what is on the PATH comes before them.
const FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];
/// How long killed processes may take to be gone: SIGKILL is answered at once unless the disk hangs.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How long one may take that was asked to stop at once.
const QUITS_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked for.
const GONE_POLL: Duration = Duration::from_millis(5);

/// A running Postgres. Stopped at once, and its folder removed, when dropped.
pub struct Postgres {
    process: Process,
    port: u16,
    psql: PathBuf,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server that keeps what it commits (`fsync` and `synchronous_commit` are on), and waits until
    /// it answers.
    ///
    /// # Errors
    /// If Postgres is missing or does not come up.
    pub async fn start() -> Result<Self, EngineError> {
        Self::start_with(&[]).await
    }

    /// Starts a server with settings of its own, such as `fsync=off`.
    ///
    /// # Errors
    /// If Postgres is missing or does not come up.
    pub async fn start_with(settings: &'static [&'static str]) -> Result<Self, EngineError> {
        let server = program("postgres", &FOLDERS)?;
        let initdb = program("initdb", &FOLDERS)?;
        let psql = program("psql", &FOLDERS)?;
        let port = free_port()?;
        let folder = TempDir::with_prefix("doorline-postgres-").map_err(failed("make a folder"))?;
        let owner = Owner::find().map_err(failed("find the user postgres"))?;
        if let Some(Owner { user, group }) = owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))
                .map_err(failed("give its folder away"))?;
        }
        let data = folder.path().join("data");
        create(&initdb, &data, owner)?;
        let process = Process::new("postgres", folder.path().join("log"), move || {
            let mut command = Command::new(&server);
            run_as(&mut command, owner);
            command.arg("-D").arg(&data);
            command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            // No socket file: its path would be longer than a socket's path may be.
            command.args(["-c", "unix_socket_directories=", "-c", "max_connections=300"]);
            for setting in settings {
                command.args(["-c", setting]);
            }
            command
        });
        let postgres = Self {
            process,
            port,
            psql,
            folder,
        };
        postgres.restart().await?;
        postgres.fresh_database(NAME)?;
        Ok(postgres)
    }

    /// Where clients connect, to the database that is there from the start.
    #[must_use]
    pub fn url(&self) -> String {
        self.database(NAME)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an empty database of that name, in place of one that may be there, and says where it is: tests
    /// share a server and have a database each.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn fresh_database(&self, name: &str) -> Result<String, EngineError> {
        let drop = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
        let create = format!("CREATE DATABASE \"{name}\"");
        self.run("postgres", &[&drop, &create])?;
        Ok(self.database(name))
    }

    /// Runs one statement as the owner of the server, and gives what it answers: a line per row, with `|`
    /// between columns.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, EngineError> {
        self.run(database, &[statement])
    }

    /// Runs statements one after the other, each committed by itself.
    fn run(&self, database: &str, statements: &[&str]) -> Result<String, EngineError> {
        let output = Command::new(&self.psql)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", NAME])
            .args(["-d", database, "-XqAt", "-v", "ON_ERROR_STOP=1"])
            .args(statements.iter().flat_map(|statement| ["-c", statement]))
            // A frozen server accepts connections and says nothing.
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::null())
            .output()
            .map_err(failed("run psql"))?;
        let text = succeeded(&output)?;
        Ok(text.trim_end().to_owned())
    }

    /// Kills all of it in the middle of whatever it does: what a power cut leaves, but for the disk's cache.
    pub fn kill(&self) {
        let family = self.halt();
        for member in &family {
            let _gone = kill_process(*member, Signal::KILL);
        }
        self.process.kill();
        // A successor refuses the folder as long as one of them lives.
        await_end(&family, GONE_WITHIN);
    }

    /// Freezes all of it: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.halt();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        // The children first: the postmaster may give them work at once.
        for member in self.family().into_iter().rev() {
            let _gone = kill_process(member, Signal::CONT);
        }
    }

    /// Starts it again on the same port with what its folder holds.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&self) -> Result<(), EngineError> {
        self.kill();
        self.process.start()?;
        self.process
            .ready(async || self.sql("postgres", "SELECT 1").is_ok_and(|answer| answer == "1"))
            .await
    }

    fn database(&self, name: &str) -> String {
        format!("postgres://{NAME}@127.0.0.1:{}/{name}", self.port)
    }

    /// Stops every process and says which they are. The postmaster stops first, so that none is born while
    /// the others are looked for.
    fn halt(&self) -> Vec<Pid> {
        self.process.signal(Signal::STOP);
        let family = self.family();
        for member in &family {
            let _gone = kill_process(*member, Signal::STOP);
        }
        family
    }

    /// The postmaster, then its children.
    fn family(&self) -> Vec<Pid> {
        let Some(postmaster) = self.process.pid() else {
            return Vec::new();
        };
        let mut family = vec![postmaster];
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        family.extend(processes.filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            (stat(pid)?.parent == postmaster.as_raw_nonzero().get()).then_some(pid)
        }));
        family
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Asked to stop at once, without a checkpoint, it takes its shared memory along; killed, it would leave that on the
        // machine.
        self.thaw();
        self.process.signal(Signal::QUIT);
        if let Some(postmaster) = self.process.pid() {
            await_end(&[postmaster], QUITS_WITHIN);
        }
        self.kill();
    }
}

/// Under whom the server runs: it refuses to run as root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Nobody else, unless we are root.
    fn find() -> std::io::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let found = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != "postgres" {
                return None;
            }
            let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Self { user, group })
        });
        found.map(Some).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn run_as(command: &mut Command, owner: Option<Owner>) {
    // The folder we stand in may be closed to that user.
    command.current_dir("/");
    if let Some(Owner { user, group }) = owner {
        command.uid(user).gid(group);
    }
}

fn create(initdb: &Path, data: &Path, owner: Option<Owner>) -> Result<(), EngineError> {
    let mut command = Command::new(initdb);
    run_as(&mut command, owner);
    command.arg("-D").arg(data);
    command.args([
        "-U",
        NAME,
        "--auth=trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(failed("run initdb"))?;
    succeeded(&output).map(drop)
}

fn succeeded(output: &Output) -> Result<String, EngineError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(EngineError::NotReady {
        name: "postgres",
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |source| EngineError::System {
        name: "postgres",
        doing,
        source,
    }
}

/// What the kernel says about a process.
struct Stat {
    state: char,
    parent: i32,
}

fn stat(pid: Pid) -> Option<Stat> {
    let line = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in parentheses may hold anything; what follows the last one are plain fields.
    let (_, fields) = line.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let (state, parent) = (fields.next()?.chars().next()?, fields.next()?.parse().ok()?);
    Some(Stat { state, parent })
}

/// Waits until none of them lives any more, but not longer than `within`.
fn await_end(family: &[Pid], within: Duration) {
    let begun = clock::monotonic();
    while family.iter().any(|member| lives(*member)) && clock::monotonic().duration_since(begun) < within {
        std::thread::sleep(GONE_POLL);
    }
}

/// A dead process that nobody has waited for yet holds nothing any more.
fn lives(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_server_committed_survives_a_kill_of_all_its_processes() {
        let postgres = Postgres::start().await.unwrap();
        let family = postgres.family();
        assert!(family.len() > 1, "only the postmaster was found");
        postgres.sql(NAME, "CREATE TABLE t AS SELECT 7 AS n").unwrap();
        postgres.kill();
        assert!(postgres.sql(NAME, "SELECT n FROM t").is_err());
        assert!(!family.into_iter().any(lives));
        postgres.restart().await.unwrap();
        assert_eq!(postgres.sql(NAME, "SELECT n FROM t").unwrap(), "7");
        assert_eq!(postgres.sql(NAME, "SHOW fsync").unwrap(), "on");
    }

    #[tokio::test]
    async fn databases_are_apart_and_a_fresh_one_is_empty() {
        let postgres = Postgres::start().await.unwrap();
        let url = postgres.fresh_database("one").unwrap();
        assert!(url.ends_with(&format!(":{}/one", postgres.port())));
        postgres.sql("one", "CREATE TABLE t AS SELECT 7 AS n").unwrap();
        assert!(postgres.sql(NAME, "SELECT n FROM t").is_err());
        postgres.fresh_database("one").unwrap();
        assert!(postgres.sql("one", "SELECT n FROM t").is_err());
    }

    #[tokio::test]
    async fn a_frozen_server_says_nothing_and_a_thawed_one_goes_on() {
        let postgres = Postgres::start().await.unwrap();
        postgres.freeze();
        assert!(postgres.sql(NAME, "SELECT 1").is_err());
        postgres.thaw();
        assert_eq!(postgres.sql(NAME, "SELECT 1").unwrap(), "1");
    }

    #[tokio::test]
    async fn a_server_that_is_dropped_takes_its_shared_memory_along() {
        let postgres = Postgres::start().await.unwrap();
        let notes = std::fs::read_to_string(postgres.folder().join("data/postmaster.pid")).unwrap();
        let segment = notes.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap();
        let is_there = || {
            let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
            segments
                .lines()
                .any(|line| line.split_whitespace().nth(1) == Some(segment))
        };
        assert!(is_there(), "{notes}");
        drop(postgres);
        assert!(!is_there());
    }
}
