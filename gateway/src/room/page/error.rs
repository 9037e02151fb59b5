//! The small page shown instead of an answer: what happened, whether the place in the queue is
//! safe, and when to try again. Shares the waiting room's look; runs no script.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::room::STYLE;
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

    /// The status that this page usually goes out with.
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

    /// What somebody who sees this page can do about it.
    const fn onward(self) -> Onward {
        match self {
            Self::BadRequest | Self::Forbidden | Self::NotFound => Onward::FrontPage,
            Self::AdmissionRequired => Onward::Queue,
            Self::TooManyRequests
            | Self::Internal
            | Self::BadGateway
            | Self::Unavailable
            | Self::GatewayTimeout => Onward::Again,
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
                "Many requests came from your connection at once. If you are in the queue, your place is safe: \
                 refreshing more often does not move it.",
            ),
            Self::AdmissionRequired => (
                "Queue first",
                "You need your turn before this step.",
                "Your time in the shop may have ended. Nothing you typed was stored; open the page again to see your place.",
            ),
            Self::Internal => (
                "Our fault",
                "Something went wrong on our side.",
                "It has been recorded. If you are in the queue, your place is safe; please try again in a moment.",
            ),
            Self::BadGateway => (
                "A hitch",
                "The shop can’t be reached right now.",
                "Please try again in a moment. If you are in the queue or already let in, nothing is lost; orders \
                 that were confirmed are not affected.",
            ),
            Self::Unavailable => (
                "Shortly",
                "We’ll be right back.",
                "More is going on than can be served at this moment. If you are in the queue, your place is safe.",
            ),
            Self::GatewayTimeout => (
                "A hitch",
                "The shop took too long to answer.",
                "If you are in the queue or already let in, nothing is lost. If you were placing an order, look at \
                 its state before sending it again.",
            ),
        }
    }
}

/// The link that an error page offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onward {
    /// The same address once more.
    Again,
    /// The same address, read instead of written to: there the queue begins.
    Queue,
    /// The shop's front page.
    FrontPage,
}

impl Onward {
    /// Address and text of the link. An empty address is the page's own (RFC 3986, 4.4), with
    /// its query, so that nothing of the request has to be written into the page.
    const fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Again => ("", "Try again"),
            Self::Queue => ("", "See my place"),
            Self::FrontPage => ("/", "To the front page"),
        }
    }
}

/// What an error page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorView {
    /// Why; chooses the word on the door, and every sentence that is not given below.
    pub kind: ErrorKind,
    /// The status that the page goes out with.
    pub status: StatusCode,
    /// The refusal's own title, where it has one.
    pub headline: Option<String>,
    /// The refusal's own explanation, where it has one.
    pub explanation: Option<String>,
    /// Whose page it is: the drop's title or the shop's name; empty where neither is known.
    pub title: String,
    /// Language tag of the page.
    pub lang: String,
    /// When to try again, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// Reference for support.
    pub request_id: String,
}

impl ErrorView {
    /// The page of `kind` in its own words, in English, with nothing else known.
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            status: kind.status(),
            headline: None,
            explanation: None,
            title: String::new(),
            lang: "en".to_owned(),
            retry_after_seconds: None,
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
    link: &'static str,
    link_text: &'static str,
}

/// Renders a whole document, to be sent under [`error_policy`].
pub fn render_error(view: &ErrorView) -> String {
    let (word, headline, explanation) = view.kind.words();
    let (link, link_text) = view.kind.onward().link();
    let page = ErrorPage {
        view,
        style: STYLE,
        status: view.status.as_u16(),
        word,
        headline: view.headline.as_deref().unwrap_or(headline),
        explanation: view.explanation.as_deref().unwrap_or(explanation),
        retry: view.retry_after_seconds.map(span),
        link,
        link_text,
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
