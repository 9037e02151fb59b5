//! The orders API: reserve, pay, look, cancel. Amounts are never taken from the client.

mod events;
mod gate;
mod twins;
mod wire;

pub(super) use twins::Twins;

use checkout_worker::checkout::{AcceptError, CancelError, ReserveError};
use checkout_worker::ledger::{ClientKey, Email, LedgerError};
use checkout_worker::{OrderView, Placed, Purchase, trail};
use domain::pool::{Level, Line};
use domain::saga::{By, PaymentMethod};
use domain::{AdmissionId, DropId, OrderId, Sku, Span};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::{self, Refusal};
use super::api::{PREFIX, parse};
use super::refused::unknown_drop;
use super::{Room, board};
use crate::edge::{EdgeBody, Problem, RequestId};

use wire::{OrderBody, OrderJson, PaymentBody};

impl Room {
    /// `POST …/orders`: holds units, and accepts the order where a payment method is given.
    pub(super) async fn reserve(
        &self,
        drop: &DropId,
        headers: &HeaderMap,
        body: &[u8],
        request: &RequestId,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let session = self.session(drop, headers).ok_or_else(admission_required)?;
        let client_key = client_key(headers)?;
        let body: OrderBody = parse(body)?;
        let _only_one = self
            .twins
            .enter(&session.shopper, client_key.as_str())
            .ok_or_else(in_flight)?;
        let lines = lines(&body)?;
        let purchase = Purchase {
            drop: drop.clone(),
            shopper: session.shopper,
            admission: session.admission,
            client_key,
            lines,
            method: body.payment_method.as_deref().map(method).transpose()?,
            email: body.email.as_deref().map(email).transpose()?,
        };
        let placed = self.place(purchase).await;
        self.note_decision(drop, session.admission, &placed).await;
        let placed = placed.map_err(reserve_problem)?;
        let is_new = matches!(placed, Placed::New(_));
        let (Placed::New(view) | Placed::Repeated(view)) = placed;
        trail::placed(view.order, drop, request.as_str(), is_new);
        // A repetition is answered as the first request was: by whether payment was taken along.
        let status = if body.payment_method.is_some() {
            StatusCode::ACCEPTED
        } else {
            StatusCode::CREATED
        };
        let mut response = answer::json(status, json(&view));
        let location = format!("{PREFIX}/orders/{}", wire::order_id(view.order));
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        Ok(response)
    }

    /// Tells the queue who is no longer somebody that may still take a unit away from those who wait: has one now, or was told
    /// that nothing is left. Most of those turn round and go; their sessions would keep what comes back from being offered.
    async fn note_decision(
        &self,
        drop: &DropId,
        admission: AdmissionId,
        placed: &Result<Placed, ReserveError>,
    ) {
        // If the queue cannot be told now, it only calls a little later.
        match placed {
            Ok(Placed::New(_)) => {
                let _ = self.desk.note_order(drop, admission).await;
            }
            Err(ReserveError::SoldOut { left }) if self.nothing_left(drop, left) => {
                let _ = self.desk.note_turned_away(drop, admission).await;
            }
            Ok(Placed::Repeated(_)) | Err(_) => {}
        }
    }

    /// Whether the whole drop has nothing to offer: neither what was asked for nor, as last read, anything else.
    fn nothing_left(&self, drop: &DropId, left: &[Line]) -> bool {
        let stock = self.house.stock(drop);
        let is_gone = |sku: &Sku, level: Level| {
            let asked = left.iter().find(|line| line.sku == *sku);
            asked.map_or(level.available(), |line| line.quantity) == 0
        };
        !stock.is_empty() && stock.iter().all(|(sku, level)| is_gone(sku, *level))
    }

    async fn place(&self, purchase: Purchase) -> Result<Placed, ReserveError> {
        self.gate(&purchase.drop, purchase.admission, &purchase.lines)
            .await?;
        self.checkout.reserve(purchase).await
    }

    /// `POST /orders/{id}/payment`: accepts a reserved order.
    pub(super) async fn pay(
        &self,
        order: OrderId,
        headers: &HeaderMap,
        body: &[u8],
        request: &RequestId,
    ) -> Result<Response<EdgeBody>, Refusal> {
        self.own_order(order, headers).await?;
        let body: PaymentBody = parse(body)?;
        let view = self
            .checkout
            .accept(order, method(&body.payment_method)?)
            .await
            .map_err(accept_problem)?;
        trail::to_be_paid(view.order, &view.drop, request.as_str());
        Ok(answer::json(StatusCode::ACCEPTED, json(&view)))
    }

    /// `GET /orders/{id}`.
    pub(super) async fn show_order(
        &self,
        order: OrderId,
        headers: &HeaderMap,
    ) -> Result<Response<EdgeBody>, Refusal> {
        let view = self.own_order(order, headers).await?;
        Ok(answer::json(StatusCode::OK, json(&view)))
    }

    /// `DELETE /orders/{id}`.
    pub(super) async fn cancel_order(
        &self,
        order: OrderId,
        headers: &HeaderMap,
    ) -> Result<Response<EdgeBody>, Refusal> {
        self.own_order(order, headers).await?;
        let view = self
            .checkout
            .cancel(order, By::Shopper)
            .await
            .map_err(cancel_problem)?;
        Ok(answer::json(StatusCode::OK, json(&view)))
    }

    /// The order, if it is this visitor's. Somebody else's order does not exist for them.
    async fn own_order(&self, order: OrderId, headers: &HeaderMap) -> Result<OrderView, Refusal> {
        let unknown = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "unknown-order",
                "There is no such order of yours",
            )
        };
        let (visitor, _) = self.visitor(headers).ok_or_else(unknown)?;
        let view = self
            .checkout
            .view(order)
            .await
            .map_err(|error| ledger_problem(&error))?;
        let view = view.filter(|view| self.desk.shopper(&view.drop, &visitor) == view.shopper);
        Ok(view.ok_or_else(unknown)?)
    }
}

fn json(view: &OrderView) -> String {
    board::json(&OrderJson::of(view))
}

fn client_key(headers: &HeaderMap) -> Result<ClientKey, Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    key.map(|key| key.trim_matches('"'))
        .and_then(ClientKey::new)
        .ok_or_else(|| {
            let title = "An Idempotency-Key is needed";
            Problem::new(StatusCode::BAD_REQUEST, "idempotency-key-required", title).detail(
                "Send a value of 1 to 255 characters that is new for each purchase, the same for each retry.",
            )
        })
}

fn lines(body: &OrderBody) -> Result<Vec<Line>, Problem> {
    let read = |item: &wire::ItemBody| {
        let sku = Sku::new(&item.sku).map_err(|error| invalid(error.to_string()))?;
        Ok(Line {
            sku,
            quantity: item.quantity,
        })
    };
    body.items.iter().map(read).collect()
}

fn method(text: &str) -> Result<PaymentMethod, Problem> {
    PaymentMethod::new(text).map_err(|error| invalid(error.to_string()))
}

fn email(text: &str) -> Result<Email, Problem> {
    Email::new(text).ok_or_else(|| invalid("the e-mail address is not one".to_owned()))
}

fn invalid(detail: String) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-order",
        "This cannot be ordered",
    )
    .detail(detail)
}

fn admission_required() -> Problem {
    let title = "You have to be let in first";
    Problem::new(StatusCode::UNAUTHORIZED, "admission-required", title)
        .detail("Ordering needs a valid admission together with the visitor cookie it was issued to.")
}

fn in_flight() -> Problem {
    let title = "This very request is being worked on";
    Problem::new(StatusCode::CONFLICT, "request-in-flight", title).retry_after(Span::from_secs(1))
}

fn ledger_problem(error: &LedgerError) -> Problem {
    tracing::error!(%error, "the ledger failed a shopper's request");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger-unavailable",
        "Orders cannot be taken just now",
    )
    .detail("Nothing was charged. Sending the same request again, with the same key, is safe.")
    .retry_after(Span::from_secs(2))
}

/// Not the shopper's fault, and not for long: the session goes on meanwhile.
fn stopped() -> Problem {
    let title = "New orders are not taken for a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "checkout-paused", title)
        .detail("The shop has paused the checkout. Orders that were placed before go on. Try again shortly.")
        .retry_after(Span::from_secs(10))
        .meant()
}

fn sold_out(left: Vec<Line>) -> Problem {
    let left: serde_json::Map<_, _> = left
        .into_iter()
        .map(|line| (line.sku.to_string(), line.quantity.into()))
        .collect();
    Problem::new(StatusCode::CONFLICT, "sold-out", "Too little is left").with("left", left)
}

fn reserve_problem(error: ReserveError) -> Problem {
    match error {
        ReserveError::UnknownDrop(_) => unknown_drop(),
        ReserveError::Stopped(_) => stopped(),
        ReserveError::UnknownSku(_) | ReserveError::Malformed | ReserveError::TooLarge => {
            invalid(error.to_string())
        }
        ReserveError::SoldOut { left } => sold_out(left),
        ReserveError::LimitExceeded { limit, has } => {
            let title = "That is more than one shopper may have";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "limit-exceeded", title)
                .with("limit", limit)
                .with("has", has)
        }
        ReserveError::AdmissionSpent { order } => Problem::new(
            StatusCode::CONFLICT,
            "admission-spent",
            "This admission has its order",
        )
        .detail("One admission is good for one order. Cancel that one first, or pay for it.")
        .with("order", wire::order_id(order)),
        ReserveError::KeyMismatch { order } => {
            let title = "This key was used for another request";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title)
                .with("order", wire::order_id(order))
        }
        ReserveError::Ledger(error) => ledger_problem(&error),
    }
}

fn accept_problem(error: AcceptError) -> Problem {
    match error {
        AcceptError::Unknown(_) => Problem::not_found(),
        AcceptError::Expired(_) => {
            let title = "The reservation has run out";
            Problem::new(StatusCode::GONE, "reservation-expired", title).detail("Nothing was charged.")
        }
        AcceptError::NotNow(view, _) => not_now(&view),
        AcceptError::Ledger(error) => ledger_problem(&error),
    }
}

/// It was accepted with another method, or given up before it was accepted: where it stands, and why.
fn not_now(view: &OrderView) -> Problem {
    let problem = Problem::new(
        StatusCode::CONFLICT,
        "order-has-moved-on",
        "The order has moved on",
    )
    .with("state", view.state.as_str());
    match &view.reason {
        Some(reason) => problem.with("reason", reason.clone()),
        None => problem,
    }
}

fn cancel_problem(error: CancelError) -> Problem {
    match error {
        CancelError::Unknown(_) => Problem::not_found(),
        CancelError::NotNow(refusal) => {
            let title = "The order cannot be cancelled any more";
            Problem::new(StatusCode::CONFLICT, "not-cancellable", title).detail(refusal.to_string())
        }
        CancelError::Drive(error) => {
            tracing::error!(%error, "cancelling an order did not come to its end");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger-unavailable",
                "Try again in a moment",
            )
            .retry_after(Span::from_secs(2))
        }
    }
}
