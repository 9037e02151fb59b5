//! The provider's behaviour over real sockets, as a client of Stripe's API would meet it.

mod books;
mod cards;
mod challenge;
mod errors;
mod faults;
mod idempotency;
mod intents;
mod keys;
mod lists;
mod money;
mod objects;
mod params;
mod plans;
mod requests;
mod routes;
mod states;
mod tallies;
mod webhooks;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use super::{FaultPlan, Provider, ProviderConfig, RunningProvider};
use crate::link::{Answer, Link, LinkError};

const WEBHOOK_SECRET: &str = "whsec_test";
const DEADLINE: Duration = Duration::from_secs(10);

/// A provider without rate limits, so that tests are about one thing at a time.
async fn start() -> RunningProvider {
    start_with(FaultPlan::default()).await
}

async fn start_with(faults: FaultPlan) -> RunningProvider {
    let faults = FaultPlan {
        requests_per_second: 0,
        ..faults
    };
    Provider::start(ProviderConfig {
        faults,
        ..ProviderConfig::default()
    })
    .await
    .unwrap()
}

/// One request on a connection of its own.
struct Ask<'a> {
    provider: &'a RunningProvider,
    method: Method,
    path: String,
    body: String,
    headers: Vec<(&'static str, String)>,
}

fn post<'a>(provider: &'a RunningProvider, path: &str, form: &[(&str, &str)]) -> Ask<'a> {
    let body = serde_urlencoded::to_string(form).unwrap();
    let headers = vec![
        ("authorization", "Bearer sk_test_sandbox".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    Ask {
        provider,
        method: Method::POST,
        path: path.to_owned(),
        body,
        headers,
    }
}

fn get<'a>(provider: &'a RunningProvider, path: &str) -> Ask<'a> {
    Ask {
        method: Method::GET,
        ..post(provider, path, &[])
    }
}

impl Ask<'_> {
    fn key(mut self, key: &str) -> Self {
        self.headers.push(("idempotency-key", key.to_owned()));
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn json(self, body: &Value) -> Self {
        Self {
            body: body.to_string(),
            ..self.header("content-type", "application/json")
        }
    }

    async fn try_send(self) -> Result<Answer, LinkError> {
        let authority = self.provider.address().to_string();
        let mut request = Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("host", &authority);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(self.body)).unwrap();
        let mut link = Link::open(&authority, DEADLINE).await?;
        link.exchange(request, 1 << 20, DEADLINE).await
    }

    async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// Sends and expects success.
    async fn ok(self) -> Value {
        let answer = self.send().await;
        let body = body(&answer);
        assert_eq!(answer.status, 200, "{body}");
        body
    }

    /// Sends and gives the status with the error object.
    async fn error(self) -> (u16, Value) {
        let answer = self.send().await;
        assert!(!answer.status.is_success(), "{:?}", answer.body);
        (answer.status.as_u16(), body(&answer)["error"].clone())
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).and_then(|value| value.to_str().ok())
}

/// The purchase most tests make: 129 euros, to be captured later.
fn purchase<'a>(method: &'a str, order: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("amount", "12900"),
        ("currency", "eur"),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("payment_method", method),
        ("payment_method_types[]", "card"),
        ("metadata[order]", order),
    ]
}

/// The usual purchase, ready to be sent.
fn buy<'a>(provider: &'a RunningProvider, method: &str, order: &str) -> Ask<'a> {
    post(provider, "/v1/payment_intents", &purchase(method, order))
}

async fn authorise(provider: &RunningProvider, order: &str) -> String {
    let intent = buy(provider, "pm_card_visa", order).ok().await;
    assert_eq!(intent["status"], "requires_capture");
    id(&intent)
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn path(intent: &str, verb: &str) -> String {
    format!("/v1/payment_intents/{intent}/{verb}")
}
