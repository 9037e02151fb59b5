//! A shop behind the gateway that writes down every request it gets and answers as the address
//! asks it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What every page of this shop says, and no page of the gateway.
pub(crate) const MARKER: &str = "you are in the shop";

const BODY_BYTES_MAX: usize = 1 << 20;

/// One request as the shop got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

type Book = Arc<Mutex<Vec<Seen>>>;

/// A running shop; it ends when dropped or stopped.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    book: Book,
    tasks: Mutex<JoinSet<()>>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let book = Book::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&book));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app).await.expect("the shop serves");
        });
        Self {
            address,
            book,
            tasks: Mutex::new(tasks),
        }
    }

    /// Ends the shop with all its connections; its port answers no more.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }

    /// Everything the shop got so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest request whose target begins with `start`.
    pub(crate) fn last(&self, start: &str) -> Seen {
        let seen = self
            .seen()
            .into_iter()
            .rfind(|seen| seen.target.starts_with(start));
        seen.unwrap_or_else(|| panic!("the shop got no request for {start}"))
    }
}

/// `?do=revoke` and its alias command the gateway, `?do=cookies` tries to set cookies of the
/// gateway's, `?do=redirect` points somewhere else.
async fn answer(State(book): State<Book>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let target = parts.uri.to_string();
    let mut response = Response::builder().header("content-type", "text/html; charset=utf-8");
    if target.contains("do=revoke") {
        response = response.header("doorline-command", "revoke");
    }
    if target.contains("do=alias") {
        response = response.header("cf-waiting-room-command", "revoke");
    }
    if target.contains("do=redirect") {
        response = response
            .status(302)
            .header("location", "http://192.0.2.1/elsewhere");
    }
    if target.contains("do=cookies") {
        for cookie in [
            "doorline-visitor=planted; Path=/",
            "__Host-doorline-admission-aurora=planted; Path=/; Secure",
            "Doorline-Ticket-aurora=planted",
            "basket=7; Path=/",
        ] {
            response = response.header("set-cookie", cookie);
        }
    }
    book.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
        method: parts.method.to_string(),
        target,
        headers: parts.headers,
        body: body.to_vec(),
    });
    response
        .body(Body::from(format!("<p>{MARKER}</p>")))
        .expect("a plain answer")
}
