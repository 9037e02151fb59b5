//! From an HTTP request to an answer: who may ask, how often, under which key, and what goes wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::ApiError;
use super::event::Cause;
use super::execute::{self, Execution};
use super::fault::Outage;
use super::operations::Call;
use super::params::Params;
use super::route::{Operation, Route, route};
use super::shared::Shared;
use super::{admin, challenge};
use crate::clock::monotonic;
use crate::serve::{HangUp, Reply, read_body, reply};

/// Our requests have a few hundred bytes; Stripe's largest documented ones stay well below this.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Answers requests. Clones share the provider.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    /// Executions outlive the connection that asked for them, as on a real server.
    pub(crate) executions: TaskTracker,
    pub(crate) cancel: CancellationToken,
}

/// A request in memory.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Reply, HangUp> {
        let (parts, body) = request.into_parts();
        let Some(body) = read_body(body, BODY_BYTES_MAX).await else {
            return Err(HangUp);
        };
        let asked = Asked {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body,
        };
        match route(&asked.method, &asked.path) {
            Route::Api(operation, id) => self.api(asked, operation, id).await,
            Route::Challenge(id) => Ok(challenge::answer(&self.shared, &asked, &id)),
            Route::Faults => Ok(self.for_owner(&asked, admin::faults)),
            Route::Log => Ok(self.for_owner(&asked, admin::log)),
            Route::Tally => Ok(self.for_owner(&asked, admin::tally)),
            Route::Unknown => {
                let message = format!("Unrecognized request URL ({}: {}).", asked.method, asked.path);
                let mut error = ApiError::invalid(message, None);
                error.status = StatusCode::NOT_FOUND;
                Ok(refusal(&error))
            }
        }
    }

    async fn api(self, asked: Asked, operation: Operation, id: Option<String>) -> Result<Reply, HangUp> {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let (request_id, outage, hang_ms) = {
            let mut state = self.shared.state();
            let request_id = format!("req_{}", state.request_ids.alphanumeric(14));
            (
                request_id,
                state.faults.plan().outage,
                state.faults.plan().hang_ms,
            )
        };
        let refused = match outage {
            Outage::None => self.admit(&asked, operation).err(),
            Outage::Refuse => return Err(HangUp),
            Outage::Error => Some(ApiError::unavailable("The sandbox is out of order, as planned.")),
            Outage::Hang => {
                self.pause(hang_ms).await;
                return Err(HangUp);
            }
        };
        let mut answer = match refused {
            Some(error) => refusal(&error),
            None => self.execute(&asked, operation, id, &request_id).await?,
        };
        let headers = answer.headers_mut();
        put(headers, "request-id", &request_id);
        put(headers, "stripe-version", super::wire::API_VERSION);
        if let Some(key) = asked
            .headers
            .get("idempotency-key")
            .filter(|_| operation.is_write())
        {
            headers.insert("idempotency-key", key.clone());
        }
        Ok(answer)
    }

    /// Key and quota. Neither refusal touches an idempotency key.
    fn admit(&self, asked: &Asked, operation: Operation) -> Result<(), ApiError> {
        authorise(&asked.headers, &self.shared.secret_key)?;
        let mut state = self.shared.state();
        let per_second = state.faults.plan().requests_per_second;
        if state.limits.admit(operation, per_second, monotonic()) {
            return Ok(());
        }
        Err(ApiError::rate_limited())
    }

    async fn execute(
        &self,
        asked: &Asked,
        operation: Operation,
        id: Option<String>,
        request_id: &str,
    ) -> Result<Reply, HangUp> {
        let text: &[u8] = if operation.is_write() {
            &asked.body
        } else {
            asked.query.as_bytes()
        };
        let params = match Params::parse(text) {
            Ok(params) => params,
            Err(error) => return Ok(refusal(&error)),
        };
        let key = asked
            .headers
            .get("idempotency-key")
            .filter(|_| operation.is_write());
        let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        let cause = Cause {
            request_id: Some(request_id.to_owned()),
            idempotency_key: key.clone(),
        };
        let execution = Execution {
            server: self.clone(),
            path: asked.path.clone(),
            key,
            request_id: request_id.to_owned(),
            call: Call {
                operation,
                id,
                params,
                cause,
            },
        };
        // A client that hangs up must not stop what it started: the effect happens, the answer is
        // saved, and only the connection is gone.
        self.executions
            .spawn(execute::execute(execution))
            .await
            .unwrap_or(Err(HangUp))
    }

    fn for_owner(&self, asked: &Asked, answer: fn(&Shared, &Asked) -> Reply) -> Reply {
        match authorise(&asked.headers, &self.shared.secret_key) {
            Ok(()) => answer(&self.shared, asked),
            Err(error) => refusal(&error),
        }
    }

    /// Waits, unless the provider is being stopped.
    pub(crate) async fn pause(&self, ms: u64) {
        if ms == 0 {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.cancel.cancelled() => {}
        }
    }
}

/// An error as it goes over the wire.
pub(crate) fn refusal(error: &ApiError) -> Reply {
    let mut answer = reply(error.status, "application/json", error.to_body());
    if let Some(should) = error.should_retry {
        put(
            answer.headers_mut(),
            "stripe-should-retry",
            if should { "true" } else { "false" },
        );
    }
    if error.status == StatusCode::TOO_MANY_REQUESTS {
        put(
            answer.headers_mut(),
            "stripe-rate-limited-reason",
            "endpoint-rate",
        );
    }
    if error.status == StatusCode::UNAUTHORIZED {
        put(answer.headers_mut(), "www-authenticate", "Basic realm=\"Stripe\"");
    }
    answer
}

/// Sets a header; a value that no header can carry is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// `Authorization: Bearer KEY`, or Basic with the key as user name.
fn authorise(headers: &HeaderMap, secret_key: &str) -> Result<(), ApiError> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let unauthorised = |message: &str| {
        let mut error = ApiError::invalid(message, None).before_execution();
        error.status = StatusCode::UNAUTHORIZED;
        error
    };
    let Some((scheme, value)) = given.and_then(|given| given.split_once(' ')) else {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization \
                       header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
        return Err(unauthorised(message));
    };
    let key = if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(value.trim()).unwrap_or_default();
        let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
        String::from_utf8_lossy(user).into_owned()
    } else {
        value.trim().to_owned()
    };
    match verify_slices_are_equal(key.as_bytes(), secret_key.as_bytes()) {
        Ok(()) => Ok(()),
        // The real one shows the key's last characters; an error text is no place for any of them.
        Err(_) => Err(unauthorised("Invalid API Key provided.")),
    }
}
