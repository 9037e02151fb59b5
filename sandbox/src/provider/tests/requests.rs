//! The HTTP side: who may ask, how much, and what comes with every answer.

use super::{
    FaultPlan, Provider, ProviderConfig, WEBHOOK_SECRET, authorise, body, buy, get, header, post, purchase,
    start,
};
use crate::link::Link;
use crate::provider::WebhookTarget;

#[tokio::test]
async fn every_answer_names_its_request_and_the_api_version() {
    let provider = start().await;
    let mut ids = std::collections::BTreeSet::new();
    let asks = [
        get(&provider, "/v1/payment_intents"),
        get(&provider, "/v1/payment_intents/pi_none"),
        get(&provider, "/v1/refunds").header("authorization", "Bearer wrong"),
        buy(&provider, "pm_card_visa", "o1").key("k1"),
        buy(&provider, "pm_card_visa", "o1").key("k1"),
    ];
    for ask in asks {
        let answer = ask.send().await;
        assert_eq!(header(&answer, "stripe-version"), Some("2025-09-30.clover"));
        assert_eq!(header(&answer, "content-type"), Some("application/json"));
        ids.insert(header(&answer, "request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 5, "each request has an id of its own");
}

#[tokio::test]
async fn the_key_is_echoed_on_writes_and_ignored_on_reads() {
    let provider = start().await;
    let write = buy(&provider, "pm_card_visa", "o1").key("k1").send().await;
    assert_eq!(header(&write, "idempotency-key"), Some("k1"));
    for _ in 0..2 {
        let read = get(&provider, "/v1/payment_intents").key("k1").send().await;
        assert_eq!(
            (read.status.as_u16(), header(&read, "idempotency-key")),
            (200, None)
        );
        assert_eq!(header(&read, "idempotent-replayed"), None);
    }
}

#[tokio::test]
async fn requests_without_a_key_say_so() {
    let provider = start().await;
    let mut ask = get(&provider, "/v1/payment_intents");
    ask.headers.retain(|(name, _)| *name != "authorization");
    let answer = ask.send().await;
    assert_eq!(answer.status, 401);
    assert!(
        body(&answer)["error"]["message"]
            .as_str()
            .unwrap()
            .contains("did not provide an API key")
    );
    assert!(header(&answer, "www-authenticate").is_some());
}

#[tokio::test]
async fn a_wrong_key_does_not_use_an_idempotency_key_up() {
    let provider = start().await;
    let form = purchase("pm_card_visa", "o1");
    let wrong = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .header("authorization", "Bearer x");
    assert_eq!(wrong.send().await.status, 401);
    let right = post(&provider, "/v1/payment_intents", &form)
        .key("k1")
        .send()
        .await;
    assert_eq!(
        (right.status.as_u16(), header(&right, "idempotent-replayed")),
        (200, None)
    );
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let provider = start().await;
    let mut ask = post(&provider, "/v1/payment_intents", &[]);
    ask.body = "x".repeat(65 * 1024);
    assert!(ask.try_send().await.is_err());
    authorise(&provider, "o1").await;
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let provider = start().await;
    let mut link = Link::open(&provider.address().to_string(), super::DEADLINE)
        .await
        .unwrap();
    for _ in 0..5 {
        let request = http::Request::builder()
            .uri("/v1/payment_intents")
            .header("host", provider.address().to_string())
            .header("authorization", "Bearer sk_test_sandbox")
            .body(bytes::Bytes::new())
            .unwrap();
        let answer = link.exchange(request, 1 << 16, super::DEADLINE).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(link.is_open());
    }
}

#[tokio::test]
async fn many_at_once_are_all_served_and_counted_once() {
    let provider = start().await;
    let orders: Vec<String> = (0..40).map(|index| format!("o{index}")).collect();
    let running = &provider;
    let asks = orders.iter().map(|order| async move {
        let form = purchase("pm_card_visa", order);
        let key = format!("key-{order}");
        let both = tokio::join!(
            post(running, "/v1/payment_intents", &form).key(&key).send(),
            post(running, "/v1/payment_intents", &form).key(&key).send(),
        );
        for answer in [both.0, both.1] {
            assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.status);
        }
    });
    futures(asks).await;
    let tally = provider.tally();
    assert_eq!(tally.orders.len(), 40);
    assert!(
        tally
            .orders
            .values()
            .all(|order| order.authorisations == 1 && order.payment_intents == 1)
    );
}

/// Runs all at once on this task.
async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[tokio::test]
async fn the_books_outlive_a_restart_of_the_listener() {
    let provider = start().await;
    authorise(&provider, "o1").await;
    let books = (*provider).clone();
    provider.shutdown().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cancel = tokio_util::sync::CancellationToken::new();
    let running = books.run(listener, cancel.clone());
    let stop = async { cancel.cancel() };
    tokio::join!(running, stop);
    assert_eq!(books.tally().orders["o1"].authorised, 12_900);
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let target = WebhookTarget {
        url: "http://127.0.0.1:1/".to_owned(),
        secret: WEBHOOK_SECRET.to_owned(),
    };
    let config = ProviderConfig {
        secret_key: "sk_test_hush".to_owned(),
        webhook: Some(target),
        faults: FaultPlan::default(),
        ..ProviderConfig::default()
    };
    let shown = format!("{config:?} {:?}", Provider::new(config.clone()));
    assert!(
        !shown.contains("hush") && !shown.contains(WEBHOOK_SECRET),
        "{shown}"
    );
    assert!(shown.contains("order_key"));
}
