//! The small page shown instead of an answer: what happened, whether the place in the queue is
//! safe, and when to try again. Shares the waiting room's look; runs no script.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::room::{STYLE, harmless};
use super::words::span;

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 400: the request could not be understood.
    BadRequest,
    /// 403: the request is not allowed, whatever the queue says.
    Forbidden,
    /// 404: nothing here.
    NotFound,
    /// 429: this client asks too often.
    TooManyRequests,
    /// 429: a form or other unsafe request to a protected path without admission.
    AdmissionRequired,
    /// 500: our own fault.
    Internal,
    /// 502: the shop gave no usable answer.
    BadGateway,
    /// 503: closed for now, or shedding load.
    Unavailable,
    /// 504: the shop did not answer in time.
    GatewayTimeout,
}

impl ErrorKind {
    /// Every kind, by status.
    pub const ALL: [Self; 9] = [
        Self::BadRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::TooManyRequests,
        Self::AdmissionRequired,
        Self::Internal,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
    ];

    /// The status this page goes out with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooManyRequests | Self::AdmissionRequired => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The page for a status, whoever decided on it; a status without words of its own gets those
    /// of its class.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Self::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::NotFound,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            StatusCode::BAD_GATEWAY => Self::BadGateway,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Self::GatewayTimeout,
            status if status.is_server_error() => Self::Internal,
            _ => Self::BadRequest,
        }
    }

    /// Word on the door, headline, explanation.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                "Pardon?",
                "We couldn’t read that request.",
                "Something in the address or the form was not as it should be. Going back one page usually helps.",
            ),
            Self::Forbidden => (
                "No entry",
                "This isn’t open to you.",
                "The shop does not allow this request. Your place in the queue, if you have one, is not affected.",
            ),
            Self::NotFound => (
                "Nothing",
                "There’s nothing at this address.",
                "The link may be old, or a letter may be missing.",
            ),
            Self::TooManyRequests => (
                "Slowly",
                "That was a little fast.",
                "Many requests came from your connection at once. Your place is safe: refreshing more often does not move it.",
            ),
            Self::AdmissionRequired => (
                "Queue first",
                "You need your turn before this step.",
                "Your time in the shop may have ended. Nothing you typed was stored; open the page again to see your place.",
            ),
            Self::Internal => (
                "Our fault",
                "Something went wrong on our side.",
                "It has been recorded. Your place in the queue is safe; please try again in a moment.",
            ),
            Self::BadGateway => (
                "A hitch",
                "The shop gave no usable answer.",
                "You are still in. Please try again in a moment; orders that were confirmed are not affected.",
            ),
            Self::Unavailable => (
                "Shortly",
                "We’ll be right back.",
                "The shop is not taking requests at this moment. Your place in the queue is safe.",
            ),
            Self::GatewayTimeout => (
                "A hitch",
                "The shop took too long to answer.",
                "You are still in. If you were placing an order, look at its state before sending it again.",
            ),
        }
    }
}

/// What an error page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorView {
    /// Why; chooses the word on the door, and every sentence that is not given below.
    pub kind: ErrorKind,
    /// The refusal's own title, where it has one.
    pub headline: Option<String>,
    /// The refusal's own explanation, where it has one.
    pub explanation: Option<String>,
    /// The drop's title, where one is concerned; empty otherwise.
    pub title: String,
    /// Language tag of the page.
    pub lang: String,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// A link offered to go on, as a validated return path.
    pub return_to: Option<String>,
    /// Reference for support.
    pub request_id: String,
}

impl ErrorView {
    /// The page of `kind` in its own words, in English, with nothing else known.
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            headline: None,
            explanation: None,
            title: String::new(),
            lang: "en".to_owned(),
            retry_after_seconds: None,
            return_to: None,
            request_id: String::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    view: &'a ErrorView,
    style: &'static str,
    status: u16,
    word: &'static str,
    headline: &'a str,
    explanation: &'a str,
    retry: Option<String>,
    return_to: Option<&'a str>,
}

/// Renders a whole document, to be sent under [`error_policy`] and, unless the refusal has a
/// status of its own, with [`ErrorKind::status`].
pub fn render_error(view: &ErrorView) -> String {
    let (word, headline, explanation) = view.kind.words();
    let page = ErrorPage {
        view,
        style: STYLE,
        status: view.kind.status().as_u16(),
        word,
        headline: view.headline.as_deref().unwrap_or(headline),
        explanation: view.explanation.as_deref().unwrap_or(explanation),
        retry: view.retry_after_seconds.map(span),
        return_to: view.return_to.as_deref().map(harmless),
    };
    page.render().expect("writing to a string cannot fail")
}

/// The Content-Security-Policy of error pages: their style by its hash, and nothing else. A
/// hash instead of a nonce, so that a refusal costs no randomness and needs no context.
pub fn error_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'none'; \
             frame-ancestors 'none'; base-uri 'none'"
        )
    });
    &POLICY
}
