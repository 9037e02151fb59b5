//! The shopper API: which address and method leads to which verb.
//!
//! Matched by hand instead of by a router: a dozen routes, one of them (the poll) answered a
//! hundred times more often than all others together, and every refusal a problem of ours.

use std::sync::Arc;

use bytes::Bytes;
use domain::{DropId, OrderId};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::Room;
use super::answer::{self, Refusal};
use super::board::{self, Board};
use super::refused::unknown_drop;
use super::ticket::Wish;
use crate::edge::{BodyError, EdgeBody, Form, Problem, RequestBody, Visit};

/// Everything of ours lives below this.
pub(super) const PREFIX: &str = "/.doorline/v1";
/// Drops live below this.
const DROPS: &str = "/.doorline/v1/drops/";
/// Where the world looks for keys (RFC 8615); the same stands below the prefix.
const WELL_KNOWN_JWKS: &str = "/.well-known/jwks.json";
/// Where the API describes itself.
const OPENAPI_PATH: &str = "/.doorline/openapi.json";
/// The description, OpenAPI 3.1. A test holds it against what is served.
const OPENAPI: &str = include_str!("../../assets/openapi.json");
/// Bodies here are a few fields; the provider's events are the largest.
const BODY_BYTES_MAX: u64 = 16 * 1024;

/// An address of the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    /// `/drops/{drop}`.
    Drop(DropId),
    /// `/drops/{drop}/draw`.
    Draw(DropId),
    /// `/drops/{drop}/ticket`.
    Ticket(DropId),
    /// `/drops/{drop}/ticket/events`.
    TicketEvents(DropId),
    /// `/drops/{drop}/leave`.
    Leave(DropId),
    /// `/drops/{drop}/admission`.
    Admission(DropId),
    /// `/drops/{drop}/orders`.
    Orders(DropId),
    /// `/orders/{order}`.
    Order(OrderId),
    /// `/orders/{order}/events`.
    OrderEvents(OrderId),
    /// `/orders/{order}/payment`.
    Payment(OrderId),
    /// `/webhooks/stripe`.
    StripeWebhook,
    /// `/.well-known/jwks.json`.
    Jwks,
    /// `/.doorline/openapi.json`.
    OpenApi,
}

impl Address {
    /// Reads a normalised path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path == WELL_KNOWN_JWKS {
            return Some(Self::Jwks);
        }
        if path == OPENAPI_PATH {
            return Some(Self::OpenApi);
        }
        let rest = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
        let mut segments = segments(rest);
        let named = (
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
            segments.next(),
        );
        let drop = |name: &str| DropId::new(name).ok();
        Some(match named {
            (Some("drops"), Some(name), None, ..) => Self::Drop(drop(name)?),
            (Some("drops"), Some(name), Some("draw"), None, _) => Self::Draw(drop(name)?),
            (Some("drops"), Some(name), Some("ticket"), None, _) => Self::Ticket(drop(name)?),
            (Some("drops"), Some(name), Some("ticket"), Some("events"), None) => {
                Self::TicketEvents(drop(name)?)
            }
            (Some("drops"), Some(name), Some("leave"), None, _) => Self::Leave(drop(name)?),
            (Some("drops"), Some(name), Some("admission"), None, _) => Self::Admission(drop(name)?),
            (Some("drops"), Some(name), Some("orders"), None, _) => Self::Orders(drop(name)?),
            (Some("orders"), Some(id), None, ..) => Self::Order(order(id)?),
            (Some("orders"), Some(id), Some("events"), None, _) => Self::OrderEvents(order(id)?),
            (Some("orders"), Some(id), Some("payment"), None, _) => Self::Payment(order(id)?),
            (Some("webhooks"), Some("stripe"), None, ..) => Self::StripeWebhook,
            (Some(".well-known"), Some("jwks.json"), None, ..) => Self::Jwks,
            _ => return None,
        })
    }

    /// The methods that are served here, as `Allow` names them.
    fn methods(&self) -> &'static str {
        match self {
            Self::Drop(_)
            | Self::Draw(_)
            | Self::TicketEvents(_)
            | Self::OrderEvents(_)
            | Self::Jwks
            | Self::OpenApi => "GET, HEAD",
            Self::Ticket(_) => "GET, HEAD, POST, DELETE",
            Self::Order(_) => "GET, HEAD, DELETE",
            Self::Leave(_)
            | Self::Admission(_)
            | Self::Orders(_)
            | Self::Payment(_)
            | Self::StripeWebhook => "POST",
        }
    }
}

/// The segments of a path, cut byte by byte: `str::split` searches any character, which costs more
/// than all the rest of finding out what a poll wants.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let path = rest?;
        let slash = path.bytes().position(|byte| byte == b'/');
        rest = slash.map(|at| &path[at + 1..]);
        Some(slash.map_or(path, |at| &path[..at]))
    })
}

fn order(id: &str) -> Option<OrderId> {
    uuid::Uuid::try_parse(id).ok().map(|id| OrderId(id.as_u128()))
}

impl Room {
    /// Answers one request of the API.
    pub(crate) async fn api(
        self: &Arc<Self>,
        parts: &Parts,
        body: RequestBody,
        visit: &Visit,
    ) -> Response<EdgeBody> {
        let answered = match Address::of(parts.uri.path()) {
            None => Err(Problem::not_found().into()),
            Some(address) => self.route(&address, parts, body, visit).await,
        };
        answered.unwrap_or_else(|refusal| {
            refusal.into_response(visit.id(), Form::wanted_by(&parts.headers, &self.refusals))
        })
    }

    /// Answers what is asked most and waits for nothing: a shopper's place and the public state.
    pub(crate) fn at_once(&self, parts: &Parts, visit: &Visit) -> Option<Response<EdgeBody>> {
        if !reads(parts) {
            return None;
        }
        let rest = parts.uri.path().strip_prefix(DROPS)?;
        let (name, verb) = match rest.bytes().position(|byte| byte == b'/') {
            Some(slash) => (&rest[..slash], &rest[slash..]),
            None => (rest, ""),
        };
        // The house's own name for the drop: to make another would allocate. Drops are few.
        let boards = self.boards.load();
        let (drop, board) = boards.iter().find(|(drop, _)| drop.as_str() == name)?;
        let answered = match verb {
            "/ticket" => self.look(drop, Some(board), &parts.headers, visit),
            "" => self.public_state(drop),
            _ => return None,
        };
        let explain = |refusal: Refusal| {
            refusal.into_response(visit.id(), Form::wanted_by(&parts.headers, &self.refusals))
        };
        Some(answered.unwrap_or_else(explain))
    }

    async fn route(
        self: &Arc<Self>,
        address: &Address,
        parts: &Parts,
        body: RequestBody,
        visit: &Visit,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let headers = &parts.headers;
        let reads = reads(parts);
        // The provider is no browser, and its signature says who sent it.
        if !reads && *address != Address::StripeWebhook && self.is_from_elsewhere(headers, &visit.host) {
            let title = "This was sent by another site";
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross-site-request", title).into());
        }
        if let Address::Leave(drop) | Address::Admission(drop) = address
            && reads
            && let Some(front) = self.to_front(self.board(drop).as_deref(), headers)
        {
            return Ok(front);
        }
        match address {
            Address::Ticket(drop) if reads => self.look(drop, self.board(drop).as_deref(), headers, visit),
            Address::Drop(drop) if reads => self.public_state(drop),
            Address::Draw(drop) if reads => self.draw(drop),
            Address::TicketEvents(drop) if reads => self.events(drop, headers),
            Address::Ticket(drop) if parts.method == Method::POST => {
                self.join(drop, headers, &wish(headers, body).await?).await
            }
            Address::Ticket(drop) if parts.method == Method::DELETE => {
                self.leave(drop, headers, &Wish::default()).await
            }
            Address::Leave(drop) if parts.method == Method::POST => {
                self.leave(drop, headers, &wish(headers, body).await?).await
            }
            Address::Admission(drop) if parts.method == Method::POST => {
                self.claim(drop, headers, &wish(headers, body).await?).await
            }
            Address::Orders(drop) if parts.method == Method::POST => {
                let body = read(body, BODY_BYTES_MAX).await?;
                self.reserve(drop, headers, &body, visit.id()).await
            }
            Address::Order(order) if reads => self.show_order(*order, headers).await,
            Address::Order(order) if parts.method == Method::DELETE => {
                self.cancel_order(*order, headers).await
            }
            Address::OrderEvents(order) if reads => self.order_events(*order, headers).await,
            Address::Payment(order) if parts.method == Method::POST => {
                let body = read(body, BODY_BYTES_MAX).await?;
                self.pay(*order, headers, &body, visit.id()).await
            }
            Address::StripeWebhook if parts.method == Method::POST => self.webhook(headers, body).await,
            Address::Jwks if reads => Ok(answer::json(StatusCode::OK, self.desk.jwks().to_string())),
            Address::OpenApi if reads => Ok(public(
                Bytes::from_static(OPENAPI.as_bytes()),
                "public, max-age=300",
            )),
            other => Err(Problem::method_not_allowed(Some(HeaderValue::from_static(other.methods()))).into()),
        }
    }

    /// Whether a page of another origin made the browser send this: it must neither use a shopper's cookies (a sister
    /// site's requests carry them) nor have any set (the answer to a form from anywhere would replace them). Browsers say
    /// so (Fetch Metadata, <https://www.w3.org/TR/fetch-metadata/>); of older ones, and over plain http, only `Origin` is
    /// there, and `null` in it says nothing, because our pages send no referrer: that is why a form is given no cookie.
    /// Programs send neither.
    fn is_from_elsewhere(&self, headers: &HeaderMap, host: &HeaderValue) -> bool {
        if let Some(site) = headers.get("sec-fetch-site") {
            return site != "same-origin" && site != "none";
        }
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let Some(origin) = origin.filter(|origin| *origin != "null") else {
            return false;
        };
        let authority = origin
            .split_once("://")
            .map_or(origin, |(_, authority)| authority);
        // A proxy before us may ask for the shop by another name than browsers do.
        ![host.to_str().unwrap_or_default(), &self.public_authority]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(authority))
    }

    /// Sends who wants to read a page to the drop's: that is somebody whose form was refused, here or before it came here,
    /// and who tries again from the error page, which stands at the form's address.
    pub(super) fn to_front(&self, board: Option<&Board>, headers: &HeaderMap) -> Option<Response<EdgeBody>> {
        let (Form::Page(_), Some(board)) = (Form::wanted_by(headers, &self.refusals), board) else {
            return None;
        };
        Some(self.send_back(&Wish {
            return_to: Some(front_path(board)),
            ..Wish::default()
        }))
    }

    /// `GET …/drops/{drop}`: the same for everybody, so a CDN may answer it for a second.
    fn public_state(&self, drop: &DropId) -> Result<Response<EdgeBody>, Refusal> {
        let state = self.read_posted(drop, |posted| Bytes::clone(&posted.public));
        Ok(public(state.ok_or_else(unknown_drop)?, "public, max-age=1"))
    }

    /// `GET …/drops/{drop}/draw`: the commitment, and after the start what opens it.
    fn draw(&self, drop: &DropId) -> Result<Response<EdgeBody>, Refusal> {
        let snapshot = self.desk.snapshot(drop).ok_or_else(unknown_drop)?;
        let mut body = serde_json::json!({
            "drop": drop.as_str(),
            "method": self.board(drop).map(|board| board.config.queueing_method.as_str()),
            "shuffle_at_event_start": self.board(drop).map(|board| board.config.shuffle == domain::Shuffle::AtEventStart),
            "commitment": board::hex(&snapshot.draw.commitment),
        });
        if let Some((seed, cohort)) = snapshot.draw.revealed {
            body["seed"] = board::hex(&seed).into();
            body["cohort"] = cohort.into();
        }
        Ok(answer::json(StatusCode::OK, body.to_string()))
    }
}

fn reads(parts: &Parts) -> bool {
    parts.method == Method::GET || parts.method == Method::HEAD
}

/// Whether the form of any page could have made a browser send this that does not tell where it comes from. These are what
/// forms may choose (<https://html.spec.whatwg.org/#attr-fs-enctype>) besides what [`Wish`] knows as one. Our own script's
/// requests are not among it, because they name their origin.
pub(super) fn may_be_a_foreign_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let of_a_form = kind.starts_with(b"text/plain") || kind.starts_with(b"multipart/form-data");
    let hides_origin = headers.get(ORIGIN).is_some_and(|origin| origin == "null");
    of_a_form && hides_origin && !headers.contains_key("sec-fetch-site")
}

/// The drop's page: the first of its paths that a merchant wrote down.
fn front_path(board: &Board) -> String {
    let first = board.config.paths.first().map(ToString::to_string);
    let written = first.unwrap_or_default();
    let page = written.strip_suffix("/*").unwrap_or(&written);
    let page = if page.is_empty() { "/" } else { page };
    page.to_owned()
}

/// JSON that is the same for everybody and may be kept on the way, as `caching` says.
fn public(body: Bytes, caching: &'static str) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

/// Reads a whole body.
async fn read(body: RequestBody, bytes_max: u64) -> Result<Bytes, Refusal> {
    let whole = whole(body, bytes_max).await;
    Ok(whole.map_err(|error| body_problem(&error))?)
}

/// The same for whoever has an answer of its own to a body that is too large.
pub(super) async fn whole(body: RequestBody, bytes_max: u64) -> Result<Bytes, BodyError> {
    let body = body.with_bytes_max(bytes_max);
    body.check_announced()?;
    Ok(body.collect().await?.to_bytes())
}

pub(super) fn body_problem(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { bytes_max } => Problem::body_too_large(*bytes_max),
        BodyError::TimedOut => Problem::body_timed_out(),
        BodyError::Broken(_) => Problem::malformed("the body broke off"),
    }
}

/// Reads JSON; says where it stops making sense.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid-body", "The body cannot be read")
            .detail(error.to_string())
    })
}

/// What came along with a verb: a form of the page without script, JSON, or nothing.
async fn wish(headers: &HeaderMap, body: RequestBody) -> Result<Wish, Refusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let from_form = kind.starts_with("application/x-www-form-urlencoded");
    let bytes = read(body, BODY_BYTES_MAX).await?;
    if from_form {
        let fields = form_fields(&bytes);
        return Ok(Wish {
            rejoin: fields
                .iter()
                .any(|(name, value)| name == "rejoin" && value == "1"),
            return_to: fields
                .into_iter()
                .find(|(name, _)| name == "return_to")
                .map(|(_, value)| value),
            from_form: true,
        });
    }
    if bytes.is_empty() {
        Ok(Wish::default())
    } else {
        Ok(parse(&bytes)?)
    }
}

/// The fields of a form (WHATWG URL, section 5.1).
fn form_fields(bytes: &[u8]) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::super::board::tests::board;
    use super::*;

    #[test]
    fn every_address_is_read_and_nothing_else_is() {
        let drop = DropId::new("aurora").expect("a name");
        let read = |rest: &str| Address::of(&format!("{PREFIX}{rest}"));
        assert_eq!(read("/drops/aurora"), Some(Address::Drop(drop.clone())));
        assert_eq!(read("/drops/aurora/ticket"), Some(Address::Ticket(drop.clone())));
        assert_eq!(
            read("/drops/aurora/ticket/events"),
            Some(Address::TicketEvents(drop.clone()))
        );
        assert_eq!(read("/drops/aurora/admission"), Some(Address::Admission(drop)));
        let id = "018f5c2e-7a5b-7c33-9d0e-1f2a3b4c5d6e";
        assert!(matches!(
            read(&format!("/orders/{id}/payment")),
            Some(Address::Payment(_))
        ));
        for nothing in [
            "",
            "/",
            "/drops",
            "/drops/",
            "/drops/AURORA",
            "/drops/aurora/ticket/events/x",
            "/orders/7",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_way_back_is_the_first_path_without_its_star() {
        let front = |written: &str| {
            let mut config = (*board("").config).clone();
            config.paths = vec![written.parse().expect("a path")];
            front_path(&Board::new(Arc::new(config)))
        };
        for (written, page) in [
            ("/x", "/x"),
            ("/x/", "/x/"),
            ("/products/aurora/*", "/products/aurora"),
            ("/*", "/"),
        ] {
            assert_eq!(front(written), page, "{written}");
        }
    }

    #[test]
    fn only_what_a_form_may_send_and_nobody_vouches_for_may_be_foreign() {
        let may_be_foreign = |kind: &'static str, more: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let mut headers: HeaderMap = more.iter().map(pair).collect();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            may_be_a_foreign_form(&headers)
        };
        let (hidden, own) = (("origin", "null"), ("origin", "https://shop.example"));
        for kind in ["text/plain", "multipart/form-data; boundary=x"] {
            assert!(may_be_foreign(kind, &[hidden]), "{kind}");
            assert!(!may_be_foreign(kind, &[own]), "{kind}");
            assert!(!may_be_foreign(kind, &[]), "{kind}: a program");
            let vouched = [hidden, ("sec-fetch-site", "same-origin")];
            assert!(!may_be_foreign(kind, &vouched), "{kind}");
        }
        assert!(!may_be_foreign("application/json", &[hidden]));
    }
}
