//! Payments that no order wants, from the list of the provider to their end: a saved error does not keep them for a day,
//! and every process finds the same next key.

mod houses;

use checkout_worker::checkout::{LatePayment, WebhookDone, WebhookFailure};
use checkout_worker::driver::Shut;
use checkout_worker::provider::memory::Fault;
use domain::saga::{Alarm, PaymentStatus, StateName};
use domain::{OrderId, Span};

use super::support::{DECLINED, PAYMENTS, VISA, place, purchase, signed};
use super::witness::Watched;

/// An order that is paid, and what the ledger calls it.
async fn paid(shop: &Watched) -> OrderId {
    let order = place(&shop.checkout, purchase(1, Some(VISA))).await;
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Paid);
    shop.provider.keys();
    order
}

/// The operation and number at the end of each key.
fn ends(keys: &[String]) -> Vec<String> {
    keys.iter()
        .map(|key| {
            let mut parts = key.rsplitn(3, '.');
            let (n, operation) = (parts.next().unwrap(), parts.next().unwrap());
            format!("{operation}.{n}")
        })
        .collect()
}

#[tokio::test]
async fn a_saved_error_keeps_a_second_payment_for_two_looks_and_not_for_a_day() {
    let shop = Watched::usual().await;
    let order = paid(&shop).await;
    let second = shop.provider.make(order, 2).await;
    shop.provider.inner.plan([Fault::SavedError]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        shop.checkout.reconcile().await.unwrap();
        seen.extend(ends(&shop.provider.keys()));
        shop.clock.advance(Span::from_mins(5));
    }
    assert_eq!(seen, ["cancel-stray.2", "cancel-stray.2", "cancel-stray.3"]);
    assert_eq!(shop.provider.status(&second.id), PaymentStatus::Cancelled);
    assert_eq!(shop.state(order).await, StateName::Paid);
    assert!(shop.checkout.audit().await.unwrap().is_clean());
}

#[tokio::test]
async fn the_next_key_of_a_stray_is_found_again_after_a_death() {
    let shop = Watched::usual().await;
    let order = paid(&shop).await;
    let second = shop.provider.make(order, 2).await;
    shop.provider.inner.plan([Fault::SavedError]);
    shop.checkout.reconcile().await.unwrap();
    let shop = shop.reopened().await;
    shop.checkout.reconcile().await.unwrap();
    let shop = shop.reopened().await;
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(
        ends(&shop.provider.keys()),
        ["cancel-stray.2", "cancel-stray.2", "cancel-stray.3"]
    );
    assert_eq!(shop.provider.status(&second.id), PaymentStatus::Cancelled);
}

#[tokio::test]
async fn money_taken_twice_goes_back_once_although_the_first_refund_meets_a_saved_error() {
    for (fault, keys) in [
        (Fault::None, vec!["refund-stray.2"]),
        (Fault::AnswerLost, vec!["refund-stray.2"]),
        (Fault::RequestLost, vec!["refund-stray.2", "refund-stray.2"]),
        (
            Fault::SavedError,
            vec!["refund-stray.2", "refund-stray.2", "refund-stray.3"],
        ),
        (Fault::SavedErrorAfterEffect, vec!["refund-stray.2"]),
    ] {
        let shop = Watched::usual().await;
        let order = paid(&shop).await;
        let second = shop.provider.make(order, 2).await;
        shop.provider.take(&second).await;
        shop.provider.inner.plan([fault]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            shop.checkout.reconcile().await.unwrap();
            seen.extend(ends(&shop.provider.keys()));
        }
        assert_eq!(seen, keys, "{fault:?}");
        let books = shop.provider.inner.books();
        let refunded: u64 = books.payments.iter().map(|payment| payment.refunded).sum();
        assert_eq!(refunded, 12_900, "{fault:?}");
        assert!(shop.ear.heard(Alarm::Stray) >= 1, "{fault:?}: nobody was told");
    }
}

#[tokio::test]
async fn the_shopper_is_told_of_a_late_payment_and_of_what_became_of_it() {
    for (fault, told) in [
        (Fault::None, ["refunded", "refunded"]),
        (Fault::AnswerLost, ["being_refunded", "refunded"]),
        (Fault::RequestLost, ["being_refunded", "refunded"]),
    ] {
        let shop = Watched::usual().await;
        let order = paid(&shop).await;
        assert_eq!(late(&shop, order).await, None);
        let second = shop.provider.make(order, 2).await;
        shop.provider.take(&second).await;
        shop.provider.inner.plan([fault]);
        for word in told {
            shop.checkout.reconcile().await.unwrap();
            assert_eq!(late(&shop, order).await, Some(word), "{fault:?}");
        }
    }
    let shop = Watched::usual().await;
    let order = paid(&shop).await;
    shop.provider.make(order, 2).await;
    shop.checkout.reconcile().await.unwrap();
    assert_eq!(late(&shop, order).await, Some("released"), "only held");
    let shop = shop.reopened().await;
    assert_eq!(late(&shop, order).await, Some("released"), "and written down");
}

#[tokio::test]
async fn a_late_payment_that_is_told_of_while_payments_are_paused_is_told_again_and_goes_back() {
    let shop = Watched::usual().await;
    let order = place(&shop.checkout, purchase(1, Some(DECLINED))).await;
    shop.checkout.drive(order).await.unwrap();
    assert_eq!(shop.state(order).await, StateName::Declined);
    let second = shop.provider.make(order, 2).await;
    shop.provider.take(&second).await;
    shop.provider.keys();
    let (body, header) = signed(&shop.clock, "evt_1", "payment_intent.succeeded", &second.id);
    let told = async || shop.checkout.webhook(body.as_bytes(), &header).await;

    shop.checkout.stop(PAYMENTS, "test").await.unwrap();
    let paused = told().await;
    assert!(matches!(paused, Err(WebhookFailure::NotNow)), "{paused:?}");
    assert_eq!(shop.provider.keys(), Vec::<String>::new());

    shop.checkout.resume(PAYMENTS, "test").await.unwrap();
    assert_eq!(told().await.unwrap(), WebhookDone::Applied);
    assert_eq!(ends(&shop.provider.keys()), ["refund-stray.2"]);
    assert_eq!(late(&shop, order).await, Some("refunded"));
    assert_eq!(told().await.unwrap(), WebhookDone::Repeated);
}

async fn late(shop: &Watched, order: OrderId) -> Option<&'static str> {
    let view = shop.checkout.view(order).await.unwrap().unwrap();
    view.late_payment.map(LatePayment::as_str)
}

#[tokio::test]
async fn two_strays_of_one_order_never_share_a_key() {
    let shop = Watched::usual().await;
    let order = paid(&shop).await;
    for n in 2..=5 {
        shop.provider.make(order, n).await;
    }
    shop.provider.inner.plan([
        Fault::SavedError,
        Fault::SavedError,
        Fault::None,
        Fault::AnswerLost,
    ]);
    let mut keys = Vec::new();
    for _ in 0..6 {
        shop.checkout.reconcile().await.unwrap();
        keys.extend(shop.provider.keys());
    }
    let open = |payment: &domain::saga::Payment| payment.is_open();
    assert!(!shop.provider.inner.books().payments.iter().any(open), "{keys:?}");
    let used_once: std::collections::BTreeSet<&String> = keys.iter().collect();
    assert!(used_once.len() >= 6, "{keys:?}");
}

#[tokio::test]
async fn a_payment_without_an_order_is_given_up_under_keys_that_rise_with_proof() {
    let shop = Watched::usual().await;
    let lost = shop.provider.make(OrderId(999), 1).await;
    shop.provider.inner.plan([Fault::SavedError]);
    shop.checkout.reconcile().await.unwrap();
    let shop = shop.reopened().await;
    let mut seen = ends(&shop.provider.keys());
    for _ in 0..3 {
        shop.checkout.reconcile().await.unwrap();
        seen.extend(ends(&shop.provider.keys()));
    }
    assert_eq!(seen, ["cancel-stray.1", "cancel-stray.1", "cancel-stray.2"]);
    assert_eq!(shop.provider.status(&lost.id), PaymentStatus::Cancelled);
    assert!(shop.ear.heard(Alarm::Stray) >= 1);
}

#[tokio::test]
async fn silence_keeps_the_key_of_a_payment_without_an_order() {
    let shop = Watched::usual().await;
    shop.provider.make(OrderId(999), 3).await;
    shop.provider
        .inner
        .plan([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
    for _ in 0..4 {
        shop.checkout.reconcile().await.unwrap();
    }
    let keys = ends(&shop.provider.keys());
    assert_eq!(
        keys,
        vec!["cancel-stray.129"; 4],
        "the third payment of an order has a range of its own"
    );
}

#[tokio::test]
async fn what_is_not_settled_is_looked_at_again_when_the_window_has_moved_on() {
    let shop = Watched::usual().await;
    shop.checkout.reconcile().await.unwrap();
    let lost = shop.provider.make(OrderId(999), 1).await;
    shop.provider.inner.plan([Fault::RequestLost, Fault::RequestLost]);
    for _ in 0..3 {
        shop.checkout.reconcile().await.unwrap();
        // Far beyond the overlap of two windows.
        shop.clock.advance(Span::from_mins(60));
    }
    assert_eq!(shop.provider.status(&lost.id), PaymentStatus::Cancelled);
    shop.provider.keys();
    for _ in 0..2 {
        let found = shop.checkout.reconcile().await.unwrap();
        assert!(found.seen <= 1 && found.applied == 0);
    }
    assert_eq!(
        shop.checkout.reconcile().await.unwrap().seen,
        0,
        "settled, it is left in peace"
    );
    assert_eq!(shop.provider.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn captured_money_without_an_order_is_told_and_never_moved() {
    let shop = Watched::usual().await;
    let lost = shop.provider.make(OrderId(999), 1).await;
    shop.provider.take(&lost).await;
    for told in 1..=3 {
        let found = shop.checkout.reconcile().await.unwrap();
        assert_eq!((found.unknown, shop.ear.heard(Alarm::Stray)), (1, told));
    }
    assert_eq!(shop.provider.keys(), Vec::<String>::new());
    assert_eq!(shop.provider.status(&lost.id), PaymentStatus::Succeeded);
}

#[tokio::test]
async fn a_payment_of_a_drop_that_is_not_sold_here_is_left_alone() {
    let terms = checkout_worker::DropTerms {
        drop: domain::DropId::new("zephyr").unwrap(),
        ..super::support::terms(4)
    };
    let other = Watched::open(checkout_worker::CheckoutConfig {
        drops: vec![terms],
        ..super::support::config(4)
    })
    .await;
    let stranger = other.provider.make(OrderId(999), 1).await;
    other.checkout.reconcile().await.unwrap();
    assert_eq!(other.provider.keys(), Vec::<String>::new());
    assert_eq!(
        other.provider.status(&stranger.id),
        PaymentStatus::RequiresCapture
    );
    assert!(
        other.ear.heard(Alarm::Stray) == 1,
        "told all the same: it holds a shopper's money"
    );
}

#[tokio::test]
async fn refused_credentials_met_while_giving_up_stop_the_drain() {
    for order in [None, Some(())] {
        let shop = Watched::usual().await;
        let id = match order {
            None => OrderId(999),
            Some(()) => paid(&shop).await,
        };
        shop.provider.make(id, 2).await;
        shop.provider.inner.plan([Fault::Forbidden]);
        shop.checkout.reconcile().await.unwrap();
        assert_eq!(
            shop.checkout.payments_shut(&super::support::drop_id()),
            Some(Shut::Halted),
            "{order:?}"
        );
        assert_eq!(shop.ear.heard(Alarm::Forbidden), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_met_while_giving_up_lowers_the_drain() {
    for known in [false, true] {
        let shop = Watched::usual().await;
        let id = if known { paid(&shop).await } else { OrderId(999) };
        shop.provider.make(id, 2).await;
        shop.provider.inner.plan([Fault::RateLimited]);
        shop.checkout.reconcile().await.unwrap();
        let rates = shop.checkout.figures().await.unwrap().drain;
        assert_eq!(rates, [(super::support::drop_id(), 500)], "known: {known}");
    }
}
