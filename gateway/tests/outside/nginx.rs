//! The binary with a configuration written by hand, in front of a shop that is not ours: nginx
//! with a few static pages. The shopper is `curl` with a cookie jar.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Browser, until};
use crate::program::{self, Program, doorline, free_port, run};

const NGINX: &str = "/usr/sbin/nginx";
const SLOW_BYTES: usize = 96 * 1_024;

/// nginx in the foreground, serving a static site.
struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    async fn start() -> Self {
        assert!(Path::new(NGINX).exists(), "{NGINX} is missing: run `make setup`");
        let folder = tempfile::tempdir().expect("a folder");
        let (root, port) = (folder.path().join("site"), free_port());
        for (name, text) in [
            ("index.html", "<h1>welcome to the shop</h1>".to_owned()),
            ("drops/aurora", "<h1>the drop</h1>".to_owned()),
            ("products/aurora/shoe.html", "<h1>the shoe</h1>".to_owned()),
            ("slow/film", "x".repeat(SLOW_BYTES)),
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
            fs::write(path, text).expect("a writable folder");
        }
        let here = folder.path().display();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n access_log off;\n default_type text/html;\n\
             client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3;\n\
             uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;\n\
             server {{ listen 127.0.0.1:{port}; root {here}/site; \
             location /slow/ {{ limit_rate 32k; }} }}\n}}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).expect("a writable folder");
        let child = Command::new(NGINX)
            .arg("-p")
            .arg(folder.path())
            .args(["-e", "stderr", "-c", "nginx.conf"])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        until("nginx listens", async || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        Self {
            child,
            port,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Our own child: gone already or ended here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a merchant writes; the payment provider is the built-in sandbox.
fn configuration(nginx: &Nginx) -> String {
    format!(
        r#"
[upstream]
url = "http://127.0.0.1:{port}"

[[drop]]
id = "aurora"
title = "Aurora, first edition"
paths = ["/drops/aurora", "/products/aurora/*"]
event_start_time = "2026-01-15T10:00:00[Europe/Berlin]"
total_active_users = 500
new_users_per_minute = 600

[drop.checkout]
reserve_for = "5m"
per_shopper = 2
drain_per_second = 20

[[drop.item]]
sku = "AUR-42"
title = "Aurora EU 42"
price = {{ amount = 12900, currency = "eur" }}
stock = 20
"#,
        port = nginx.port
    )
}

/// `curl` with a cookie jar, against one gateway.
struct Curl {
    base: String,
    folder: TempDir,
}

impl Curl {
    fn new(program: &Program) -> Self {
        Self {
            base: format!("http://localhost:{}", program.address.port()),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Status and body.
    async fn ask(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let mut command = Command::new("curl");
        command
            .current_dir(self.folder.path())
            .args(["-sS", "--max-time", "30", "-4", "--noproxy", "*"])
            .args(["-b", "jar", "-c", "jar", "-w", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("{}{path}", self.base));
        let output = run(command).await;
        assert!(output.status.success(), "{path}: {}", program::stderr(&output));
        let text = program::stdout(&output);
        let (body, status) = text.rsplit_once('\n').expect("a status at the end");
        (status.parse().expect("a status"), body.to_owned())
    }

    async fn json(&self, path: &str, status: u16, arguments: &[&str]) -> Value {
        let (found, body) = self.ask(path, arguments).await;
        assert_eq!(found, status, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
    }
}

#[tokio::test]
async fn curl_walks_from_the_queue_to_a_paid_order() {
    let nginx = Nginx::start().await;
    let program = Program::serve("", &configuration(&nginx), &[]).await;
    let curl = Curl::new(&program);
    let api = "/.doorline/v1/drops/aurora";
    let (status, body) = curl.ask("/", &[]).await;
    assert!(
        status == 200 && body.contains("welcome to the shop"),
        "open pages pass"
    );
    let shoe = "/products/aurora/shoe.html";
    let (status, body) = curl.ask(shoe, &["-H", "Accept: text/html"]).await;
    assert!(
        status == 200 && !body.contains("the shoe"),
        "protected pages are held: {body}"
    );
    assert!(body.contains("Aurora, first edition"));

    let joined = curl.json(&format!("{api}/ticket"), 201, &["-X", "POST"]).await;
    assert_eq!(joined["number"], 1);
    until("the turn has come", async || {
        let place = curl.json(&format!("{api}/ticket"), 200, &[]).await;
        (place["state"] == "called").then_some(())
    })
    .await;
    let claimed = curl.json(&format!("{api}/admission"), 200, &["-X", "POST"]).await;
    assert!(claimed["admission_token"].is_string());
    let (status, body) = curl.ask(shoe, &["-H", "Accept: text/html"]).await;
    assert!(status == 200 && body.contains("the shoe"), "{body}");

    let body = r#"{"items": [{"sku": "AUR-42", "quantity": 2}]}"#;
    let arguments = [
        "-H",
        "Idempotency-Key: first-try",
        "-H",
        "Content-Type: application/json",
        "-d",
        body,
    ];
    let order = curl.json(&format!("{api}/orders"), 201, &arguments).await;
    let path = format!("/.doorline/v1/orders/{}", order["order"].as_str().expect("an id"));
    let pay = r#"{"payment_method": "pm_card_visa"}"#;
    let paying = curl.json(&format!("{path}/payment"), 202, &["-d", pay]).await;
    assert_eq!(paying["total"]["amount"], 25_800);
    until("the order is paid", async || {
        (curl.json(&path, 200, &[]).await["state"] == "paid").then_some(())
    })
    .await;
    let state = until("the stock shows it", async || {
        let state = curl.json(api, 200, &[]).await;
        (state["stock"]["AUR-42"]["sold"] == 2).then_some(state)
    })
    .await;
    assert_eq!(state["stock"]["AUR-42"]["available"], 18);

    // The operator on the same machine needs no token: the gateway left one for its own user.
    let audit = run(doorline(program.folder.path(), &["audit", "--output", "json"])).await;
    assert_eq!(audit.status.code(), Some(0), "{}", program::stderr(&audit));
    let audit: Value = serde_json::from_str(&program::stdout(&audit)).expect("JSON");
    assert_eq!(
        (&audit["clean"], &audit["captured_total"]),
        (&true.into(), &25_800.into())
    );
    program.stop().await;
}

#[tokio::test]
async fn a_stop_serves_open_requests_to_their_end() {
    let nginx = Nginx::start().await;
    let mut program = Program::serve("", &configuration(&nginx), &[]).await;
    let curl = Curl::new(&program);
    let film = curl.folder.path().join("film");
    let mut download = Command::new("curl");
    download
        .args(["-sS", "--max-time", "30", "-4", "--noproxy", "*", "-N", "-o"])
        .arg(&film)
        .arg(format!("{}/slow/film", curl.base));
    let mut download = download.spawn().expect("curl starts");
    let length = || fs::metadata(&film).map_or(0, |file| file.len());
    until("the download has begun", async || (length() > 0).then_some(())).await;
    program.signal("TERM");
    until("it says that it is stopping", async || {
        assert!(
            program.ended().is_none(),
            "it left a shopper behind: {}",
            program.log()
        );
        let ready = Browser::new(program.admin).get("/readyz").await;
        let reasons = ready.json();
        (ready.status == 503 && reasons["stopping"] == true).then_some(())
    })
    .await;
    until("nobody new is let in", async || {
        TcpStream::connect(program.address).is_err().then_some(())
    })
    .await;
    let finished = until("the download has ended", async || {
        download.try_wait().expect("a child of ours")
    })
    .await;
    assert!(finished.success(), "the download broke off");
    assert_eq!(length(), SLOW_BYTES as u64, "the whole of it");
    assert_eq!(program.end().await.code(), Some(0), "{}", program.log());
}

#[tokio::test]
async fn a_second_signal_leaves_at_once() {
    let nginx = Nginx::start().await;
    let mut program = Program::serve("", &configuration(&nginx), &[]).await;
    let curl = Curl::new(&program);
    let film = curl.folder.path().join("film");
    let mut download = Command::new("curl");
    download
        .args(["-sS", "--max-time", "30", "-4", "--noproxy", "*", "-N", "-o"])
        .arg(&film)
        .arg(format!("{}/slow/film", curl.base))
        .stderr(Stdio::null());
    let mut download = download.spawn().expect("curl starts");
    let length = || fs::metadata(&film).map_or(0, |file| file.len());
    until("the download has begun", async || (length() > 0).then_some(())).await;
    program.signal("TERM");
    until("it is stopping", async || {
        TcpStream::connect(program.address).is_err().then_some(())
    })
    .await;
    program.signal("TERM");
    program.end().await;
    let cut = until("the download has ended", async || {
        download.try_wait().expect("a child of ours")
    })
    .await;
    assert!(!cut.success(), "the download was cut");
}
