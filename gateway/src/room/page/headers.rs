//! The response headers that make a page private, unframeable and unable to load or run
//! anything but what it was rendered with, plus the `Refresh` that keeps it true without script.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, REFRESH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use super::view::{PageState, PageView};

/// Slowest reload without script: a called shopper must be let in well inside the claim window.
const REFRESH_SECONDS_MAX: u64 = 30;
/// Fastest reload without script: a page that blinks more often cannot be read.
const REFRESH_SECONDS_MIN: u64 = 5;

/// The policy under which a page runs exactly its own style and script.
///
/// `nonce` must come from the Entropy of assembly, at least 16 random bytes as base64url, and
/// must never repeat.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// Seconds after which a browser without script should load the page again; `None` where
/// nothing can change by waiting.
pub fn refresh_seconds(view: &PageView) -> Option<u64> {
    let steady = view
        .poll_after_ms
        .div_ceil(1_000)
        .clamp(REFRESH_SECONDS_MIN, REFRESH_SECONDS_MAX);
    match view.state {
        PageState::Joining => Some(
            view.retry_after_seconds
                .unwrap_or(2)
                .clamp(2, REFRESH_SECONDS_MAX),
        ),
        PageState::Admitted => Some(2),
        PageState::Prequeue | PageState::Waiting | PageState::Called | PageState::Paused => Some(steady),
        PageState::RoomFull => Some(
            view.retry_after_seconds
                .unwrap_or(steady)
                .clamp(1, REFRESH_SECONDS_MAX),
        ),
        PageState::Scheduled => Some(REFRESH_SECONDS_MAX),
        PageState::Lapsed
        | PageState::Left
        | PageState::Finished
        | PageState::SoldOut
        | PageState::Ended
        | PageState::Reject => None,
    }
}

/// Headers of a page; `refresh` as from [`refresh_seconds`].
pub fn page_headers(nonce: &str, refresh: Option<u64>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The same URL answers a page, JSON or the upstream's page, by these two.
    headers.insert(VARY, HeaderValue::from_static("Accept, Cookie"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    // A nonce that is no header value would switch the policy off; then nothing may run at all.
    let policy = HeaderValue::try_from(content_security_policy(nonce))
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    if let Some(seconds) = refresh {
        headers.insert(REFRESH, HeaderValue::from(seconds));
    }
    headers
}
