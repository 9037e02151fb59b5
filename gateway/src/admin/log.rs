//! `GET audit-log`: who did what, when, and how it was before and after.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::routes::{Failure, Shared};
use super::wire::log::LogLine;
use crate::config::duration::parse_duration;

/// Lines shown unless asked otherwise, and at most.
const SHOWN: u32 = 100;
const SHOWN_MAX: u32 = 1_000;

/// Query of `GET audit-log`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    limit: Option<u32>,
    since: Option<String>,
}

/// `GET audit-log`: the newest line first.
pub(super) async fn list(
    State(admin): Shared,
    Query(query): Query<LogQuery>,
) -> Result<Json<Vec<LogLine>>, Failure> {
    let ago = query.since.as_deref().map(parse_duration).transpose();
    let ago = ago.map_err(|error| Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let limit = query.limit.unwrap_or(SHOWN).min(SHOWN_MAX);
    let lines = admin.checkout.noted(ago, limit).await?;
    Ok(Json(lines.iter().map(LogLine::from).collect()))
}
