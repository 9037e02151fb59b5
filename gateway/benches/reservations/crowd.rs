//! The shoppers, in processes of their own: each process holds a connection for every order it was given.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use domain::DropId;

use super::stampede::{self, Answers};

/// Says that the process is one of the crowds; gateway, drop and the file of orders follow.
pub(crate) const FLAG: &str = "--crowd";
/// What a crowd says when all its connections are open. It then waits for a line to begin.
const OPEN: &str = "open";

/// All processes, each with its connections open.
pub(crate) struct Crowds(Vec<Crowd>);

struct Crowd {
    process: Ended,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

/// A process that is killed when nobody needs it any more.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Crowds {
    /// Starts a process for each gateway, shares the orders out, and waits until every connection is open.
    pub(crate) async fn gather(
        folder: &Path,
        gateways: &[SocketAddr],
        drop: &DropId,
        orders: Vec<Vec<u8>>,
    ) -> Result<Self, String> {
        let share = orders.len().div_ceil(gateways.len());
        let mut crowds = Vec::new();
        for (n, (gateway, orders)) in gateways.iter().zip(orders.chunks(share)).enumerate() {
            let file = folder.join(format!("orders-{n}.json"));
            let texts: Vec<_> = orders
                .iter()
                .map(|order| String::from_utf8_lossy(order))
                .collect();
            let json = serde_json::to_vec(&texts).map_err(|error| error.to_string())?;
            std::fs::write(&file, json).map_err(|error| error.to_string())?;
            crowds.push(Crowd::start(*gateway, drop, file).map_err(|error| error.to_string())?);
        }
        blocking(move || {
            for crowd in &mut crowds {
                let line = crowd.line()?;
                if line != OPEN {
                    return Err(format!("a crowd ended before its connections were open: {line}"));
                }
            }
            Ok(Self(crowds))
        })
        .await
    }

    /// Lets everybody send at once; gives what they were told.
    pub(crate) async fn run(mut self) -> Result<Answers, String> {
        blocking(move || {
            for crowd in &mut self.0 {
                crowd.say.write_all(b"go\n").map_err(|error| error.to_string())?;
            }
            let mut all = Answers::default();
            for crowd in &mut self.0 {
                let answers = serde_json::from_str(&crowd.line()?);
                all.add(answers.map_err(|error| error.to_string())?);
            }
            Ok(all)
        })
        .await
    }
}

impl Crowd {
    fn start(gateway: SocketAddr, drop: &DropId, orders: PathBuf) -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([FLAG, &gateway.to_string(), drop.as_str()])
            .arg(orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (say, hear) = (process.stdin.take(), process.stdout.take());
        let process = Ended(process);
        let pipes = say.zip(hear).ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            process,
            say: pipes.0,
            hear: BufReader::new(pipes.1),
        })
    }

    /// The next line that it says.
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self
            .hear
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err(format!("a crowd ended early: {:?}", self.process.0.wait()));
        }
        Ok(line.trim_end().to_owned())
    }
}

/// What a crowd's process does.
pub(crate) async fn work(arguments: &[String]) -> Result<(), String> {
    let [gateway, drop, orders] = arguments else {
        return Err("a crowd is told its gateway, its drop and its orders".to_owned());
    };
    let gateway: SocketAddr = gateway.parse().map_err(|error| format!("{gateway}: {error}"))?;
    let drop = DropId::new(drop).map_err(|error| error.to_string())?;
    let texts = std::fs::read(orders).map_err(|error| error.to_string())?;
    let texts: Vec<String> = serde_json::from_slice(&texts).map_err(|error| error.to_string())?;
    let orders: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
    let open = stampede::open(&[gateway], &drop, orders.len()).await?;
    println!("{OPEN}");
    blocking(|| {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map_err(|error| error.to_string())
    })
    .await?;
    let answers = stampede::send(open, orders).await?;
    println!(
        "{}",
        serde_json::to_string(&answers).map_err(|error| error.to_string())?
    );
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| error.to_string())?
}
