//! A rabbitmq-server of its own, with an epmd of its own: the port mapper that every Erlang node needs would
//! otherwise stay behind as a daemon when the server is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{EngineError, Process, free_port, program};

/// Where Debian puts the scripts that do not change user.
const SCRIPTS: [&str; 2] = ["/usr/lib/rabbitmq/bin", "/usr/local/lib/rabbitmq/bin"];
/// Small enough for two cores that have other work: two schedulers, one for each kind of dirty work.
const ERLANG: &str = "+S 2:2 +SDcpu 1:1 +SDio 2 +A 4 -kernel inet_dist_use_interface {127,0,0,1}";
/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// The default share of memory above which publishers are blocked.
const WATERMARK: &str = "0.4";

/// A running rabbitmq-server. Killed with its epmd, and its folder removed, when dropped.
pub struct RabbitMq {
    // Dropped in this order: a server that loses its epmd first would only write to a log about it.
    server: Process,
    epmd: Process,
    place: Place,
    _folder: TempDir,
}

/// Where a server lives: what its scripts are told through the environment.
#[derive(Clone, Debug)]
struct Place {
    folder: PathBuf,
    port: u16,
    dist_port: u16,
    epmd_port: u16,
}

impl RabbitMq {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If rabbitmq-server or epmd is missing or does not come up.
    pub async fn start() -> Result<Self, EngineError> {
        let script = program("rabbitmq-server", &SCRIPTS).map(|found| unwrapped(&found))?;
        let epmd = program("epmd", &["/usr/bin", "/usr/local/bin"])?;
        let folder =
            TempDir::with_prefix("doorline-rabbitmq-").map_err(|source| failed("make a folder", source))?;
        let place = Place {
            folder: folder.path().to_path_buf(),
            port: free_port()?,
            dist_port: free_port()?,
            epmd_port: free_port()?,
        };
        let there = place.clone();
        let epmd = Process::new("epmd", there.folder.join("epmd.log"), move || {
            let mut command = Command::new(&epmd);
            command
                .args(["-port", &there.epmd_port.to_string()])
                .args(["-address", "127.0.0.1"]);
            command
        });
        let there = place.clone();
        let server = Process::new("rabbitmq", there.folder.join("log"), move || {
            let mut command = there.command(&script);
            // With input allowed the script becomes the Erlang machine (exec) instead of watching over it, so
            // that a signal to our child reaches what it is meant for; -noinput keeps its shell shut all the same.
            command
                .arg("-noinput")
                .env("RABBITMQ_ALLOW_INPUT", "1")
                .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG);
            command
        });
        let rabbit = Self {
            server,
            epmd,
            place,
            _folder: folder,
        };
        rabbit.epmd.start()?;
        let mapper = ("127.0.0.1", rabbit.place.epmd_port);
        rabbit
            .epmd
            .ready(async || TcpStream::connect(mapper).await.is_ok())
            .await?;
        rabbit.restart().await?;
        Ok(rabbit)
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.place.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Kills it in the middle of whatever it does.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Freezes it: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Starts it again on the same port with what its folder holds.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&self) -> Result<(), EngineError> {
        self.server.kill();
        self.server.start()?;
        let port = self.place.port;
        self.server
            .ready(async || {
                let greeting = tokio::time::timeout(HANDSHAKE_WITHIN, greeted(port));
                greeting.await.unwrap_or(false)
            })
            .await
    }

    /// Kills it, removes everything that it ever stored, and starts it again: as if the machine under it were new.
    ///
    /// # Errors
    /// If its files cannot be removed or it does not come up.
    pub async fn wipe(&self) -> Result<(), EngineError> {
        self.server.kill();
        let data = self.place.data();
        // The last writes of helpers that outlive the server by a moment may recreate what was just removed.
        std::fs::remove_dir_all(&data)
            .or_else(|_| std::fs::remove_dir_all(&data))
            .map_err(|source| failed("remove its data", source))?;
        self.restart().await
    }

    /// Raises the memory alarm: publishers are blocked, and none of their messages is confirmed.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn raise_memory_alarm(&self) -> Result<(), EngineError> {
        self.control(&["set_vm_memory_high_watermark", "0"]).await
    }

    /// Clears the memory alarm.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn clear_memory_alarm(&self) -> Result<(), EngineError> {
        self.control(&["set_vm_memory_high_watermark", WATERMARK]).await
    }

    /// Runs a command of rabbitmqctl against this server.
    async fn control(&self, words: &[&str]) -> Result<(), EngineError> {
        let script = program("rabbitmqctl", &SCRIPTS).map(|found| unwrapped(&found))?;
        let mut command = self.place.command(&script);
        command.arg("-q").args(words).stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran
            .map_err(std::io::Error::other)
            .and_then(|output| output)
            .map_err(|source| failed("run rabbitmqctl", source))?;
        if output.status.success() {
            return Ok(());
        }
        Err(EngineError::NotReady {
            name: "rabbitmqctl",
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Place {
    /// A command of the server's scripts, told where this server lives and nothing of any other.
    fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(script);
        command
            .env("HOME", &self.folder)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("doorline{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.data())
            .env("RABBITMQ_LOG_BASE", &self.folder)
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.folder.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", self.folder.join("config"))
            .env("RABBITMQ_CONF_ENV_FILE", self.folder.join("environment"));
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// Debian wraps each script in one that changes to a user of its own, and puts that into `sbin`; the plain one lies
/// elsewhere.
fn unwrapped(found: &Path) -> PathBuf {
    let name = found.file_name().unwrap_or_default();
    if !found.parent().is_some_and(|folder| folder.ends_with("sbin")) {
        return found.to_path_buf();
    }
    SCRIPTS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|plain| plain.is_file())
        .unwrap_or_else(|| found.to_path_buf())
}

fn failed(doing: &'static str, source: std::io::Error) -> EngineError {
    EngineError::System {
        name: "rabbitmq",
        doing,
        source,
    }
}

/// Whether a server answers the protocol header with its first method. Listeners open when the node is up.
async fn greeted(port: u16) -> bool {
    /// A frame of the type `method` begins with this byte (AMQP 0-9-1, section 2.3.5).
    const METHOD: u8 = 1;
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let mut first = [0];
    stream.write_all(b"AMQP\x00\x00\x09\x01").await.is_ok()
        && stream.read_exact(&mut first).await.is_ok()
        && first == [METHOD]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether anybody takes connections on the port.
    async fn taken(port: u16) -> bool {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    }

    #[tokio::test]
    async fn a_server_lives_freezes_dies_comes_back_on_its_port_and_leaves_nothing_behind() {
        let rabbit = RabbitMq::start().await.unwrap();
        let place = rabbit.place.clone();
        assert!(greeted(place.port).await);
        rabbit.freeze();
        let answer = tokio::time::timeout(Duration::from_millis(500), greeted(place.port));
        assert!(answer.await.is_err(), "a frozen server does not answer");
        rabbit.thaw();
        assert!(greeted(place.port).await);
        rabbit.kill();
        assert!(!taken(place.port).await);
        let kept = place.data().join("kept");
        std::fs::write(&kept, "by a restart").unwrap();
        rabbit.restart().await.unwrap();
        assert!(greeted(place.port).await && kept.exists());
        rabbit.wipe().await.unwrap();
        assert!(greeted(place.port).await && !kept.exists());
        drop(rabbit);
        assert!(!taken(place.port).await && !taken(place.epmd_port).await);
        assert!(!place.folder.exists());
    }
}
