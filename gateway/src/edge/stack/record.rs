//! What the metrics learn of one request, gathered while it passes the stages.

use std::sync::Arc;

use http::{Response, StatusCode};
use tokio::time::Instant;

use super::super::body::EdgeBody;
use super::super::ids::RequestId;
use super::super::observe::{Limit, Outcome, Priority, Route};
use super::super::problem::{Meant, Problem};
use super::super::proxy::ProxyError;
use super::Stack;

/// The record of one request. Dropped before its end, it counts as abandoned: the client left.
pub(super) struct Record {
    stack: Arc<Stack>,
    // Time passed is measured, never decided by; the domain's clock ticks in whole milliseconds.
    started: Instant,
    route: Route,
    outcome: Option<Outcome>,
    ended: bool,
}

impl Record {
    pub(super) fn begin(stack: Arc<Stack>) -> Self {
        Self {
            stack,
            started: Instant::now(),
            route: Route::Unrouted,
            outcome: None,
            ended: false,
        }
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    pub(super) const fn route(&self) -> Route {
        self.route
    }

    pub(super) const fn routed(&mut self, route: Route) {
        self.route = route;
    }

    pub(super) fn rate_limited(&mut self, limit: Limit) {
        self.outcome = Some(Outcome::RateLimited);
        self.stack.parts.observer.rate_limited(limit);
    }

    pub(super) fn shed(&mut self, priority: Priority) {
        self.outcome = Some(Outcome::Shed);
        self.stack.parts.observer.shed(priority);
    }

    pub(super) fn upstream_failed(&mut self, error: &ProxyError) {
        self.outcome = Some(match error {
            ProxyError::Body(..) => Outcome::ClientError,
            ProxyError::Saturated | ProxyError::HeldByClients => Outcome::Shed,
            ProxyError::Connect(_)
            | ProxyError::ConnectTimedOut
            | ProxyError::AnswerTimedOut
            | ProxyError::Broken(_) => Outcome::UpstreamFailed,
        });
        tracing::debug!(
            error = error as &dyn std::error::Error,
            "no answer from the upstream"
        );
    }

    pub(super) fn held(&mut self, response: Response<EdgeBody>) -> Response<EdgeBody> {
        self.outcome = Some(Outcome::Held);
        response
    }

    pub(super) fn answered(&mut self, response: Response<EdgeBody>) -> Response<EdgeBody> {
        self.outcome = Some(match response.extensions().get::<Meant>() {
            Some(Meant) => Outcome::Held,
            None => Outcome::of_status(response.status()),
        });
        response
    }

    /// A refusal by a stage that has not said why is the request's own fault.
    pub(super) fn refused(&mut self, problem: Problem) -> Problem {
        self.outcome.get_or_insert(match self.route {
            Route::Unrouted => Outcome::Malformed,
            Route::Api | Route::Protected | Route::Open => Outcome::of_status(problem.status()),
        });
        problem
    }

    pub(super) fn end(mut self, id: &RequestId, status: StatusCode) {
        self.ended = true;
        let outcome = self.outcome.unwrap_or(Outcome::of_status(status));
        let took = self.started.elapsed();
        self.stack.parts.observer.request(self.route, outcome, took);
        tracing::debug!(
            request.id = id.as_str(),
            route = self.route.label(),
            outcome = outcome.label(),
            status = status.as_u16(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.ended {
            self.stack
                .parts
                .observer
                .request(self.route, Outcome::Abandoned, self.started.elapsed());
        }
    }
}
