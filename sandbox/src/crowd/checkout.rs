//! The part of the walk inside: order, pay, prove who one is, watch until it is settled.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::client::{Ask, json as body_of, problem_type};
use super::observer::Measure;
use super::shopper::{Shopper, Step, WentHome};
use crate::link::{Answer, Link, Target};

/// An order as the gateway shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Order {
    #[serde(rename = "order", alias = "id")]
    id: String,
    state: String,
    action: Option<Action>,
}

#[derive(Debug, Deserialize)]
struct Action {
    client_secret: String,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Paid,
    Declined,
    Released,
    WalkedAway,
}

const GOOD_CARDS: [&str; 2] = ["pm_card_visa", "pm_card_mastercard"];
const BAD_CARDS: [&str; 2] = [
    "pm_card_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
];
const CAUTIOUS_CARDS: [&str; 2] = ["pm_card_threeDSecure2Required", "pm_card_authenticationRequired"];

const WATCH_MS: u64 = 250;
const WATCH_MS_MAX: u64 = 2_000;
const TWIN_WAIT: Duration = Duration::from_millis(300);
/// Conflicts in a row before an order is given up as stuck.
const TWIN_TRIES: u32 = 50;
const BANK_DEADLINE: Duration = Duration::from_secs(10);
const BANK_TRIES: u32 = 5;

impl Shopper {
    /// Buys, with as many cards as this shopper is willing to try.
    pub(crate) async fn buy(&mut self) -> Step<()> {
        let first = match self.behaviour {
            Behaviour::Decliner => self.one_of(&BAD_CARDS),
            Behaviour::ThreeDSecure => self.one_of(&CAUTIOUS_CARDS),
            _ => self.one_of(&GOOD_CARDS),
        };
        let settled = self.order(first).await?;
        let tries_again = settled == Settled::Declined && self.client.random.happens(0.5);
        if tries_again {
            self.think().await;
            let second = self.one_of(&GOOD_CARDS);
            self.order(second).await?;
        }
        ControlFlow::Continue(())
    }

    /// One order, in one step or in two.
    async fn order(&mut self, card: &str) -> Step<Settled> {
        let sku = self.pick_sku();
        let quantity = self
            .client
            .random
            .within(1..=u64::from(self.config.quantity_max.max(1)));
        let abandons = self.behaviour == Behaviour::AbandonsAtPayment;
        let in_one_step = !abandons && self.client.random.happens(0.3);
        let mut body = json!({ "items": [{ "sku": sku, "quantity": quantity }] });
        if in_one_step {
            body["payment_method"] = card.into();
            self.stop_being_active();
        }
        let order = self.place(&body.to_string()).await?;
        if !in_one_step {
            self.think().await;
            if abandons {
                return ControlFlow::Break(WentHome);
            }
            self.stop_being_active();
            self.pay(&order.id, card).await;
        }
        self.watch(&order.id).await
    }

    /// Sends the order until there is a definite answer; the key makes repeating harmless.
    async fn place(&mut self, body: &str) -> Step<Order> {
        let mut ask = Ask::api(
            Method::POST,
            format!("/.doorline/v1/drops/{}/orders", self.config.drop),
        );
        ask.json = Some(body.to_owned());
        ask.idempotency_key = Some(self.new_key());
        for _ in 0..TWIN_TRIES {
            let answer = self.send_order(&ask).await;
            self.observer.took(Measure::Order, self.client.took);
            let kind = problem_type(&answer);
            match (answer.status, kind.as_str()) {
                (status, _) if status.is_success() => return ControlFlow::Continue(self.note(&answer)),
                (StatusCode::CONFLICT, "sold-out") => {
                    self.observer.progress.sold_out();
                    return ControlFlow::Break(WentHome);
                }
                // Our own twin is still being worked on.
                (StatusCode::CONFLICT, _) => tokio::time::sleep(TWIN_WAIT).await,
                _ => {
                    self.observer.problem(&kind);
                    return ControlFlow::Break(WentHome);
                }
            }
        }
        self.violated("an order stayed in conflict with itself");
        ControlFlow::Break(WentHome)
    }

    async fn send_order(&mut self, ask: &Ask) -> Answer {
        if self.behaviour == Behaviour::DoubleClicker {
            let (first, second) = self.client.ask_twice(ask).await;
            let id = |answer: &Option<Answer>| {
                answer
                    .as_ref()
                    .filter(|answer| answer.status.is_success())
                    .map(|answer| parse(answer).id)
            };
            if let (Some(one), Some(other)) = (id(&first), id(&second))
                && one != other
            {
                self.violated(&format!("one key made two orders, {one} and {other}"));
            }
            let granted = [first, second]
                .into_iter()
                .flatten()
                .find(|answer| answer.status.is_success());
            if let Some(answer) = granted {
                return answer;
            }
        }
        self.client.ask(ask).await
    }

    /// Pays a reserved order. Whatever the answer, the order's state says what came of it.
    async fn pay(&mut self, order: &str, card: &str) {
        let mut ask = Ask::api(Method::POST, format!("/.doorline/v1/orders/{order}/payment"));
        ask.json = Some(json!({ "payment_method": card }).to_string());
        ask.idempotency_key = Some(self.new_key());
        let answer = self.client.ask(&ask).await;
        if answer.status.is_success() {
            self.note(&answer);
        } else {
            self.observer.problem(&problem_type(&answer));
        }
    }

    /// Polls the order until it is settled, seeing the bank on the way if need be.
    async fn watch(&mut self, order: &str) -> Step<Settled> {
        let ask = Ask::api(Method::GET, format!("/.doorline/v1/orders/{order}"));
        let mut pace_ms = WATCH_MS;
        let mut saw_bank = false;
        loop {
            let answer = self.client.ask(&ask).await;
            if !answer.status.is_success() {
                self.violated(&format!("order {order} is gone: {}", problem_type(&answer)));
                return ControlFlow::Break(WentHome);
            }
            let seen = self.note(&answer);
            let settled = match seen.state.as_str() {
                "paid" => Some(Settled::Paid),
                "declined" => Some(Settled::Declined),
                "released" | "refunded" => Some(Settled::Released),
                // The reservation stands, but the payment was refused or lost its way.
                "reserved" => Some(Settled::WalkedAway),
                _ => None,
            };
            if let Some(settled) = settled {
                return ControlFlow::Continue(settled);
            }
            if let Some(action) = seen.action.filter(|_| !saw_bank) {
                saw_bank = true;
                if self.behaviour == Behaviour::ThreeDSecure && self.client.random.happens(0.2) {
                    return ControlFlow::Continue(Settled::WalkedAway);
                }
                self.see_bank(&action.client_secret).await;
            }
            tokio::time::sleep(Duration::from_millis(pace_ms)).await;
            pace_ms = (pace_ms * 5 / 4).min(WATCH_MS_MAX);
        }
    }

    /// Confirms the payment on the bank's side, which is the provider's.
    async fn see_bank(&mut self, client_secret: &str) {
        let Some(base) = self.config.provider_url.clone() else {
            self.observer.problem("no-bank-configured");
            return;
        };
        let intent = client_secret.split("_secret_").next().unwrap_or_default();
        let Ok(target) = Target::parse(&format!("{base}/sandbox/authenticate/{intent}")) else {
            self.observer.problem("bad-bank-address");
            return;
        };
        let body = json!({ "client_secret": client_secret, "outcome": "succeed" }).to_string();
        for _ in 0..BANK_TRIES {
            match authenticate(&target, &body).await {
                Ok(StatusCode::OK) => return,
                Ok(status) => {
                    self.observer.problem(&format!("bank-{}", status.as_u16()));
                    return;
                }
                Err(error) => self.observer.broken(&error),
            }
            tokio::time::sleep(TWIN_WAIT).await;
        }
    }

    /// Takes an order's state down; a state that is news is counted once.
    fn note(&self, answer: &Answer) -> Order {
        let order = parse(answer);
        let accepted = answer.status == StatusCode::ACCEPTED;
        let progress = &self.observer.progress;
        if accepted {
            progress.accepted();
        }
        if self.observer.order(&order.id, self.index, &order.state, accepted) {
            match order.state.as_str() {
                "reserved" => progress.reserved(),
                "paid" => progress.paid(),
                "declined" => progress.declined(),
                "released" => progress.released(),
                _ => {}
            }
        }
        order
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let last = u64::try_from(choices.len()).unwrap_or(1).saturating_sub(1);
        let index = usize::try_from(self.client.random.within(0..=last)).unwrap_or_default();
        choices.get(index).copied().unwrap_or_default()
    }

    fn pick_sku(&mut self) -> String {
        let config = std::sync::Arc::clone(&self.config);
        let skus: Vec<&str> = config.skus.iter().map(String::as_str).collect();
        self.one_of(&skus).to_owned()
    }

    /// A version 4 UUID, as a browser would draw one.
    fn new_key(&mut self) -> String {
        let random = &mut self.client.random;
        let (high, low) = (random.next_u64(), random.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            low >> 52,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

fn parse(answer: &Answer) -> Order {
    let body: Value = body_of(answer);
    serde_json::from_value(body).unwrap_or_default()
}

async fn authenticate(target: &Target, body: &str) -> Result<StatusCode, crate::link::LinkError> {
    let mut link = Link::open(&target.authority, BANK_DEADLINE).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body.to_owned()))
        .map_err(crate::link::LinkError::Request)?;
    Ok(link.exchange(request, 64 * 1024, BANK_DEADLINE).await?.status)
}
