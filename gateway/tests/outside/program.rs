//! The real binary: started, asked, told to stop.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::client::{Browser, until};

/// A port that nobody listens on, below those that the kernel hands out by itself.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1_000).expect("below a thousand") * 10;
    loop {
        let next = TRIED.fetch_add(1, Ordering::Relaxed);
        assert!(next < 2_000, "no free port");
        let port = 20_000 + (first + next) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The binary with its arguments, in a folder of its own.
pub(crate) fn doorline(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorline"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("DOORLINE_CONFIG")
        .env_remove("DOORLINE_LOG")
        .env("NO_COLOR", "1");
    command
}

/// Runs a command to its end without holding up whatever serves it in this process.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the program runs"))
        .await
        .expect("a result")
}

/// The Python that has the official libraries, as `make setup` puts it there.
pub(crate) fn judges() -> PathBuf {
    let python = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("judges");
    let python = python.join("bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `make setup`",
        python.display()
    );
    python
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// `doorline serve`, running.
pub(crate) struct Program {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

fn start(folder: &Path, environment: &[(&str, &str)]) -> Child {
    let log = File::create(folder.join("log")).expect("a writable folder");
    let mut command = doorline(folder, &["serve"]);
    command
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().expect("the program starts")
}

impl Program {
    /// Writes config.toml with `rest` after the sections that name the ports, and serves.
    pub(crate) async fn serve(server: &str, rest: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, admin) = (free_port(), free_port());
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://localhost:{port}\"\n{server}\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n{rest}\n"
        );
        fs::write(folder.path().join("config.toml"), text).expect("a writable folder");
        let program = Self {
            child: start(folder.path(), environment),
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            admin: SocketAddr::from(([127, 0, 0, 1], admin)),
        };
        program.ready().await
    }

    /// Serves once more in the same folder, after it has ended.
    pub(crate) async fn again(mut self, environment: &[(&str, &str)]) -> Self {
        self.child = start(self.folder.path(), environment);
        self.ready().await
    }

    async fn ready(self) -> Self {
        let mut program = self;
        until("the program is ready", async || {
            assert!(program.ended().is_none(), "it ended: {}", program.log());
            let open = tokio::net::TcpStream::connect(program.admin).await.is_ok();
            if !open {
                return None;
            }
            let ready = Browser::new(program.admin).get("/readyz").await;
            (ready.status == 200).then_some(())
        })
        .await;
        program
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).expect("a log")
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Sends the signal `name` (`TERM`, `HUP`).
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .expect("a shell");
        assert!(sent.success());
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        until("the program has ended", async || self.ended()).await
    }

    /// Asks it to stop and waits; it must leave in good order.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        let status = self.end().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended, or a test failed half-way: either way nothing of ours may stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
