//! What happens in a shop, told so that every commit and every call of the checkout is part of some story.

use checkout_worker::PublicState;
use checkout_worker::ledger::{AuditEntry, Change, StockChange};
use checkout_worker::provider::memory::Fault;
use checkout_worker::provider::{Provider as _, ProviderCall};
use domain::saga::{Attempt, By, Call, IdempotencyKey, KeySpace, Operation, Restock};
use domain::{OrderId, Span, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Scene;
use crate::support::{
    DECLINED, PAYMENTS, SECURE, VISA, drive_pending, drop_id, euros, method, place, purchase, signed, sku,
};

/// Longer than any backoff of a first try.
const A_WHILE: Span = Span::from_secs(20);

impl Scene {
    async fn buy(&self, shopper: u8, card: &str) -> OrderId {
        place(&self.checkout, purchase(shopper, Some(card))).await
    }

    async fn drive(&self, order: OrderId) {
        self.checkout.drive(order).await.unwrap();
    }

    /// Time passes, and workers do what is due.
    async fn later(&self, span: Span) {
        self.clock.advance(span);
        drive_pending(&self.checkout).await;
    }

    /// The provider makes a payment that no step asked for: attempt `n` of `order`.
    async fn strange_payment(&self, order: OrderId, n: u32) {
        let attempt = Attempt::numbered(n, Timestamp::EPOCH);
        let call = Call::Authorise {
            attempt,
            method: method(VISA),
            amount: euros(12_900),
        };
        let key = IdempotencyKey::derive(KeySpace::FIRST, &drop_id(), order, Operation::Authorise, n);
        let call = ProviderCall {
            drop: drop_id(),
            space: KeySpace::FIRST,
            order,
            key: Some(key),
            email: None,
            call,
        };
        self.provider.perform(&call).await;
    }
}

/// Six shoppers do what shoppers do: pay, are declined, confirm, walk away, cancel, want their money back.
pub(super) async fn of_shoppers(scene: &Scene) {
    let Scene {
        checkout,
        provider,
        clock,
    } = scene;
    let paid = scene.buy(1, VISA).await;
    let declined = scene.buy(2, DECLINED).await;
    let secure = scene.buy(3, SECURE).await;
    let reserved = place(checkout, purchase(4, None)).await;
    let cancelled = scene.buy(5, SECURE).await;
    place(checkout, purchase(6, None)).await;
    checkout.accept(reserved, method(VISA)).await.unwrap();
    for order in [paid, declined, secure, reserved, cancelled] {
        scene.drive(order).await;
    }
    checkout.cancel(cancelled, By::Shopper).await.unwrap();
    let payment = checkout.view(secure).await.unwrap().unwrap().payment.unwrap();
    provider.confirm(&payment, true);
    scene.later(A_WHILE).await;
    checkout.jobs().cancel().await.unwrap();
    checkout.refund(paid, Restock::Return, "test").await.unwrap();
    clock.advance(Span::from_mins(6));
    checkout.jobs().sweep().await.unwrap();
    checkout.jobs().redrive().await.unwrap();
}

/// The provider fails in its ways, and recovery jobs and webhooks bring orders home.
pub(super) async fn of_mending(scene: &Scene) {
    let Scene {
        checkout,
        provider,
        clock,
    } = scene;
    // A saved error uses the first key up.
    provider.plan([Fault::SavedError]);
    let second_key = scene.buy(1, VISA).await;
    scene.drive(second_key).await;
    scene.later(A_WHILE).await;
    // The capture is lost, and then the authorisation runs out.
    provider.plan([Fault::None, Fault::RequestLost]);
    let unwound = scene.buy(2, VISA).await;
    scene.drive(unwound).await;
    if let Some(payment) = checkout.view(unwound).await.unwrap().unwrap().payment {
        provider.expire(&payment);
    }
    scene.later(A_WHILE).await;
    // Told by a webhook, once and again.
    let secure = scene.buy(3, SECURE).await;
    scene.drive(secure).await;
    let payment = checkout.view(secure).await.unwrap().unwrap().payment.unwrap();
    provider.confirm(&payment, true);
    let (body, header) = signed(
        clock,
        "evt_1",
        "payment_intent.amount_capturable_updated",
        &payment,
    );
    for _ in 0..2 {
        checkout.webhook(body.as_bytes(), &header).await.unwrap();
    }
    // Nobody confirms, and the time for it runs out.
    let forgotten = scene.buy(4, SECURE).await;
    scene.drive(forgotten).await;
    scene.later(Span::from_mins(11)).await;
    checkout.jobs().cancel().await.unwrap();
    // Payments that no order wants: of a dead order, and of one that is unknown.
    let dead = scene.buy(5, DECLINED).await;
    scene.drive(dead).await;
    scene.strange_payment(dead, 2).await;
    scene.strange_payment(OrderId(999), 1).await;
    provider.plan([Fault::None, Fault::AnswerLost]);
    checkout.jobs().reconcile_with_provider().await.unwrap();
    clock.advance(Span::from_mins(2));
    checkout.jobs().reconcile_orders().await.unwrap();
    checkout.jobs().reconcile_with_provider().await.unwrap();
}

/// Operators stop and resume, change and mend.
pub(super) async fn of_operators(scene: &Scene) {
    let Scene {
        checkout, provider, ..
    } = scene;
    checkout.stop(PAYMENTS, "test").await.unwrap();
    let order = scene.buy(1, VISA).await;
    checkout.resume(PAYMENTS, "test").await.unwrap();
    let change = Change {
        drop: drop_id(),
        setting: "drain_per_second".to_owned(),
        value: "500".to_owned(),
        over: "1000".to_owned(),
    };
    checkout.change(vec![change], "aurora", "test").await.unwrap();
    checkout
        .change_stock(&drop_id(), &sku("AUR-43"), StockChange::Add(2), "test")
        .await
        .unwrap();
    scene.drive(order).await;
    checkout.refund(order, Restock::Keep, "test").await.unwrap();
    // No answer three times: set aside, and taken up again by a person.
    let parked = scene.buy(2, VISA).await;
    for _ in 0..4 {
        provider.plan([Fault::RequestLost]);
        scene.later(Span::from_mins(2)).await;
    }
    let flag = checkout.view(parked).await.unwrap().unwrap().flag;
    assert!(flag.is_some(), "the order was not set aside");
    provider.plan([]);
    checkout.retry(parked, "test").await.unwrap();
    scene.drive(parked).await;
    let unwanted = scene.buy(3, SECURE).await;
    scene.drive(unwanted).await;
    checkout.cancel_by_operator(unwanted, "test").await.unwrap();
    let noted = AuditEntry::new("drop.command", "aurora pause", "test");
    checkout.note(noted).await.unwrap();
}

/// Nobody drives by hand: relay, broker and workers do it.
pub(super) async fn of_workers(scene: &Scene) {
    let (stop, checkout) = (CancellationToken::new(), scene.checkout.clone());
    let stopped = stop.clone();
    let working = async move { checkout.run(stopped).await };
    let shopping = async {
        let mut orders = Vec::new();
        for shopper in 1..=6 {
            orders.push(scene.buy(shopper, VISA).await);
        }
        for order in orders {
            while scene.checkout.view(order).await.unwrap().unwrap().state != PublicState::Paid {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        stop.cancel();
    };
    tokio::join!(working, shopping);
}
