//! Webhooks from the signed bytes to the order: first, late, twice, never believed for more than a name.

use checkout_worker::PublicState;
use checkout_worker::checkout::{WebhookDone, WebhookFailure};
use checkout_worker::ledger::OrderFilter;
use checkout_worker::provider::memory::Fault;
use checkout_worker::webhook::WebhookError;
use domain::OrderId;
use domain::saga::{PaymentId, Restock, StateName};

use super::support::{SECURE, Shop, VISA, signed_with};

impl Shop {
    /// Sends an event about `payment`, signed with `secret`.
    async fn tell(
        &self,
        secret: &str,
        event: &str,
        kind: &str,
        payment: &PaymentId,
    ) -> Result<WebhookDone, WebhookFailure> {
        let (body, header) = signed_with(secret, &self.clock, event, kind, payment);
        self.checkout.webhook(body.as_bytes(), &header).await
    }

    /// An order whose shopper is at their bank, and its payment.
    async fn at_the_bank(&self, shopper: u8) -> (OrderId, PaymentId) {
        let order = self.buy(shopper, SECURE).await;
        self.checkout.drive(order).await.unwrap();
        (
            order,
            self.checkout.view(order).await.unwrap().unwrap().payment.unwrap(),
        )
    }
}

const GOOD: &str = "whsec_test";
const CAPTURABLE: &str = "payment_intent.amount_capturable_updated";

#[tokio::test]
async fn a_webhook_brings_a_confirmed_order_home_and_its_repetition_changes_nothing() {
    let shop = Shop::open(1).await;
    let (order, payment) = shop.at_the_bank(1).await;
    assert!(shop.provider.confirm(&payment, true));
    assert_eq!(
        shop.tell(GOOD, "evt_1", CAPTURABLE, &payment).await.unwrap(),
        WebhookDone::Applied
    );
    assert_eq!(shop.state(order).await, StateName::Paid);
    let version = shop.checkout.view(order).await.unwrap().unwrap().version;
    assert_eq!(
        shop.tell(GOOD, "evt_1", CAPTURABLE, &payment).await.unwrap(),
        WebhookDone::Repeated
    );
    let other = shop
        .tell(GOOD, "evt_2", "payment_intent.succeeded", &payment)
        .await
        .unwrap();
    assert_eq!(other, WebhookDone::Ignored);
    assert_eq!(shop.checkout.view(order).await.unwrap().unwrap().version, version);
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_webhook_that_lies_is_checked_against_the_provider() {
    let shop = Shop::open(1).await;
    let (order, payment) = shop.at_the_bank(1).await;
    let lie = shop
        .tell(GOOD, "evt_1", "payment_intent.succeeded", &payment)
        .await
        .unwrap();
    assert_eq!(lie, WebhookDone::Ignored);
    assert_eq!(shop.state(order).await, StateName::ActionRequired);
}

#[tokio::test]
async fn a_refund_that_fails_days_later_is_parked_told_and_made_again() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    shop.checkout.refund(order, Restock::Keep, "test").await.unwrap();
    let view = async || shop.checkout.view(order).await.unwrap().unwrap();
    let payment = view().await.payment.unwrap();
    let succeeded = shop.tell(GOOD, "evt_1", "charge.refund.updated", &payment).await;
    assert_eq!(succeeded.unwrap(), WebhookDone::Ignored);
    assert_eq!((view().await.reason, view().await.flag), (None, None));

    assert!(shop.provider.fail_refunds(&payment));
    let failed = shop.tell(GOOD, "evt_2", "refund.failed", &payment).await;
    assert_eq!(failed.unwrap(), WebhookDone::Applied);
    let parked = view().await;
    assert_eq!(
        (
            parked.state,
            parked.flag,
            parked.reason.as_deref(),
            parked.late_payment
        ),
        (
            PublicState::Refunded,
            Some("rejected"),
            Some("refund_failed"),
            None
        )
    );
    assert_eq!(shop.checkout.parked(10).await.unwrap(), [parked]);
    shop.recover().await;
    assert_eq!(shop.provider.books().payments[0].refunded, 0, "a person decides");

    let retried = shop.checkout.retry(order, "test").await.unwrap();
    assert_eq!((retried.flag, retried.reason), (None, None));
    assert_eq!(shop.provider.books().payments[0].refunded, 12_900);
    shop.recover().await;
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_failed_refund_that_the_order_could_not_read_of_is_asked_for_again_and_not_forgotten() {
    for fault in [Fault::RequestLost, Fault::RateLimited] {
        let shop = Shop::open(1).await;
        let order = shop.buy(1, VISA).await;
        shop.checkout.drive(order).await.unwrap();
        shop.checkout.refund(order, Restock::Keep, "test").await.unwrap();
        let view = shop.checkout.view(order).await.unwrap().unwrap();
        let payment = view.payment.unwrap();
        assert!(shop.provider.fail_refunds(&payment));
        // The payment is read for the event; the order's own reading of it comes to nothing.
        shop.provider.plan([fault]);
        let first = shop.tell(GOOD, "evt_1", "refund.failed", &payment).await;
        assert!(
            matches!(first, Err(WebhookFailure::NotNow)),
            "{fault:?}: {first:?}"
        );
        assert_eq!(shop.checkout.parked(10).await.unwrap(), []);
        let second = shop.tell(GOOD, "evt_1", "refund.failed", &payment).await;
        assert_eq!(second.unwrap(), WebhookDone::Applied, "{fault:?}");
        let parked = shop.checkout.parked(10).await.unwrap();
        assert_eq!(parked.len(), 1, "{fault:?}");
        assert_eq!(parked[0].reason.as_deref(), Some("refund_failed"));

        // Given back by hand, and again the order's own reading comes to nothing.
        assert!(shop.provider.refund(&payment, 12_900));
        shop.provider.plan([fault]);
        let third = shop.tell(GOOD, "evt_2", "charge.refunded", &payment).await;
        assert!(
            matches!(third, Err(WebhookFailure::NotNow)),
            "{fault:?}: {third:?}"
        );
        let fourth = shop.tell(GOOD, "evt_2", "charge.refunded", &payment).await;
        assert_eq!(fourth.unwrap(), WebhookDone::Applied, "{fault:?}");
        assert_eq!(shop.checkout.parked(10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_retry_that_the_provider_does_not_answer_leaves_the_order_parked_for_the_same_reason() {
    let shop = Shop::open(1).await;
    let order = shop.buy(1, VISA).await;
    shop.checkout.drive(order).await.unwrap();
    shop.checkout.refund(order, Restock::Keep, "test").await.unwrap();
    let payment = shop.checkout.view(order).await.unwrap().unwrap().payment.unwrap();
    assert!(shop.provider.fail_refunds(&payment));
    let failed = shop.tell(GOOD, "evt_1", "refund.failed", &payment).await;
    assert_eq!(failed.unwrap(), WebhookDone::Applied);
    // First its reading is lost, then the refund that follows the next one.
    for faults in [vec![Fault::RequestLost], vec![Fault::None, Fault::RequestLost]] {
        shop.provider.plan(faults);
        let retried = shop.checkout.retry(order, "test").await.unwrap();
        assert_eq!(
            (retried.flag, retried.flag_reason.as_deref()),
            (Some("rejected"), Some("refund_failed"))
        );
        shop.recover().await;
        assert_eq!(shop.provider.books().payments[0].refunded, 0, "a person decides");
    }
    let retried = shop.checkout.retry(order, "test").await.unwrap();
    assert_eq!(retried.flag, None);
    assert_eq!(shop.provider.books().payments[0].refunded, 12_900);
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_forged_webhook_changes_nothing() {
    let shop = Shop::open(1).await;
    let (order, payment) = shop.at_the_bank(1).await;
    assert!(shop.provider.confirm(&payment, true));
    let forged = shop.tell("whsec_wrong", "evt_1", CAPTURABLE, &payment).await;
    assert!(matches!(
        forged,
        Err(WebhookFailure::Refused(WebhookError::Forged))
    ));
    assert_eq!(shop.state(order).await, StateName::ActionRequired);
}

#[tokio::test]
async fn a_webhook_about_nothing_of_ours_is_ignored() {
    let shop = Shop::open(1).await;
    let unknown = PaymentId::new("pi_unknown").unwrap();
    assert_eq!(
        shop.tell(GOOD, "evt_1", CAPTURABLE, &unknown).await.unwrap(),
        WebhookDone::Ignored
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_while_the_provider_is_away_is_asked_for_again_and_not_forgotten() {
    let shop = Shop::open(9).await;
    for shopper in 1..=5 {
        let order = shop.buy(shopper, VISA).await;
        shop.provider.plan([Fault::RequestLost]);
        shop.checkout.drive(order).await.unwrap();
    }
    let payment = PaymentId::new("pi_1").unwrap();
    let away = shop.tell(GOOD, "evt_1", CAPTURABLE, &payment).await;
    assert!(matches!(away, Err(WebhookFailure::NotNow)), "{away:?}");
    // Once the breaker's time is over, the reconcilers alone find out that the provider answers again.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    shop.recover().await;
    for view in shop
        .checkout
        .orders(OrderFilter {
            limit: 9,
            ..OrderFilter::default()
        })
        .await
        .unwrap()
    {
        assert_eq!(view.ledger_state, StateName::Paid);
    }
    assert_ne!(
        shop.tell(GOOD, "evt_1", CAPTURABLE, &payment).await.unwrap(),
        WebhookDone::Repeated
    );
}
