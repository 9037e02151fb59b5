//! Delivery of events: signed, retried, and unreliable in the ways that real delivery is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request, header};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::book::Event;
use super::config::WebhookTarget;
use super::shared::Shared;
use crate::link::{Link, LinkError, Target};

/// Deliveries under way at once. Stripe promises no order; neither does this.
const DELIVERIES_MAX: usize = 8;
/// Waits after each failed try. Stripe goes on for three days; a sandbox run lasts minutes.
const RETRY_WAITS_MS: [u64; 8] = [200, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// An event held back to arrive out of order goes out after this even if no other follows.
const HOLD: Duration = Duration::from_millis(500);
/// Events held back at once.
const HELD_MAX: usize = 16;

/// Delivers events until `cancel` fires; then what is under way is dropped, as a crash would.
pub(crate) async fn run(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut queue = shared.queue.lock().await;
    let mut deliveries = JoinSet::new();
    let mut held: VecDeque<Event> = VecDeque::new();
    loop {
        let has_room = deliveries.len() < DELIVERIES_MAX;
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(_) = deliveries.join_next(), if !deliveries.is_empty() => {}
            Some(event) = queue.recv(), if has_room => {
                let (dropped, held_back, twice) = shared.state().faults.judge_event();
                if dropped {
                    shared.events_dropped.fetch_add(1, Ordering::Relaxed);
                } else if held_back && held.len() < HELD_MAX {
                    held.push_back(event);
                } else {
                    let copies = if twice { 2 } else { 1 };
                    for _ in 0..copies {
                        deliveries.spawn(deliver(Arc::clone(&shared), event.clone(), None));
                    }
                    // Whatever was held back follows in reverse, once this one is through.
                    while let Some(late) = held.pop_back() {
                        deliveries.spawn(deliver(Arc::clone(&shared), late, Some(HOLD / 10)));
                    }
                }
            }
            () = tokio::time::sleep(HOLD), if !held.is_empty() => {
                while let Some(late) = held.pop_back() {
                    deliveries.spawn(deliver(Arc::clone(&shared), late, None));
                }
            }
        }
    }
    deliveries.shutdown().await;
}

async fn deliver(shared: Arc<Shared>, event: Event, after: Option<Duration>) {
    if let Some(after) = after {
        tokio::time::sleep(after).await;
    }
    for wait_ms in RETRY_WAITS_MS {
        let target = shared.state().webhook.clone();
        let Some(target) = target else { break };
        match send(&shared, &event, &target).await {
            Ok(true) => {
                shared.events_delivered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(false) => tracing::debug!(event = %event.id, "the webhook endpoint refused an event"),
            Err(error) => tracing::debug!(event = %event.id, %error, "an event was not delivered"),
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    shared.events_dropped.fetch_add(1, Ordering::Relaxed);
}

/// One try; true when the endpoint answered 2xx.
async fn send(shared: &Shared, event: &Event, target: &WebhookTarget) -> Result<bool, LinkError> {
    let address = Target::parse(&target.url)?;
    let mut link = Link::open(&address.authority, CONNECT_DEADLINE).await?;
    let signature = signature(&target.secret, shared.clock.now_s(), event.body.as_bytes());
    let request = Request::builder()
        .method(Method::POST)
        .uri(&address.path)
        .header(header::HOST, &address.authority)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(
            header::USER_AGENT,
            "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        )
        .header(header::CONNECTION, "close")
        .header("stripe-signature", signature)
        .body(Bytes::from(event.body.clone()))
        .map_err(LinkError::Request)?;
    let answer = link.exchange(request, ANSWER_BYTES_MAX, ANSWER_DEADLINE).await?;
    Ok(answer.status.is_success())
}

/// `t=…,v1=…` over `t.body`, as in Stripe's "Verify webhook signatures manually".
pub(crate) fn signature(secret: &str, now_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{now_s}.").as_bytes());
    context.update(body);
    let tag = context.sign();
    let hex = tag
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("t={now_s},v1={hex}")
}
