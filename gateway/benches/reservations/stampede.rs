//! A stampede: shoppers who were all let in order one unit each, over as many connections as are asked
//! for, every one of them open before the first order goes out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use admission::{Admission, Claimed};
use domain::DropId;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Shoppers let in at once: their claims share commits, and none waits as long as Redis may take to answer.
const ADMITTED_AT_ONCE: usize = 256;
/// Tries of a shopper whom a busy machine answers too late; each comes as somebody new.
const TRIES_MAX: usize = 10;
/// Connections opened at once: fewer than a listener keeps waiting.
const OPENED_AT_ONCE: usize = 200;

/// Times that an order may be told to come again before something is wrong.
const AGAIN_MAX: usize = 20;

/// What the shoppers were told.
#[derive(Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Final answers, by status.
    pub(crate) by_status: BTreeMap<u16, usize>,
    /// How often somebody was told to come again first.
    pub(crate) again: usize,
}

/// Lets shoppers in, each with a place, a claim and a token; gives the order each will send, in bytes.
pub(crate) async fn admit(
    desk: &Admission,
    drop: &DropId,
    sku: &str,
    shoppers: usize,
) -> Result<Vec<Vec<u8>>, String> {
    stream::iter(0..shoppers)
        .map(|_| async move {
            let mut outcome = order_of_one(desk, drop, sku).await;
            for _ in 1..TRIES_MAX {
                if outcome.is_ok() {
                    break;
                }
                outcome = order_of_one(desk, drop, sku).await;
            }
            outcome
        })
        .buffer_unordered(ADMITTED_AT_ONCE)
        .try_collect()
        .await
}

async fn order_of_one(desk: &Admission, drop: &DropId, sku: &str) -> Result<Vec<u8>, String> {
    let (visitor, cookie) = desk.greet();
    let joined = desk.join(drop, &visitor, None).await;
    let ticket = joined.map_err(|error| error.to_string())?.ticket;
    let claimed = desk.claim(drop, &ticket, &visitor).await;
    let Claimed::Admitted(grant) = claimed.map_err(|error| error.to_string())? else {
        return Err("a drop without a queue held somebody".to_owned());
    };
    let body = format!("{{\"items\":[{{\"sku\":\"{sku}\",\"quantity\":1}}]}}");
    let text = format!(
        "POST /.doorline/v1/drops/{drop}/orders HTTP/1.1\r\nHost: localhost\r\n\
         Cookie: doorline-visitor={cookie}; doorline-admission-{drop}={token}\r\n\
         Idempotency-Key: one\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        token = grant.token,
        length = body.len(),
    );
    Ok(text.into_bytes())
}

/// Opens `connections` connections, shared out among the gateways. Each looks at the drop once, as a browser would have:
/// one that never says anything is soon closed.
pub(crate) async fn open(
    gateways: &[SocketAddr],
    drop: &DropId,
    connections: usize,
) -> Result<Vec<Connection>, String> {
    let look = format!("GET /.doorline/v1/drops/{drop} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let opening = stream::iter(0..connections).map(|n| {
        let look = look.as_bytes();
        async move {
            let mut connection = Connection::open(gateways[n % gateways.len()]).await?;
            match connection.exchange(look).await?.status {
                200 => Ok(connection),
                status => Err(format!("a look at the drop was answered with {status}")),
            }
        }
    });
    opening.buffer_unordered(OPENED_AT_ONCE).try_collect().await
}

/// Sends every order: all connections begin at once, and each takes the next order when it has its answer.
pub(crate) async fn send(open: Vec<Connection>, orders: Vec<Vec<u8>>) -> Result<Answers, String> {
    let (orders, next) = (Arc::new(orders), Arc::new(AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(open.len()));
    let mut shoppers = JoinSet::new();
    for mut connection in open {
        let (orders, next, start) = (Arc::clone(&orders), Arc::clone(&next), Arc::clone(&start));
        shoppers.spawn(async move {
            start.wait().await;
            let mut answers = Answers::default();
            while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (status, again) = connection.order(order).await?;
                *answers.by_status.entry(status).or_default() += 1;
                answers.again += again;
            }
            Ok::<_, String>(answers)
        });
    }
    let mut all = Answers::default();
    while let Some(done) = shoppers.join_next().await {
        all.add(done.map_err(|error| error.to_string())??);
    }
    Ok(all)
}

impl Answers {
    /// Adds what others were told.
    pub(crate) fn add(&mut self, others: Self) {
        for (status, count) in others.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.again += others.again;
    }
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(gateway: SocketAddr) -> Result<Self, String> {
        let opening = async {
            let stream = TcpStream::connect(gateway).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        Ok(Self {
            stream: opening.await.map_err(|error| error.to_string())?,
            buffer: Vec::with_capacity(1_024),
        })
    }

    /// Sends an order until it is decided: who is told to come again does so, with the same key. Gives the status, and
    /// how often that was.
    async fn order(&mut self, request: &[u8]) -> Result<(u16, usize), String> {
        for again in 0..AGAIN_MAX {
            let answer = self.exchange(request).await?;
            let Some(seconds) = answer.retry_after.filter(|_| answer.status == 503) else {
                return Ok((answer.status, again));
            };
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        Err(format!("an order was told to come again {AGAIN_MAX} times"))
    }

    /// Sends a request and reads the whole answer.
    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let sent = self.stream.write_all(request).await;
        sent.map_err(|error| error.to_string())?;
        self.buffer.clear();
        loop {
            if let Some(answer) = whole_answer(&self.buffer) {
                return Ok(answer);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err("a connection was closed before its answer".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// What of an answer matters here.
struct Answer {
    status: u16,
    /// In seconds.
    retry_after: Option<u64>,
}

/// The answer, once head and body have come.
fn whole_answer(bytes: &[u8]) -> Option<Answer> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let number = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let named = name.eq_ignore_ascii_case(wanted);
            named.then(|| value.trim().parse::<u64>().ok())?
        })
    };
    let length = usize::try_from(number("content-length")?).ok()?;
    if bytes.len() < head_end + length {
        return None;
    }
    let status = head.get(9..12)?.parse().ok()?;
    Some(Answer {
        status,
        retry_after: number("retry-after"),
    })
}
