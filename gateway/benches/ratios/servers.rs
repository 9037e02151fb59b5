//! Starts what is measured and what it is measured against, each as a process of its own,
//! and reads their CPU time and memory from `/proc`.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process (with its workers) that ends when this value is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    probe.local_addr().expect("a bound socket has an address")
}

impl Server {
    /// Starts `command` and waits until `address` accepts.
    pub(crate) async fn start(command: &mut Command, address: SocketAddr) -> Self {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("the program is installed (make setup)");
        let server = Self { child, address };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing listens on {address} after ten seconds");
    }

    /// CPU time, user and system, of the process and its children, in microseconds.
    pub(crate) fn cpu_micros(&self) -> u64 {
        // A clock tick is 10 ms on every Linux that Rust supports (USER_HZ = 100).
        family(self.child.id())
            .iter()
            .map(|pid| ticks(*pid) * 10_000)
            .sum()
    }

    /// Resident memory of the process in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in family(self.child.id()).into_iter().rev() {
            let _ = Command::new("kill")
                .arg(pid.to_string())
                .stderr(Stdio::null())
                .status();
        }
        let _ = self.child.wait();
    }
}

fn family(parent: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let below = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .flat_map(family);
    std::iter::once(parent).chain(below.collect::<Vec<_>>()).collect()
}

fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name may hold spaces: fields are counted after its closing bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum()
}

fn write(path: &Path, text: &str) {
    fs::File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("a writable folder");
}

/// nginx answering a small body itself: the upstream of every proxy here.
pub(crate) async fn nginx_upstream(folder: &Path) -> Server {
    let address = free_address();
    nginx(
        folder,
        "upstream",
        address,
        "location / { default_type text/plain; return 200 'all is well'; }",
    )
    .await
}

/// nginx as a plain reverse proxy with kept-alive upstream connections.
pub(crate) async fn nginx_proxy(folder: &Path, upstream: SocketAddr) -> Server {
    let address = free_address();
    let site =
        "location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ''; }";
    let origin =
        format!("upstream origin {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}");
    nginx_with(folder, "proxy", address, site, &origin).await
}

async fn nginx(folder: &Path, name: &str, address: SocketAddr, site: &str) -> Server {
    nginx_with(folder, name, address, site, "").await
}

async fn nginx_with(folder: &Path, name: &str, address: SocketAddr, site: &str, top: &str) -> Server {
    let (config, own) = (folder.join(format!("{name}.conf")), folder.display());
    let text = format!(
        "daemon off; worker_processes 2; pid {own}/{name}.pid; error_log /dev/null;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {own}/{name}-body;\n\
         proxy_temp_path {own}/{name}-proxy; fastcgi_temp_path {own}/{name}-f; uwsgi_temp_path {own}/{name}-u;\n\
         scgi_temp_path {own}/{name}-s; {top} server {{ listen {address}; {site} }} }}\n"
    );
    write(&config, &text);
    let mut command = Command::new(program("nginx"));
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&config)
        .stderr(Stdio::null());
    Server::start(&mut command, address).await
}

/// haproxy as a plain reverse proxy.
pub(crate) async fn haproxy_proxy(folder: &Path, upstream: SocketAddr) -> Server {
    let (address, config) = (free_address(), folder.join("haproxy.cfg"));
    let text = format!(
        "global\n nbthread 2\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n \
         timeout server 60s\n http-reuse always\nfrontend f\n bind {address}\n default_backend b\n\
         backend b\n server s {upstream}\n"
    );
    write(&config, &text);
    let mut command = Command::new(program("haproxy"));
    command
        .arg("-f")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Server::start(&mut command, address).await
}

/// Debian keeps servers in `/usr/sbin`, which is not on every user's path.
fn program(name: &str) -> String {
    let system = format!("/usr/sbin/{name}");
    if Path::new(&system).exists() {
        system
    } else {
        name.to_owned()
    }
}
