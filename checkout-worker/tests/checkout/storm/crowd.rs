//! Shoppers as they are: most pay, some are declined, confirm with their bank or do not, click twice, change their minds, or
//! walk away; a few want their money back.

use std::sync::Arc;
use std::time::Duration;

use checkout_worker::ledger::ClientKey;
use checkout_worker::{Checkout, OrderView, Purchase};
use domain::saga::{By, Restock};
use domain::{AdmissionId, OrderId, ShopperKey};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::shop::StormShop;
use crate::support::{DECLINED, SECURE, VISA, method, place, purchase};

/// Shoppers at the checkout at once.
const AT_ONCE: usize = 200;
/// How often a shopper's page asks, and how often at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 600;

/// What a shopper does about a payment that needs their bank.
#[derive(Clone, Copy)]
enum AtTheBank {
    Confirms,
    Fails,
    WalksAway,
}

#[derive(Clone)]
pub(super) struct Crowd {
    processes: [Checkout; 2],
    bank: String,
    http: reqwest::Client,
}

impl Crowd {
    pub(super) fn new(shop: &StormShop) -> Self {
        Self {
            processes: shop.processes.clone(),
            bank: shop.provider.url(),
            http: reqwest::Client::new(),
        }
    }

    /// So many shoppers, one order each; gives the orders when the last shopper has left.
    pub(super) async fn buy(&self, shoppers: u32) -> Vec<OrderId> {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut inside = JoinSet::new();
        for shopper in 0..shoppers {
            let place = Arc::clone(&room).acquire_owned().await.unwrap();
            let crowd = self.clone();
            inside.spawn(async move {
                let order = crowd.shop(shopper).await;
                drop(place);
                order
            });
        }
        inside.join_all().await
    }

    async fn shop(&self, shopper: u32) -> OrderId {
        let (first, second) = (&self.processes[0], &self.processes[1]);
        let order = match shopper % 20 {
            0 | 1 => self.twice(order_of(shopper, Some(DECLINED))).await,
            2..=4 => place(first, order_of(shopper, Some(SECURE))).await,
            5 => {
                place(
                    second,
                    order_of(shopper, Some("pm_card_threeDSecureRequiredChargeDeclined")),
                )
                .await
            }
            6 => place(first, order_of(shopper, Some("pm_sandbox_saved500AfterEffect"))).await,
            7 => {
                place(
                    second,
                    order_of(shopper, Some("pm_sandbox_captureSaved500AfterEffect")),
                )
                .await
            }
            8 => place(first, order_of(shopper, Some("pm_sandbox_captureLostAnswer"))).await,
            9 => place(second, order_of(shopper, Some("pm_sandbox_lostRequest"))).await,
            10 | 11 => self.accepted_twice(shopper).await,
            12 => place(first, order_of(shopper, None)).await,
            13..=15 => self.twice(order_of(shopper, Some(VISA))).await,
            _ => place(second, order_of(shopper, Some(VISA))).await,
        };
        match shopper % 20 {
            2 | 3 => self.at_the_bank(order, AtTheBank::Confirms).await,
            4 if shopper % 40 == 4 => self.at_the_bank(order, AtTheBank::WalksAway).await,
            4 | 5 => self.at_the_bank(order, AtTheBank::Fails).await,
            // Anything may come of it, as long as the books are right.
            16 => drop(second.cancel(order, By::Shopper).await),
            17 => self.money_back(order).await,
            _ => {}
        }
        order
    }

    /// A double click that reaches both processes.
    async fn twice(&self, purchase: Purchase) -> OrderId {
        let (one, other) = tokio::join!(
            place(&self.processes[0], purchase.clone()),
            place(&self.processes[1], purchase),
        );
        assert_eq!(one, other, "one request, one order");
        one
    }

    /// Reserved first, then paid with a double click.
    async fn accepted_twice(&self, shopper: u32) -> OrderId {
        let order = place(&self.processes[0], order_of(shopper, None)).await;
        let (one, other) = tokio::join!(
            self.processes[0].accept(order, method(VISA)),
            self.processes[1].accept(order, method(VISA)),
        );
        assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
        order
    }

    /// Waits for the bank's question, if it comes, and answers it, with a double click.
    async fn at_the_bank(&self, order: OrderId, answer: AtTheBank) {
        let Some(view) = self.look(order, |view| view.action.is_some()).await else {
            return;
        };
        let outcome = match answer {
            AtTheBank::Confirms => "succeed",
            AtTheBank::Fails => "fail",
            AtTheBank::WalksAway => return,
        };
        let payment = view.payment.unwrap();
        let url = format!("{}/sandbox/authenticate/{}", self.bank, payment.as_str());
        let secret = view.action.unwrap();
        let body = format!(
            r#"{{"client_secret":"{}","outcome":"{outcome}"}}"#,
            secret.as_str()
        );
        for _ in 0..2 {
            let asked = self.http.post(&url).header("content-type", "application/json");
            drop(asked.body(body.clone()).send().await);
        }
    }

    /// Two operators give the money back at the same moment.
    async fn money_back(&self, order: OrderId) {
        let paid = |view: &OrderView| view.state == checkout_worker::PublicState::Paid;
        if self.look(order, paid).await.is_some() {
            let (one, other) = (&self.processes[0], &self.processes[1]);
            let refund = |checkout: &Checkout| {
                let checkout = checkout.clone();
                async move { drop(checkout.refund(order, Restock::Return, "storm").await) }
            };
            tokio::join!(refund(one), refund(other));
        }
    }

    /// Looks until `until` holds or the order has ended otherwise.
    async fn look(&self, order: OrderId, until: impl Fn(&OrderView) -> bool) -> Option<OrderView> {
        for _ in 0..LOOKS_MAX {
            let view = self.processes[1].view(order).await.unwrap().unwrap();
            if until(&view) {
                return Some(view);
            }
            if view.state.is_final() {
                return None;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }
}

/// One unit for shopper number `shopper`.
pub(super) fn order_of(shopper: u32, card: Option<&str>) -> Purchase {
    let mut name = [0; 16];
    name[..4].copy_from_slice(&shopper.to_be_bytes());
    name[15] = 1;
    Purchase {
        shopper: ShopperKey(name),
        admission: AdmissionId(name),
        client_key: ClientKey::new(&format!("storm-{shopper}")).unwrap(),
        ..purchase(1, card)
    }
}
