//! One shopper whose every step a test decides: a cookie jar and the shopper API.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::house::House;

/// A browser with its cookies.
pub(crate) struct Shopper {
    address: SocketAddr,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

/// A status and what came with it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Told {
    /// A whole number of the body.
    pub(crate) fn number(&self, name: &str) -> anyhow::Result<u64> {
        let value = self.body.get(name).and_then(Value::as_u64);
        value.with_context(|| format!("no {name} in {self:?}"))
    }

    /// A text of the body.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.body.get(name).and_then(Value::as_str);
        value.with_context(|| format!("no {name} in {self:?}"))
    }
}

impl Shopper {
    /// Somebody who was never here.
    pub(crate) fn new(house: &House) -> Self {
        Self {
            address: house.address,
            http: house.http.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Joins; the first try only fetches the cookie.
    pub(crate) async fn join(&mut self) -> anyhow::Result<Told> {
        let first = self.ask(Method::POST, "drops/aurora/ticket", None).await?;
        if first.status != StatusCode::PRECONDITION_REQUIRED {
            return Ok(first);
        }
        self.ask(Method::POST, "drops/aurora/ticket", None).await
    }

    /// Looks at the place.
    pub(crate) async fn look(&mut self) -> anyhow::Result<Told> {
        self.ask(Method::GET, "drops/aurora/ticket", None).await
    }

    /// Claims, until let in or refused for good.
    pub(crate) async fn claim(&mut self) -> anyhow::Result<Told> {
        for _ in 0..600 {
            let told = self.ask(Method::POST, "drops/aurora/admission", None).await?;
            let not_yet = [
                StatusCode::CONFLICT,
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ];
            if !not_yet.contains(&told.status) {
                return Ok(told);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        anyhow::bail!("never called: {:?}", self.look().await)
    }

    /// Orders one pair and pays at once.
    pub(crate) async fn order(&mut self, key: &str) -> anyhow::Result<Told> {
        let body = r#"{"items":[{"sku":"AUR-42","quantity":1}],"payment_method":"pm_card_visa"}"#;
        self.ask(Method::POST, "drops/aurora/orders", Some((key, body)))
            .await
    }

    /// Any request of the shopper API.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        order: Option<(&str, &str)>,
    ) -> anyhow::Result<Told> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = self
            .http
            .request(method, format!("http://{}/.doorline/v1/{path}", self.address))
            .header("accept", "application/json")
            .header("cookie", cookies.join("; "));
        if let Some((key, body)) = order {
            request = request
                .header("idempotency-key", key)
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let answer = request.send().await?;
        for line in answer.headers().get_all("set-cookie") {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = answer.status();
        let body = serde_json::from_str(&answer.text().await?).unwrap_or_default();
        Ok(Told { status, body })
    }
}
