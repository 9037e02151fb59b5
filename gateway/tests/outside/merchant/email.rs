//! The example that writes e-mails, run as it stands against a real gateway: each message once, whatever comes again.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::house::now_seconds;

/// `email_hook.py --dry-run`, running.
struct EmailHook {
    child: Child,
    address: SocketAddr,
}

impl EmailHook {
    fn start(state: &Path, port: u16) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkout-worker/examples/email_hook.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--dry-run", "--listen", &format!("127.0.0.1:{port}"), "--state"])
            .arg(state)
            .env("DOORLINE_WEBHOOK_SECRET", MERCHANT_SECRET)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python 3 is installed");
        let mut said = String::new();
        BufReader::new(child.stderr.take().expect("a pipe"))
            .read_line(&mut said)
            .expect("it says where it listens");
        let address = said
            .trim()
            .strip_prefix("listening on ")
            .and_then(|text| text.parse().ok());
        Self {
            child,
            address: address.unwrap_or_else(|| panic!("{said}")),
        }
    }

    /// Ends it and yields the messages that it wrote.
    fn messages(mut self) -> String {
        self.child.kill().expect("it is still running");
        let mut text = String::new();
        let mut out = self.child.stdout.take().expect("a pipe");
        out.read_to_string(&mut text).expect("UTF-8");
        self.child.wait().expect("a child of ours");
        text
    }
}

impl Drop for EmailHook {
    fn drop(&mut self) {
        // Already ended, or a test failed half-way: either way nothing of ours may stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request that anybody could send, signed with a key that only we have.
async fn send(address: SocketAddr, id: &str, seconds: u64, body: &str, key: &[u8]) -> u16 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v0,x v1,{}", STANDARD.encode(tag))),
    ];
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Browser::new(address)
        .ask("POST", "/", &headers, Some(body))
        .await
        .status
}

fn event(version: u32) -> String {
    json!({"type": "order.paid", "data": {"order": "order-of-the-test", "version": version, "email": "bob@example.org",
        "items": [], "total": {"amount": 1_000, "currency": "jpy"}}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_email_is_written_once_for_each_event_and_for_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("hook.db");
    let hook = EmailHook::start(&state, 0);
    let house = house_of(hook.address).await;
    let order = bought(&house.browser()).await;
    write_config(&house);
    let nothing_is_owed = async || {
        until("nothing is owed", async || {
            (answer(&house, &["webhooks", "list"]).await == json!([])).then_some(())
        })
        .await;
    };
    nothing_is_owed().await;
    answer(&house, &["webhooks", "replay", &order]).await;
    nothing_is_owed().await;
    let address = hook.address;
    let text = hook.messages();
    assert_eq!(text.matches("Subject: Your order is paid").count(), 1, "{text}");
    for part in ["To: ada@example.org", order.as_str(), "129.00 EUR", "1 x AUR-42"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // Another one on the same state remembers what was handled, and goes on with what is new.
    let hook = EmailHook::start(&state, address.port());
    answer(&house, &["webhooks", "replay", &order]).await;
    answer(&house, &["orders", "refund", &order]).await;
    nothing_is_owed().await;
    let text = hook.messages();
    assert_eq!(text.matches("Subject:").count(), 1, "{text}");
    assert!(text.contains("Subject: Your money is on its way back"), "{text}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_email_hook_believes_only_what_is_signed_fresh_and_newer_than_what_it_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let hook = EmailHook::start(&folder.path().join("hook.db"), 0);
    let key = STANDARD
        .decode(MERCHANT_SECRET.strip_prefix("whsec_").expect("a secret"))
        .expect("base64");
    let (now, address) = (now_seconds(), hook.address);
    assert_eq!(send(address, "msg_1", now, &event(5), &key).await, 200);
    assert_eq!(
        send(address, "msg_2", now, &event(4), &key).await,
        200,
        "older, so ignored"
    );
    assert_eq!(
        send(address, "msg_1", now, &event(6), &key).await,
        200,
        "handled before"
    );
    for (seconds, key) in [(now, &[7; 32][..]), (now - 400, &key), (now + 400, &key)] {
        assert_eq!(send(address, "msg_9", seconds, &event(9), key).await, 401);
    }
    for nonsense in ["", "[]", "{}", "{\"type\": \"order.paid\", \"data\": {}}"] {
        assert_eq!(
            send(address, "msg_8", now, nonsense, &key).await,
            400,
            "{nonsense}"
        );
    }
    let unknown = json!({"type": "order.unheard_of", "data": {"order": "x", "version": 1}}).to_string();
    assert_eq!(
        send(address, "msg_7", now, &unknown, &key).await,
        200,
        "nothing to write"
    );
    let text = hook.messages();
    assert_eq!(text.matches("Subject:").count(), 1, "{text}");
    assert!(text.contains("1000 JPY"), "{text}");
}
