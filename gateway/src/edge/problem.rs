//! Refusals as answers: RFC 9457 `application/problem+json` for programs, a page for people.
//! What the page looks like is not the edge's affair: assembly hands over the [`Pages`].
//!
//! The `type` of a problem is the relative reference `/.doorline/problems/<slug>`: stable, and
//! under a prefix that is ours on every host the gateway answers for.

use std::borrow::Cow;

use domain::Span;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::body::EdgeBody;
use super::ids::RequestId;

mod known;
mod rejection;

pub use rejection::explain_rejection;

/// Where the types of problems live.
pub const PROBLEM_TYPE_PREFIX: &str = "/.doorline/problems/";

/// Stands in the extensions of an answer that refuses on purpose and says when to come back: a paused checkout, a full
/// queue. It is no failure of ours, whatever its status.
#[derive(Clone, Copy, Debug)]
pub struct Meant;

/// A refusal that says why and when to try again.
#[derive(Clone, Debug)]
pub struct Problem(Box<Content>);

/// Behind a pointer, because refusals travel as errors and errors should be small.
#[derive(Clone, Debug)]
struct Content {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<Span>,
    allow: Option<HeaderValue>,
    closes: bool,
    is_meant: bool,
    extra: Map<String, Value>,
}

/// In which form a client wants its refusal.
#[derive(Clone, Copy)]
pub enum Form<'p> {
    /// `application/problem+json`.
    Json,
    /// A page, drawn by these.
    Page(&'p dyn Pages),
}

/// Draws what a person sees in place of an answer.
pub trait Pages: Send + Sync {
    /// A whole HTML document that explains `problem`.
    fn draw(&self, problem: &Problem, id: &RequestId) -> String;

    /// The Content-Security-Policy that such a document is sent under.
    fn policy(&self) -> HeaderValue;

    /// After how long a browser without script should load the same address again, where that may help. Asked for
    /// requests that only read: to repeat any other is the shopper's decision.
    fn reload_after(&self, _problem: &Problem, _id: &RequestId) -> Option<Span> {
        None
    }
}

impl Problem {
    /// A problem named `slug` (kebab case, never changed once published).
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self(Box::new(Content {
            status,
            slug,
            title,
            detail: Cow::Borrowed(""),
            retry_after: None,
            allow: None,
            closes: false,
            is_meant: false,
            extra: Map::new(),
        }))
    }

    /// Says what is wrong with this very request, in a sentence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Says when to try again: the `Retry-After` header and `retry_after`, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, wait: Span) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Closes the connection after the answer: its framing is not to be trusted any further.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Refuses on purpose: the answer counts as told to wait, and not as a failure.
    #[must_use]
    pub fn meant(mut self) -> Self {
        self.0.is_meant = true;
        self
    }

    /// Names the methods that are allowed (`Allow`).
    #[must_use]
    pub fn allow(mut self, methods: HeaderValue) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// Adds a member of our own to the JSON form.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The name of the problem.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// What is wrong, in a few words that are the same for every problem of this name.
    pub fn title(&self) -> &'static str {
        self.0.title
    }

    /// What is wrong with this very request; empty where the title says it all.
    pub fn reason(&self) -> &str {
        &self.0.detail
    }

    /// When it is worth trying again, where that is known.
    pub fn wait(&self) -> Option<Span> {
        self.0.retry_after
    }

    /// The members of the JSON form.
    pub fn members(&self, id: &RequestId) -> Map<String, Value> {
        let mut members = self.0.extra.clone();
        members.insert(
            "type".into(),
            format!("{PROBLEM_TYPE_PREFIX}{}", self.0.slug).into(),
        );
        members.insert("title".into(), self.0.title.into());
        members.insert("status".into(), self.0.status.as_u16().into());
        if !self.0.detail.is_empty() {
            members.insert("detail".into(), self.0.detail.as_ref().into());
        }
        members.insert("instance".into(), id.as_str().into());
        if let Some(wait) = self.0.retry_after {
            members.insert("retry_after".into(), wait.as_secs_ceil().into());
        }
        members
    }

    /// Writes the answer. The request id itself is put on every answer by the stack.
    pub fn into_response(self, id: &RequestId, form: Form<'_>) -> Response<EdgeBody> {
        let (content_type, body) = match form {
            Form::Json => (
                "application/problem+json",
                Value::Object(self.members(id)).to_string(),
            ),
            Form::Page(pages) => ("text/html; charset=utf-8", pages.draw(&self, id)),
        };
        let mut response = Response::new(EdgeBody::from(body));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Form::Page(pages) = form {
            headers.insert(CONTENT_SECURITY_POLICY, pages.policy());
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        if let Some(wait) = self.0.retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs_ceil().into());
        }
        if let Some(methods) = self.0.allow {
            headers.insert(ALLOW, methods);
        }
        if self.0.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.0.is_meant {
            response.extensions_mut().insert(Meant);
        }
        response
    }
}

impl<'p> Form<'p> {
    /// The form that `headers` ask for: one of `pages` where `text/html` is named before any JSON.
    pub fn wanted_by(headers: &HeaderMap, pages: &'p dyn Pages) -> Self {
        Self::of(headers.get(ACCEPT), pages)
    }

    /// The form that an `Accept` field asks for.
    pub fn of(accept: Option<&HeaderValue>, pages: &'p dyn Pages) -> Self {
        let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
            return Self::Json;
        };
        let html = accept.find("text/html");
        let json = accept.find("json");
        match (html, json) {
            (Some(html), Some(json)) if html < json => Self::Page(pages),
            (Some(_), None) => Self::Page(pages),
            (Some(_) | None, _) => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests;
