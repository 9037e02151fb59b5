//! Answers that no honest provider gives, as bytes over a socket: none of them may sell, charge, or bring anything down.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use checkout_worker::Checkout;
use checkout_worker::provider::stripe::{Stripe, StripeConfig};
use checkout_worker::provider::{Provider, ProviderCall, Window};
use domain::saga::{Answer, Attempt, Call, IdempotencyKey, KeySpace, Operation, PaymentId, Stall, StateName};
use domain::{OrderId, Span, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::support::{
    StandingClock, VISA, config, drop_id, euros, method, open_ledger, place, ports, purchase, turns,
};

/// What the adversary sends for a request line, once the head and the body of the request are in.
type Script = Arc<dyn Fn(&str, OrderId) -> Vec<u8> + Send + Sync>;

/// A listener that answers as it is told.
struct Adversary {
    url: String,
    order: Arc<Mutex<OrderId>>,
    serving: JoinHandle<()>,
}

impl Drop for Adversary {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Adversary {
    async fn saying(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let order = Arc::new(Mutex::new(OrderId(0)));
        let told = order.clone();
        let mut connections = tokio::task::JoinSet::new();
        let serving = handle(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, order) = (script.clone(), *told.lock().unwrap());
                connections.spawn(async move { answer(stream, script, order).await });
            }
        });
        Self { url, order, serving }
    }

    fn client(&self) -> Arc<Stripe> {
        let config = StripeConfig {
            url: self.url.clone(),
            requests_per_second: 500,
            timeout: Duration::from_secs(2),
            ..StripeConfig::new("sk_test_adversary")
        };
        Arc::new(Stripe::new(&config, &turns()).unwrap())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the adversary lives as long as its test and is aborted with it"
)]
fn handle(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}

/// Reads one whole request, says its piece, and hangs up.
async fn answer(mut stream: TcpStream, script: Script, order: OrderId) {
    let mut request = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let Ok(read) = stream.read(&mut chunk).await else {
            return;
        };
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return;
            }
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        if body.len() >= length || read == 0 {
            let line = head.lines().next().unwrap_or_default().to_owned();
            let bytes = script(&line, order);
            // A client that hangs up early is a test's right.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            return;
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
        .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    http("200 OK", "content-type: application/json\r\n", body)
}

/// A payment as the honest provider would describe it, with `changes` made to the fields before it is written.
fn intent(order: OrderId, changes: &[(&str, &str)]) -> String {
    let metadata = format!(r#"{{"drop":"aurora","order":"{order}","n":"1"}}"#);
    let mut fields = vec![
        ("id", r#""pi_1""#.to_owned()),
        ("object", r#""payment_intent""#.to_owned()),
        ("status", r#""requires_capture""#.to_owned()),
        ("amount", "12900".to_owned()),
        ("amount_capturable", "12900".to_owned()),
        ("amount_received", "0".to_owned()),
        ("currency", r#""eur""#.to_owned()),
        ("client_secret", r#""pi_1_secret""#.to_owned()),
        ("metadata", metadata),
    ];
    for (name, value) in changes {
        match fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, old)) => (*value).clone_into(old),
            None => fields.push((name, (*value).to_owned())),
        }
    }
    let fields: Vec<String> = fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!("{{{}}}", fields.join(","))
}

const EMPTY_LIST: &str = r#"{"object":"list","data":[],"has_more":false}"#;

/// What a lie is called, and its bytes.
type Lie = (&'static str, Box<dyn Fn(OrderId) -> Vec<u8> + Send + Sync>);

fn lie(name: &'static str, bytes: impl Fn(OrderId) -> Vec<u8> + Send + Sync + 'static) -> Lie {
    (name, Box::new(bytes))
}

fn changed(name: &'static str, changes: &'static [(&'static str, &'static str)]) -> Lie {
    lie(name, move |order| ok(&intent(order, changes)))
}

/// Answers that are no answers.
fn noise() -> Vec<Lie> {
    vec![
        lie("nothing at all", |_| Vec::new()),
        lie("garbage", |_| b"\0\xff not HTTP at all \r\n\r\n".to_vec()),
        lie("an empty body", |_| ok("")),
        lie("truncated JSON", |order| {
            let whole = intent(order, &[]);
            ok(&whole[..whole.len() / 2])
        }),
        lie("a body shorter than it says", |order| {
            let body = intent(order, &[]);
            format!("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{body}").into_bytes()
        }),
        lie("an HTML page", |_| {
            http("200 OK", "content-type: text/html\r\n", "<h1>Welcome</h1>")
        }),
        lie("not UTF-8", |_| {
            [
                &b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"[..],
                b"\"\xff\xfe\"",
            ]
            .concat()
        }),
        lie("a number", |_| ok("42")),
        lie("null", |_| ok("null")),
        lie("a list in place of an object", |_| ok(EMPTY_LIST)),
        lie("a deep nest", |_| ok(&"[".repeat(100_000))),
        lie("a huge body", |order| {
            let padding = "x".repeat(6 * 1_024 * 1_024);
            ok(&intent(order, &[("description", &format!("\"{padding}\""))]))
        }),
        lie("a redirect", |_| {
            http(
                "302 Found",
                "location: http://127.0.0.1:9/v1/payment_intents\r\n",
                "",
            )
        }),
        lie("a redirect that keeps the method", |_| {
            http("307 Temporary Redirect", "location: /v1/elsewhere\r\n", "")
        }),
        lie("200 with an error object", |_| {
            ok(r#"{"error":{"type":"card_error","code":"card_declined"}}"#)
        }),
        lie("a status that does not exist", |_| http("799 Strange", "", "{}")),
        lie("a front-end's error page", |_| {
            http("502 Bad Gateway", "", "<html>")
        }),
    ]
}

/// Objects that look right and are not this order's authorised payment over its exact total.
fn forgeries() -> Vec<Lie> {
    vec![
        changed("another currency", &[("currency", r#""usd""#)]),
        changed("a currency that is none", &[("currency", r#""euros""#)]),
        changed("a smaller amount", &[("amount", "1"), ("amount_capturable", "1")]),
        changed(
            "a greater amount",
            &[("amount", "999999"), ("amount_capturable", "999999")],
        ),
        changed("less capturable than asked for", &[("amount_capturable", "1")]),
        changed("nothing capturable", &[("amount_capturable", "0")]),
        changed("a negative amount", &[("amount", "-12900")]),
        changed("an amount in words", &[("amount", r#""12900""#)]),
        changed("an amount with a fraction", &[("amount", "12900.5")]),
        changed(
            "an amount that no integer holds",
            &[("amount", "99999999999999999999999")],
        ),
        changed("no amount", &[("amount", "")]),
        changed("no id", &[("id", "")]),
        changed("an id with a space", &[("id", r#""pi 1""#)]),
        changed("an empty id", &[("id", r#""""#)]),
        changed("an unknown status", &[("status", r#""levitating""#)]),
        changed("a status of another type", &[("status", "true")]),
        changed("no metadata", &[("metadata", "")]),
        changed("metadata that is null", &[("metadata", "null")]),
        changed("empty metadata", &[("metadata", "{}")]),
        changed(
            "the metadata of another order",
            &[("metadata", r#"{"drop":"aurora","order":"2a","n":"1"}"#)],
        ),
        changed(
            "an order that is no number",
            &[("metadata", r#"{"drop":"aurora","order":"zz","n":"1"}"#)],
        ),
        lie("the metadata of another attempt", |order| {
            let metadata = format!(r#"{{"drop":"aurora","order":"{order}","n":"7"}}"#);
            ok(&intent(order, &[("metadata", &metadata)]))
        }),
        lie("an attempt that no number holds", |order| {
            let metadata = format!(r#"{{"drop":"aurora","order":"{order}","n":"99999999999"}}"#);
            ok(&intent(order, &[("metadata", &metadata)]))
        }),
        changed(
            "captured in part",
            &[("status", r#""succeeded""#), ("amount_received", "1")],
        ),
        changed("captured, and nothing received", &[("status", r#""succeeded""#)]),
        changed(
            "waiting for a method",
            &[("status", r#""requires_payment_method""#)],
        ),
        changed(
            "waiting for a confirmation",
            &[("status", r#""requires_confirmation""#)],
        ),
        changed("cancelled", &[("status", r#""canceled""#)]),
    ]
}

/// A shop of one order whose provider is the adversary.
async fn shop(adversary: &Adversary) -> (Checkout, OrderId, Arc<StandingClock>, tempfile::TempDir) {
    let (dir, clock) = (tempfile::tempdir().unwrap(), StandingClock::new());
    let ledger = open_ledger(dir.path(), &clock);
    let ports = ports(ledger, adversary.client(), clock.clone());
    let checkout = Checkout::open(config(4), ports).await.unwrap();
    let order = place(&checkout, purchase(1, Some(VISA))).await;
    *adversary.order.lock().unwrap() = order;
    (checkout, order, clock, dir)
}

/// Drives the order for a while, reconciles too, and says where it got.
async fn pressed(checkout: &Checkout, order: OrderId, clock: &StandingClock) -> StateName {
    for _ in 0..6 {
        checkout.drive(order).await.unwrap();
        clock.advance(Span::from_secs(90));
        checkout.jobs().reconcile_orders().await.unwrap();
        // A list that cannot be read is a failed round, not a death.
        let _ = checkout.reconcile().await;
    }
    let report = checkout.audit().await.unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    checkout.view(order).await.unwrap().unwrap().ledger_state
}

#[tokio::test]
async fn no_false_answer_to_an_authorisation_sells_or_charges() {
    for (name, bytes) in noise().into_iter().chain(forgeries()) {
        let script: Script = Arc::new(move |line, order| {
            if line.starts_with("post /v1/payment_intents ") {
                bytes(order)
            } else {
                ok(EMPTY_LIST)
            }
        });
        let adversary = Adversary::saying(script).await;
        let (checkout, order, clock, _dir) = shop(&adversary).await;
        let state = pressed(&checkout, order, &clock).await;
        let sold = matches!(
            state,
            StateName::Committed | StateName::Paid | StateName::Refunded
        );
        assert!(!sold, "{name} led to {state}");
    }
}

#[tokio::test]
async fn no_false_answer_to_a_capture_counts_as_paid() {
    for (name, bytes) in noise().into_iter().chain(forgeries()) {
        let script: Script = Arc::new(move |line, order| {
            if line.starts_with("post /v1/payment_intents ") {
                ok(&intent(order, &[]))
            } else if line.contains("/capture ") {
                bytes(order)
            } else if line.starts_with("get /v1/payment_intents/") {
                ok(&intent(order, &[]))
            } else {
                ok(EMPTY_LIST)
            }
        });
        let adversary = Adversary::saying(script).await;
        let (checkout, order, clock, _dir) = shop(&adversary).await;
        let state = pressed(&checkout, order, &clock).await;
        assert_ne!(state, StateName::Paid, "{name}");
    }
}

#[tokio::test]
async fn no_false_answer_to_a_read_counts_as_paid() {
    for (name, bytes) in noise().into_iter().chain(forgeries()) {
        let script: Script = Arc::new(move |line, order| {
            if line.starts_with("post /v1/payment_intents ") {
                ok(&intent(order, &[]))
            } else if line.starts_with("get /v1/payment_intents/") {
                bytes(order)
            } else {
                http(
                    "500 Internal Server Error",
                    "",
                    r#"{"error":{"type":"api_error"}}"#,
                )
            }
        });
        let adversary = Adversary::saying(script).await;
        let (checkout, order, clock, _dir) = shop(&adversary).await;
        let state = pressed(&checkout, order, &clock).await;
        assert_ne!(state, StateName::Paid, "{name}");
    }
}

#[tokio::test]
async fn a_list_that_lies_about_payments_of_ours_sells_nothing() {
    for (name, bytes) in forgeries() {
        let script: Script = Arc::new(move |line, order| {
            if line.starts_with("get /v1/payment_intents?") {
                let whole = String::from_utf8(bytes(order)).unwrap();
                let (_, body) = whole.split_once("\r\n\r\n").unwrap();
                ok(&format!(
                    r#"{{"object":"list","data":[{body}],"has_more":false}}"#
                ))
            } else {
                http("503 Service Unavailable", "", "")
            }
        });
        let adversary = Adversary::saying(script).await;
        let (checkout, order, clock, _dir) = shop(&adversary).await;
        let state = pressed(&checkout, order, &clock).await;
        let sold = matches!(
            state,
            StateName::Committed | StateName::Paid | StateName::Refunded
        );
        assert!(!sold, "{name} led to {state}");
    }
}

fn refund() -> ProviderCall {
    let (space, drop, order) = (KeySpace::FIRST, drop_id(), OrderId(1));
    ProviderCall {
        key: Some(IdempotencyKey::derive(space, &drop, order, Operation::Refund, 1)),
        call: Call::Refund {
            attempt: Attempt::first(Timestamp::EPOCH),
            payment: PaymentId::new("pi_1").unwrap(),
            amount: euros(12_900),
        },
        drop,
        order,
        space,
        email: None,
    }
}

#[tokio::test]
async fn no_false_answer_to_a_refund_counts_as_given_back() {
    let failed = |status: &str| format!(r#"{{"id":"re_1","amount":12900,"status":"{status}"}}"#);
    let bodies = [
        failed("failed"),
        failed("canceled"),
        failed("requires_action"),
        failed("levitating"),
    ];
    for body in bodies {
        let said = body.clone();
        let adversary = Adversary::saying(Arc::new(move |_, _| ok(&said))).await;
        let answer = adversary.client().perform(&refund()).await;
        assert!(matches!(answer, Answer::Rejected(_)), "{body}: {answer:?}");
    }
    for (name, bytes) in noise() {
        let adversary = Adversary::saying(Arc::new(move |_, order| bytes(order))).await;
        let answer = adversary.client().perform(&refund()).await;
        assert!(!matches!(answer, Answer::Refunded(_)), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_find_that_cannot_be_read_whole_never_proves_absence() {
    let page = |order: OrderId, more: bool| {
        let other = intent(OrderId(order.0 + 41), &[]);
        ok(&format!(
            r#"{{"object":"list","data":[{other}],"has_more":{more}}}"#
        ))
    };
    let find = ProviderCall {
        key: None,
        call: Call::Find {
            since: Timestamp::EPOCH,
            over: None,
        },
        ..refund()
    };
    let endless = Adversary::saying(Arc::new(move |_, order| page(order, true))).await;
    assert_eq!(
        endless.client().perform(&find).await,
        Answer::Stalled(Stall::InFlight),
        "and it is not held against a provider that answered"
    );
    for (name, bytes) in noise() {
        if name == "a list in place of an object" {
            continue;
        }
        let adversary = Adversary::saying(Arc::new(move |_, order| bytes(order))).await;
        let answer = adversary.client().perform(&find).await;
        assert_ne!(answer, Answer::Absent, "{name}");
    }
    let honest = Adversary::saying(Arc::new(move |_, order| page(order, false))).await;
    assert_eq!(honest.client().perform(&find).await, Answer::Absent);
}

#[tokio::test]
async fn a_list_that_fails_says_so_and_brings_no_page() {
    for (name, bytes) in noise() {
        if name == "a list in place of an object" {
            continue;
        }
        let adversary = Adversary::saying(Arc::new(move |_, order| bytes(order))).await;
        let window = Window {
            since: Timestamp::EPOCH,
            until: Timestamp::NEVER,
            after: None,
        };
        assert!(adversary.client().list(window).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_long_keep_away_is_cut_to_a_minute_and_an_odd_one_is_none() {
    for (header, expected) in [
        ("retry-after: 7\r\n", Some(Span::from_secs(7))),
        ("retry-after: 86400\r\n", Some(Span::from_secs(60))),
        ("retry-after: soon\r\n", None),
        ("retry-after: -5\r\n", None),
        ("", None),
    ] {
        let adversary =
            Adversary::saying(Arc::new(move |_, _| http("429 Too Many Requests", header, "{}"))).await;
        let answer = adversary.client().perform(&refund()).await;
        let limited = Answer::Stalled(Stall::RateLimited {
            retry_after: expected,
        });
        assert_eq!(answer, limited, "{header:?}");
    }
}

#[test]
fn methods_of_the_table_are_what_they_seem() {
    let order = OrderId(7);
    let honest: serde_json::Value = serde_json::from_str(&intent(order, &[])).unwrap();
    assert_eq!(honest["metadata"]["order"], order.to_string());
    assert_eq!(method(VISA).as_str(), VISA);
    // A table whose entries are all the same thing would prove nothing.
    let names: std::collections::BTreeSet<&str> = noise()
        .iter()
        .chain(&forgeries())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(names.len(), noise().len() + forgeries().len());
}
