//! The merchant's system behind an HTTP endpoint: events as Standard Webhooks.
//!
//! One POST per try, signed anew each time; the answer's status says all, its body is not looked at. Redirects are
//! answers like others: following one would hand orders to an address that nobody configured.

use std::sync::Arc;
use std::time::Duration;

use domain::saga::Notice;
use domain::{Clock, Span, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};

use crate::ledger::Reply;

use super::{Heard, Merchant, MerchantEvent, SigningKey, TIMEOUT, wire};

/// Bytes of an answer's body that are read, so that the connection can be used again. A longer one costs the connection.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;
/// How long they are waited for: the answer is known by then.
const ANSWER_BODY_WITHIN: Duration = Duration::from_secs(1);

/// Where events go, and how they are signed.
#[derive(Clone)]
pub struct WebhookConfig {
    /// The endpoint.
    pub url: String,
    /// The keys: one, or two while the receiver changes over. Every event carries a signature of each.
    pub keys: Vec<SigningKey>,
    /// The kinds of events that are sent.
    pub notices: Vec<Notice>,
    /// Longest wait for one answer.
    pub timeout: Duration,
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the webhooks' HTTP client cannot be built")]
pub struct WebhookConfigError(#[source] reqwest::Error);

/// An endpoint that speaks Standard Webhooks.
pub struct StandardWebhook {
    client: Client,
    config: WebhookConfig,
    clock: Arc<dyn Clock>,
}

impl WebhookConfig {
    /// Everything to `url`, signed with `key`.
    pub fn new(url: &str, key: SigningKey) -> Self {
        Self {
            url: url.to_owned(),
            keys: vec![key],
            notices: Notice::ALL.to_vec(),
            timeout: TIMEOUT,
        }
    }
}

impl StandardWebhook {
    /// Builds the client.
    ///
    /// # Errors
    /// If the HTTP client refuses its settings.
    pub fn new(config: WebhookConfig, clock: Arc<dyn Clock>) -> Result<Self, WebhookConfigError> {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(5)))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(32)
            .tcp_nodelay(true)
            .no_proxy()
            // Telling again is the jobs' business: they know how often it was tried.
            .retry(reqwest::retry::never())
            .user_agent(concat!("doorline/", env!("CARGO_PKG_VERSION")));
        // No TLS, no roots: a machine without certificates can still talk to a receiver on loopback.
        let builder = if config.url.starts_with("http://") {
            builder.tls_certs_only(Vec::new())
        } else {
            builder.https_only(true)
        };
        Ok(Self {
            client: builder.build().map_err(WebhookConfigError)?,
            config,
            clock,
        })
    }

    async fn send(&self, event: &MerchantEvent) -> Heard {
        let (id, body) = (event.id(), wire::body(event));
        let now = self.clock.now();
        let signatures: Vec<String> = self
            .config
            .keys
            .iter()
            .map(|key| key.sign(&id, now.as_secs(), &body))
            .collect();
        let request = self
            .client
            .post(&self.config.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_secs().to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(body);
        match request.send().await {
            Ok(answer) => {
                let heard = heard(answer.status().as_u16(), answer.headers(), now);
                drop(tokio::time::timeout(ANSWER_BODY_WITHIN, read(answer)).await);
                heard
            }
            Err(error) if error.is_timeout() => Heard::TimedOut,
            Err(_) => Heard::Unreachable,
        }
    }
}

impl Merchant for StandardWebhook {
    fn wants(&self, notice: Notice) -> bool {
        self.config.notices.contains(&notice)
    }

    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard> {
        Box::pin(self.send(event))
    }
}

/// What an answer means.
fn heard(status: u16, headers: &HeaderMap, now: Timestamp) -> Heard {
    match status {
        200..=299 => Heard::Taken,
        410 => Heard::Gone,
        _ => Heard::Refused {
            status,
            retry_after: retry_after(headers, now),
        },
    }
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Span> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Span::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    let at = u64::try_from(at.as_millisecond()).ok()?;
    Some(now.until(Timestamp::from_millis(at)))
}

async fn read(mut answer: Response) {
    let mut left = ANSWER_BYTES_MAX;
    while let Ok(Some(chunk)) = answer.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl std::fmt::Debug for StandardWebhook {
    /// The address may hold something private in its path.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandardWebhook")
            .field("notices", &self.config.notices)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 6 November 1994, 08:49:37 UTC, the RFC's own example.
    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn asked(value: &str) -> Option<Span> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        match heard(503, &headers, NOW) {
            Heard::Refused { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_success_is_taken_and_only_410_is_gone() {
        let none = HeaderMap::new();
        for status in 100..600 {
            let heard = heard(status, &none, NOW);
            assert_eq!(heard == Heard::Taken, (200..300).contains(&status), "{status}");
            assert_eq!(heard == Heard::Gone, status == 410, "{status}");
        }
        assert_eq!(heard(302, &none, NOW).to_string(), "status 302");
    }

    #[test]
    fn a_receiver_asks_for_time_in_seconds_or_by_a_date() {
        assert_eq!(asked("120"), Some(Span::from_secs(120)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Span::from_secs(60)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Span::ZERO));
        for nonsense in ["", "soon", "-5", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}
