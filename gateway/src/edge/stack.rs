//! The request stack: every stage a request passes, in order, on one screen.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use domain::DropId;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::address::TrustedProxies;
use super::body::{BodyError, BodyLimits, EdgeBody, RequestBody};
use super::checks;
use super::connection::Connection;
use super::door::{Admitted, Door, Handler, Settled};
use super::headers;
use super::ids::{Identity, RequestId, X_REQUEST_ID};
use super::limits::AddressLimit;
use super::listener::{Answer, Serve};
use super::observe::{Limit, Observer, Priority, Route};
use super::path::{NormalPath, PathTable};
use super::problem::{Form, Pages, Problem};
use super::proxy::{Proxy, Upgrades, requested_upgrade, set_upgrade};
use super::shed::{Place, Shedder};
use super::visit::Visit;

mod record;
mod target;

use record::Record;
use target::Target;

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
    /// The shedder once more, for the same reason.
    shedder: Arc<Shedder>,
    proxy: Proxy,
}

/// A request that has passed the stages that all requests pass.
struct Entered {
    visit: Visit,
    target: Target,
    priority: Priority,
    /// Held until the answer's head is ready; the rest is the connection's affair.
    place: Place,
}

/// What the next stage found.
enum Step {
    /// The answer is known.
    Answered(Response<EdgeBody>),
    /// Somebody else has to be asked.
    Ask(Entered, RequestBody),
}

impl Stack {
    /// Puts the shared parts over the proxy of this runtime.
    pub fn new(parts: Arc<StackParts>, proxy: Proxy) -> Self {
        let rules = ArcSwap::from_pointee(parts.rules.load_full());
        let shedder = Arc::new(parts.shedder.clone());
        Self {
            parts,
            rules,
            shedder,
            proxy,
        }
    }

    /// The rules in force. Every request holds them until it is answered; were they counted where
    /// they are shared, all cores would write to that one word with every request.
    #[expect(
        clippy::redundant_allocation,
        reason = "the outer count is this runtime's own"
    )]
    fn rules(&self) -> Guard<Arc<Arc<Rules>>> {
        let own = self.rules.load();
        let shared = self.parts.rules.load();
        if Arc::ptr_eq(&**own, &*shared) {
            return own;
        }
        self.rules.store(Arc::new(Arc::clone(&shared)));
        self.rules.load()
    }

    /// Connections to the upstream that this stack and those that share it hold open, idle ones included.
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

    /// The stages that all requests pass. A refusal leaves early as a problem; `record` follows along for
    /// the metrics.
    fn enter(
        &self,
        rules: &Rules,
        parts: &mut Parts,
        identity: Identity,
        connection: &Arc<Connection>,
        record: &mut Record,
    ) -> Result<Entered, Problem> {
        // Before anything reads the request: what has two readings has none.
        checks::check(parts)?;
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
        let target = Target::of(&path, &rules.drops);
        let priority = target.priority(parts, &path);
        let place = self
            .shedder
            .enter(priority)
            .inspect_err(|_| record.shed(priority))?;
        record.routed(target.route());
        Ok(Entered {
            visit,
            target,
            priority,
            place,
        })
    }

    /// Answers for our own paths what is known at once, so that a poll never becomes a future.
    fn step(
        &self,
        rules: &Rules,
        parts: &Parts,
        incoming: Incoming,
        entered: Entered,
        record: &mut Record,
    ) -> Result<Step, Problem> {
        let body = RequestBody::new(incoming, rules.body);
        if record.route() != Route::Api {
            return Ok(Step::Ask(entered, body));
        }
        if entered.priority == Priority::Join {
            let limited = rules.joins_per_address.as_deref();
            limit(limited, Limit::JoinsPerAddress, &entered.visit, record)?;
        }
        let body = body.with_bytes_max(rules.api_body_bytes_max);
        // Who pays, and the provider, are answered in the words of what they asked for, also to a body that is too large.
        if entered.priority != Priority::Pay {
            body.check_announced().map_err(|error| problem_of_body(&error))?;
        }
        Ok(match self.parts.api.at_once(parts, &entered.visit) {
            Some(response) => Step::Answered(record.answered(response)),
            None => Step::Ask(entered, body),
        })
    }

    /// The stages that wait for somebody.
    async fn ask(
        &self,
        rules: &Rules,
        parts: Box<Parts>,
        body: RequestBody,
        entered: Entered,
        record: &mut Record,
    ) -> Result<Response<EdgeBody>, Problem> {
        let Entered {
            visit, target, place, ..
        } = entered;
        let answer = match target {
            Target::Api => {
                let request = Request::from_parts(*parts, body);
                Ok(record.answered(self.parts.api.answer(request, visit).await))
            }
            // Admission last: everything before it is cheaper than deciding.
            Target::Protected(by) => {
                let drop = rules.drops.value(by);
                match self.parts.door.decide(drop, &parts, &visit).settled().await {
                    Settled::Hold(response) => Ok(record.held(response)),
                    Settled::Admit(admitted) => {
                        self.admitted(rules, drop, &admitted, parts, body, &visit, record)
                            .await
                    }
                }
            }
            Target::Open => self.forward(rules, parts, body, &visit, None, record).await,
        };
        std::mem::drop(place);
        answer
    }

    /// The answer to a request that ends here, well or with a problem.
    fn finish(
        &self,
        answered: Result<Response<EdgeBody>, Problem>,
        id: &RequestId,
        asked: &Asked<'_>,
        mut record: Record,
    ) -> Response<EdgeBody> {
        let mut response = answered.unwrap_or_else(|problem| {
            let form = Form::of(asked.accept, self.parts.pages.as_ref());
            let problem = record.refused(problem);
            let reload = match form {
                Form::Page(pages) if asked.reads => pages.reload_after(&problem, id),
                Form::Page(_) | Form::Json => None,
            };
            let mut response = problem.into_response(id, form);
            if let Some(wait) = reload {
                response
                    .headers_mut()
                    .insert(header::REFRESH, wait.as_secs_ceil().into());
            }
            response
        });
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        record.end(id, response.status());
        response
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
        record: &mut Record,
    ) -> Result<Response<EdgeBody>, Problem> {
        let mut response = self
            .forward(rules, parts, body, visit, Some((drop, admitted)), record)
            .await?;
        give_cookies(response.headers_mut(), admitted.set_cookies.iter().cloned());
        Ok(response)
    }

    async fn forward(
        &self,
        rules: &Rules,
        mut parts: Box<Parts>,
        body: RequestBody,
        visit: &Visit,
        admitted: Option<(&DropId, &Admitted)>,
        record: &mut Record,
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
        if let Some((drop, admitted)) = admitted {
            // Where nobody needs a session, the answer is for everybody.
            if admitted.proof.admission.is_some() {
                headers::keep_private(response.headers_mut());
            }
            if let Some(command) = command {
                let cookies = self.parts.door.obey(drop, command, admitted, visit);
                give_cookies(response.headers_mut(), cookies);
            }
        }
        Ok(record.answered(response))
    }
}

impl Serve for Stack {
    fn serve(self: &Arc<Self>, request: Request<Incoming>, connection: &Arc<Connection>) -> Answer {
        let mut record = Record::begin(Arc::clone(self));
        let (mut parts, incoming) = request.into_parts();
        // First of all, because every refusal names its request.
        let identity = connection.ids().identify(&parts.headers);
        let id = identity.id;
        let rules = self.rules();
        let step = self
            .enter(&rules, &mut parts, identity, connection, &mut record)
            .and_then(|entered| self.step(&rules, &parts, incoming, entered, &mut record));
        let answered = match step {
            Ok(Step::Ask(entered, body)) => {
                let (stack, rules) = (Arc::clone(self), Guard::into_inner(rules));
                let accept = parts.headers.get(header::ACCEPT).cloned(); // only a refusal reads it
                let reads = reads(&parts.method);
                let parts = Box::new(parts);
                return Answer::Later(Box::pin(async move {
                    let answered = stack.ask(&rules, parts, body, entered, &mut record).await;
                    let accept = accept.as_ref();
                    stack.finish(answered, &id, &Asked { accept, reads }, record)
                }));
            }
            Ok(Step::Answered(response)) => Ok(response),
            Err(problem) => Err(problem),
        };
        let accept = answered
            .as_ref()
            .err()
            .and_then(|_| parts.headers.get(header::ACCEPT));
        let reads = reads(&parts.method);
        Answer::Ready(self.finish(answered, &id, &Asked { accept, reads }, record))
    }
}

/// Takes one from the client's allowance under `limit`, if there is such a limit.
fn limit(
    limit: Option<&AddressLimit>,
    name: Limit,
    visit: &Visit,
    record: &mut Record,
) -> Result<(), Problem> {
    let Some(limit) = limit else { return Ok(()) };
    limit.admit(&visit.client).map_err(|wait| {
        record.rate_limited(name);
        Problem::rate_limited(wait)
    })
}

/// Adds cookies of ours to an answer, which is then nobody else's.
fn give_cookies(headers: &mut HeaderMap, cookies: impl IntoIterator<Item = HeaderValue>) {
    for cookie in cookies {
        headers::forbid_storing(headers);
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn problem_of_body(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { bytes_max } => Problem::body_too_large(*bytes_max),
        BodyError::TimedOut => Problem::body_timed_out(),
        BodyError::Broken(_) => Problem::malformed("The request body could not be read."),
    }
}

/// What a refusal has to know of its request.
struct Asked<'a> {
    /// The form that is wanted.
    accept: Option<&'a HeaderValue>,
    /// Whether it changes nothing, so that a browser may repeat it by itself.
    reads: bool,
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
