//! A redis-server of its own, alone or as a cluster of three.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{EngineError, Process, free_port, program};

/// Slots of a Redis Cluster.
const SLOTS: u32 = 16_384;
/// How long one administrative command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(2);

/// A running redis-server. Killed, and its folder removed, when dropped.
pub struct Redis {
    process: Process,
    port: u16,
    /// Where it speaks with other nodes, if it is one.
    bus: u16,
    folder: TempDir,
}

/// How a server is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RedisConfig {
    /// Write every change to disk at once; otherwise nothing survives a kill, as Debian ships it.
    pub durable: bool,
    /// Be a node of a cluster.
    pub cluster: bool,
    /// What to evict when memory is full; `noeviction` unless said otherwise.
    pub eviction: Option<&'static str>,
}

impl Redis {
    /// Starts a server without persistence and waits until it answers.
    ///
    /// # Errors
    /// If redis-server is missing or does not come up.
    pub async fn start() -> Result<Self, EngineError> {
        Self::start_with(RedisConfig::default()).await
    }

    /// Starts a server as configured and waits until it answers.
    ///
    /// # Errors
    /// If redis-server is missing or does not come up.
    pub async fn start_with(config: RedisConfig) -> Result<Self, EngineError> {
        let server = program("redis-server", &["/usr/bin", "/usr/local/bin"])?;
        let (port, bus) = (free_port()?, free_port()?);
        let folder = TempDir::with_prefix("doorline-redis-").map_err(|source| EngineError::System {
            name: "redis",
            doing: "make a folder",
            source,
        })?;
        let directory = folder.path().to_path_buf();
        let process = Process::new("redis", directory.join("log"), move || {
            let yes_no = |on: bool| if on { "yes" } else { "no" };
            let mut command = Command::new(&server);
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", yes_no(config.durable)])
                .args(["--appendfsync", "always", "--daemonize", "no"])
                .args(["--maxmemory-policy", config.eviction.unwrap_or("noeviction")])
                .args(["--cluster-enabled", yes_no(config.cluster)])
                .args(["--cluster-node-timeout", "2000"])
                // By default nodes speak with each other on a port from which the kernel takes some
                // for outgoing connections.
                .args(["--cluster-port", &bus.to_string()])
                .arg("--dir")
                .arg(&directory);
            command
        });
        let redis = Self {
            process,
            port,
            bus,
            folder,
        };
        redis.restart().await?;
        Ok(redis)
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it in the middle of whatever it does.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Freezes it: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Starts it again on the same port with what its folder holds.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&self) -> Result<(), EngineError> {
        self.process.kill();
        self.process.start()?;
        self.process
            .ready(async || {
                self.command(&["PING"])
                    .await
                    .is_some_and(|a| a.starts_with("+PONG"))
            })
            .await
    }

    /// Forgets everything: as if the machine under it were new.
    pub async fn flush(&self) -> bool {
        self.command(&["FLUSHALL"])
            .await
            .is_some_and(|a| a.starts_with("+OK"))
    }

    /// The folder that holds its files, to copy an older state away and back.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends one command and gives the raw answer (RESP2), or nothing if it does not answer in time.
    pub async fn command(&self, words: &[&str]) -> Option<String> {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            let mut request = format!("*{}\r\n", words.len());
            for word in words {
                request += &["$", &word.len().to_string(), "\r\n", word, "\r\n"].concat();
            }
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = vec![0; 64 * 1024];
            let length = stream.read(&mut answer).await.ok()?;
            answer.truncate(length);
            String::from_utf8(answer).ok()
        };
        tokio::time::timeout(COMMAND_WITHIN, exchange)
            .await
            .ok()
            .flatten()
    }
}

/// A cluster of three nodes, without replicas.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three nodes, shares the slots among them, and waits until each says that the cluster is well.
    ///
    /// # Errors
    /// If redis-server is missing or the cluster does not come together.
    pub async fn start() -> Result<Self, EngineError> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let config = RedisConfig {
                cluster: true,
                ..RedisConfig::default()
            };
            nodes.push(Redis::start_with(config).await?);
        }
        let share = SLOTS.div_ceil(3);
        let (mut first, mut epoch) = (0, 1_u32);
        for node in &nodes {
            let last = (first + share).min(SLOTS) - 1;
            let range = [first.to_string(), last.to_string()];
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])
                .await;
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]])
                .await;
            if let Some(seed) = nodes.first() {
                let seed = [seed.port.to_string(), seed.bus.to_string()];
                node.command(&["CLUSTER", "MEET", "127.0.0.1", &seed[0], &seed[1]])
                    .await;
            }
            first = last + 1;
            epoch += 1;
        }
        for node in &nodes {
            let well = async || {
                let info = node.command(&["CLUSTER", "INFO"]).await.unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            };
            node.process.ready(well).await?;
        }
        Ok(Self { nodes })
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Where clients connect: every node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_answers_forgets_when_killed_and_comes_back_on_its_port() {
        let redis = Redis::start().await.unwrap();
        assert_eq!(
            redis.command(&["SET", "a", "1"]).await.as_deref(),
            Some("+OK\r\n")
        );
        redis.kill();
        assert_eq!(redis.command(&["GET", "a"]).await, None);
        redis.restart().await.unwrap();
        assert_eq!(redis.command(&["GET", "a"]).await.as_deref(), Some("$-1\r\n"));
    }

    #[tokio::test]
    async fn a_durable_server_remembers() {
        let config = RedisConfig {
            durable: true,
            ..RedisConfig::default()
        };
        let redis = Redis::start_with(config).await.unwrap();
        redis.command(&["SET", "a", "1"]).await.unwrap();
        redis.restart().await.unwrap();
        assert_eq!(redis.command(&["GET", "a"]).await.as_deref(), Some("$1\r\n1\r\n"));
    }

    #[tokio::test]
    async fn three_nodes_make_a_cluster() {
        let cluster = RedisCluster::start().await.unwrap();
        assert_eq!(cluster.urls().len(), 3);
    }

    #[tokio::test]
    async fn a_node_that_died_comes_back_to_its_cluster_with_nothing() {
        let cluster = RedisCluster::start().await.unwrap();
        let key = "doorline";
        let slot = cluster.nodes()[0]
            .command(&["CLUSTER", "KEYSLOT", key])
            .await
            .unwrap();
        let slot: u32 = slot.trim().trim_start_matches(':').parse().unwrap();
        let owner = &cluster.nodes()[usize::try_from(slot / SLOTS.div_ceil(3)).unwrap()];
        let set = owner.command(&["SET", key, "1"]).await;
        assert_eq!(set.as_deref(), Some("+OK\r\n"));
        owner.restart().await.unwrap();
        let info = owner.command(&["CLUSTER", "INFO"]).await.unwrap();
        assert!(info.contains("cluster_known_nodes:3"), "{info}");
        let mut ports: Vec<u16> = Vec::new();
        for node in cluster.nodes() {
            ports.extend([node.port(), node.bus]);
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6, "every node has two ports of its own");
    }

    #[tokio::test]
    async fn a_frozen_server_says_nothing_and_a_thawed_one_goes_on() {
        let redis = Redis::start().await.unwrap();
        redis.command(&["SET", "a", "1"]).await.unwrap();
        redis.freeze();
        assert_eq!(redis.command(&["GET", "a"]).await, None);
        redis.thaw();
        assert_eq!(redis.command(&["GET", "a"]).await.as_deref(), Some("$1\r\n1\r\n"));
        assert!(redis.flush().await);
        assert_eq!(redis.command(&["GET", "a"]).await.as_deref(), Some("$-1\r\n"));
    }
}
