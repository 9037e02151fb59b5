//! `GET webhooks`, `POST webhooks/replay`: what the merchant's system has not taken, and telling it once more.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use checkout_worker::ledger::{Replay, Telling};
use serde::Deserialize;

use super::operator::Operator;
use super::routes::{Failure, Shared, order_id, unknown};
use super::wire::Object;
use super::wire::webhooks::{ReplayRequest, Replayed, WebhookStatus};
use crate::config::duration::parse_duration;

/// Events listed at once unless asked otherwise, of each kind.
const SHOWN: u32 = 100;

/// Query of `GET webhooks`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhooksQuery {
    state: Option<String>,
    limit: Option<u32>,
}

/// `GET webhooks`: given-up events first, then pending ones as they come due.
pub(super) async fn list(
    State(admin): Shared,
    Query(query): Query<WebhooksQuery>,
) -> Result<Json<Vec<WebhookStatus>>, Failure> {
    let wanted: Vec<Telling> = match &query.state {
        None => vec![Telling::GivenUp, Telling::Pending],
        Some(name) => {
            let known = Telling::ALL.into_iter().find(|telling| telling.as_str() == name);
            let known = known.ok_or_else(|| unprocessable(format!("there is no state {name}")))?;
            vec![known]
        }
    };
    let limit = query.limit.unwrap_or(SHOWN).min(1_000);
    let mut shown = Vec::new();
    // Without an endpoint nothing is pending: what is written down waits for nobody.
    for telling in wanted.into_iter().filter(|_| admin.has_webhooks) {
        let untold = admin.checkout.untold(telling, limit).await?;
        shown.extend(untold.iter().map(WebhookStatus::from));
    }
    Ok(Json(shown))
}

/// `POST webhooks/replay`.
pub(super) async fn replay(
    State(admin): Shared,
    Operator(by): Operator,
    Json(Object(request)): Json<Object<ReplayRequest>>,
) -> Result<Json<Replayed>, Failure> {
    if !admin.has_webhooks {
        let hint = "no endpoint is configured: set `url` in [webhooks]";
        return Err(Failure(StatusCode::CONFLICT, hint.to_owned()));
    }
    let (what, subject) = match (&request.order, &request.since) {
        (Some(name), None) => {
            let order = order_id(name)?;
            admin
                .checkout
                .view(order)
                .await?
                .ok_or_else(|| unknown("order"))?;
            (Replay::Order(order), order.to_string())
        }
        (None, Some(since)) => {
            let ago = parse_duration(since).map_err(|error| unprocessable(error.to_string()))?;
            if request.all {
                (Replay::Everything(ago), format!("everything since {since}"))
            } else {
                (Replay::Untaken(ago), format!("since {since}"))
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(unprocessable("name an `order`, or `since` when".to_owned()));
        }
    };
    let replayed = admin.checkout.replay(what, &subject, &by).await?;
    tracing::info!(subject, replayed, "an operator replayed webhooks");
    Ok(Json(Replayed { replayed }))
}

fn unprocessable(why: String) -> Failure {
    Failure(StatusCode::UNPROCESSABLE_ENTITY, why)
}
