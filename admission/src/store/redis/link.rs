//! The way to Redis: one server or a cluster, with a deadline on everything.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, ServerErrorKind, Value,
};
use tokio::time::Instant;

use super::keys::{Key, Keys};
use super::outage::Outage;
use super::reply::{Reply, nonsense};
use super::script::Named;
use super::{RedisConfig, RedisOpenError, unavailable};
use crate::store::Unavailable;

/// Longest wait for an answer. A script takes tens of microseconds; what takes this long is lost.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// A connection over which nothing that was sent has arrived for so long is broken: the kernel would try for a quarter of
/// an hour. Four answers' time, so that a moment of bad weather costs no connection.
const ARRIVED_WITHIN: Duration = Duration::from_secs(2);
/// A lost connection is tried again after 50, 100 and 200 ms, then at the next request.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_TRIES: usize = 3;
/// A cluster's redirections and reconnections within one request.
const CLUSTER_TRIES: u32 = 3;

/// Hears of every command that is sent to Redis, by the name of its script. Comes from the hot path: it
/// must not block.
pub trait Watch: Send + Sync {
    /// A command was answered or given up after `took`.
    fn sent(&self, op: &'static str, took: Duration);
}

/// Hears everything and says nothing.
struct Unwatched;

impl Watch for Unwatched {
    fn sent(&self, _: &'static str, _: Duration) {}
}

/// A connection that is shared by all who ask.
pub(super) struct Link {
    wire: Wire,
    outage: Outage,
    pub(super) watch: Arc<dyn Watch>,
}

enum Wire {
    One(Box<One>),
    Cluster(ClusterConnection),
}

/// One server: the name of one, that is. After a failover another server answers to it, while the connection
/// leads to the old one for as long as that lives.
struct One {
    client: Client,
    options: ConnectionManagerConfig,
    manager: ArcSwap<ConnectionManager>,
}

/// Words that are sent along with a script.
#[derive(Clone, Default, Debug)]
pub(super) struct Words(Vec<Vec<u8>>);

impl Words {
    /// Adds bytes.
    pub(super) fn bytes(mut self, word: &[u8]) -> Self {
        self.0.push(word.to_vec());
        self
    }

    /// Adds text.
    pub(super) fn text(self, word: &str) -> Self {
        self.bytes(word.as_bytes())
    }

    /// Adds a number.
    pub(super) fn number(self, word: u64) -> Self {
        self.text(&word.to_string())
    }

    /// Adds a number, or nothing in its place.
    pub(super) fn number_if_any(self, word: Option<u64>) -> Self {
        match word {
            Some(word) => self.number(word),
            None => self.text(""),
        }
    }

    /// Adds what others hold.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }
}

impl Link {
    /// Looks at every server that is named, and prepares connections.
    pub(super) async fn open(config: &RedisConfig) -> Result<Self, RedisOpenError> {
        let mut servers = Vec::new();
        for url in &config.urls {
            let info = connection_info(url)?;
            refuse_eviction(&info).await?;
            servers.push(info);
        }
        let Some(first) = servers.first().cloned() else {
            return Err(RedisOpenError::NoServer);
        };
        if config.cluster {
            let client = ClusterClientBuilder::new(servers)
                .retries(CLUSTER_TRIES)
                .connection_timeout(CONNECT_WITHIN)
                .response_timeout(ANSWER_WITHIN)
                .tcp_settings(tcp_settings())
                .build()?;
            return Ok(Self::over(Wire::Cluster(client.get_async_connection().await?)));
        }
        let options = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_min_delay(RECONNECT_FIRST)
            .set_number_of_retries(RECONNECT_TRIES);
        let client = Client::open(first)?;
        let manager = ConnectionManager::new_with_config(client.clone(), options.clone()).await?;
        Ok(Self::over(Wire::One(Box::new(One {
            client,
            options,
            manager: ArcSwap::from_pointee(manager),
        }))))
    }

    fn over(wire: Wire) -> Self {
        Self {
            wire,
            outage: Outage::of("redis"),
            watch: Arc::new(Unwatched),
        }
    }

    /// Runs a script on a drop's keys.
    pub(super) async fn run(&self, script: &Named, keys: &Keys, words: &Words) -> Result<Reply, Unavailable> {
        let known = command("EVALSHA", &script.hash, keys, words);
        let answer = match self.send(script.name, &known).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                // The server does not know it, so it was not run: sent in full it is.
                let whole = command("EVAL", script.source, keys, words);
                self.send(script.name, &whole).await
            }
            answer => answer,
        };
        let value = self.judged(script.name, answer)?;
        Reply::of(value)
    }

    /// Whether the server of these keys takes writes: one that follows another does not, nor one that is full.
    pub(super) async fn probe(&self, keys: &Keys) -> Result<(), Unavailable> {
        let mut set = redis::cmd("SET");
        set.arg(keys.probe()).arg(1).arg("PX").arg(PROBE_KEPT_MS);
        self.judged("probe", self.send("probe", &set).await).map(|_| ())
    }

    /// Some of the shoppers in a sorted set, and where to go on from; zero at the end.
    pub(super) async fn scan(
        &self,
        keys: &Keys,
        key: Key,
        cursor: u64,
    ) -> Result<(u64, Vec<Vec<u8>>), Unavailable> {
        let mut scan = redis::cmd("ZSCAN");
        scan.arg(keys.name(key)).arg(cursor).arg("COUNT").arg(SCANNED);
        let value = self.judged("scan", self.send("scan", &scan).await)?;
        let mut reply = Reply::of(value)?;
        let (cursor, mut found) = (reply.number()?, reply.list()?);
        let mut shoppers = Vec::new();
        while found.len() > 0 {
            shoppers.push(found.bytes()?);
            found.bytes()?;
        }
        Ok((cursor, shoppers))
    }

    /// The records of shoppers, where there are any.
    pub(super) async fn members(
        &self,
        keys: &Keys,
        shoppers: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, Unavailable> {
        if shoppers.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("HMGET");
        get.arg(keys.name(Key::Members)).arg(shoppers);
        match self.judged("members", self.send("members", &get).await)? {
            Value::Array(values) => values
                .into_iter()
                .map(|value| match value {
                    Value::BulkString(bytes) => Ok(Some(bytes)),
                    Value::Nil => Ok(None),
                    _ => Err(nonsense()),
                })
                .collect(),
            _ => Err(nonsense()),
        }
    }

    fn judged(&self, asked: &'static str, answer: redis::RedisResult<Value>) -> Result<Value, Unavailable> {
        match answer {
            Ok(value) => {
                self.outage.over();
                Ok(value)
            }
            Err(error) => {
                self.outage.note(asked, &error);
                Err(unavailable(if error.is_timeout() {
                    "Redis did not answer in time"
                } else {
                    "Redis cannot be reached"
                }))
            }
        }
    }

    async fn send(&self, op: &'static str, command: &Cmd) -> redis::RedisResult<Value> {
        let asked_at = Instant::now();
        let answer = async {
            match &self.wire {
                Wire::One(one) => one.ask(command).await,
                Wire::Cluster(cluster) => cluster.clone().req_packed_command(command).await?.extract_error(),
            }
        };
        // The client has deadlines of its own per try; this one is for all of them together.
        let answer = tokio::time::timeout(ANSWER_WITHIN * 2, answer).await;
        self.watch.sent(op, asked_at.elapsed());
        match answer {
            Ok(answer) => answer,
            Err(_) => Err((ErrorKind::Io, "no answer in time").into()),
        }
    }
}

impl One {
    async fn ask(&self, command: &Cmd) -> redis::RedisResult<Value> {
        let manager = self.manager.load_full();
        let answer = ConnectionManager::clone(&manager)
            .req_packed_command(command)
            .await;
        let answer = answer.and_then(Value::extract_error);
        if let Err(error) = &answer
            && (error.is_timeout() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly))
        {
            self.leave(&manager);
        }
        answer
    }

    /// Connects anew with the next request, unless somebody has seen to that: of all who wait in vain for one connection
    /// the first leaves it, so that a server that is merely slow is connected to once per deadline and not once per
    /// request. The client leaves a connection by itself only where it breaks; a server that was made to follow another
    /// one keeps its connections, and one that hangs breaks none.
    fn leave(&self, manager: &Arc<ConnectionManager>) {
        // Looked at beforehand: thousands may have waited, and a connection is not prepared for nothing.
        if !Arc::ptr_eq(&self.manager.load(), manager) {
            return;
        }
        let fresh = ConnectionManager::new_lazy_with_config(self.client.clone(), self.options.clone());
        if let Ok(fresh) = fresh {
            self.manager.compare_and_swap(manager, Arc::new(fresh));
        }
    }
}

/// How long a probe stays: its life is of no use to anybody.
const PROBE_KEPT_MS: u64 = 1_000;
/// Shoppers looked at in one step of a scan.
const SCANNED: u64 = 500;

fn command(verb: &str, script: &str, keys: &Keys, words: &Words) -> Cmd {
    let mut command = redis::cmd(verb);
    command
        .arg(script)
        .arg(keys.all().len())
        .arg(keys.all())
        .arg(&words.0);
    command
}

fn connection_info(url: &str) -> Result<ConnectionInfo, RedisOpenError> {
    let info = url.into_connection_info()?;
    Ok(info.set_tcp_settings(tcp_settings()))
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(ARRIVED_WITHIN)
}

/// A server that throws keys away when its memory is full would throw sessions away, and with
/// them the limits.
async fn refuse_eviction(info: &ConnectionInfo) -> Result<(), RedisOpenError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    let client = Client::open(info.clone())?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let memory: String = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await?;
    let policy = memory
        .lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"))
        .unwrap_or("unknown");
    if policy.trim() == "noeviction" {
        return Ok(());
    }
    Err(RedisOpenError::Evicts {
        server: info.addr().to_string(),
        policy: policy.trim().to_owned(),
    })
}
