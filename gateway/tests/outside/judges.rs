//! Official libraries as judges, above all Stripe's own: it drives our sandbox as it drives the real provider, believes what the sandbox
//! signs, and signs what we believe.

use std::path::Path;
use std::process::{Command, Stdio};

use sandbox::provider::{Provider, ProviderConfig, WebhookTarget};
use serde_json::{Value, json};

use crate::house::{House, WEBHOOK_SECRET, now_seconds};
use crate::merchant::{Mood, Receiver};
use crate::program::{judges, stderr, stdout};

/// Runs a script of the judges and gives what it says.
pub(crate) async fn judge(script: &str, arguments: &[&str], case: Value) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/outside/judges")
        .join(script);
    let mut python = Command::new(judges());
    python.arg(script).args(arguments);
    let judged = tokio::task::spawn_blocking(move || {
        let mut python = python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python runs");
        // One that reads nothing may be gone before it is written to.
        let _ = serde_json::to_writer(python.stdin.take().expect("a pipe"), &case);
        python.wait_with_output().expect("it ends")
    });
    let judged = judged.await.expect("no panic");
    assert!(judged.status.success(), "{}", stderr(&judged));
    let said = stdout(&judged);
    said.strip_suffix('\n').expect("one line").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_library_drives_the_sandbox_and_its_books_are_right() {
    let provider = Provider::start(ProviderConfig::default())
        .await
        .expect("a free port");
    let key = ProviderConfig::default().secret_key;
    let said = judge("drive.py", &[&provider.url(), &key], Value::Null).await;
    assert_eq!(said, "driven");
    let tally = provider.tally();
    assert!(tally.double_charged().is_empty());
    assert_eq!(tally.net_captured(), 500, "only the third order's money was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_library_believes_what_the_sandbox_signs() {
    let receiver = Receiver::start(0, Mood::Takes).await;
    let provider = Provider::start(ProviderConfig::default())
        .await
        .expect("a free port");
    let target = WebhookTarget {
        url: format!("http://{}/events", receiver.address),
        secret: WEBHOOK_SECRET.to_owned(),
    };
    provider.set_webhook(Some(target));
    let key = ProviderConfig::default().secret_key;
    judge("drive.py", &[&provider.url(), &key], Value::Null).await;
    let heard = receiver
        .until("an event arrives", |heard| !heard.is_empty())
        .await;
    let case = json!({
        "secret": WEBHOOK_SECRET,
        "header": heard[0].header("stripe-signature"),
        "body": heard[0].body,
    });
    let kind = judge("sign.py", &["verify"], case).await;
    assert!(kind.starts_with("payment_intent."), "{kind}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_believe_what_the_official_library_signs() {
    let house = House::usual().await;
    let body = json!({
        "id": "evt_of_the_judge",
        "object": "event",
        "type": "payment_intent.succeeded",
        "livemode": false,
        "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent", "metadata": {}}},
    });
    let body = body.to_string();
    let deliver = async |secret: &str, status: u16| {
        let case = json!({"secret": secret, "time": now_seconds(), "body": body});
        let header = judge("sign.py", &["sign"], case).await;
        let headers = [
            ("stripe-signature", header.as_str()),
            ("content-type", "application/json"),
        ];
        let path = "/.doorline/v1/webhooks/stripe";
        house
            .browser()
            .ask("POST", path, &headers, Some(&body))
            .await
            .expect(status);
    };
    deliver(WEBHOOK_SECRET, 200).await;
    deliver("whsec_of_somebody_else", 400).await;
    house.close().await;
}
