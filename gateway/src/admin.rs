//! The admin listener: health, metrics, and the API by which ops drive a running gateway.
//! On its own address, loopback by default; everything but health and metrics needs the token.

pub mod changes;
pub mod client;
mod document;
mod gauges;
mod log;
pub mod operator;
mod process;
mod readiness;
mod report;
mod routes;
mod stock;
mod switches;
mod waits;
mod webhooks;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use admission::Admission;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, patch, post};
use checkout_worker::Checkout;
use domain::DropId;
use http::request::Parts;
use hyper::body::Incoming;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::assembly::readings::House;
use crate::config::{DropConfig, Secret};
use crate::edge::Form;
use crate::edge::connection::Connection;
use crate::edge::ids::X_REQUEST_ID;
use crate::edge::listener::{Answer, Serve};
use crate::edge::problem::explain_rejection;
use crate::room::Room;
use crate::supervisor::Supervisor;
use crate::telemetry::metrics::Metrics;
use changes::Changes;

/// Below which the API lies.
const BASE: &str = "/admin/v1";

/// A path with what its methods do.
type Route = (&'static str, MethodRouter<Arc<Admin>>);

/// What the admin API works on.
pub struct Admin {
    /// What only a gateway has.
    pub front: Option<Front>,
    /// The orders.
    pub checkout: Checkout,
    /// Stock and backlog as last read.
    pub house: Arc<House>,
    /// Everything that is counted.
    pub metrics: Metrics,
    /// The drops as configured.
    pub drops: ArcSwap<BTreeMap<DropId, Arc<DropConfig>>>,
    /// The bearer token.
    pub token: Secret,
    /// The tasks, whose panics are counted.
    pub supervisor: Supervisor,
    /// Cancelled when no more shoppers are taken: from then on we are not ready, though requests
    /// that were begun are still served, and we are still asked.
    pub stopping: CancellationToken,
    /// What keeps the ledger, as operators know it.
    pub ledger: &'static str,
    /// How the adapters show whether they can do their work.
    pub signs: Vec<Sign>,
    /// Whether the merchant's system is told what becomes of orders, by this process or another.
    pub has_webhooks: bool,
}

/// What only a gateway has: the queue, and the room in which shoppers wait.
pub struct Front {
    /// The queue.
    pub desk: Admission,
    /// The waiting room.
    pub room: Arc<Room>,
    /// What operators change while it runs.
    pub changes: Arc<Changes>,
}

/// One line of `/readyz`: whether something we stand on can do its work.
pub struct Sign {
    /// What it is called there.
    pub name: &'static str,
    /// Looks, from memory: fine, or what is wrong in a few words.
    pub look: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// The admin routes as a service of the listener.
pub struct AdminService {
    router: Router,
}

impl AdminService {
    /// Routes over `admin`.
    pub fn new(admin: Arc<Admin>) -> Self {
        let table = |routes: Vec<Route>| {
            let routes = routes.into_iter();
            routes.fold(Router::new(), |router, (path, methods)| {
                router.route(path, methods)
            })
        };
        let guard = middleware::from_fn_with_state(Arc::clone(&admin), authorised);
        let router = table(open())
            .nest(BASE, table(driven()).layer(guard))
            .with_state(admin);
        Self { router }
    }
}

/// What needs the token, below [`BASE`].
fn driven() -> Vec<Route> {
    vec![
        ("/drops", get(routes::drops)),
        (
            "/drops/{drop}",
            get(routes::drop).merge(patch(routes::change_drop)),
        ),
        ("/drops/{drop}/report", get(report::show)),
        ("/drops/{drop}/stock", post(stock::change)),
        ("/drops/{drop}/{verb}", post(routes::command)),
        ("/keys/rotate", post(routes::rotate_keys)),
        ("/orders", get(routes::orders)),
        ("/orders/{order}", get(routes::order)),
        ("/orders/{order}/{verb}", post(routes::mend)),
        ("/parked", get(routes::parked)),
        ("/payments/{verb}", post(switches::payments)),
        ("/checkout/{verb}", post(switches::checkout)),
        ("/drops/{drop}/payments/{verb}", post(switches::payments_of_drop)),
        ("/drops/{drop}/checkout/{verb}", post(switches::checkout_of_drop)),
        ("/webhooks", get(webhooks::list)),
        ("/webhooks/replay", post(webhooks::replay)),
        ("/audit", get(routes::audit)),
        ("/audit-log", get(log::list)),
        ("/reconcile", post(routes::reconcile)),
    ]
}

/// What anybody may ask who reaches the listener.
fn open() -> Vec<Route> {
    vec![
        ("/healthz", get(|| async { "alive\n" })),
        ("/readyz", get(routes::ready)),
        ("/metrics", get(routes::metrics)),
        ("/admin/v1/openapi.json", get(document::show)),
    ]
}

/// Lets a request pass that carries the token. Compared in constant time, so that the answer's
/// delay does not tell how much of a guess was right.
async fn authorised(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if bool::from(token.as_bytes().ct_eq(admin.token.expose().as_bytes())) {
        return next.run(request).await;
    }
    let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"doorline admin\"")];
    (
        StatusCode::UNAUTHORIZED,
        challenge,
        "The admin API needs the bearer token.",
    )
        .into_response()
}

impl Serve for AdminService {
    fn serve(self: &Arc<Self>, request: http::Request<Incoming>, connection: &Arc<Connection>) -> Answer {
        let identity = connection.ids().identify(request.headers());
        let (parts, body): (Parts, Incoming) = request.into_parts();
        let request = Request::from_parts(parts, axum::body::Body::new(body));
        let answered = self.router.clone().oneshot(request);
        Answer::Later(Box::pin(async move {
            let mut response = match answered.await {
                Ok(response) => explain_rejection(response, &identity.id, Form::Json).await,
                Err(never) => match never {},
            };
            response.headers_mut().insert(X_REQUEST_ID, identity.id.header());
            response
        }))
    }
}
