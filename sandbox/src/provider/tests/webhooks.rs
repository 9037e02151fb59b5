//! Events: signed so that Stripe's own libraries accept them, and as unreliable as told.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{FaultPlan, WEBHOOK_SECRET, authorise, buy, path, post, start_with};
use crate::provider::webhook::signature;
use crate::provider::{RunningProvider, WebhookFaults, WebhookTarget};
use crate::serve::{read_body, reply, serve};

/// An endpoint that refuses the first `refusals` deliveries and passes all others on.
struct Endpoint {
    received: mpsc::UnboundedReceiver<(String, Value)>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Endpoint {
    async fn start(provider: &RunningProvider, refusals: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let left = Arc::new(Mutex::new(refusals));
        let handler = move |request: http::Request<hyper::body::Incoming>| {
            let (sender, left) = (sender.clone(), Arc::clone(&left));
            async move {
                let (parts, body) = request.into_parts();
                let body = read_body(body, 1 << 20).await.unwrap();
                let refuse = {
                    let mut left = left.lock().unwrap();
                    let refuse = *left > 0;
                    *left = left.saturating_sub(1);
                    refuse
                };
                if refuse {
                    return Ok(reply(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", ""));
                }
                let given = parts.headers["stripe-signature"].to_str().unwrap().to_owned();
                let at = given
                    .split(',')
                    .next()
                    .unwrap()
                    .trim_start_matches("t=")
                    .parse()
                    .unwrap();
                assert_eq!(given, signature(WEBHOOK_SECRET, at, &body));
                let event: Value = serde_json::from_slice(&body).unwrap();
                sender
                    .send((event["type"].as_str().unwrap().to_owned(), event))
                    .unwrap();
                Ok(reply(StatusCode::OK, "text/plain", ""))
            }
        };
        tasks.spawn(serve(listener, cancel.clone(), handler));
        tasks.close();
        provider.set_webhook(Some(WebhookTarget {
            url,
            secret: WEBHOOK_SECRET.to_owned(),
        }));
        Self {
            received,
            cancel,
            tasks,
        }
    }

    async fn next(&mut self) -> (String, Value) {
        let next = tokio::time::timeout(super::DEADLINE, self.received.recv()).await;
        next.expect("an event arrives").expect("the endpoint is up")
    }

    async fn kinds(&mut self, count: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in 0..count {
            kinds.push(self.next().await.0);
        }
        kinds
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }
}

fn faults(webhooks: WebhookFaults) -> FaultPlan {
    FaultPlan {
        webhooks,
        ..FaultPlan::default()
    }
}

#[tokio::test]
async fn every_change_is_announced_with_the_object_as_it_was() {
    let provider = start_with(FaultPlan::default()).await;
    let mut endpoint = Endpoint::start(&provider, 0).await;
    let intent = authorise(&provider, "o1").await;
    let mut kinds = endpoint.kinds(2).await;
    post(&provider, &path(&intent, "capture"), &[])
        .key("c1")
        .ok()
        .await;
    let (kind, event) = endpoint.next().await;
    assert_eq!(event["data"]["object"]["status"], "succeeded");
    assert_eq!(event["data"]["object"]["metadata"]["order"], "o1");
    assert_eq!(event["request"]["idempotency_key"], "c1");
    kinds.push(kind);
    post(&provider, "/v1/refunds", &[("payment_intent", &intent)])
        .ok()
        .await;
    let (kind, event) = endpoint.next().await;
    assert_eq!(event["data"]["object"]["amount_refunded"], 12_900);
    kinds.push(kind);
    kinds.sort_unstable();
    let expected = [
        "charge.refunded",
        "payment_intent.amount_capturable_updated",
        "payment_intent.created",
        "payment_intent.succeeded",
    ];
    assert_eq!(kinds, expected);
    provider.shutdown().await;
    endpoint.stop().await;
}

#[tokio::test]
async fn declines_and_cancels_are_announced() {
    let provider = start_with(FaultPlan::default()).await;
    let mut endpoint = Endpoint::start(&provider, 0).await;
    let declined = buy(&provider, "pm_card_chargeDeclined", "o1");
    let (_, error) = declined.error().await;
    post(
        &provider,
        &path(&super::id(&error["payment_intent"]), "cancel"),
        &[],
    )
    .ok()
    .await;
    let mut kinds = endpoint.kinds(3).await;
    kinds.sort_unstable();
    let expected = [
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.payment_failed",
    ];
    assert_eq!(kinds, expected);
    endpoint.stop().await;
}

#[tokio::test]
async fn an_event_is_sent_again_until_it_is_accepted() {
    let provider = start_with(FaultPlan::default()).await;
    let mut endpoint = Endpoint::start(&provider, 3).await;
    authorise(&provider, "o1").await;
    let kinds = endpoint.kinds(2).await;
    assert!(kinds.contains(&"payment_intent.created".to_owned()));
    provider.shutdown().await;
    endpoint.stop().await;
}

#[tokio::test]
async fn events_come_twice_when_told_to() {
    let provider = start_with(faults(WebhookFaults {
        duplicate: 1.0,
        ..WebhookFaults::default()
    }))
    .await;
    let mut endpoint = Endpoint::start(&provider, 0).await;
    authorise(&provider, "o1").await;
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..4 {
        ids.push(super::id(&endpoint.next().await.1));
    }
    ids.sort_unstable();
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2]);
    endpoint.stop().await;
}

#[tokio::test]
async fn events_come_out_of_order_when_told_to() {
    let provider = start_with(faults(WebhookFaults {
        reorder: 1.0,
        ..WebhookFaults::default()
    }))
    .await;
    let mut endpoint = Endpoint::start(&provider, 0).await;
    authorise(&provider, "o1").await;
    let kinds = endpoint.kinds(2).await;
    let expected = [
        "payment_intent.amount_capturable_updated",
        "payment_intent.created",
    ];
    assert_eq!(kinds, expected, "the later event came first");
    endpoint.stop().await;
}

#[tokio::test]
async fn dropped_events_are_counted() {
    let provider = start_with(faults(WebhookFaults {
        drop: 1.0,
        ..WebhookFaults::default()
    }))
    .await;
    let endpoint = Endpoint::start(&provider, 0).await;
    authorise(&provider, "o1").await;
    while provider.events_dropped() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(provider.events_delivered(), 0);
    endpoint.stop().await;
}
