//! The request stack: every stage a request passes, in order, on one screen.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::DropId;
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::address::TrustedProxies;
use super::body::{BodyError, BodyLimits, EdgeBody, RequestBody};
use super::checks;
use super::connection::Connection;
use super::door::{Admitted, Door, Handler, Settled};
use super::headers;
use super::ids::{Identity, X_REQUEST_ID};
use super::limits::AddressLimit;
use super::listener::Serve;
use super::observe::{Limit, Observer, Priority, Route};
use super::path::{NormalPath, PathTable};
use super::problem::{Form, Pages, Problem};
use super::proxy::{Proxy, Upgrades, requested_upgrade, set_upgrade};
use super::shed::{Shedder, api_priority};
use super::visit::Visit;

mod record;

use record::Record;

/// Everything under this path is ours; no spelling of it reaches the upstream.
const API_PREFIX: &str = "/.doorline";
/// Paths of ours that stand where the world looks for them.
const API_PATHS: &[&str] = &["/.well-known/jwks.json"];
/// How often idle upstream connections are looked through.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// What may change while the gateway runs: swapped as a whole.
#[derive(Debug)]
pub struct Rules {
    /// Proxies whose word about the client is taken.
    pub trusted: TrustedProxies,
    /// Protected paths and the drop that protects each.
    pub drops: PathTable<DropId>,
    /// Requests per address; shared between old and new rules, so that a reload forgives nothing.
    pub per_address: Option<Arc<AddressLimit>>,
    /// Joins per address.
    pub joins_per_address: Option<Arc<AddressLimit>>,
    /// Limits of bodies on their way to the upstream.
    pub body: BodyLimits,
    /// Bytes of a body for our own API at most.
    pub api_body_bytes_max: u64,
    /// Whether upgrades pass to the upstream.
    pub upgrades: Upgrades,
}

/// What all stacks of a process share.
pub struct StackParts {
    /// The rules in force.
    pub rules: ArcSwap<Rules>,
    /// Decides on protected paths.
    pub door: Arc<dyn Door>,
    /// Answers our own paths.
    pub api: Arc<dyn Handler>,
    /// Draws refusals for people.
    pub pages: Arc<dyn Pages>,
    /// Counts.
    pub observer: Arc<dyn Observer>,
    /// Refuses when too much is in flight.
    pub shedder: Shedder,
}

/// The stages for the requests of one runtime, with the runtime's own upstream connections.
pub struct Stack {
    parts: Arc<StackParts>,
    /// The rules in force once more, behind a count of references that is this runtime's own.
    rules: ArcSwap<Arc<Rules>>,
    proxy: Proxy,
}

impl Stack {
    /// Puts the shared parts over the proxy of this runtime.
    pub fn new(parts: Arc<StackParts>, proxy: Proxy) -> Self {
        let rules = ArcSwap::from_pointee(parts.rules.load_full());
        Self { parts, rules, proxy }
    }

    /// The rules in force. Every request holds them until it is answered; were they counted where
    /// they are shared, all cores would write to that one word with every request.
    #[expect(
        clippy::redundant_allocation,
        reason = "the outer count is this runtime's own"
    )]
    fn rules(&self) -> Arc<Arc<Rules>> {
        let own = self.rules.load_full();
        let shared = self.parts.rules.load();
        if Arc::ptr_eq(&*own, &shared) {
            return own;
        }
        let fresh = Arc::new(Arc::clone(&shared));
        self.rules.store(Arc::clone(&fresh));
        fresh
    }

    /// Connections to the upstream that this stack holds open, idle ones included.
    pub fn upstream_connections(&self) -> usize {
        self.proxy.open_connections()
    }

    /// Tends what grows: idle upstream connections and remembered addresses. Runs until `stop`.
    pub async fn tend(&self, stop: CancellationToken) {
        let mut clock = tokio::time::interval(TEND_EVERY);
        while stop.run_until_cancelled(clock.tick()).await.is_some() {
            self.proxy.prune();
            let rules = self.parts.rules.load_full();
            for limit in [&rules.per_address, &rules.joins_per_address]
                .into_iter()
                .flatten()
            {
                limit.prune();
            }
        }
    }

    /// The stages. A refusal leaves early as a problem; `record` follows along for the metrics.
    async fn pass(
        &self,
        mut parts: Box<Parts>,
        incoming: Incoming,
        identity: Identity,
        connection: &Arc<Connection>,
        record: &mut Record<'_>,
    ) -> Result<Response<EdgeBody>, Problem> {
        let rules = self.rules();
        // Before anything reads the request: what has two readings has none.
        checks::check(&mut parts)?;
        // Before the limits: they count clients, not proxies.
        let client = rules.trusted.resolve(connection.peer().ip(), &parts.headers);
        // Before the route: routes are found by the normal form, and the upstream gets the same.
        let path = NormalPath::of(&parts.uri).map_err(|error| Problem::bad_path(error.to_string()))?;
        if path.differs_from(&parts.uri) {
            parts.uri = Uri::from(path.target().clone());
        }
        // Before any work is done for the request.
        let visit = Visit {
            identity,
            client,
            host: headers::host(&parts.headers),
            connection: Arc::clone(connection),
            started: record.started(),
        };
        limit(rules.per_address.as_deref(), Limit::PerAddress, &visit, record)?;
        // After the limits, so that one client cannot shed the others.
        let target = route(&rules, &path);
        let priority = target.priority(&parts, &path);
        let place = self
            .parts
            .shedder
            .enter(priority)
            .inspect_err(|_| record.shed(priority))?;
        record.routed(target.route());
        let body = RequestBody::new(incoming, rules.body);
        let answer = match target {
            Target::Api => self.api(&rules, priority, parts, body, visit, record).await,
            // Admission last: everything before it is cheaper than deciding.
            Target::Protected(drop) => match self.parts.door.decide(drop, &parts, &visit).settled().await {
                Settled::Hold(response) => Ok(record.held(response)),
                Settled::Admit(admitted) => {
                    self.admitted(&rules, drop, &admitted, parts, body, &visit, record)
                        .await
                }
            },
            Target::Open => self.forward(&rules, parts, body, &visit, None, record).await,
        };
        std::mem::drop(place); // the head is ready; the rest is the connection's affair
        answer
    }

    async fn api(
        &self,
        rules: &Rules,
        priority: Priority,
        parts: Box<Parts>,
        body: RequestBody,
        visit: Visit,
        record: &mut Record<'_>,
    ) -> Result<Response<EdgeBody>, Problem> {
        if priority == Priority::Join {
            limit(
                rules.joins_per_address.as_deref(),
                Limit::JoinsPerAddress,
                &visit,
                record,
            )?;
        }
        let body = body.with_bytes_max(rules.api_body_bytes_max);
        body.check_announced().map_err(|error| problem_of_body(&error))?;
        let api = &self.parts.api;
        let response = match api.at_once(&parts, &visit) {
            Some(response) => response,
            None => api.answer(Request::from_parts(*parts, body), visit).await,
        };
        Ok(record.answered(response))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one request at its last stage"
    )]
    async fn admitted(
        &self,
        rules: &Rules,
        drop: &DropId,
        admitted: &Admitted,
        parts: Box<Parts>,
        body: RequestBody,
        visit: &Visit,
        record: &mut Record<'_>,
    ) -> Result<Response<EdgeBody>, Problem> {
        let mut response = self
            .forward(rules, parts, body, visit, Some((drop, admitted)), record)
            .await?;
        for cookie in &admitted.set_cookies {
            response.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
        Ok(response)
    }

    async fn forward(
        &self,
        rules: &Rules,
        mut parts: Box<Parts>,
        body: RequestBody,
        visit: &Visit,
        admitted: Option<(&DropId, &Admitted)>,
        record: &mut Record<'_>,
    ) -> Result<Response<EdgeBody>, Problem> {
        body.check_announced().map_err(|error| problem_of_body(&error))?;
        let protocol = match rules.upgrades {
            Upgrades::Allowed => requested_upgrade(&parts),
            Upgrades::Refused => None,
        };
        let added = headers::strip_for_upstream(
            &mut parts.headers,
            visit,
            admitted.map(|(_, admitted)| &admitted.proof),
        );
        let upgrades = match protocol {
            Some(protocol) => {
                set_upgrade(&mut parts.headers, protocol);
                Upgrades::Allowed
            }
            None => Upgrades::Refused,
        };
        let sent = self.proxy.send(parts, added, body, upgrades).await;
        let mut response = sent.map_err(|error| {
            record.upstream_failed(&error);
            error.problem()
        })?;
        let switched = (response.status() == StatusCode::SWITCHING_PROTOCOLS)
            .then(|| response.headers().get(header::UPGRADE).cloned())
            .flatten();
        let command = headers::from_upstream(response.headers_mut());
        if let Some(protocol) = switched {
            set_upgrade(response.headers_mut(), protocol);
        }
        if let (Some(command), Some((drop, admitted))) = (command, admitted) {
            for cookie in self.parts.door.obey(drop, command, admitted, visit) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        Ok(record.answered(response))
    }
}

impl Serve for Stack {
    async fn serve(&self, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<EdgeBody> {
        let mut record = Record::begin(self.parts.observer.as_ref());
        let (parts, incoming) = request.into_parts();
        // Behind a pointer: every stage would else copy it into its own future.
        let parts = Box::new(parts);
        // First of all, because every refusal names its request.
        let identity = connection.ids().identify(&parts.headers);
        let id = identity.id.clone();
        let accept = parts.headers.get(header::ACCEPT).cloned(); // only a refusal reads it
        let mut response = match self
            .pass(parts, incoming, identity, connection, &mut record)
            .await
        {
            Ok(response) => response,
            Err(problem) => record
                .refused(problem)
                .into_response(&id, Form::of(accept.as_ref(), self.parts.pages.as_ref())),
        };
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        record.end(&id, response.status());
        response
    }
}

/// Where a request goes.
enum Target<'a> {
    Api,
    Protected(&'a DropId),
    Open,
}

fn route<'a>(rules: &'a Rules, path: &NormalPath) -> Target<'a> {
    let ours = path
        .key()
        .strip_prefix(API_PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if ours || API_PATHS.contains(&path.key()) {
        return Target::Api;
    }
    rules.drops.find(path).map_or(Target::Open, Target::Protected)
}

impl Target<'_> {
    const fn route(&self) -> Route {
        match self {
            Self::Api => Route::Api,
            Self::Protected(_) => Route::Protected,
            Self::Open => Route::Open,
        }
    }

    fn priority(&self, parts: &Parts, path: &NormalPath) -> Priority {
        match self {
            Self::Api => api_priority(&parts.method, path.path()),
            Self::Protected(_) => Priority::Poll,
            Self::Open => Priority::Open,
        }
    }
}

/// Takes one from the client's allowance under `limit`, if there is such a limit.
fn limit(
    limit: Option<&AddressLimit>,
    name: Limit,
    visit: &Visit,
    record: &mut Record<'_>,
) -> Result<(), Problem> {
    let Some(limit) = limit else { return Ok(()) };
    limit.admit(&visit.client).map_err(|wait| {
        record.rate_limited(name);
        Problem::rate_limited(wait)
    })
}

fn problem_of_body(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { bytes_max } => Problem::body_too_large(*bytes_max),
        BodyError::TimedOut => Problem::body_timed_out(),
        BodyError::Broken(_) => Problem::malformed("The request body could not be read."),
    }
}
