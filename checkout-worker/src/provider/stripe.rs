//! A thin client for the part of Stripe's API that a purchase needs: create-and-confirm, capture, cancel, retrieve, list,
//! refund. It sends each call once, under the key it is given, and says what the answer means.
//!
//! Sources: <https://docs.stripe.com/api/payment_intents>, <https://docs.stripe.com/api/idempotent_requests>,
//! <https://docs.stripe.com/rate-limits>.

mod request;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use domain::saga::{Answer, Call, Class, Outcome, Payment, PaymentId, Reason, Repeat, Stall, classify};
use domain::{OrderId, Span, Timestamp};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response};

use crate::ledger::Reply;
use crate::pace::Pace;
use crate::turns::Turns;

use super::{Page, Provider, ProviderCall, Window};

/// The version of the API that requests and answers are written in.
pub const API_VERSION: &str = "2025-09-30.clover";
/// Where the real API is.
pub const API_URL: &str = "https://api.stripe.com";
/// Longest wait for one answer. The provider's own slow calls (a bank that dawdles) stay below it; the saga's lease is
/// three times as long.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer that is read. A full page of a list is some 500 KB.
const ANSWER_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Pages read while looking for one order's payment: 50,000 payments since its attempt, as many as can be read at the usual
/// rate before the order's lease runs out and somebody else looks.
const FIND_PAGES_MAX: u32 = 500;
/// How far around an attempt its payment's creation may lie: clocks differ, and requests wait.
const FIND_MARGIN: Span = Span::from_mins(5);

/// How the API is reached.
#[derive(Clone)]
pub struct StripeConfig {
    /// The API's base address, without a slash at the end.
    pub url: String,
    /// The secret API key.
    pub secret_key: String,
    /// Requests per second and endpoint, over all who share the turns. Ordinary accounts allow 25.
    pub requests_per_second: u32,
    /// Longest wait for one answer.
    pub timeout: Duration,
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum StripeConfigError {
    /// The key is empty or holds characters that no key has.
    #[error("the secret key is empty or not a key")]
    Key,
    /// The HTTP client refuses its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// The thin client.
pub struct Stripe {
    client: Client,
    url: String,
    paces: Paces,
}

/// One pace per endpoint, as the provider counts.
struct Paces {
    create: Pace,
    capture: Pace,
    cancel: Pace,
    refund: Pace,
    retrieve: Pace,
    list: Pace,
}

impl StripeConfig {
    /// The real API with `secret_key`, a little below an ordinary account's limit.
    pub fn new(secret_key: &str) -> Self {
        Self {
            url: API_URL.to_owned(),
            secret_key: secret_key.to_owned(),
            requests_per_second: 20,
            timeout: REQUEST_TIMEOUT,
        }
    }
}

impl Paces {
    fn new(per_second: u32, turns: &Arc<dyn Turns>) -> Self {
        let pace = |endpoint| Pace::new(Arc::clone(turns), &format!("provider/{endpoint}"), per_second);
        Self {
            create: pace("create"),
            capture: pace("capture"),
            cancel: pace("cancel"),
            refund: pace("refund"),
            retrieve: pace("retrieve"),
            list: pace("list"),
        }
    }

    fn of(&self, call: &Call) -> &Pace {
        match call {
            Call::Authorise { .. } => &self.create,
            Call::Capture { .. } => &self.capture,
            Call::Cancel { .. } | Call::CancelStray { .. } => &self.cancel,
            Call::Refund { .. } | Call::RefundStray { .. } => &self.refund,
            Call::Retrieve { .. } => &self.retrieve,
            Call::Find { .. } => &self.list,
        }
    }
}

impl Stripe {
    /// Builds the client, which waits for its turn with `turns` before each request. TLS is configured here, so that nothing
    /// depends on what the process installed as default.
    pub fn new(config: &StripeConfig, turns: &Arc<dyn Turns>) -> Result<Self, StripeConfigError> {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", config.secret_key))
            .map_err(|_| StripeConfigError::Key)?;
        if config.secret_key.is_empty() {
            return Err(StripeConfigError::Key);
        }
        bearer.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, bearer);
        headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
        let client = request::builder(config)
            .default_headers(headers)
            .timeout(config.timeout)
            .build()
            .map_err(StripeConfigError::Client)?;
        let paces = Paces::new(config.requests_per_second, turns);
        Ok(Self {
            client,
            url: config.url.trim_end_matches('/').to_owned(),
            paces,
        })
    }

    async fn call(&self, call: &ProviderCall) -> Answer {
        if let Call::Find { since, .. } = &call.call {
            return self.find(call.order, *since).await;
        }
        let pace = self.paces.of(&call.call);
        let answered = self.send(pace, request::of(&self.client, &self.url, call)).await;
        match (&call.call, answered) {
            (Call::Refund { .. } | Call::RefundStray { .. }, Ok(body)) => wire::refund(&body),
            (Call::Retrieve { .. }, Ok(body)) => self.with_refunds(wire::payment(&body)).await,
            (_, Ok(body)) => wire::payment(&body),
            (_, Err(answer)) => answer,
        }
    }

    async fn read(&self, payment: &PaymentId) -> Answer {
        match self
            .send(
                &self.paces.retrieve,
                request::retrieve(&self.client, &self.url, payment),
            )
            .await
        {
            Ok(body) => self.with_refunds(wire::payment(&body)).await,
            Err(answer) => answer,
        }
    }

    /// Adds what was given back. The charge carries it only where the API expands it, and need not take a refund off again that
    /// fails later; asking for the refunds is sure.
    async fn with_refunds(&self, answer: Answer) -> Answer {
        let Answer::Payment(mut payment) = answer else {
            return answer;
        };
        if payment.captured == 0 {
            return Answer::Payment(payment);
        }
        match self
            .send(
                &self.paces.list,
                request::refunds(&self.client, &self.url, &payment.id),
            )
            .await
        {
            Ok(body) => match wire::refunded(&body) {
                Some(refunded) => {
                    payment.refunded = refunded;
                    Answer::Payment(payment)
                }
                None => Answer::Stalled(Stall::Lost),
            },
            Err(answer) => answer,
        }
    }

    async fn page(&self, window: &Window) -> Result<Page, Answer> {
        let body = self
            .send(&self.paces.list, request::list(&self.client, &self.url, window))
            .await?;
        wire::page(&body).ok_or(Answer::Stalled(Stall::Lost))
    }

    /// Looks for the order's payment of the highest number among those created since its attempt. The whole window is
    /// read before anything is claimed: a late request of an earlier attempt may have made the newest payment there is.
    async fn find(&self, order: OrderId, since: Timestamp) -> Answer {
        let mut window = Window {
            since: since - FIND_MARGIN,
            until: Timestamp::NEVER,
            after: None,
        };
        let mut found: Option<Payment> = None;
        for _ in 0..FIND_PAGES_MAX {
            let page = match self.page(&window).await {
                Ok(page) => page,
                Err(answer) => return answer,
            };
            let ours = page.payments.into_iter().filter(|payment| payment.order == order);
            found = found
                .into_iter()
                .chain(ours)
                .max_by_key(|payment| (payment.space, payment.n));
            match page.next {
                Some(next) => window.after = Some(next),
                None => return found.map_or(Answer::Absent, Answer::Payment),
            }
        }
        tracing::warn!(order.id = %order, "more payments since the attempt than are read to find one");
        // The provider answered each time: its breaker must not hear of this.
        Answer::Stalled(Stall::InFlight)
    }

    /// Waits for its turn, sends once, and sorts the answer: a body to read, or what the refusal means.
    async fn send(&self, pace: &Pace, request: RequestBuilder) -> Result<Vec<u8>, Answer> {
        // Whoever keeps the turns is away: the request was not sent. It is no fault of the provider's.
        let turn = pace.turn().await;
        turn.map_err(|_| Answer::Stalled(Stall::InFlight))?;
        let response = request.send().await.map_err(|_| Answer::Stalled(Stall::Lost))?;
        let status = response.status().as_u16();
        let (should_retry, retry_after) = (should_retry(&response), retry_after(&response));
        let body = body(response).await.ok_or(Answer::Stalled(Stall::Lost))?;
        let error = wire::error(&body);
        let outcome = Outcome {
            status,
            error_type: &error.kind,
            should_retry,
            retry_after,
        };
        match classify(outcome) {
            Class::Success => Ok(body),
            Class::Declined => Err(Answer::Declined(error.reason())),
            Class::KeyMismatch => Err(Answer::KeyMismatch),
            Class::Rejected => Err(Answer::Rejected(error.reason())),
            Class::Stalled(stall) => {
                if let Stall::RateLimited { retry_after } = stall {
                    pace.slow_down(retry_after.map(Span::as_duration)).await;
                }
                Err(Answer::Stalled(stall))
            }
        }
    }
}

impl Provider for Stripe {
    fn perform<'a>(&'a self, call: &'a ProviderCall) -> Reply<'a, Answer> {
        Box::pin(self.call(call))
    }

    fn list(&self, window: Window) -> Reply<'_, Result<Page, Stall>> {
        Box::pin(async move {
            self.page(&window).await.map_err(|answer| match answer {
                Answer::Stalled(stall) => stall,
                // A list that is refused for good will be refused again; it changes nothing to say it failed.
                Answer::Payment(_)
                | Answer::Refunded(_)
                | Answer::Absent
                | Answer::Declined(_)
                | Answer::Rejected(_)
                | Answer::KeyMismatch => Stall::Failed {
                    repeat: Repeat::Never,
                },
            })
        })
    }

    fn retrieve<'a>(&'a self, payment: &'a PaymentId) -> Reply<'a, Answer> {
        Box::pin(self.read(payment))
    }
}

fn should_retry(response: &Response) -> Option<bool> {
    match response.headers().get("stripe-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// Seconds only: the other form of the header is a date, which the provider does not send.
fn retry_after(response: &Response) -> Option<Span> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Span::from_secs(seconds.min(60)))
}

/// Reads the body, up to what an answer may be large.
async fn body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// A reason that is always printable: the provider's word, or our own where it gave none.
fn reason_or(word: Option<&str>, own: &'static str) -> Reason {
    let word = word.and_then(|word| Reason::new(word).ok());
    word.unwrap_or_else(|| Reason::new(own).expect("our own words are short ASCII without space"))
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stripe({})", self.url)
    }
}

impl std::fmt::Debug for StripeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeConfig")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
