//! What each admin route does. Every change is logged with what was asked.

use std::sync::Arc;

use admission::{Admission, Command, JoinError, KeyError};
use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use checkout_worker::checkout::MendError;
use checkout_worker::driver::Shut;
use checkout_worker::ledger::{AuditEntry, LedgerError, OrderFilter, Sort};
use domain::saga::{Restock, StateName};
use domain::{DropId, OrderId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::changes::ChangeError;
use super::operator::Operator;
use super::wire::{Audit, DropChange, DropStatus, Mending, Object, OrderStatus, Switches};
use super::{Admin, Front, gauges, process, readiness, waits};

pub(super) type Shared = State<Arc<Admin>>;

/// Orders listed at once unless asked otherwise.
const ORDERS_SHOWN: u32 = 100;

/// Why a request of an operator was not carried out, as a status and a sentence.
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

pub(super) fn unknown(what: &str) -> Failure {
    Failure(StatusCode::NOT_FOUND, format!("there is no such {what}"))
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "the ledger failed an operator's request");
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        tracing::error!(%error, "a change of a drop was not kept, or not carried out yet");
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<MendError> for Failure {
    fn from(error: MendError) -> Self {
        let status = match &error {
            MendError::Unknown(_) => StatusCode::NOT_FOUND,
            MendError::Refused(_) => StatusCode::CONFLICT,
            MendError::Drive(_) | MendError::Ledger(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let status = match &error {
            JoinError::UnknownDrop => StatusCode::NOT_FOUND,
            JoinError::NotOpen(_) | JoinError::Closed | JoinError::Full { .. } => StatusCode::CONFLICT,
            JoinError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, error.to_string())
    }
}

/// `GET /readyz`: 200 when every part can do its work, else 503; the reasons either way.
pub(super) async fn ready(State(admin): Shared) -> Response {
    let signs = readiness::signs(&admin);
    let stopping = admin.stopping.is_cancelled();
    let ready = signs.iter().all(|(_, sign)| sign.is_ok()) && !stopping;
    let words = |(name, sign): (&str, Result<(), String>)| {
        (
            name.to_owned(),
            json!(sign.err().unwrap_or_else(|| "ok".to_owned())),
        )
    };
    let mut reasons: serde_json::Map<_, _> = signs.into_iter().map(words).collect();
    reasons.insert("ready".to_owned(), json!(ready));
    reasons.insert("stopping".to_owned(), json!(stopping));
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(reasons)).into_response()
}

/// The queue's side, which a worker does not have.
pub(super) fn front(admin: &Admin) -> Result<&Front, Failure> {
    admin.front.as_ref().ok_or_else(|| {
        let hint = "this process is a worker: ask a gateway about drops and keys";
        Failure(StatusCode::NOT_FOUND, hint.to_owned())
    })
}

/// `GET /metrics`.
pub(super) async fn metrics(State(admin): Shared) -> Response {
    gauges::refresh(&admin);
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let mut text = admin.metrics.encode();
    waits::write(&admin, &mut text);
    process::write(&mut text);
    (kind, text).into_response()
}

fn status_of(admin: &Admin, drop: &DropId) -> Option<DropStatus> {
    let config = admin.drops.load().get(drop).cloned()?;
    let desk = &admin.front.as_ref()?.desk;
    let (snapshot, figures) = (desk.snapshot(drop)?, desk.figures(drop)?);
    Some(DropStatus::of(
        &config,
        &snapshot,
        (&figures, desk.waits(drop)),
        &admin.house.stock(drop),
        [payments_word(admin, drop), checkout_word(admin, drop)],
    ))
}

/// `GET drops`.
pub(super) async fn drops(State(admin): Shared) -> Result<Json<Vec<DropStatus>>, Failure> {
    front(&admin)?;
    let names: Vec<DropId> = admin.drops.load().keys().cloned().collect();
    Ok(Json(
        names.iter().filter_map(|drop| status_of(&admin, drop)).collect(),
    ))
}

/// `GET drops/{drop}`.
pub(super) async fn drop(
    State(admin): Shared,
    Path(name): Path<String>,
) -> Result<Json<DropStatus>, Failure> {
    front(&admin)?;
    let drop = drop_id(&name)?;
    status_of(&admin, &drop).map(Json).ok_or_else(|| unknown("drop"))
}

pub(super) fn drop_id(name: &str) -> Result<DropId, Failure> {
    DropId::new(name).map_err(|_| unknown("drop"))
}

/// A drop that is configured here.
pub(super) fn known_drop(admin: &Admin, name: &str) -> Result<DropId, Failure> {
    let drop = drop_id(name)?;
    let is_known = admin.drops.load().contains_key(&drop);
    is_known.then_some(drop).ok_or_else(|| unknown("drop"))
}

/// `POST drops/{drop}/{pause|resume|drain|end|queue-all}`.
pub(super) async fn command(
    State(admin): Shared,
    Path((name, verb)): Path<(String, String)>,
    Operator(by): Operator,
) -> Result<Json<DropStatus>, Failure> {
    let drop = drop_id(&name)?;
    let command = match verb.as_str() {
        "pause" => Command::Pause,
        "resume" => Command::Resume,
        "drain" => Command::Drain,
        "end" => Command::End,
        "queue-all" => Command::QueueAll,
        _ => return Err(unknown("command")),
    };
    let desk = &front(&admin)?.desk;
    let switches = || {
        json!(
            desk.snapshot(&drop)
                .map(|snapshot| Switches::from(snapshot.control))
        )
        .to_string()
    };
    let before = switches();
    // First the queue, then the log: where the ledger is away, a drop can still be stopped.
    desk.control(&drop, command).await?;
    tracing::info!(drop.id = %drop, command = verb, "an operator commanded a drop");
    let entry = AuditEntry::new("drop.command", &format!("{drop} {verb}"), &by);
    admin.checkout.note(entry.changing(before, switches())).await?;
    status_of(&admin, &drop).map(Json).ok_or_else(|| unknown("drop"))
}

/// `PATCH drops/{drop}`: limits, drain rate, notice; at every gateway and worker, and over restarts.
pub(super) async fn change_drop(
    State(admin): Shared,
    Path(name): Path<String>,
    Operator(by): Operator,
    Json(Object(change)): Json<Object<DropChange>>,
) -> Result<Json<DropStatus>, Failure> {
    let drop = drop_id(&name)?;
    let front = front(&admin)?;
    front.desk.snapshot(&drop).ok_or_else(|| unknown("drop"))?;
    let zero = [
        change.total_active_users,
        change.new_users_per_minute,
        change.drain_per_second,
    ];
    if zero.contains(&Some(0)) {
        return Err(Failure(
            StatusCode::UNPROCESSABLE_ENTITY,
            "limits are 1 or more; to hold everybody, pause".into(),
        ));
    }
    front.changes.make(&drop, &change, &by).await?;
    tracing::info!(drop.id = %drop, change = ?change, "an operator changed a drop");
    status_of(&admin, &drop).map(Json).ok_or_else(|| unknown("drop"))
}

/// Query of `GET orders`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct OrdersQuery {
    drop: Option<String>,
    state: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

/// `GET orders`: the newest first, and beyond `after` those before it.
pub(super) async fn orders(
    State(admin): Shared,
    Query(query): Query<OrdersQuery>,
) -> Result<Json<Vec<OrderStatus>>, Failure> {
    let states = match &query.state {
        None => Vec::new(),
        Some(name) => vec![StateName::parse(name).ok_or_else(|| {
            Failure(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("there is no state {name}"),
            )
        })?],
    };
    let filter = OrderFilter {
        drop: query.drop.as_deref().map(drop_id).transpose()?,
        states,
        sort: Sort::NewestFirst,
        after: query.after.as_deref().map(order_id).transpose()?,
        limit: query.limit.unwrap_or(ORDERS_SHOWN).min(1_000),
        ..OrderFilter::default()
    };
    let views = admin.checkout.orders(filter).await?;
    Ok(Json(views.iter().map(OrderStatus::from).collect()))
}

pub(super) fn order_id(name: &str) -> Result<OrderId, Failure> {
    Uuid::try_parse(name)
        .map(|id| OrderId(id.as_u128()))
        .map_err(|_| unknown("order"))
}

/// `GET orders/{order}`.
pub(super) async fn order(
    State(admin): Shared,
    Path(name): Path<String>,
) -> Result<Json<OrderStatus>, Failure> {
    let view = admin
        .checkout
        .view(order_id(&name)?)
        .await?
        .ok_or_else(|| unknown("order"))?;
    Ok(Json(OrderStatus::from(&view)))
}

/// A body that may be left out, whatever its type is said to be: then everything in it is as usual.
pub(super) struct Perhaps<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Perhaps<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let read = Json::<Object<T>>::from_request(request, state).await;
        read.map(|Json(Object(body))| Self(body))
            .map_err(IntoResponse::into_response)
    }
}

/// `POST orders/{order}/{cancel|refund|retry}`.
pub(super) async fn mend(
    State(admin): Shared,
    Path((name, verb)): Path<(String, String)>,
    Operator(by): Operator,
    Perhaps(how): Perhaps<Mending>,
) -> Result<Json<OrderStatus>, Failure> {
    let order = order_id(&name)?;
    let restock = match (verb.as_str(), how.restock) {
        ("refund", true) => Restock::Return,
        (_, false) => Restock::Keep,
        (_, true) => {
            let why = "only a refund puts units back on sale by choice".to_owned();
            return Err(Failure(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
    };
    let view = match verb.as_str() {
        "cancel" => admin.checkout.cancel_by_operator(order, &by).await?,
        "refund" => admin.checkout.refund(order, restock, &by).await?,
        "retry" => admin.checkout.retry(order, &by).await?,
        _ => return Err(unknown("command")),
    };
    tracing::info!(order.id = %order, command = verb, "an operator mended an order");
    Ok(Json(OrderStatus::from(&view)))
}

/// `GET parked`.
pub(super) async fn parked(State(admin): Shared) -> Result<Json<Vec<OrderStatus>>, Failure> {
    let views = admin.checkout.parked(1_000).await?;
    Ok(Json(views.iter().map(OrderStatus::from).collect()))
}

pub(super) fn payments_word(admin: &Admin, drop: &DropId) -> &'static str {
    match admin.checkout.payments_shut(drop) {
        None => "running",
        Some(Shut::Paused) => "paused",
        Some(Shut::Halted) => "halted",
    }
}

pub(super) fn checkout_word(admin: &Admin, drop: &DropId) -> &'static str {
    if admin.checkout.is_stopped(drop) {
        "paused"
    } else {
        "running"
    }
}

/// `POST keys/rotate`: new tickets and tokens are signed with new keys. Those signed with the keys
/// before stay valid until the next rotation, so rotate no more often than a drop lasts.
pub(super) async fn rotate_keys(
    State(admin): Shared,
    Operator(by): Operator,
) -> Result<Json<serde_json::Value>, Failure> {
    let desk = &front(&admin)?.desk;
    let before = key_ids(desk);
    desk.rotate_keys().await.map_err(|error| match error {
        // Whoever rotates twice because a key has leaked must not believe that it was done.
        KeyError::TooSoon => Failure(StatusCode::CONFLICT, error.to_string()),
        KeyError::File(_) | KeyError::Shared(_) | KeyError::Damaged { .. } => {
            tracing::error!(%error, "the keys could not be rotated");
            Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    })?;
    tracing::info!("an operator rotated the keys");
    let entry = AuditEntry::new("keys.rotate", "keys", &by);
    admin.checkout.note(entry.changing(before, key_ids(desk))).await?;
    Ok(Json(json!({ "rotated": true })))
}

/// What the public keys are called, as the operators' log tells it.
fn key_ids(desk: &Admission) -> String {
    let jwks = desk.jwks();
    let keys = jwks["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<&serde_json::Value> = keys.iter().map(|key| &key["kid"]).collect();
    json!(ids).to_string()
}

/// `GET audit`.
pub(super) async fn audit(State(admin): Shared) -> Result<Json<Audit>, Failure> {
    Ok(Json(Audit::from(&admin.checkout.audit().await?)))
}

/// `POST reconcile`: asks the provider about every payment of the window, then audits.
pub(super) async fn reconcile(State(admin): Shared, Operator(by): Operator) -> Result<Json<Audit>, Failure> {
    let begun = AuditEntry::new("reconcile", "provider", &by);
    admin.checkout.note(begun.clone()).await?;
    let found = admin
        .checkout
        .reconcile()
        .await
        .map_err(|error| Failure(StatusCode::BAD_GATEWAY, error.to_string()))?;
    let after = json!({ "seen": found.seen, "applied": found.applied, "unknown": found.unknown });
    admin.checkout.note(begun.ended(after.to_string())).await?;
    tracing::info!("an operator reconciled with the provider");
    Ok(Json(Audit::from(&admin.checkout.audit().await?)))
}
