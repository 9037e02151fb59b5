//! A gateway to knock at, with everything short and counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{DropId, Entropy};
use gateway::edge::RequestId;
use gateway::edge::address::TrustedProxies;
use gateway::edge::body::{BodyLimits, EdgeBody, RequestBody};
use gateway::edge::door::{Admitted, AnswerFuture, Decision, Door, Handler};
use gateway::edge::headers::{Command, Proof};
use gateway::edge::listener::{ConnectionCaps, Deadlines, Listener, ListenerConfig};
use gateway::edge::path::PathTable;
use gateway::edge::problem::{Form, Pages, Problem, explain_rejection};
use gateway::edge::proxy::{Proxy, ProxyConfig, Upgrades, Upstream};
use gateway::edge::shed::Shedder;
use gateway::edge::stack::{Rules, Stack, StackParts};
use gateway::edge::visit::Visit;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

#[path = "client.rs"]
pub(crate) mod client;
#[path = "counts.rs"]
pub(crate) mod counts;
#[path = "upstream.rs"]
pub(crate) mod upstream;

use counts::Counts;

/// Longer than anything healthy takes on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Not random: ids need not be secret here.
pub(crate) struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x5a);
    }
}

/// Admits requests that carry `x-pass`: `open` as a drop that only counts does, without a session,
/// and `quiet` without renewing it.
struct HeaderDoor;

impl Door for HeaderDoor {
    fn decide(&self, drop: &DropId, request: &Parts, _: &Visit) -> Decision {
        match request.headers.get("x-pass") {
            Some(token) => {
                let renewed = HeaderValue::from_static("__Host-doorline-admission-aurora=renewed");
                let renews = token != "open" && token != "quiet";
                Decision::Admit(Admitted {
                    admission: [7; 16],
                    proof: Proof::new(drop, Some(token.clone()).filter(|token| token != "open")),
                    set_cookies: Some(renewed).filter(|_| renews).into_iter().collect(),
                })
            }
            None => Decision::Hold(Response::new(EdgeBody::from("please wait"))),
        }
    }

    fn obey(&self, drop: &DropId, command: Command, admitted: &Admitted, _: &Visit) -> Vec<HeaderValue> {
        assert_eq!((command, admitted.admission), (Command::Revoke, [7; 16]));
        vec![HeaderValue::try_from(format!("__Host-doorline-admission-{drop}=; Max-Age=0")).unwrap()]
    }
}

/// Answers our own paths with a router of the test's.
struct RouterHandler(axum::Router);

impl Handler for RouterHandler {
    fn answer(&self, request: Request<RequestBody>, visit: Visit) -> AnswerFuture {
        let router = self.0.clone();
        Box::pin(async move {
            let id = *visit.id();
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(visit);
            let request = Request::from_parts(parts, axum::body::Body::new(body));
            match router.oneshot(request).await {
                Ok(response) => explain_rejection(response, &id, Form::Json).await,
                Err(never) => match never {},
            }
        })
    }
}

/// Pages that say which problem they stand for.
struct BarePages;

impl Pages for BarePages {
    fn draw(&self, problem: &Problem, id: &RequestId) -> String {
        format!("<!doctype html><title>{}</title><p>{id}", problem.slug())
    }

    fn policy(&self) -> HeaderValue {
        HeaderValue::from_static("default-src 'none'")
    }
}

/// What a test may turn before the gateway starts.
pub(crate) struct Setup {
    pub(crate) listener: ListenerConfig,
    pub(crate) proxy: ProxyConfig,
    pub(crate) rules: Rules,
    pub(crate) caps: ConnectionCaps,
    pub(crate) in_flight_max: usize,
    pub(crate) router: axum::Router,
}

/// A running gateway. Dropped, it is gone.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: CancellationToken,
    pub(crate) stack: Arc<Stack>,
    tasks: JoinSet<()>,
}

impl Setup {
    /// In front of `upstream`, with deadlines that never pass in a healthy test.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        let mut listener = ListenerConfig::plain("127.0.0.1:0".parse().unwrap());
        listener.deadlines = Deadlines {
            first_byte: PATIENCE,
            header: PATIENCE,
            idle: PATIENCE,
            write: PATIENCE,
            drain: PATIENCE,
        };
        let mut proxy = ProxyConfig::new(format!("http://{upstream}").parse().unwrap());
        proxy.wait = PATIENCE;
        proxy.connect = PATIENCE;
        proxy.response_head = PATIENCE;
        proxy.body_idle = PATIENCE;
        proxy.keep_alive = PATIENCE;
        let aurora = DropId::new("aurora").unwrap();
        let drops = PathTable::new(vec![("/drops/aurora".parse().unwrap(), aurora)]);
        let rules = Rules {
            trusted: TrustedProxies::default(),
            drops,
            per_address: None,
            joins_per_address: None,
            body: BodyLimits {
                bytes_max: 1 << 20,
                idle: PATIENCE,
                total: PATIENCE,
            },
            api_body_bytes_max: 1_024,
            upgrades: Upgrades::Refused,
        };
        let caps = ConnectionCaps::new(1_000, 1_000);
        Self {
            listener,
            proxy,
            rules,
            caps,
            in_flight_max: 1_000,
            router: axum::Router::new(),
        }
    }

    pub(crate) fn start(self) -> Gateway {
        let [gateway] = self.start_cores();
        gateway
    }

    /// Starts a gateway of several cores, each of which listens by itself, so that a test can choose
    /// the one that it asks.
    pub(crate) fn start_cores<const N: usize>(self) -> [Gateway; N] {
        let counts = Arc::new(Counts::default());
        let parts = Arc::new(StackParts {
            rules: ArcSwap::from_pointee(self.rules),
            door: Arc::new(HeaderDoor),
            api: Arc::new(RouterHandler(self.router)),
            pages: Arc::new(BarePages),
            observer: counts.clone(),
            shedder: Shedder::new(self.in_flight_max),
        });
        let upstream = Upstream::new(self.proxy);
        let caps = Arc::new(self.caps);
        std::array::from_fn(|_| {
            let proxy = Proxy::new(Arc::clone(&upstream), counts.clone());
            let stack = Arc::new(Stack::new(Arc::clone(&parts), proxy));
            let listener = Listener::bind(self.listener.clone()).unwrap();
            let addr = listener.local_addr().unwrap();
            let stop = CancellationToken::new();
            let mut tasks = JoinSet::new();
            tasks.spawn(listener.run(
                Arc::clone(&stack),
                Arc::clone(&caps),
                counts.clone(),
                Arc::new(Fixed),
                stop.clone(),
            ));
            Gateway {
                addr,
                counts: counts.clone(),
                stop,
                stack,
                tasks,
            }
        })
    }
}

impl Gateway {
    /// Waits until the listener has come to its end.
    pub(crate) async fn ended(&mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended
            .expect("the listener ends")
            .expect("it was running")
            .expect("it does not panic");
    }
}

/// Waits until `holds`, for things that happen just after what the test can see.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, poll).await.is_ok(),
        "never: {what}"
    );
}
