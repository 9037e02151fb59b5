//! Money that goes back on ledgers of both kinds: what the merchant is told of it, what is asked for when somebody else gave
//! a part back, and what is kept of a person's retry.

use std::sync::{Arc, Mutex};

use checkout_worker::checkout::WebhookDone;
use checkout_worker::ledger::Reply;
use checkout_worker::merchant::{Heard, Merchant, MerchantEvent};
use checkout_worker::provider::memory::{Fault, MemoryProvider};
use checkout_worker::{Checkout, Ports, PublicState};
use domain::OrderId;
use domain::saga::{Notice, PaymentId, Restock, State};

use crate::house::{House, postgres};
use crate::support::{DECLINED, VISA, config, place, ports, purchase, signed};
use crate::witness::Witness;

use super::ends;

/// A merchant's system that takes everything and remembers it.
#[derive(Default)]
struct Notebook(Mutex<Vec<MerchantEvent>>);

impl Merchant for Notebook {
    fn wants(&self, _: Notice) -> bool {
        true
    }

    fn tell<'a>(&'a self, event: &'a MerchantEvent) -> Reply<'a, Heard> {
        self.0.lock().unwrap().push(event.clone());
        Box::pin(std::future::ready(Heard::Taken))
    }
}

/// A shop over a ledger of either kind.
struct Shop {
    house: House,
    provider: Witness,
    merchant: Arc<Notebook>,
    checkout: Checkout,
}

impl Shop {
    async fn over(house: House) -> Self {
        let provider = Witness::over(MemoryProvider::new(house.clock.clone()));
        Self::open(house, provider, Arc::default()).await
    }

    async fn open(house: House, provider: Witness, merchant: Arc<Notebook>) -> Self {
        let ports = Ports {
            merchant: Some(merchant.clone()),
            ..ports(
                house.ledger.clone(),
                Arc::new(provider.clone()),
                house.clock.clone(),
            )
        };
        Self {
            checkout: Checkout::open(config(8), ports).await.unwrap(),
            house,
            provider,
            merchant,
        }
    }

    /// The process dies and another one opens the same ledger.
    async fn reopened(self) -> Self {
        let Self {
            mut house,
            provider,
            merchant,
            checkout,
        } = self;
        drop(checkout);
        house.reopened().await;
        Self::open(house, provider, merchant).await
    }

    /// An order that was taken to payment.
    async fn bought(&self, shopper: u8, card: &str) -> OrderId {
        let order = place(&self.checkout, purchase(shopper, Some(card))).await;
        self.checkout.drive(order).await.unwrap();
        self.provider.keys();
        order
    }

    /// Another payment of the order, captured.
    async fn late_charge(&self, order: OrderId) -> PaymentId {
        let payment = self.provider.make(order, 2).await;
        self.provider.take(&payment).await;
        payment.id
    }

    fn refunded(&self, payment: &PaymentId) -> u64 {
        let books = self.provider.inner.books();
        let known = books.payments.iter().find(|known| known.id == *payment);
        known.unwrap().refunded
    }

    /// What the merchant hears until there is nothing more to be told.
    async fn told(&self) -> Vec<MerchantEvent> {
        while self.checkout.jobs().tell_now().await.unwrap() > 0 {}
        std::mem::take(&mut *self.merchant.0.lock().unwrap())
    }
}

async fn the_merchant_is_told(house: House) {
    let shop = Shop::over(house).await;
    for (shopper, fault) in [(1, Fault::None), (2, Fault::AnswerLost)] {
        let order = shop.bought(shopper, DECLINED).await;
        let payment = shop.late_charge(order).await;
        // The newest payment is looked at first.
        shop.provider.inner.plan([fault]);
        for _ in 0..3 {
            shop.checkout.reconcile().await.unwrap();
        }
        assert_eq!(shop.refunded(&payment), 12_900, "{fault:?}");
        let told = shop.told().await;
        let news: Vec<_> = told
            .iter()
            .map(|event| (event.order, event.notice, event.reason.as_deref()))
            .collect();
        let expected = [
            (order, Notice::Declined, Some("card_declined")),
            (order, Notice::Refunded, Some("late_payment")),
        ];
        assert_eq!(news, expected, "{fault:?}");
        assert_eq!(told[1].state(), PublicState::Refunded);
        assert!(told[1].version > told[0].version && told[1].id() != told[0].id());
    }
    let found = shop.checkout.reconcile().await.unwrap();
    assert_eq!((found.applied, shop.told().await), (0, Vec::new()));
}

#[tokio::test]
async fn the_merchant_is_told_of_a_late_charge_that_went_back_by_sqlite() {
    the_merchant_is_told(House::sqlite()).await;
}

#[tokio::test]
async fn the_merchant_is_told_of_a_late_charge_that_went_back_by_postgres() {
    the_merchant_is_told(House::postgres(&postgres().await, "late").await).await;
}

/// A refund that nobody hears of is repeated as it was sent; one over another amount has a number of its own.
async fn a_part_is_given_back_elsewhere(house: House) {
    let shop = Shop::over(house).await;
    let order = shop.bought(1, VISA).await;
    let payment = shop.late_charge(order).await;
    shop.provider.inner.plan([Fault::RequestLost, Fault::RequestLost]);
    shop.checkout.reconcile().await.unwrap();
    assert!(shop.provider.inner.refund(&payment, 2_900));
    shop.checkout.reconcile().await.unwrap();
    let shop = shop.reopened().await;
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(
        ends(&shop.provider.keys()),
        ["refund-stray.2", "refund-stray.3", "refund-stray.3"]
    );
    assert_eq!(shop.refunded(&payment), 12_900);
    let news: Vec<Notice> = shop.told().await.iter().map(|event| event.notice).collect();
    assert_eq!(
        news,
        [Notice::Paid],
        "it would say that the order itself was refunded"
    );
}

/// A person's retry that was not answered is kept as that, and the next one is heard.
async fn a_retry_is_lost(house: House) {
    let shop = Shop::over(house).await;
    let order = shop.bought(1, VISA).await;
    shop.checkout.refund(order, Restock::Keep, "test").await.unwrap();
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.inner.fail_refunds(&payment));
    let (body, header) = signed(&shop.house.clock, "evt_1", "refund.failed", &payment);
    let failed = shop.checkout.webhook(body.as_bytes(), &header).await;
    assert_eq!(failed.unwrap(), WebhookDone::Applied);
    shop.provider.inner.plan([Fault::RequestLost]);
    shop.checkout.retry(order, "test").await.unwrap();
    let shop = shop.reopened().await;
    let record = shop.house.ledger.load(order).await.unwrap().unwrap();
    let State::Refunded(data) = record.order.state else {
        panic!("{:?}", record.order)
    };
    assert!(data.is_retried && record.order.flag.is_some());
    assert_eq!(shop.refunded(&payment), 0);
    let retried = shop.checkout.retry(order, "test").await.unwrap();
    assert_eq!((retried.flag, shop.refunded(&payment)), (None, 12_900));
}

#[tokio::test]
async fn refunds_that_are_repeated_are_kept_by_sqlite() {
    a_part_is_given_back_elsewhere(House::sqlite()).await;
    a_retry_is_lost(House::sqlite()).await;
}

#[tokio::test]
async fn refunds_that_are_repeated_are_kept_by_postgres() {
    let server = postgres().await;
    a_part_is_given_back_elsewhere(House::postgres(&server, "part").await).await;
    a_retry_is_lost(House::postgres(&server, "retry").await).await;
}
