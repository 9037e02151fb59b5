//! The reconcilers pass by what they cannot mend: orders that wait for a person, and orders that cannot be read or stored.

use checkout_worker::provider::memory::Fault;
use domain::saga::{PaymentStatus, Restock, StateName};
use domain::{Clock as _, OrderId, Span};

use super::audits::by_hand;
use super::support::{SECURE, VISA, config, place, purchase};
use super::witness::Watched;

/// More than a reconciler asks about in one round.
const MANY: u8 = 130;

#[tokio::test]
async fn a_parked_refund_is_asked_about_however_many_orders_wait_for_a_person() {
    let shop = Watched::open(config(u32::from(MANY) + 1)).await;
    for shopper in 1..=MANY {
        place(&shop.checkout, purchase(shopper, None)).await;
    }
    by_hand(&shop, "UPDATE orders SET flag = 'no_answer'");
    let order = place(&shop.checkout, purchase(MANY + 1, Some(VISA))).await;
    shop.checkout.drive(order).await.unwrap();
    shop.provider.inner.plan([Fault::RequestLost; 3]);
    shop.checkout.refund(order, Restock::Keep, "test").await.unwrap();
    for _ in 0..2 {
        shop.clock.advance(Span::from_secs(61));
        shop.checkout.drive(order).await.unwrap();
    }
    let flag = async || shop.checkout.view(order).await.unwrap().unwrap().flag;
    assert_eq!(flag().await, Some("no_answer"));
    shop.clock.advance(Span::from_mins(2));
    assert_eq!(shop.checkout.jobs().reconcile_orders().await.unwrap(), 1);
    assert_eq!(flag().await, None);
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Refunded);
}

/// Orders whose shoppers have just said yes to their banks.
async fn confirmed<const N: usize>(shop: &Watched) -> [OrderId; N] {
    let mut orders = [OrderId(0); N];
    for (shopper, place_of) in (1..).zip(&mut orders) {
        let order = place(&shop.checkout, purchase(shopper, Some(SECURE))).await;
        shop.checkout.drive(order).await.unwrap();
        let view = shop.checkout.view(order).await.unwrap().unwrap();
        assert!(shop.provider.inner.confirm(&view.payment.unwrap(), true));
        *place_of = order;
    }
    orders
}

const MEND: &str = "UPDATE orders SET tries = 0 WHERE tries = -1";

#[tokio::test]
async fn an_order_that_cannot_be_read_keeps_no_other_from_its_payment_and_is_not_forgotten() {
    let shop = Watched::usual().await;
    let [first, spoilt, last] = confirmed(&shop).await;
    by_hand(&shop, "UPDATE orders SET tries = -1 WHERE client_key = 'key-2'");
    let found = shop.checkout.reconcile().await.unwrap();
    assert_eq!((found.seen, found.applied), (3, 2));
    for order in [first, last] {
        assert_eq!(shop.state(order).await, StateName::Paid);
    }
    // The window has moved on by the time somebody has mended the row.
    shop.clock.advance(Span::from_mins(60));
    shop.checkout.reconcile().await.unwrap();
    by_hand(&shop, MEND);
    shop.clock.advance(Span::from_mins(60));
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(shop.state(spoilt).await, StateName::Paid);
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn an_order_that_cannot_be_read_keeps_no_other_shopper_waiting_for_the_bank_or_the_reconciler() {
    let shop = Watched::usual().await;
    let [_, other] = confirmed(&shop).await;
    by_hand(&shop, "UPDATE orders SET tries = -1 WHERE client_key = 'key-1'");
    shop.clock.advance(Span::from_mins(1));
    shop.checkout.jobs().look_for_confirmations().await.unwrap();
    assert_eq!(shop.state(other).await, StateName::Paid);
    shop.clock.advance(Span::from_mins(10));
    shop.checkout.jobs().reconcile_orders().await.unwrap();
}

#[tokio::test]
async fn an_order_whose_step_is_not_stored_keeps_no_other_from_its_payment() {
    let shop = Watched::usual().await;
    let mut orders = Vec::new();
    for shopper in 1..=2 {
        let order = place(&shop.checkout, purchase(shopper, Some(VISA))).await;
        shop.checkout.drive(order).await.unwrap();
        orders.push(order);
    }
    // The newest is listed first: what cannot be stored stands before the other.
    let other = shop.provider.make(orders[0], 2).await;
    let spoilt = shop.provider.make(orders[1], 2).await;
    shop.provider.inner.plan([Fault::RequestLost; 2]);
    shop.checkout.reconcile().await.unwrap();
    by_hand(
        &shop,
        "UPDATE attempt SET params = zeroblob(32) WHERE op = 'cancel-stray' \
         AND order_id = (SELECT id FROM orders WHERE client_key = 'key-2')",
    );
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(shop.provider.status(&other.id), PaymentStatus::Cancelled);
    assert_eq!(shop.provider.status(&spoilt.id), PaymentStatus::RequiresCapture);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_cannot_be_read_is_left_to_a_person_and_stops_no_restore_on_its_way() {
    let shop = Watched::usual().await;
    let [spoilt, other] = confirmed(&shop).await;
    by_hand(&shop, "UPDATE orders SET tries = -1 WHERE client_key = 'key-1'");
    let since = shop.clock.now() - Span::from_mins(10);
    let restored = shop.checkout.restore(since, "test").await.unwrap();
    assert_eq!((restored.is_done(), restored.left), (false, 1), "{restored:?}");
    assert_eq!(shop.state(other).await, StateName::Paid);
    by_hand(&shop, MEND);
    let restored = shop.checkout.restore(since, "test").await.unwrap();
    assert!(restored.is_done(), "{restored:?}");
    assert_eq!(shop.state(spoilt).await, StateName::Paid);
}
