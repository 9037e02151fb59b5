//! A shopper's browser in small: keeps cookies, follows no redirect, and reads answers as an
//! outside program would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Longest any single thing may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// Pause between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The drop that nearly all tests are about.
pub(crate) const DROP: &str = "/.doorline/v1/drops/aurora";
/// A page that the drop protects.
pub(crate) const PAGE: &str = "/products/aurora/shoe";

/// An HTTP client with a cookie jar.
pub(crate) struct Browser {
    http: reqwest::Client,
    address: SocketAddr,
    jar: Mutex<BTreeMap<String, String>>,
    always: Vec<(&'static str, String)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        Self {
            http,
            address,
            jar: Mutex::default(),
            always: Vec::new(),
        }
    }

    /// The same browser, sending `name: value` with every request.
    pub(crate) fn always(mut self, name: &'static str, value: &str) -> Self {
        self.always.push((name, value.to_owned()));
        self
    }

    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn cookie(&self, name: &str) -> String {
        let cookie = self.cookies().remove(name);
        cookie.unwrap_or_else(|| panic!("no cookie {name} among {:?}", self.cookies().keys()))
    }

    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        jar.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn forget_cookie(&self, name: &str) {
        self.jar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// Sends a request and keeps the cookies of the answer.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.expect("a whole body");
        Answer {
            status,
            headers,
            body,
        }
    }

    /// Like [`ask`](Self::ask), with the body left unread.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> reqwest::Response {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .http
            .request(method, format!("http://{}{path}", self.address));
        for (name, value) in &self.always {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<String> = self
            .cookies()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{path}: {error:?}"));
        self.keep(response.headers());
        response
    }

    fn keep(&self, headers: &HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let text = cookie.to_str().expect("a readable cookie");
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').expect("a cookie is a pair");
            if attributes.contains("Max-Age=0") {
                self.forget_cookie(name);
            } else {
                self.set_cookie(name, value);
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None).await
    }

    /// As a browser asks for a page.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        self.ask("GET", path, &[("accept", accept)], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = ("content-type", "application/json");
        self.ask("POST", path, &[json], Some(&body.to_string())).await
    }

    /// Takes a place: first the cookie, then the number.
    pub(crate) async fn join(&self) -> Value {
        let first = self.ask("POST", &format!("{DROP}/ticket"), &[], None).await;
        let joined = if first.status == 428 {
            self.ask("POST", &format!("{DROP}/ticket"), &[], None).await
        } else {
            first
        };
        assert!(matches!(joined.status, 200 | 201), "{joined:?}");
        joined.json()
    }

    /// Looks at the place until it stands as `state`.
    pub(crate) async fn until_place(&self, state: &str) -> Value {
        let place = format!("{DROP}/ticket");
        until(&format!("the place is {state}"), async || {
            let place = self.get(&place).await.expect(200).json();
            (place["state"] == state).then_some(place)
        })
        .await
    }

    pub(crate) async fn claim(&self) -> Answer {
        self.ask("POST", &format!("{DROP}/admission"), &[], None).await
    }

    /// Joins, waits, claims; yields the admission token.
    pub(crate) async fn enter(&self) -> String {
        self.join().await;
        self.until_place("called").await;
        let claimed = self.claim().await.expect(200).json();
        claimed["admission_token"].as_str().expect("a token").to_owned()
    }

    /// `POST …/orders` under `key`.
    pub(crate) async fn order(&self, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.ask(
            "POST",
            &format!("{DROP}/orders"),
            &headers,
            Some(&body.to_string()),
        )
        .await
    }

    /// Looks at an order until it stands as `state`.
    pub(crate) async fn until_order(&self, order: &str, state: &str) -> Value {
        let path = format!("/.doorline/v1/orders/{order}");
        until(&format!("the order is {state}"), async || {
            let order = self.get(&path).await.expect(200).json();
            (order["state"] == state).then_some(order)
        })
        .await
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks that this is the problem `slug` with all that every problem has; yields it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/.doorline/problems/{slug}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        let id = self.header("x-request-id");
        assert!(
            !id.is_empty() && problem["instance"] == id,
            "an instance that is the request id: {self:?}"
        );
        if let Some(wait) = problem.get("retry_after") {
            assert_eq!(self.header("retry-after"), wait.to_string());
        }
        problem
    }

    /// Whether the gateway kept this request out of the shop.
    pub(crate) fn is_waiting_room(&self) -> bool {
        !self.body.contains(super::origin::MARKER)
    }
}

/// Looks again and again until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Sends bytes as they are and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, bytes: &str) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.expect("a connection");
        socket.write_all(bytes.as_bytes()).await.expect("room to write");
        let mut answer = Vec::new();
        // A reset after the answer is as good as a close.
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an answer")
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("below sixteen");
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}
