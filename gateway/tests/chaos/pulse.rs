//! Whether somebody who comes just now is let in: the pulse of the house, felt at a drop of its own that has
//! room for everybody.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use tokio::time::Instant;

/// The drop that nobody but the pulse joins, in a merchant's words.
pub(crate) const DROP: &str = r#"
[[drop]]
id = "pulse"
paths = ["/pulse"]
event_start_time = "2026-01-01T00:00:00Z"
total_active_users = 10000
new_users_per_minute = 60000
"#;

/// How long admissions may be paused after a fault has healed.
pub(crate) const LET_IN_WITHIN: Duration = Duration::from_secs(5);
/// How long one admission may take at a gateway that nothing is wrong with, while others are cut off. Whoever is cut off
/// in the middle of a transaction keeps what it has locked for two seconds; then the server ends it. Less than a fault
/// lasts: its end is not to be waited for.
pub(crate) const GO_ON_WITHIN: Duration = Duration::from_secs(3);
/// How long one answer may take before the shopper asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Somebody who has just come.
pub(crate) struct Pulse {
    http: Client,
    address: SocketAddr,
    cookies: Vec<(String, String)>,
}

impl Pulse {
    /// How long it takes from now until somebody is let in at `address`.
    ///
    /// # Errors
    /// If it takes longer than `within`.
    pub(crate) async fn of(address: SocketAddr, within: Duration) -> anyhow::Result<Duration> {
        let http = Client::builder()
            .timeout(ANSWER_WITHIN)
            // A connection of its own per request: it may fall to either gateway.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()?;
        let mut shopper = Self {
            http,
            address,
            cookies: Vec::new(),
        };
        let begun = Instant::now();
        let mut said = String::from("nothing");
        while begun.elapsed() < within {
            match shopper.come().await {
                Ok(StatusCode::OK) => return Ok(begun.elapsed()),
                Ok(status) => said = status.to_string(),
                Err(error) => said = format!("{error:#}"),
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        anyhow::bail!("nobody was let in for {within:?}; the last answer was {said}")
    }

    /// Joins, or asks for the place that is there, and claims.
    async fn come(&mut self) -> anyhow::Result<StatusCode> {
        let joined = self.post("ticket").await?;
        if !joined.is_success() {
            return Ok(joined);
        }
        self.post("admission").await
    }

    async fn post(&mut self, what: &str) -> anyhow::Result<StatusCode> {
        let url = format!("http://{}/.doorline/v1/drops/pulse/{what}", self.address);
        let mut headers = HeaderMap::new();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            headers.insert(COOKIE, cookies.join("; ").parse()?);
        }
        let answer = self
            .http
            .request(Method::POST, url)
            .headers(headers)
            .send()
            .await
            .with_context(|| format!("asking for {what}"))?;
        for line in answer.headers().get_all(SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(known, _)| known != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer.status())
    }
}
