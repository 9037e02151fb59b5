//! One shopper's browser: a connection that comes back, cookies, and manners when told to wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use super::jar::Jar;
use super::observer::Observer;
use crate::clock::monotonic;
use crate::link::{Answer, Link, LinkError};
use crate::random::Random;

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
const ANSWER_DEADLINE: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Backoff after failures: this, doubled each time, with jitter, up to the ceiling.
const BACKOFF_MS: u64 = 150;
const BACKOFF_MS_MAX: u64 = 3_000;
/// However long the server asks to wait: a run ends in minutes.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// What all shoppers of a crowd have in common.
#[derive(Debug)]
pub(crate) struct Destination {
    /// `ip:port` to connect to.
    pub(crate) connect: String,
    /// Host header.
    pub(crate) host: String,
    /// Origin header.
    pub(crate) origin: String,
}

/// A request to be made, possibly more than once.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// JSON body.
    pub(crate) json: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// A page, not the API: any status is an answer.
    pub(crate) page: bool,
}

impl Ask {
    pub(crate) fn page(path: &str) -> Self {
        Self {
            page: true,
            ..Self::api(Method::GET, path.to_owned())
        }
    }

    pub(crate) fn api(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            json: None,
            idempotency_key: None,
            page: false,
        }
    }
}

/// A browser.
pub(crate) struct Client {
    destination: Arc<Destination>,
    observer: Arc<Observer>,
    pub(crate) jar: Jar,
    pub(crate) random: Random,
    /// `X-Forwarded-For`, if this shopper has an address of its own.
    forwarded_for: Option<String>,
    link: Option<Link>,
    /// How long the last answered request took.
    pub(crate) took: Duration,
}

impl Client {
    pub(crate) fn new(
        destination: Arc<Destination>,
        observer: Arc<Observer>,
        random: Random,
        forwarded_for: Option<String>,
    ) -> Self {
        Self {
            destination,
            observer,
            jar: Jar::default(),
            random,
            forwarded_for,
            link: None,
            took: Duration::ZERO,
        }
    }

    /// Asks until there is an answer that means something: broken connections, overload and rate
    /// limits are waited out. Never gives up; the crowd's deadline ends it.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Answer {
        let mut failures = 0;
        loop {
            let wait = match self.try_once(ask).await {
                Ok(answer) => {
                    let wait = if ask.page { None } else { asked_to_wait(&answer) };
                    let Some(wait) = wait else { return answer };
                    self.observer.problem(&problem_type(&answer));
                    wait.max(self.backoff(failures))
                }
                Err(error) => {
                    self.observer.broken(&error);
                    self.backoff(failures)
                }
            };
            failures += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends the same request on two connections at once, as an impatient finger does. An attempt
    /// that got no answer is `None`.
    pub(crate) async fn ask_twice(&mut self, ask: &Ask) -> (Option<Answer>, Option<Answer>) {
        let (Ok(first), Ok(second)) = (self.form(ask), self.form(ask)) else {
            return (None, None);
        };
        let authority = &self.destination.connect;
        let send = |request: Request<Bytes>| async move {
            let mut link = Link::open(authority, CONNECT_DEADLINE).await?;
            link.exchange(request, ANSWER_BYTES_MAX, ANSWER_DEADLINE).await
        };
        let sent_at = monotonic();
        let (first, second) = tokio::join!(send(first), send(second));
        self.took = sent_at.elapsed();
        for answer in [&first, &second] {
            match answer {
                Ok(answer) => self.jar.take(&answer.headers),
                Err(error) => self.observer.broken(error),
            }
        }
        (first.ok(), second.ok())
    }

    /// Closes the connection, as closing a tab does. Cookies stay.
    pub(crate) fn hang_up(&mut self) {
        self.link = None;
    }

    async fn try_once(&mut self, ask: &Ask) -> Result<Answer, LinkError> {
        let request = self.form(ask)?;
        let mut link = match self.link.take().filter(Link::is_open) {
            Some(link) => link,
            None => Link::open(&self.destination.connect, CONNECT_DEADLINE).await?,
        };
        let sent_at = monotonic();
        let answer = link.exchange(request, ANSWER_BYTES_MAX, ANSWER_DEADLINE).await?;
        self.took = sent_at.elapsed();
        self.observer.progress.requests();
        self.jar.take(&answer.headers);
        if link.is_open() {
            self.link = Some(link);
        }
        Ok(answer)
    }

    fn form(&self, ask: &Ask) -> Result<Request<Bytes>, LinkError> {
        let accept = if ask.page {
            "text/html,application/xhtml+xml"
        } else {
            "application/json"
        };
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(header::HOST, &self.destination.host)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, "doorline-crowd");
        if let Some(cookies) = self.jar.header() {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        if let Some(key) = &ask.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if ask.method != Method::GET {
            request = request.header(header::ORIGIN, &self.destination.origin);
        }
        if ask.json.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = ask.json.clone().map(Bytes::from).unwrap_or_default();
        request.body(body).map_err(LinkError::Request)
    }

    fn backoff(&mut self, failures: u32) -> Duration {
        let ceiling = BACKOFF_MS
            .saturating_mul(1 << failures.min(5))
            .min(BACKOFF_MS_MAX);
        Duration::from_millis(self.random.within(ceiling / 2..=ceiling))
    }
}

/// How long an answer asks to wait, if it refuses for now. A full room is an answer of its own.
fn asked_to_wait(answer: &Answer) -> Option<Duration> {
    let overloaded = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    let meaningful = ["room-full", "admission-required"];
    if !overloaded.contains(&answer.status) || meaningful.contains(&problem_type(answer).as_str()) {
        return None;
    }
    Some(retry_after(answer).unwrap_or_default())
}

/// `Retry-After` in seconds, or the problem's own field.
pub(crate) fn retry_after(answer: &Answer) -> Option<Duration> {
    let header = answer
        .headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|value| value.trim().parse().ok());
    let seconds = seconds.or_else(|| json(answer).get("retry_after").and_then(Value::as_u64));
    seconds.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The body as JSON, or null.
pub(crate) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The last word of a problem's `type`, or the status: `sold-out`, `status-502`.
pub(crate) fn problem_type(answer: &Answer) -> String {
    let body = json(answer);
    let named = body
        .get("type")
        .and_then(Value::as_str)
        .and_then(|uri| uri.rsplit(['/', ':', '#']).next());
    match named {
        Some(name) if !name.is_empty() && name != "blank" => name.to_owned(),
        _ => format!("status-{}", answer.status.as_u16()),
    }
}
