//! A gateway in miniature: just enough of the shopper API to walk through, and switches that break
//! each promise the crowd is meant to watch.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::serve::{HangUp, Reply, read_body, reply, serve};

/// How the fake departs from a good gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    #[default]
    Good,
    /// Positions grow with every poll.
    PositionsGrow,
    /// Every poll tells another number.
    NumbersChange,
    /// Everybody is told the same number.
    NumbersRepeat,
    /// Tickets are forgotten after the first poll.
    PlacesAreLost,
    /// Orders are forgotten once accepted.
    OrdersAreLost,
    /// The same key makes a new order each time.
    KeysAreIgnored,
    /// Claims are granted, and the page is the waiting room all the same.
    AdmissionIsVoid,
    /// Every fourth request is refused with a 429 or a 503, or loses its connection.
    Flaky,
}

#[derive(Debug, Default)]
struct Shopper {
    number: u64,
    admitted: bool,
}

#[derive(Clone, Debug)]
struct Order {
    key: String,
    state: &'static str,
    card: String,
}

#[derive(Debug, Default)]
pub(super) struct State {
    manner: Manner,
    pub(super) stock: i64,
    frontier: u64,
    requests: u64,
    visitors: u64,
    shoppers: BTreeMap<String, Shopper>,
    orders: BTreeMap<String, Order>,
    /// Full rooms still to be told about.
    full_rooms: u32,
    /// Addresses that were forwarded.
    pub(super) addresses: std::collections::BTreeSet<String>,
}

pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) address: SocketAddr,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Fake {
    pub(super) async fn start(manner: Manner, stock: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            manner,
            stock,
            full_rooms: 3,
            ..State::default()
        };
        Self::serve(listener, Arc::new(Mutex::new(state)))
    }

    /// Ends the process, so to speak, and starts it again on the same address with what it knew.
    pub(super) async fn restart(self) -> Self {
        let (state, address) = (Arc::clone(&self.state), self.address);
        self.stop().await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self::serve(socket.listen(1_024).unwrap(), state)
    }

    pub(super) async fn stop(self) {
        self.cancel.cancel();
        self.tasks.wait().await;
    }

    pub(super) fn paid(&self) -> usize {
        self.state
            .lock()
            .unwrap()
            .orders
            .values()
            .filter(|order| order.state == "paid")
            .count()
    }

    fn serve(listener: TcpListener, state: Arc<Mutex<State>>) -> Self {
        let address = listener.local_addr().unwrap();
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Arc::clone(&state);
        let handler = move |request| answer(Arc::clone(&shared), request);
        tasks.spawn(serve(listener, cancel.clone(), handler));
        tasks.close();
        Self {
            state,
            address,
            cancel,
            tasks,
        }
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Reply, HangUp> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, 1 << 16).await.ok_or(HangUp)?;
    let mut state = state.lock().unwrap();
    if let Some(address) = parts.headers.get("x-forwarded-for") {
        state.addresses.insert(address.to_str().unwrap().to_owned());
    }
    state.requests += 1;
    if state.manner == Manner::Flaky && state.requests.is_multiple_of(4) {
        return match state.requests % 3 {
            0 => Err(HangUp),
            1 => Ok(problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited")),
            _ => Ok(problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded")),
        };
    }
    Ok(state.route(&parts.method, parts.uri.path(), &parts.headers, &body))
}

impl State {
    fn route(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Reply {
        let visitor = cookie(headers, "doorline-visitor");
        let post = method == Method::POST;
        let at_drop = path.strip_prefix("/.doorline/v1/drops/aurora/");
        let of_order = path
            .strip_prefix("/.doorline/v1/orders/")
            .map(|rest| rest.split('/').next().unwrap());
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (path, at_drop, of_order) {
            ("/drops/aurora", ..) => self.page(visitor.as_deref(), headers),
            (_, Some("ticket"), _) if method == Method::DELETE => {
                reply(StatusCode::NO_CONTENT, "text/plain", "")
            }
            (_, Some("ticket"), _) => self.ticket(visitor, post),
            (_, Some("admission"), _) => self.claim(&visitor.unwrap_or_default()),
            (_, Some("orders"), _) => self.order(headers, &body),
            (_, _, Some(id)) if post => self.pay(id, &body),
            (_, _, Some(id)) => self.show(id),
            _ if path.starts_with("/sandbox/authenticate/") => self.bank(path, &body),
            _ => problem(StatusCode::NOT_FOUND, "not-found"),
        }
    }

    fn page(&mut self, visitor: Option<&str>, headers: &HeaderMap) -> Reply {
        let admitted = cookie(headers, "doorline-admission-aurora").is_some();
        if admitted && self.manner != Manner::AdmissionIsVoid {
            return reply(StatusCode::OK, "text/html", "<main data-shop-page=\"product\">");
        }
        let mut answer = reply(StatusCode::OK, "text/html", "please wait");
        if visitor.is_none() {
            self.visitors += 1;
            set_cookie(
                &mut answer,
                &format!("doorline-visitor=v{}; Path=/", self.visitors),
            );
        }
        answer
    }

    fn ticket(&mut self, visitor: Option<String>, joining: bool) -> Reply {
        let Some(visitor) = visitor else {
            return problem(StatusCode::UNAUTHORIZED, "visitor-required");
        };
        let known = self.shoppers.len();
        if joining {
            let number = u64::try_from(known).unwrap();
            self.shoppers.entry(visitor.clone()).or_insert(Shopper {
                number,
                admitted: false,
            });
        } else if self.manner != Manner::PlacesAreLost {
            // Every poll calls somebody: no test waits for a clock.
            self.frontier += 1;
        }
        let Some(shopper) = self.shoppers.get(&visitor) else {
            return problem(StatusCode::NOT_FOUND, "no-ticket");
        };
        let called = shopper.number < self.frontier;
        let mut ticket = json!({
            "number": shopper.number,
            "rank": shopper.number,
            "position": if called { Value::Null } else { json!(shopper.number - self.frontier + 1) },
            "state": if shopper.admitted { "admitted" } else if called { "called" } else { "waiting" },
            "poll_after_ms": 50,
        });
        match self.manner {
            Manner::PositionsGrow => {
                ticket["state"] = "waiting".into();
                ticket["position"] = self.requests.into();
            }
            Manner::NumbersChange => ticket["number"] = self.requests.into(),
            Manner::NumbersRepeat => ticket["number"] = 7.into(),
            Manner::PlacesAreLost if !joining => {
                self.shoppers.remove(&visitor);
            }
            _ => {}
        }
        json_reply(StatusCode::OK, &ticket)
    }

    fn claim(&mut self, visitor: &str) -> Reply {
        let Some(shopper) = self.shoppers.get_mut(visitor) else {
            return problem(StatusCode::UNAUTHORIZED, "no-ticket");
        };
        if shopper.number >= self.frontier {
            return problem(StatusCode::CONFLICT, "not-called");
        }
        if self.full_rooms > 0 {
            self.full_rooms -= 1;
            let mut full = problem(StatusCode::TOO_MANY_REQUESTS, "room-full");
            full.headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from_static("0"));
            return full;
        }
        shopper.admitted = true;
        let mut answer = json_reply(
            StatusCode::OK,
            &json!({ "admission_token": "t", "return_to": "/drops/aurora" }),
        );
        set_cookie(&mut answer, "doorline-admission-aurora=t; Path=/");
        answer
    }

    fn order(&mut self, headers: &HeaderMap, body: &Value) -> Reply {
        if cookie(headers, "doorline-admission-aurora").is_none() {
            return problem(StatusCode::UNAUTHORIZED, "admission-required");
        }
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let known = self
            .orders
            .iter()
            .find(|(_, order)| order.key == key && self.manner != Manner::KeysAreIgnored);
        if let Some((id, order)) = known {
            return json_reply(StatusCode::CREATED, &json!({ "order": id, "state": order.state }));
        }
        let quantity = body["items"][0]["quantity"].as_i64().unwrap();
        if quantity > self.stock {
            return problem(StatusCode::CONFLICT, "sold-out");
        }
        self.stock -= quantity;
        let id = format!("order-{}", self.orders.len());
        self.orders.insert(
            id.clone(),
            Order {
                key,
                state: "reserved",
                card: String::new(),
            },
        );
        if body.get("payment_method").is_some() {
            return self.pay(&id, body);
        }
        json_reply(
            StatusCode::CREATED,
            &json!({ "order": id, "state": "reserved", "reserved_until": 1 }),
        )
    }

    fn pay(&mut self, id: &str, body: &Value) -> Reply {
        let Some(order) = self.orders.get_mut(id) else {
            return problem(StatusCode::NOT_FOUND, "no-order");
        };
        if order.state == "reserved" {
            order.state = "accepted";
            body["payment_method"]
                .as_str()
                .unwrap()
                .clone_into(&mut order.card);
        }
        json_reply(
            StatusCode::ACCEPTED,
            &json!({ "order": id, "state": order.state }),
        )
    }

    /// Each look moves the order one state on.
    fn show(&mut self, id: &str) -> Reply {
        if self.manner == Manner::OrdersAreLost {
            self.orders.remove(id);
        }
        let Some(order) = self.orders.get_mut(id) else {
            return problem(StatusCode::NOT_FOUND, "no-order");
        };
        let asks = order.card.contains("three") || order.card.contains("authentication");
        order.state = match order.state {
            "accepted" => "paying",
            "paying" if order.card.contains("Declined") => "declined",
            "paying" if asks => "action_required",
            "paying" => "paid",
            other => other,
        };
        let mut shown = json!({ "order": id, "state": order.state });
        if order.state == "action_required" {
            shown["action"] = json!({ "client_secret": format!("{id}_secret_s") });
        }
        json_reply(StatusCode::OK, &shown)
    }

    fn bank(&mut self, path: &str, body: &Value) -> Reply {
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(body["client_secret"], format!("{id}_secret_s"));
        let order = self.orders.get_mut(id).expect("the order that asked");
        order.state = "paid";
        json_reply(StatusCode::OK, &json!({ "status": "requires_capture" }))
    }
}

fn json_reply(status: StatusCode, body: &Value) -> Reply {
    reply(status, "application/json", body.to_string())
}

fn problem(status: StatusCode, kind: &str) -> Reply {
    let body =
        json!({ "type": format!("https://doorline.example/problems/{kind}"), "status": status.as_u16() });
    reply(status, "application/problem+json", body.to_string())
}

fn set_cookie(answer: &mut Reply, cookie: &str) {
    answer
        .headers_mut()
        .append(header::SET_COOKIE, cookie.parse().unwrap());
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get(header::COOKIE)?.to_str().ok()?;
    all.split("; ")
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
        .map(str::to_owned)
}
