//! A stampede: shoppers who were all let in order one unit each, over as many connections as are asked
//! for, every one of them open before the first order goes out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use admission::{Admission, Claimed};
use domain::DropId;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
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

/// What the shoppers were told, by status.
pub(crate) type Answers = BTreeMap<u16, usize>;

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

/// Sends every order over `connections` connections, shared out among the gateways. `go` is called when
/// all of them are open.
pub(crate) async fn run(
    gateways: &[SocketAddr],
    orders: Vec<Vec<u8>>,
    connections: usize,
    go: impl FnOnce(),
) -> Result<Answers, String> {
    let open = stream::iter(0..connections).map(|n| Connection::open(gateways[n % gateways.len()]));
    let open: Vec<Connection> = open.buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
    let (orders, next) = (Arc::new(orders), Arc::new(AtomicUsize::new(0)));
    let start = Arc::new(Barrier::new(connections + 1));
    let mut shoppers = JoinSet::new();
    for mut connection in open {
        let (orders, next, start) = (Arc::clone(&orders), Arc::clone(&next), Arc::clone(&start));
        shoppers.spawn(async move {
            start.wait().await;
            let mut answers = Answers::new();
            while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                *answers.entry(connection.exchange(order).await?).or_default() += 1;
            }
            Ok::<_, String>(answers)
        });
    }
    start.wait().await;
    go();
    let mut all = Answers::new();
    while let Some(done) = shoppers.join_next().await {
        for (status, count) in done.map_err(|error| error.to_string())?? {
            *all.entry(status).or_default() += count;
        }
    }
    Ok(all)
}

/// One keep-alive connection.
struct Connection {
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

    /// Sends a request and reads the whole answer; gives its status.
    async fn exchange(&mut self, request: &[u8]) -> Result<u16, String> {
        let sent = self.stream.write_all(request).await;
        sent.map_err(|error| error.to_string())?;
        self.buffer.clear();
        loop {
            if let Some(status) = whole_answer(&self.buffer) {
                return Ok(status);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err("a connection was closed before its answer".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// The status, once head and body have come.
fn whole_answer(bytes: &[u8]) -> Option<u16> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = bytes.len() >= head_end + length.unwrap_or(0);
    whole.then(|| head.get(9..12)?.parse().ok())?
}
