//! Ratios on this machine, in one run: Doorline against nginx and haproxy as plain reverse
//! proxies, and against an empty hyper server. Orders per second into the ledger are measured by
//! `checkout-worker/examples/ledger_throughput.rs`, which `make bench` runs after this.
//!
//! Absolute figures on shared cores wander; the ratios between neighbours in one run hold.

#[path = "ratios/load.rs"]
mod load;
#[path = "ratios/servers.rs"]
mod servers;
#[path = "ratios/shopper.rs"]
mod shopper;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http_body_util::Full;
use hyper::service::service_fn;
use servers::{Server, free_address};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;

/// How much of everything a run does; `--quick` is for seeing that it works.
#[derive(Clone, Copy)]
struct Size {
    requests: u64,
    joins: u64,
    streams: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if let Some(at) = arguments.iter().position(|a| a == "--empty-server") {
        let address = arguments
            .get(at + 1)
            .and_then(|a| a.parse().ok())
            .expect("--empty-server ADDRESS");
        runtime.block_on(serve_empty(address));
        return;
    }
    let size = if arguments.iter().any(|a| a == "--quick") {
        Size {
            requests: 10_000,
            joins: 2_000,
            streams: 500,
        }
    } else {
        Size {
            requests: 150_000,
            joins: 20_000,
            streams: 10_000,
        }
    };
    runtime.block_on(measure(size));
}

/// The least that a hyper server can do: the baseline of every answer made locally.
async fn serve_empty(address: SocketAddr) {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("a free address");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("accepting works");
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let answer = service_fn(|_request| async {
                Ok::<_, Infallible>(hyper::Response::new(Full::new(bytes::Bytes::from_static(
                    b"all is well",
                ))))
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, answer)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn measure(size: Size) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let upstream = servers::nginx_upstream(folder.path()).await;
    let doorline = start_doorline(folder.path(), upstream.address).await;
    proxied(folder.path(), &upstream, &doorline, size).await;
    polls(&doorline, size).await;
    joins(&doorline, size).await;
    streams(&doorline, size).await;
}

async fn start_doorline(folder: &Path, upstream: SocketAddr) -> Server {
    let address = free_address();
    let config = folder.join("config.toml");
    std::fs::write(
        &config,
        shopper::config(address, free_address(), upstream, folder),
    )
    .expect("a writable folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorline"));
    command
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .env("DOORLINE_LOG", "error");
    command.env("DOORLINE_ADMIN_TOKEN", "a-token-for-this-run-only");
    Server::start(&mut command, address).await
}

/// CPU per request of `server` in microseconds, the best of the rounds: noise only adds.
async fn cpu_per_request(server: &Server, request: &Arc<[u8]>, size: Size) -> f64 {
    let before = server.cpu_micros();
    let bytes = Arc::clone(request);
    let outcome = load::drive(server.address, CONNECTIONS, size.requests, move |_| {
        Arc::clone(&bytes)
    })
    .await;
    assert_eq!(
        outcome.bad, 0,
        "every request of a measurement must be answered well"
    );
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of CPU and counts are far below 2^52"
    )]
    let micros = (server.cpu_micros() - before) as f64 / outcome.good as f64;
    micros
}

/// Measures several servers in turns, so that a noisy neighbour strikes all of them.
async fn in_turns(contenders: &[(&str, &Server, Arc<[u8]>)], size: Size) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; contenders.len()];
    for _ in 0..ROUNDS {
        for (slot, (_, server, request)) in best.iter_mut().zip(contenders) {
            *slot = slot.min(cpu_per_request(server, request, size).await);
        }
    }
    best
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn print_ratios(title: &str, contenders: &[(&str, &Server, Arc<[u8]>)], figures: &[f64]) {
    println!("\n{title}, {CONNECTIONS} connections");
    let base = figures.first().copied().unwrap_or(f64::NAN);
    for ((name, ..), figure) in contenders.iter().zip(figures) {
        println!(
            "  {name:<36} {figure:>7.2} µs CPU per request   {:>5.2} ×",
            figure / base
        );
    }
}

async fn proxied(folder: &Path, upstream: &Server, doorline: &Server, size: Size) {
    let nginx = servers::nginx_proxy(folder, upstream.address).await;
    let haproxy = servers::haproxy_proxy(folder, upstream.address).await;
    let plain = load::get("/open", "Accept: */*\r\n");
    let proxies = |request: &Arc<[u8]>, doorline_passes| {
        [
            ("nginx, plain proxy", &nginx, Arc::clone(request)),
            ("haproxy, plain proxy", &haproxy, Arc::clone(request)),
            (doorline_passes, doorline, Arc::clone(request)),
        ]
    };
    let contenders = proxies(&plain, "doorline, open path");
    let figures = in_turns(&contenders, size).await;
    print_ratios("Proxied requests", &contenders, &figures);
    // The same bytes to all of them: a shopper's cookies cost every proxy something to read and copy.
    let admitted = load::get("/drops/boreal", &shopper::admitted(doorline.address).await);
    let contenders = proxies(&admitted, "doorline, protected path, admitted");
    let figures = in_turns(&contenders, size).await;
    print_ratios("Proxied requests of an admitted shopper", &contenders, &figures);
}

async fn polls(doorline: &Server, size: Size) {
    let address = free_address();
    let myself = std::env::current_exe().expect("this program has a path");
    let empty = Server::start(
        Command::new(myself)
            .arg("--empty-server")
            .arg(address.to_string()),
        address,
    )
    .await;
    let cookies = shopper::waiting(doorline.address).await;
    let contenders = [
        ("empty hyper server", &empty, load::get("/", "Accept: */*\r\n")),
        (
            "doorline, status poll",
            doorline,
            load::get(shopper::TICKET, &cookies),
        ),
        (
            "doorline, public drop state",
            doorline,
            load::get("/.doorline/v1/drops/aurora", ""),
        ),
    ];
    let figures = in_turns(&contenders, size).await;
    print_ratios("Status polls", &contenders, &figures);
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn joins(doorline: &Server, size: Size) {
    let visitors = shopper::strangers(doorline.address, size.joins).await;
    let request = move |index: u64| {
        let at = usize::try_from(index).unwrap_or(0) % visitors.len();
        shopper::join(&visitors[at])
    };
    let before = doorline.cpu_micros();
    let outcome = load::drive(doorline.address, CONNECTIONS, size.joins, request).await;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (joins, cpu) = (outcome.good as f64, (doorline.cpu_micros() - before) as f64);
    println!("\nJoins, {CONNECTIONS} connections ({} refused)", outcome.bad);
    println!("  {:>9.0} joins per second", joins / outcome.took.as_secs_f64());
    println!(
        "  {:>9.2} ms p99",
        f64::from(u32::try_from(outcome.latency.value_at_quantile(0.99)).unwrap_or(0)) / 1e3
    );
    println!("  {:>9.2} µs CPU per join", cpu / joins);
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn streams(doorline: &Server, size: Size) {
    let cookies = shopper::waiting(doorline.address).await;
    let request = load::get(&format!("{}/events", shopper::TICKET), &cookies);
    let before = doorline.resident_bytes();
    let mut open = Vec::with_capacity(size.streams);
    for _ in 0..size.streams {
        let mut connection = load::Connection::open(doorline.address)
            .await
            .expect("the server accepts");
        assert_eq!(connection.subscribe(&request).await.expect("a head"), 200);
        open.push(connection);
    }
    let grown = doorline.resident_bytes().saturating_sub(before);
    println!("\nOpen event streams");
    println!("  {:>9} open", open.len());
    println!(
        "  {:>9.1} KiB of resident memory each",
        kib(grown) / kib(1024 * open.len() as u64)
    );
}

#[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
