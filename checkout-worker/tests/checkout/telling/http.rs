//! The HTTP side: what stands on the wire, and how real answers are understood, from a receiver that is a bare socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use checkout_worker::merchant::webhook::{StandardWebhook, WebhookConfig};
use checkout_worker::merchant::{Heard, Merchant as _, MerchantEvent, SigningKey};
use domain::saga::Notice;
use domain::{Clock as _, OrderId, Span};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::{StandingClock, drop_id, euros};
use crate::wire::read_request;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Answers every request with these bytes and keeps what it got.
struct Socket {
    address: SocketAddr,
    got: Arc<Mutex<Vec<String>>>,
    _task: tokio::task::JoinSet<()>,
}

impl Socket {
    async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut task = tokio::task::JoinSet::new();
        let (answer, kept) = (answer.to_owned(), Arc::clone(&got));
        task.spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read_request(&mut socket).await;
                kept.lock().unwrap().push(request);
                // Where it answers nothing, or not all, the connection stays open all the same.
                drop(socket.write_all(answer.as_bytes()).await);
                open.push(socket);
            }
        });
        Self {
            address,
            got,
            _task: task,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

fn event() -> MerchantEvent {
    MerchantEvent {
        notice: Notice::Paid,
        order: OrderId(0x0123),
        drop: drop_id(),
        version: 5,
        at: StandingClock::new().now(),
        items: Vec::new(),
        total: euros(12_900),
        email: None,
        reason: None,
    }
}

fn webhook(url: &str, keys: &[&str]) -> StandardWebhook {
    let config = WebhookConfig {
        keys: keys.iter().map(|key| SigningKey::parse(key).unwrap()).collect(),
        timeout: Duration::from_millis(600),
        ..WebhookConfig::new(url, SigningKey::parse(SECRET).unwrap())
    };
    StandardWebhook::new(config, StandingClock::new()).unwrap()
}

async fn told(answer: &str) -> (Heard, usize) {
    let socket = Socket::answering(answer).await;
    let url = format!("http://{}/events", socket.address);
    let heard = webhook(&url, &[SECRET]).tell(&event()).await;
    (heard, socket.requests().len())
}

/// The value of a header, and the body.
fn parts<'a>(request: &'a str, name: &str) -> (&'a str, &'a str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let value = head
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    (value.unwrap_or_else(|| panic!("{name} in {head}")), body)
}

#[tokio::test]
async fn an_event_is_one_signed_post_that_anybody_with_the_secret_can_check() {
    let socket = Socket::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let url = format!("http://{}/events/doorline?shop=1", socket.address);
    assert_eq!(webhook(&url, &[SECRET, OTHER]).tell(&event()).await, Heard::Taken);
    let request = socket.requests().remove(0);
    assert!(
        request.starts_with("POST /events/doorline?shop=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(parts(&request, "content-type").0, "application/json");
    let (id, body) = parts(&request, "webhook-id");
    assert_eq!(id, event().id());
    let (seconds, _) = parts(&request, "webhook-timestamp");
    assert_eq!(seconds, StandingClock::new().now().as_secs().to_string());
    let (signatures, _) = parts(&request, "webhook-signature");
    let signatures: Vec<&str> = signatures.split(' ').collect();
    assert_eq!(signatures.len(), 2, "one of each key");
    for (signature, secret) in signatures.iter().zip([SECRET, OTHER]) {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        let signed = format!("{id}.{seconds}.{body}");
        hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
        assert!(!request.contains(secret.strip_prefix("whsec_").unwrap()));
    }
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["type"], "order.paid");
    assert_eq!(json["data"]["order"], "00000000-0000-0000-0000-000000000123");
}

#[tokio::test]
async fn redirects_are_not_followed_and_nothing_is_sent_twice() {
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let elsewhere = Socket::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let answer = format!(
            "HTTP/1.1 {status}\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
            elsewhere.address
        );
        let (heard, requests) = told(&answer).await;
        let status: u16 = status[..3].parse().unwrap();
        let refused = Heard::Refused {
            status,
            retry_after: None,
        };
        assert_eq!((heard, requests), (refused, 1));
        assert_eq!(elsewhere.requests(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn answers_are_understood_by_their_status_alone() {
    let refused = |status, retry_after| Heard::Refused { status, retry_after };
    let asked = "HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(told(asked).await.0, refused(503, Some(Span::from_secs(120))));
    assert_eq!(
        told("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").await.0,
        Heard::Gone
    );
    assert_eq!(
        told("HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\nno").await.0,
        refused(400, None)
    );
    // A body that is cut off, or never comes, or is large, changes nothing.
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{}",
            "x".repeat(200_000)
        ),
    ] {
        assert_eq!(told(&answer).await.0, Heard::Taken);
    }
}

#[tokio::test]
async fn silence_and_absence_are_told_apart() {
    for half in ["", "HTTP/1.1 200 OK\r\ncontent-"] {
        assert_eq!(told(half).await, (Heard::TimedOut, 1));
    }
    assert_eq!(told("this is not HTTP\r\n\r\n").await.0, Heard::Unreachable);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let heard = webhook(&format!("http://{address}/"), &[SECRET])
        .tell(&event())
        .await;
    assert_eq!(heard, Heard::Unreachable);
}

#[tokio::test]
async fn a_receiver_that_wants_tls_gets_no_event_without_it() {
    let socket = Socket::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("https://{}/", socket.address);
    let heard = webhook(&url, &[SECRET]).tell(&event()).await;
    assert!(matches!(heard, Heard::Unreachable | Heard::TimedOut), "{heard:?}");
    assert!(!socket.requests().concat().contains("order.paid"));
}
