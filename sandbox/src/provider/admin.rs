//! The sandbox's own endpoints for whoever holds the secret key: faults, log, tally.

use http::{Method, StatusCode};
use serde::Serialize;

use super::error::ApiError;
use super::fault::{FaultPlan, Faults};
use super::movement::{LogEntry, Tally};
use super::params::Params;
use super::server::{Asked, refusal};
use super::shared::Shared;
use crate::serve::{Reply, reply};

/// Entries of the log per answer.
const LOG_PAGE_MAX: usize = 10_000;

/// `GET`: the plan in force. `POST` with JSON: a new plan; absent fields take their defaults.
pub(crate) fn faults(shared: &Shared, asked: &Asked) -> Reply {
    if asked.method == Method::POST {
        let parsed = serde_json::from_slice::<FaultPlan>(&asked.body).map_err(|error| error.to_string());
        match parsed.and_then(|plan| plan.check().map(|()| plan)) {
            Ok(plan) => shared.state().faults = Faults::new(plan),
            Err(why) => return refusal(&ApiError::invalid(format!("Bad fault plan: {why}"), None)),
        }
    }
    let plan = shared.state().faults.plan().clone();
    json(&plan)
}

/// `GET ?after=SEQUENCE`: the movements after that one, oldest first.
pub(crate) fn log(shared: &Shared, asked: &Asked) -> Reply {
    let after = match Params::parse(asked.query.as_bytes()).and_then(|params| params.integer("after")) {
        Ok(after) => usize::try_from(after.unwrap_or(0)).unwrap_or(usize::MAX),
        Err(error) => return refusal(&error),
    };
    let entries: Vec<LogEntry> = entries(shared, after).into_iter().take(LOG_PAGE_MAX).collect();
    json(&entries)
}

/// `GET`: sums per order.
pub(crate) fn tally(shared: &Shared, _asked: &Asked) -> Reply {
    json(&Tally::of(&entries(shared, 0)))
}

/// The log after the first `after` entries, with expired authorisations given up first.
pub(crate) fn entries(shared: &Shared, after: usize) -> Vec<LogEntry> {
    let mut guard = shared.state();
    let state = &mut *guard;
    state.book.expire(shared.clock.now_ms());
    shared.publish(state);
    state.book.log().get(after..).unwrap_or_default().to_vec()
}

fn json<T: Serialize>(value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply(StatusCode::OK, "application/json", body),
        Err(error) => refusal(&ApiError::unavailable(&error.to_string())),
    }
}
