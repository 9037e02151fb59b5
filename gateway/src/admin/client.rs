//! The command line's side of the admin API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operator;
use crate::config::Secret;

/// Long enough for a reconciliation with the provider, short enough not to hang a terminal.
const PATIENCE: Duration = Duration::from_mins(1);

/// Speaks to one running gateway.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Secret,
    operator: Option<String>,
}

impl Client {
    /// A client for the gateway whose admin listener is at `address`. What it does is written down under the name of
    /// `operator`, if there is one.
    pub fn new(address: SocketAddr, token: Secret, operator: Option<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self {
            http,
            base: format!("http://{address}/admin/v1"),
            token,
            operator,
        })
    }

    /// Reads `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Commands `path`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::POST, path, None::<&()>).await
    }

    /// Commands `path`, with what to do.
    pub async fn post_with<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes `path`.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> anyhow::Result<T> {
        let url = format!("{}/{path}", self.base);
        let mut request = self.http.request(method, &url).bearer_auth(self.token.expose());
        if let Some(name) = &self.operator {
            request = request.header(operator::HEADER, name);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| {
            format!(
                "no gateway answers at {}: is `doorline serve` running with this configuration?",
                self.base
            )
        })?;
        let status = answer.status();
        let text = answer.text().await.context("the gateway's answer broke off")?;
        if !status.is_success() {
            bail!("{}", refusal(status.as_u16(), &text));
        }
        serde_json::from_str(&text).context("the gateway's answer cannot be read: is it of another version?")
    }
}

/// What a refusal says, out of its problem.
fn refusal(status: u16, text: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let member = |name: &str| {
        problem
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    match (member("title"), member("detail")) {
        ("", _) => format!("the gateway refused with status {status}"),
        (title, "") => title.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_refusal_is_told_in_the_words_of_its_problem() {
        let problem = r#"{"type": "/x", "title": "Not possible", "detail": "It is over.", "status": 409}"#;
        assert_eq!(refusal(409, problem), "Not possible: It is over.");
        assert_eq!(refusal(409, r#"{"title": "Not possible"}"#), "Not possible");
    }

    #[test]
    fn an_answer_of_something_else_is_told_by_its_status() {
        for text in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"title": 7}"#,
            r#"{"detail": "x"}"#,
        ] {
            assert_eq!(
                refusal(502, text),
                "the gateway refused with status 502",
                "{text}"
            );
        }
    }
}
