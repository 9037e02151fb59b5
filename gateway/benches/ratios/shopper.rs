//! The few things a shopper's client must do for the benchmark: get cookies, join, claim.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::load::{Answer, Connection, get};

/// The poll.
pub(crate) const TICKET: &str = "/.doorline/v1/drops/aurora/ticket";

/// Two drops: everybody waits in `aurora`, everybody passes in `boreal`. All other limits
/// are out of the way but on, as in production.
pub(crate) fn config(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let drop = |id: &str, users: u32| {
        format!(
            "[[drop]]\nid = \"{id}\"\ntitle = \"{id}\"\npaths = [\"/drops/{id}\"]\n\
             event_start_time = \"2026-01-01T00:00:00Z\"\nqueueing_method = \"fifo\"\n\
             total_active_users = {users}\nnew_users_per_minute = {users}\nsession_duration = \"1h\"\n\
             [drop.checkout]\nreserve_for = \"5m\"\nper_shopper = 2\ndrain_per_second = 20\n\
             [[drop.item]]\nsku = \"{id}-1\"\ntitle = \"One\"\nprice = {{ amount = 100, currency = \"eur\" }}\n\
             stock = 100\n\n"
        )
    };
    format!(
        "[server]\nlisten = \"{listen}\"\npublic_url = \"http://localhost\"\nmax_connections = 30000\n\
         max_connections_per_address = 30000\n\n[admin]\nlisten = \"{admin}\"\n\n\
         [upstream]\nurl = \"http://{upstream}\"\n\n[backend]\nmode = \"embedded\"\ndata_dir = \"{}/data\"\n\n\
         [rate_limit]\nper_address = \"10000000/s\"\njoins_per_address = \"10000000/s\"\n\n{}{}",
        folder.display(),
        drop("aurora", 1),
        drop("boreal", 1_000),
    )
}

fn cookies_of(answer: &Answer) -> Vec<String> {
    let set = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let pair = value.split(';').next()?.trim().to_owned();
        name.eq_ignore_ascii_case("set-cookie").then_some(pair)
    };
    answer.head.lines().filter_map(set).collect()
}

fn post(path: &str, fields: &str) -> Arc<[u8]> {
    Arc::from(
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes(),
    )
}

/// A request that joins with this visitor cookie.
pub(crate) fn join(visitor: &str) -> Arc<[u8]> {
    post(TICKET, &format!("Cookie: {visitor}\r\n"))
}

/// Visitor cookies of shoppers who have not joined yet.
pub(crate) async fn strangers(gateway: SocketAddr, count: u64) -> Vec<String> {
    let mut connection = Connection::open(gateway).await.expect("the server accepts");
    let mut visitors = Vec::new();
    for _ in 0..count {
        let answer = connection.exchange(&post(TICKET, "")).await.expect("an answer");
        visitors.extend(
            cookies_of(&answer)
                .into_iter()
                .filter(|pair| pair.contains("visitor")),
        );
    }
    visitors
}

async fn ticket(gateway: SocketAddr, drop: &str) -> (Connection, String) {
    let mut connection = Connection::open(gateway).await.expect("the server accepts");
    let path = format!("/.doorline/v1/drops/{drop}/ticket");
    let first = connection.exchange(&post(&path, "")).await.expect("an answer");
    let mut jar = cookies_of(&first);
    let fields = format!("Cookie: {}\r\n", jar.join("; "));
    let second = connection
        .exchange(&post(&path, &fields))
        .await
        .expect("an answer");
    jar.extend(cookies_of(&second));
    (connection, jar.join("; "))
}

/// The cookie field of somebody who waits in `aurora`, behind somebody who got in.
pub(crate) async fn waiting(gateway: SocketAddr) -> String {
    let (_, _) = ticket(gateway, "aurora").await;
    let (_, jar) = ticket(gateway, "aurora").await;
    format!("Cookie: {jar}\r\n")
}

/// The cookie field of somebody who was admitted to `boreal`.
pub(crate) async fn admitted(gateway: SocketAddr) -> String {
    let (mut connection, jar) = ticket(gateway, "boreal").await;
    let claim = post(
        "/.doorline/v1/drops/boreal/admission",
        &format!("Cookie: {jar}\r\n"),
    );
    for _ in 0..100 {
        let answer = connection.exchange(&claim).await.expect("an answer");
        if answer.status == 200 {
            let jar: Vec<String> = std::iter::once(jar).chain(cookies_of(&answer)).collect();
            let fields = format!("Cookie: {}\r\n", jar.join("; "));
            let page = connection
                .exchange(&get("/drops/boreal", &fields))
                .await
                .expect("an answer");
            assert_eq!(page.status, 200, "an admitted shopper reaches the shop");
            return fields;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("nobody was admitted to a drop with a thousand places");
}
